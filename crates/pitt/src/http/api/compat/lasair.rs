//! What the `lasair` client asks: `lasair_client(token, endpoint="http://HOST:PORT/lasair/api")`.
//!
//! | method | answer |
//! |---|---|
//! | `cone` | `[{"object": id, "separation": arcsec}]`; of `nearest` one such object; of `count` `{"count": n}` |
//! | `query` | a list of rows: `SELECT selected FROM tables WHERE conditions` over the archive's tables and columns |
//! | `object` | `{"objectId", "objectData", "candidates", "forcedPhotometry"}` |
//! | `objects` | a list of those |

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use pitt_query::json_row;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::http::api::Api;
use crate::http::api::answer::Answer;
use crate::http::api::light_curve::{self, CurvePoint, Kind, mag};
use crate::http::api::params::Params;
use crate::http::api::pool::Lane;
use crate::http::api::problem::Problem;
use crate::http::api::{alert, position, sql};

/// Largest answer to a query, which is put together in memory `[bytes]`.
const MOST_BYTES: usize = 64 << 20;
/// Most objects of one request.
const MOST_OBJECTS: usize = 50;

/// A cone.
#[derive(Debug, Deserialize, IntoParams)]
pub struct Cone {
    ra: String,
    dec: String,
    /// `[arcsec]`
    radius: Option<f64>,
    /// `all`, `nearest` or `count`.
    #[serde(rename = "requestType")]
    request_type: Option<String>,
}

/// `cone`
pub async fn cone(State(api): State<Api>, Params(cone): Params<Cone>) -> Answer {
    let center = position::center(&cone.ra, &cone.dec)?;
    let radius = position::radius(cone.radius.unwrap_or(5.0))?;
    let wanted = cone.request_type.unwrap_or_else(|| "all".to_owned());
    if !["all", "nearest", "count"].contains(&wanted.as_str()) {
        let detail = "`requestType` is expected to be one of `all`, `nearest`, `count`";
        return Err(Problem::bad_parameter("requestType", detail));
    }
    api.look(move |api| {
        let hits = api.stock.cone(center, radius)?;
        let object = |hit: &pitt_archive::ConeHit| {
            json!({"object": hit.object_id, "objectId": hit.object_id, "separation": hit.separation_arcsec})
        };
        Ok(match wanted.as_str() {
            "count" => json!({"count": hits.len()}),
            "nearest" => hits.first().map_or(json!({}), object),
            _ => hits.iter().map(object).collect(),
        })
    })
    .await
}

/// A query in three parts.
#[derive(Debug, Deserialize, IntoParams)]
pub struct Query {
    selected: String,
    tables: String,
    conditions: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

/// `query`
pub async fn query(State(api): State<Api>, Params(query): Params<Query>) -> Answer {
    let limits = sql::limits(&api, Some(query.limit.unwrap_or(1000)))?;
    let conditions = query
        .conditions
        .as_deref()
        .map(str::trim)
        .unwrap_or_default();
    let conditions = match conditions.get(..8).map(str::to_lowercase).as_deref() {
        _ if conditions.is_empty() => String::new(),
        Some("order by") => conditions.to_owned(),
        _ => format!("WHERE {conditions}"),
    };
    let (rows, offset) = (limits.rows, query.offset.unwrap_or(0));
    let text = format!(
        "SELECT {} FROM {} {conditions} LIMIT {rows} OFFSET {offset}",
        query.selected, query.tables
    );
    let rows = api.ask(Lane::Sql, move |api| {
        let (engine, fresh) = api.engine_and_fresh()?;
        let mut rows = String::from("[");
        for batch in engine.query_with(fresh, &text, &limits)? {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                rows.push_str(if rows.len() > 1 { ",\n" } else { "" });
                json_row(&batch, row, &mut rows)?;
                hold(rows.len())?;
            }
        }
        rows.push(']');
        Ok(rows)
    });
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((kind, rows.await?).into_response())
}

