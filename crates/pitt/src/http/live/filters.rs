//! Filters over HTTP: kept, checked, tried, set to work and paused.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use pitt_query::{Filter, FilterError, FilterProblem, FilterSet, NameKind, completions};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::figures::Taken;
use crate::filters::{
    BookError, Draft, FilterDesk, FilterOrigin, FilterState, FromFile, Known, MayChange, NotYours,
    Refused,
};
use crate::http::api::Api;
use crate::http::api::answer::{Answer, json};
use crate::http::api::params::{Nothing, Params};
use crate::http::api::pool::Lane;
use crate::http::api::problem::{Problem, shown};
use crate::http::auth::{Caller, Scope};
use crate::pipeline::Stop;
use crate::trial::{Bounds, Tally, Trial};

/// Alerts that a trial takes, and the most it may be asked for.
const TRIAL_ALERTS: u64 = 50_000;
const MOST_TRIAL_ALERTS: u64 = 1_000_000;
/// Longest trial.
const TRIAL_TIME: Duration = Duration::from_secs(20);
const KEYWORDS: [&str; 17] = [
    "AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL", "CASE", "WHEN", "THEN", "ELSE",
    "END", "TRUE", "FALSE", "SELECT", "WHERE",
];

/// A text to be looked at.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Text {
    /// The filter: a predicate or a `SELECT`, with its header.
    #[param(example = "psf_flux > 1e5")]
    pub text: String,
    /// Its name.
    #[param(example = json!(null))]
    pub name: Option<String>,
}

/// A text to be tried.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Tried {
    /// The filter.
    #[param(example = "psf_flux > 1e5")]
    pub text: String,
    /// Its name.
    #[param(example = json!(null))]
    pub name: Option<String>,
    /// Nights, YYYYMMDD; the newest, when left out.
    #[param(style = Form, explode = false, example = json!(null))]
    pub nights: Option<Vec<i32>>,
    /// Most alerts to try it on.
    #[param(example = json!(null))]
    pub alerts: Option<u64>,
}

/// A text to be kept.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Kept {
    /// The filter.
    #[param(example = "psf_flux > 1e5")]
    pub text: String,
    /// Set it to work at once.
    #[param(example = json!(null))]
    pub activate: Option<bool>,
    /// What is new in it.
    #[param(example = json!(null))]
    pub note: Option<String>,
}

/// Which version.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfVersion {
    /// The version; the one that was active last or else the newest, when left out.
    #[param(example = json!(null))]
    pub version: Option<String>,
}

/// Of which survey.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfSurvey {
    /// `ztf` or `lsst`; what both have, when left out.
    #[param(example = json!(null))]
    pub survey: Option<String>,
}

/// Every filter, with its state and counts
#[utoipa::path(method(get, post), path = "/filters", tag = "filters", operation_id = "filters",
    responses((status = 200, description = "The filters.", body = Value)))]
pub async fn list(State(api): State<Api>, Params(Nothing {}): Params<Nothing>) -> Answer {
    api.look(|api| {
        let known = api.telemetry.filter_desk().known()?;
        let taken = api.live.figures.taken()?;
        let filters = known.iter().map(|one| document(api, one, &taken));
        let filters: Vec<Value> = filters.collect();
        Ok(json!({"filters": filters}))
    })
    .await
}

/// One filter, with its text
#[utoipa::path(method(get, post), path = "/filters/{name}", tag = "filters", operation_id = "filter",
    params(("name" = String, Path, description = "Name of the filter.", example = "hostless")),
    responses((status = 200, description = "The filter.", body = Value)))]
pub async fn one(
    State(api): State<Api>,
    Path(name): Path<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Answer {
    api.look(move |api| whole(api, &name)).await
}

/// The text of one version
#[utoipa::path(method(get, post), path = "/filters/{name}/versions/{version}", tag = "filters", operation_id = "filter_version",
    params(("name" = String, Path, description = "Name of the filter."), ("version" = String, Path, description = "The version.")),
    responses((status = 200, description = "Name, version and text.", body = Value)))]
