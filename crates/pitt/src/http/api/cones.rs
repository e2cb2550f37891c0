//! Objects around a position, and around another object.

use axum::extract::{Path, State};
use pitt_archive::ConeHit;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::Answer;
use super::objects::place;
use super::params::TableParams;
use super::pool::Lane;
use super::problem::{Problem, shown};
use super::table::{Shape, Table, TableBody};
use super::{Api, alerts, columns, position};

/// Most neighbours told.
const MOST_NEIGHBOURS: usize = 10_000;

/// How far around.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AroundQuery {
    /// Radius `[arcsec]`; 60 when left out.
    pub radius: Option<f64>,
}

/// Other objects around one
#[utoipa::path(method(get, post), path = "/objects/{object_id}/neighbours", tag = "objects", operation_id = "neighbours",
    params(("object_id" = String, Path, description = "The object.", example = "ZTF26aaaaaaa"), AroundQuery, Shape),
    responses((status = 200, description = "Objects, nearest first, without the one itself; at most 10,000.", body = TableBody)))]
pub async fn neighbours(
    State(api): State<Api>,
    Path(id): Path<String>,
    TableParams(around, shape): TableParams<AroundQuery>,
) -> Answer {
    let radius = position::radius(around.radius.unwrap_or(60.0))?;
    api.table(Lane::Quick, ("neighbours", shape), move |api| {
        let points = api.points(&id, None)?;
        let newest = api.alert_of(&points[points.len() - 1])?;
        let at = place(&newest).ok_or_else(|| {
            Problem::not_found(
                "no_position",
                format!("object `{}` has no position", shown(&id)),
            )
        })?;
        let hits: Vec<ConeHit> = api.stock.cone(at, radius)?;
        let others = hits.into_iter().filter(|hit| hit.object_id != id);
        let mut others: Vec<ConeHit> = others.take(MOST_NEIGHBOURS + 1).collect();
        let truncated = others.len() > MOST_NEIGHBOURS;
        others.truncate(MOST_NEIGHBOURS);
        Ok(cone_table(&others)?.cut(truncated))
    })
    .await
}

/// A cone.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ConeQuery {
    /// Right ascension, degrees or sexagesimal hours, ICRS.
    #[param(example = "155.125")]
    pub ra: String,
    /// Declination, degrees or sexagesimal.
    #[param(example = "-4.085")]
    pub dec: String,
    /// Radius `[arcsec]`, up to 36,000.
    #[param(example = 60.0)]
    pub radius: f64,
    /// Most objects, up to 100,000; 10,000 when left out.
    #[param(minimum = 1, maximum = 100_000)]
    pub limit: Option<u32>,
}

/// Objects around a position, nearest first
#[utoipa::path(method(get, post), path = "/conesearch", tag = "objects", operation_id = "conesearch",
    params(ConeQuery, Shape),
    responses((status = 200, description = "The objects.", body = TableBody)))]
pub async fn conesearch(
    State(api): State<Api>,
    TableParams(query, shape): TableParams<ConeQuery>,
) -> Answer {
    let center = position::center(&query.ra, &query.dec)?;
    let radius = position::radius(query.radius)?;
    let limit = alerts::limit(query.limit, 10_000, 100_000)?;
    api.table(Lane::Quick, ("conesearch", shape), move |api| {
        let mut hits = api.stock.cone(center, radius)?;
        let truncated = hits.len() > limit;
        hits.truncate(limit);
        Ok(cone_table(&hits)?.cut(truncated))
    })
    .await
}

/// Objects in a cone as a table; the object is its main id.
///
/// # Errors
/// A fault of ours.
pub fn cone_table(hits: &[ConeHit]) -> Result<Table, Problem> {
    let schema = columns::schema(&[
        "object_id",
        "survey",
        "ra",
        "dec",
        "separation_arcsec",
        "n_detections",
        "last_mjd_tai",
    ])?;
    let schema = columns::with_ucd(&schema, "object_id", "meta.id;meta.main");
    let rows = columns::Rows(hits);
    let batch = columns::batch(
        &schema,
        vec![
            rows.text(|hit| Some(&hit.object_id)),
            rows.text(|hit| Some(&hit.survey)),
            rows.real(|hit| Some(hit.ra)),
            rows.real(|hit| Some(hit.dec)),
            rows.real(|hit| Some(hit.separation_arcsec)),
            rows.whole(|hit| Some(hit.n_detections.into())),
            rows.real(|hit| Some(hit.last_mjd_tai)),
        ],
    )?;
    Ok(Table::new(schema, vec![batch]))
}
