//! Bulk replays: a selection handed out in chunks that are acknowledged ([`crate::replays`]).

use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pitt_query::QueryError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::answer::{Answer, json};
use super::params::Params;
use super::pool::Lane;
use super::problem::{Problem, shown};
use crate::http::auth::{Caller, Scope};
use crate::replays::choose::{self, ChoiceError, Named};
use crate::replays::list::{Draft, Drawn, TooMany};
use crate::replays::store::{ReplayError, Standing};
use crate::replays::{Asked, Form, MOST_CHUNK, Replay, Replays, USUAL_CHUNK, chunk};
use crate::source::now_us;

/// A replay to be made: all alerts to which everything given here applies.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NewReplay {
    /// Alerts that this filter took.
    #[param(example = json!(null))]
    pub filter: Option<String>,
    /// Alerts of this night, YYYYMMDD.
    #[param(example = json!(null))]
    pub night: Option<i32>,
    /// Alerts named by a query, which gives `survey` and `alert_id`; not together with `filter`.
    #[param(example = json!(null))]
    pub sql: Option<String>,
    /// Alerts of this survey: `ztf` or `lsst`.
    #[param(example = json!(null))]
    pub survey: Option<String>,
    /// What a chunk is: lines of JSON when left out, an Avro file, or a tarball of the packets as they were received.
    #[param(inline)]
    pub format: Option<Form>,
    /// Alerts a chunk, up to 10,000; 1,000 when left out.
    #[param(minimum = 1, maximum = 10_000, example = json!(null))]
    pub chunk: Option<u32>,
    /// Whether messages bring the stamps; not when left out. Packets always do.
    #[param(example = json!(null))]
    pub stamps: Option<bool>,
}

/// A chunk that has arrived.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Acknowledged {
    /// Its number: `x-chunk` of the answer.
    #[param(example = 0)]
    pub chunk: u64,
}

/// A replay, and how far it is.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"id": "3f9c2ab41d5e6f708192a3b4c5d6e7f8", "owner": "anna", "filter": "hostless", "format": "json", "stamps": false,
    "chunk": 1000, "alerts": 2431, "chunks": 3, "acknowledged": 1, "next": 1, "created_us": 1_795_723_200_000_000_i64, "expires_us": 1_796_328_000_000_000_i64}))]
pub struct ReplayBody {
    /// Its id.
    id: String,
    /// Name of the token it was made with.
    owner: String,
    /// What was asked for: filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// What was asked for: night.
    #[serde(skip_serializing_if = "Option::is_none")]
    night: Option<i32>,
    /// What was asked for: query.
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<String>,
    /// What was asked for: survey.
    #[serde(skip_serializing_if = "Option::is_none")]
    survey: Option<String>,
    /// What a chunk is.
    format: Form,
    /// Whether messages bring the stamps.
    stamps: bool,
    /// Alerts (or packets) a chunk.
    chunk: u32,
    /// Alerts.
    alerts: u64,
    /// Packets, where packets are handed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    packets: Option<u64>,
    /// Chunks; they count from 0.
    chunks: u64,
    /// How many are acknowledged.
    acknowledged: usize,
    /// The first that is not; null when all are.
    next: Option<u64>,
    /// When it was made, microseconds since 1970, UTC.
    created_us: i64,
    /// When it is taken away; each acknowledgement puts that off.
    expires_us: i64,
}

/// Replays.
#[derive(Serialize, ToSchema)]
pub struct ReplaysBody {
    /// The oldest first.
    replays: Vec<ReplayBody>,
}

impl From<Standing> for ReplayBody {
    fn from(standing: Standing) -> Self {
        let next = standing.next();
        let Standing {
            replay,
            acknowledged,
            expires_us,
        } = standing;
        Self {
            chunks: replay.chunks(),
            packets: (replay.form == Form::Packets).then(|| replay.drawn.entries()),
            id: replay.id,
            owner: replay.owner,
            filter: replay.asked.filter,
            night: replay.asked.night,
            sql: replay.asked.sql,
            survey: replay.asked.survey,
            format: replay.form,
            stamps: replay.stamps,
            chunk: replay.chunk,
            alerts: replay.drawn.alerts,
            acknowledged: acknowledged.len(),
            next,
            created_us: replay.created_us,
            expires_us,
        }
    }
}