pub async fn text_of(
    State(api): State<Api>,
    Path((name, version)): Path<(String, String)>,
    Params(Nothing {}): Params<Nothing>,
) -> Answer {
    api.look(move |api| {
        let desk = api.telemetry.filter_desk();
        let found = known(api, &name)?;
        let file = found
            .filter
            .filter(|_| found.origin == FilterOrigin::File && found.version == version);
        let text = match file {
            Some(filter) => filter.text().to_owned(),
            None => desk.book().text(&name, &version).map_err(problem)?,
        };
        Ok(json!({"name": name, "version": version, "text": text}))
    })
    .await
}

/// Whether a text is a filter, and what is wrong with it
#[utoipa::path(method(get, post), path = "/filters/check", tag = "filters", operation_id = "check_filter", params(Text),
    responses((status = 200, description = "`ok`, with surveys and columns read, or `problems` with line and column.", body = Value)))]
pub async fn check(State(api): State<Api>, Params(text): Params<Text>) -> Answer {
    api.look(move |api| {
        let desk = api.telemetry.filter_desk();
        let name = text.name.as_deref().unwrap_or("filter");
        Ok(match desk.check(name, &text.text)? {
            Ok(filter) => fit(&desk, filter)?,
            Err(error) => json!({"ok": false, "problems": [fault(&error)]}),
        })
    })
    .await
}

fn fit(desk: &FilterDesk, filter: Filter) -> Result<Value, Problem> {
    let surveys = desk.surveys().names().filter(|name| filter.reads(name));
    let surveys: Vec<String> = surveys.map(str::to_owned).collect();
    let set = FilterSet::compile(vec![filter], desk.surveys(), &desk.catalogs()?);
    let set = set.map_err(|error| Problem::fault("the filter cannot be compiled", &error))?;
    Ok(json!({"ok": true, "surveys": surveys, "columns": set.selection().columns}))
}

/// What a text would have taken of the newest nights; nothing is kept
#[utoipa::path(method(get, post), path = "/filters/test", tag = "filters", operation_id = "test_filter", params(Tried),
    responses((status = 200, description = "Counts by night, examples, what it costs.", body = Value)))]
pub async fn test(State(api): State<Api>, Params(tried): Params<Tried>) -> Answer {
    let stop = Stop::default();
    // A client that goes away drops this, and the trial ends at its next batch.
    let _asking = StopWhenDropped(stop.clone());
    let bounds = Bounds {
        nights: tried.nights.clone().unwrap_or_default(),
        alerts: tried.alerts.unwrap_or(TRIAL_ALERTS).min(MOST_TRIAL_ALERTS),
        time: TRIAL_TIME,
        stop,
    };
    let trial = api.ask(Lane::Sql, move |api| try_out(api, &tried, &bounds));
    json(&trial.await?)
}

struct StopWhenDropped(Stop);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.ask();
    }
}

fn try_out(api: &Api, tried: &Tried, bounds: &Bounds) -> Result<Value, Problem> {
    let desk = api.telemetry.filter_desk();
    let archive = api.stock.archive()?;
    let name = tried.name.as_deref().unwrap_or("filter");
    let filter = desk
        .check(name, &tried.text)?
        .map_err(|error| refused(&error))?;
    let schemas = archive.schema_store()?;
    let mut trial = Trial::new(filter, desk.surveys(), &desk.catalogs()?, schemas)?;
    let mut tally = Tally::default();
    let complete = trial.newest(&archive, bounds, &mut tally)?;
    let nights = tally.nights().iter().rev().map(|(night, counts)| {
        json!({"night": night, "alerts": counts.alerts, "matches": counts.matches})
    });
    let nights: Vec<Value> = nights.collect();
    let examples = tally.examples().iter().map(|of| {
        let flux = of.psf_flux.map(f64::from).filter(|flux| *flux > 0.0);
        json!({
            "survey": &*of.survey, "alert_id": of.alert_id.to_string(), "object_id": of.object_id,
            "mjd_tai": of.mjd_tai, "band": of.band, "mag": flux.map(pitt_sky::photometry::mag_ab),
            "ra": of.ra, "dec": of.dec, "reliability": of.reliability,
        })
    });
    let per_night = tally.matches() as f64 / nights.len().max(1) as f64;
    Ok(json!({
        "alerts": tally.alerts(),
        "matches": tally.matches(),
        "examples": examples.collect::<Vec<_>>(),
        "cost_us": tally.cost_us(),
        "estimate_per_night": per_night,
        "nights": nights,
        "complete": complete,
        "failed": trial.failed().map(|off| json!({"reason": off.reason, "survey": off.survey, "alert_id": off.alert_id.map(|id| id.to_string())})),
    }))
}