/// Refuses an answer that has become too large.
fn hold(bytes: usize) -> Result<(), Problem> {
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    let detail = format!("the answer is larger than {} MB", MOST_BYTES >> 20);
    Err(
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "memory_limit", detail)
            .at("limit")
            .hint("ask for fewer columns or rows, or `/api/v1/sql`, which sends them as they come"),
    )
}

/// An object.
#[derive(Debug, Deserialize, IntoParams)]
pub struct Object {
    #[serde(rename = "objectId")]
    object_id: String,
    lite: Option<bool>,
    lasair_added: Option<bool>,
}

/// `object`
pub async fn object(State(api): State<Api>, Params(asked): Params<Object>) -> Answer {
    let Object {
        object_id,
        lite,
        lasair_added,
    } = asked;
    let lite = lite.unwrap_or(true);
    api.look(move |api| api.lasair_object(&object_id, lite, lasair_added.unwrap_or(true)))
        .await
}

/// Objects.
#[derive(Debug, Deserialize, IntoParams)]
pub struct Objects {
    #[serde(rename = "objectIds")]
    object_ids: Vec<String>,
    lite: Option<bool>,
    lasair_added: Option<bool>,
}

/// `objects`
pub async fn objects(State(api): State<Api>, Params(asked): Params<Objects>) -> Answer {
    if asked.object_ids.len() > MOST_OBJECTS {
        let detail = format!(
            "`objectIds` are {}, at most {MOST_OBJECTS} are answered",
            asked.object_ids.len()
        );
        return Err(Problem::bad_parameter("objectIds", detail));
    }
    let (lite, added) = (
        asked.lite.unwrap_or(true),
        asked.lasair_added.unwrap_or(true),
    );
    api.look(move |api| {
        let ids = asked.object_ids.iter();
        ids.map(|id| api.lasair_object(id, lite, added))
            .collect::<Result<Vec<Value>, Problem>>()
    })
    .await
}

impl Api {
    fn lasair_object(&self, object_id: &str, lite: bool, added: bool) -> Result<Value, Problem> {
        let points = self.points(object_id, None)?;
        let newest = self.alert_of(&points[points.len() - 1])?;
        let curve = light_curve::merge(&points, Some(&newest));
        let (forced, seen): (Vec<_>, Vec<_>) =
            curve.iter().partition(|point| point.kind == Kind::Forced);
        let mut object = json!({
            "objectId": object_id,
            "candidates": seen.into_iter().map(candidate).collect::<Vec<_>>(),
            "forcedPhotometry": forced.into_iter().map(candidate).collect::<Vec<_>>(),
        });
        if added {
            let of = |kind: &str| {
                curve
                    .iter()
                    .filter(|point| point.kind.as_str() == kind)
                    .count()
            };
            object["objectData"] = json!({
                "ramean": alert::number(&newest, "ra"),
                "decmean": alert::number(&newest, "dec"),
                "ncand": of("detection"),
                "survey": newest.packet.survey,
                "mjdmin": points[0].mjd_tai,
                "mjdmax": points[points.len() - 1].mjd_tai,
            });
        }
        if !lite {
            object["alert"] = Value::Object(alert::own_values(&newest));
        }
        Ok(object)
    }
}

/// A point in words that both of Lasair's surveys use.
fn candidate(point: &CurvePoint) -> Value {
    let finite = |value: f32| Some(value).filter(|value| value.is_finite());
    let limit = point.kind == Kind::Limit;
    let mut candidate = json!({
        "mjd": point.mjd_tai,
        "midpointMjdTai": point.mjd_tai,
        "band": point.band,
        "fid": point.band.as_deref().and_then(|band| "gri".find(band)).map(|at| at + 1),
        "candid": point.alert_id.map(|id| id.to_string()),
    });
    if limit {
        candidate["diffmaglim"] = mag(point.flux).into();
    } else {
        candidate["psfFlux"] = finite(point.flux).into();
        candidate["psfFluxErr"] = finite(point.flux_err).into();
        candidate["magpsf"] = mag(point.flux.abs()).into();
        candidate["isdiffpos"] = if point.flux > 0.0 { "t" } else { "f" }.into();
    }
    candidate
}