/// The handlers.
pub fn handlers() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(one, remove))
        .routes(routes!(next))
        .routes(routes!(numbered))
        .routes(routes!(acknowledge))
}

/// Makes a replay: what it covers now is what it covers for good
///
/// Takes a token, of any scope: a replay belongs to it, and each has 10 at most.
#[utoipa::path(post, path = "/replays", tag = "replays", operation_id = "create_replay", params(NewReplay),
    responses((status = 201, description = "The replay.", body = ReplayBody)))]
pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    Params(new): Params<NewReplay>,
) -> Answer {
    let replay = planned(&new, caller.name().unwrap_or("nobody"))?;
    let made = api.ask(Lane::Long, move |api| {
        let replays = api.replays();
        let made = replays.make(replay.clone(), |folder| api.draw(&replay, folder));
        Ok(ReplayBody::from(made.map_err(problem)?))
    });
    let made = made.await?;
    let place = format!("/api/v1/replays/{}", made.id);
    let mut answer = (StatusCode::CREATED, json(&made)?).into_response();
    if let Ok(place) = HeaderValue::from_str(&place) {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    Ok(answer)
}

fn planned(new: &NewReplay, owner: &str) -> Result<Replay, Problem> {
    let chunk = new.chunk.unwrap_or(USUAL_CHUNK);
    if !(1..=MOST_CHUNK).contains(&chunk) {
        let detail = format!("`chunk` is {chunk}, expected 1 to {MOST_CHUNK}");
        return Err(Problem::bad_parameter("chunk", detail));
    }
    if new.filter.is_some() && new.sql.is_some() {
        let detail = "`filter` and `sql` exclude each other (a query can ask the table `matches`)";
        return Err(Problem::bad_parameter("sql", detail));
    }
    Ok(Replay {
        version: 0,
        id: String::new(),
        owner: owner.to_owned(),
        created_us: now_us(),
        asked: Asked {
            filter: new.filter.clone(),
            night: new.night,
            sql: new.sql.clone(),
            survey: new.survey.clone(),
        },
        form: new.format.unwrap_or_default(),
        stamps: new.stamps.unwrap_or(false),
        chunk,
        drawn: Drawn::default(),
    })
}

/// The caller's replays; all of them with scope `admin`
#[utoipa::path(get, path = "/replays", tag = "replays", operation_id = "replays",
    responses((status = 200, description = "The replays.", body = ReplaysBody)))]
pub async fn list(State(api): State<Api>, caller: Caller) -> Answer {
    api.look(move |api| {
        let mut all = api.replays().all(now_us())?;
        all.retain(|one| owns(&caller, &one.replay));
        let replays = all.into_iter().map(ReplayBody::from).collect();
        Ok(ReplaysBody { replays })
    })
    .await
}

/// How far a replay is
#[utoipa::path(get, path = "/replays/{id}", tag = "replays", operation_id = "replay",
    params(("id" = String, Path, description = "Id of the replay.")),
    responses((status = 200, description = "The replay.", body = ReplayBody)))]
pub async fn one(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    api.look(move |api| Ok(ReplayBody::from(api.replay(&id)?)))
        .await
}

/// The first chunk that is not acknowledged
#[utoipa::path(get, path = "/replays/{id}/next", tag = "replays", operation_id = "replay_next",
    params(("id" = String, Path, description = "Id of the replay.")),
    responses((status = 200, description = "The chunk; its number is in the header `x-chunk`.", body = Vec<u8>, content_type = "application/x-ndjson"),
        (status = 204, description = "All are acknowledged.")))]