/// Names that a filter may use: columns, functions, keywords
#[utoipa::path(method(get, post), path = "/filters/vocabulary", tag = "filters", operation_id = "vocabulary", params(OfSurvey),
    responses((status = 200, description = "Names with type, unit and meaning.", body = Value)))]
pub async fn vocabulary(State(api): State<Api>, Params(of): Params<OfSurvey>) -> Answer {
    api.look(move |api| {
        let desk = api.telemetry.filter_desk();
        let surveys: Vec<&str> = match &of.survey {
            Some(survey) => vec![survey],
            None => desk.surveys().names().collect(),
        };
        let (mut seen, mut names) = (BTreeSet::new(), vec![]);
        for found in surveys.iter().flat_map(|survey| completions(desk.surveys(), survey)) {
            let label = found.text.split('(').next().unwrap_or_default().to_owned();
            if !seen.insert(found.text.clone()) {
                continue;
            }
            let kind = match found.kind {
                NameKind::Column => "column",
                NameKind::Function | NameKind::SqlFunction => "function",
            };
            names.push(json!({"label": label, "kind": kind, "type": found.data_type, "unit": found.unit,
                "doc": found.description, "signature": found.text}));
        }
        names.extend(KEYWORDS.map(|word| json!({"label": word, "kind": "keyword", "type": "", "unit": "", "doc": "", "signature": word})));
        Ok(json!({"names": names}))
    })
    .await
}

/// Keeps a text as a version of a filter, and sets it to work if asked
#[utoipa::path(put, path = "/filters/{name}", tag = "filters", operation_id = "put_filter",
    params(("name" = String, Path, description = "Name of the filter."), Kept),
    responses((status = 201, description = "A new version.", body = Value), (status = 200, description = "The text was a version already.", body = Value)))]
pub async fn put(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Params(kept): Params<Kept>,
) -> Answer {
    let author = caller.name().unwrap_or("nobody").to_owned();
    let may = may_change(caller);
    let (new, filter) = api
        .ask(Lane::Long, move |api| {
            let draft = Draft {
                name: &name,
                text: &kept.text,
                author: &author,
                note: kept.note.as_deref(),
                activate: kept.activate.unwrap_or(false),
            };
            let (_, new) = api
                .telemetry
                .filter_desk()
                .keep(&draft, &may)
                .map_err(problem)?;
            Ok((new, whole(api, &name)?))
        })
        .await?;
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, json(&filter)?).into_response())
}

/// Sets a filter to work, also one that failed
#[utoipa::path(post, path = "/filters/{name}/activate", tag = "filters", operation_id = "activate_filter",
    params(("name" = String, Path, description = "Name of the filter."), OfVersion),
    responses((status = 200, description = "The filter.", body = Value)))]
pub async fn activate(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Params(of): Params<OfVersion>,
) -> Answer {
    change(api, caller, name, move |desk, name, may| {
        desk.activate(name, of.version.as_deref(), may)
    })
    .await
}

/// Lets a filter rest
#[utoipa::path(post, path = "/filters/{name}/pause", tag = "filters", operation_id = "pause_filter",
    params(("name" = String, Path, description = "Name of the filter.")),
    responses((status = 200, description = "The filter.", body = Value)))]
pub async fn pause(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Answer {
    change(api, caller, name, FilterDesk::pause).await
}

/// Takes a filter away; its matches stay
#[utoipa::path(delete, path = "/filters/{name}", tag = "filters", operation_id = "remove_filter",
    params(("name" = String, Path, description = "Name of the filter.")),
    responses((status = 204, description = "It is gone.")))]