pub async fn next(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    let standing = api.ask(Lane::Quick, move |api| api.replay(&id)).await?;
    match standing.next() {
        Some(chunk) => hand_out(api, standing.replay, chunk).await,
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// A chunk by its number: the same bytes each time
#[utoipa::path(get, path = "/replays/{id}/chunks/{chunk}", tag = "replays", operation_id = "replay_chunk",
    params(("id" = String, Path, description = "Id of the replay."), ("chunk" = String, Path, description = "Its number, from 0.", example = "0")),
    responses((status = 200, description = "The chunk.", body = Vec<u8>, content_type = "application/x-ndjson")))]
pub async fn numbered(
    State(api): State<Api>,
    Path((id, number)): Path<(String, String)>,
) -> Answer {
    let chunk = number.parse().map_err(|_| {
        let detail = format!("chunk `{}` is no whole number from 0", shown(&number));
        Problem::bad_parameter("chunk", detail)
    })?;
    let standing = api.ask(Lane::Quick, move |api| api.replay(&id)).await?;
    hand_out(api, standing.replay, chunk).await
}

async fn hand_out(api: Api, replay: Replay, number: u64) -> Answer {
    let wanted = replay.clone();
    let entries = api.ask(Lane::Quick, move |api| {
        api.replays().entries(&wanted, number).map_err(problem)
    });
    let entries = entries.await?;
    let headers = headers(&replay, number, entries.len());
    api.stream_as(Lane::Bulk, headers, move |api, out| {
        let archive = api.stock.archive()?;
        Ok(chunk::write(&archive, &replay, &entries, out)?)
    })
    .await
}

fn headers(replay: &Replay, number: u64, entries: usize) -> HeaderMap {
    let (kind, ending) = chunk::kind(replay.form);
    let file = format!(
        "attachment; filename=\"{}-{number:05}.{ending}\"",
        replay.id
    );
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(file) = HeaderValue::from_str(&file) {
        headers.insert(header::CONTENT_DISPOSITION, file);
    }
    headers.insert("x-chunk", HeaderValue::from(number));
    headers.insert("x-chunks", HeaderValue::from(replay.chunks()));
    headers.insert("x-entries", HeaderValue::from(entries));
    headers
}

/// Says that a chunk has arrived, in any order and as often as one likes
#[utoipa::path(post, path = "/replays/{id}/ack", tag = "replays", operation_id = "acknowledge_chunk",
    params(("id" = String, Path, description = "Id of the replay."), Acknowledged),
    responses((status = 200, description = "How far the replay is now.", body = ReplayBody)))]
pub async fn acknowledge(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Params(it): Params<Acknowledged>,
) -> Answer {
    api.look(move |api| {
        let own = api.replay(&id)?;
        must_own(&caller, &own.replay)?;
        let now = api.replays().acknowledge(&own.replay.id, it.chunk);
        Ok(ReplayBody::from(now.map_err(problem)?))
    })
    .await
}

/// Takes a replay away; the alerts stay
#[utoipa::path(delete, path = "/replays/{id}", tag = "replays", operation_id = "remove_replay",
    params(("id" = String, Path, description = "Id of the replay.")),
    responses((status = 204, description = "It is gone.")))]
pub async fn remove(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Answer {
    api.ask(Lane::Quick, move |api| {
        let own = api.replay(&id)?;
        must_own(&caller, &own.replay)?;
        api.replays().remove(&own.replay.id).map_err(problem)
    })
    .await?;
    Ok(Response::builder()
        .status(StatusCode::NO_CONTENT)
        .body(Body::empty())
        .unwrap_or_default())
}

fn owns(caller: &Caller, replay: &Replay) -> bool {
    caller.may(Scope::Admin) || caller.name() == Some(&replay.owner)
}

fn must_own(caller: &Caller, replay: &Replay) -> Result<(), Problem> {
    if owns(caller, replay) {
        return Ok(());
    }
    let detail = format!("the replay belongs to `{}`", replay.owner);
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
        .hint("make one of your own, or use a token with scope `admin`"))
}

impl Api {
    fn replays(&self) -> Replays {
        Replays::of(self.telemetry.archive())
    }

    /// A replay that has not expired.
    fn replay(&self, id: &str) -> Result<Standing, Problem> {
        let unknown = || ReplayError::Unknown(shown(id));
        let standing = self.replays().find(id).map_err(problem)?;
        let lives = standing.expires_us > now_us();
        if lives {
            Ok(standing)
        } else {
            Err(problem(unknown().into()))
        }
    }

    /// Lists what a replay covers.
    fn draw(&self, replay: &Replay, folder: &std::path::Path) -> anyhow::Result<Drawn> {
        let until = Instant::now() + choose::LONGEST;
        let asked = &replay.asked;
        let archive = self.stock.archive().map_err(Refused)?;
        if let Some(survey) = &asked.survey {
            super::alerts::known_survey(&archive, survey).map_err(Refused)?;
        }
        // Before the packets: whatever has been matched by now is among them.
        let named = match (&asked.filter, &asked.sql) {
            (Some(filter), _) => Some(self.by_filter(&archive, filter, asked.night)?),
            (None, Some(sql)) => {
                let engine = self.engine().map_err(Refused)?;
                Some(Named::by_sql(&engine, sql, choose::LONGEST)?)
            }
            (None, None) => None,
        };
        let versions = named.as_ref().map(|named| named.versions.clone());
        let mut draft = Draft::new(folder, replay.form, versions.unwrap_or_default());
        choose::draw(&archive, asked, named.as_ref(), &mut draft, until)?;
        draft.finish()
    }

    fn by_filter(
        &self,
        archive: &pitt_archive::Archive,
        filter: &str,
        night: Option<i32>,
    ) -> anyhow::Result<Named> {
        let named = Named::by_filter(archive, filter, night)?;
        if !named.is_empty() {
            return Ok(named);
        }
        // Nothing of that night, nothing at all yet, or no such filter?
        let known = self.telemetry.filter_desk().known()?;
        let known = known.iter().any(|one| one.name == filter);
        if !known && Named::by_filter(archive, filter, None)?.is_empty() {
            let detail = format!("there is no filter `{}`", shown(filter));
            let unknown = Problem::not_found("unknown_filter", detail);
            return Err(Refused(unknown.at("filter")).into());
        }
        Ok(named)
    }
}

/// What is to be answered, on its way through errors of other kinds.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.detail)]
struct Refused(Problem);

/// What cannot be, for a client.
fn problem(error: anyhow::Error) -> Problem {
    let told = error.to_string();
    let unfit = |code| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, told.clone());
    if let Some(replay) = error.downcast_ref() {
        return match replay {
            ReplayError::Unknown(_) => Problem::not_found("unknown_replay", told),
            ReplayError::NoChunk { .. } => Problem::not_found("unknown_chunk", told).at("chunk"),
            ReplayError::Full(_) => Problem::new(StatusCode::CONFLICT, "too_many_replays", told),
            ReplayError::TooManyChunks(_) => unfit("too_many_rows").at("chunk"),
        };
    }
    if error.is::<TooMany>() {
        return unfit("too_many_rows");
    }
    if let Some(choice) = error.downcast_ref() {
        return match choice {
            ChoiceError::TooMany(_) => unfit("too_many_rows"),
            ChoiceError::TooLong => unfit("time_limit"),
            ChoiceError::NoColumn(_) | ChoiceError::Column(..) => {
                Problem::bad_parameter("sql", told)
            }
        };
    }
    match error.downcast::<Refused>() {
        Ok(Refused(problem)) => problem,
        Err(error) => match error.downcast::<QueryError>() {
            Ok(query) => {
                let problem = Problem::from(query);
                let place = problem.place.as_ref().map(|_| "sql".to_owned());
                Problem { place, ..problem }
            }
            Err(error) => Problem::fault("the replay failed", &format!("{error:#}")),
        },
    }
}