pub async fn remove(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Answer {
    let may = may_change(caller);
    api.ask(Lane::Long, move |api| {
        let desk = api.telemetry.filter_desk();
        desk.remove(&name, &may).map_err(problem)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A filter can be changed by its owner; what is the broker's own, and everything else, with scope `admin`.
fn may_change(caller: Caller) -> impl Fn(Option<&str>) -> bool + Send + 'static {
    move |owner| match owner {
        Some(owner) => caller.may_change(owner),
        None => caller.may(Scope::Admin),
    }
}

async fn change(
    api: Api,
    caller: Caller,
    name: String,
    change: impl FnOnce(&FilterDesk, &str, MayChange<'_>) -> anyhow::Result<()> + Send + 'static,
) -> Answer {
    let may = may_change(caller);
    let changed = api.ask(Lane::Long, move |api| {
        change(&api.telemetry.filter_desk(), &name, &may).map_err(problem)?;
        whole(api, &name)
    });
    json(&changed.await?)
}

/// A filter by its name.
pub(super) fn known(api: &Api, name: &str) -> Result<Known, Problem> {
    let known = api.telemetry.filter_desk().known()?;
    let found = known.into_iter().find(|one| one.name == name);
    found.ok_or_else(|| {
        let detail = format!("there is no filter `{}`", shown(name));
        Problem::not_found("unknown_filter", detail)
    })
}

fn whole(api: &Api, name: &str) -> Result<Value, Problem> {
    let known = known(api, name)?;
    let mut document = document(api, &known, &api.live.figures.taken()?);
    document["text"] = known.filter.as_ref().map(Filter::text).into();
    Ok(document)
}

/// What is told of a filter.
fn document(api: &Api, known: &Known, taken: &Taken) -> Value {
    let header = known.filter.as_ref().map(|filter| filter.header().clone());
    let header = header.unwrap_or_default();
    let counts = taken.of(&known.name);
    let (state, reason) = match &known.state {
        FilterState::Active => ("active", None),
        FilterState::Paused => ("paused", None),
        FilterState::Draft => ("draft", None),
        FilterState::Off(reason) => ("off", Some(reason)),
    };
    let versions = known.versions.iter().map(|(version, created_us, author)| {
        let active = state != "draft" && *version == known.version;
        json!({"version": version, "created_us": created_us, "author": author, "active": active})
    });
    let versions: Vec<Value> = versions.collect();
    let output = &api.settings.output;
    let stream = header.output.clone().unwrap_or_else(|| known.name.clone());
    let topic = header
        .topic
        .clone()
        .unwrap_or_else(|| format!("{}{stream}", output.prefix));
    json!({
        "name": known.name,
        "title": header.title,
        "description": header.comments.join("\n"),
        "owner": known.owner,
        "survey": header.survey,
        "origin": if known.origin == FilterOrigin::File { "file" } else { "api" },
        "state": state,
        "reason": reason,
        "version": known.version,
        "versions": versions,
        "matches": counts.matches,
        "last_match_us": counts.last_us,
        "matches_tonight": counts.tonight,
        "cost_us": known.cost_us,
        "followers": {
            "sse": api.live.feed.followers(&known.name),
            "webhooks": super::hooks::number_of(api, &known.name),
            "topic": Some(topic).filter(|_| output.is_on() && stream != "none"),
        },
    })
}

/// A refused text for an editor: where, what, and what to write instead.
fn fault(error: &FilterError) -> Value {
    let suggestion = match &*error.problem {
        FilterProblem::UnknownColumn { suggestion, .. }
        | FilterProblem::UnknownFunction { suggestion, .. }
        | FilterProblem::UnknownCatalog { suggestion, .. } => suggestion.clone(),
        _ => None,
    };
    let column = error.place.column.max(1);
    json!({
        "line": error.place.line.max(1),
        "column": column,
        "end_column": column + error.width as u64,
        "message": error.problem.to_string(),
        "suggestion": suggestion,
    })
}

fn refused(error: &FilterError) -> Problem {
    let place = format!("line {}, column {}", error.place.line, error.place.column);
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "bad_filter",
        error.to_string(),
    )
    .at(place)
}

/// A change that cannot be, for a client.
fn problem(error: anyhow::Error) -> Problem {
    if let Some(Refused(error)) = error.downcast_ref() {
        return refused(error);
    }
    if error.is::<NotYours>() {
        let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", error.to_string());
        return problem.hint("ask them, or use a token with scope `admin`");
    }
    if let Some(FromFile(_)) = error.downcast_ref() {
        return Problem::new(StatusCode::CONFLICT, "conflict", error.to_string());
    }
    match error.downcast_ref() {
        Some(BookError::Name(_)) => Problem::bad_parameter("name", error.to_string()),
        Some(BookError::Unknown(_)) => Problem::not_found("unknown_filter", error.to_string()),
        Some(BookError::NoVersion { .. }) => {
            Problem::not_found("unknown_version", error.to_string())
        }
        None => Problem::fault("the filter cannot be changed", &format!("{error:#}")),
    }
}
