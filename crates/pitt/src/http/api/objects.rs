//! Objects: what is known of one, its light curve, alerts and matches.

use axum::extract::{Path, State};
use pitt_archive::Point;
use pitt_sky::coords::Icrs;
use pitt_sky::time::MjdTai;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

use super::alert::{OfSurvey, number, text};
use super::alerts::{self, AlertsQuery, Order};
use super::answer::Answer;
use super::light_curve::{self, mag};
use super::matched::Match;
use super::params::{Params, TableParams};
use super::pool::Lane;
use super::problem::{Problem, shown};
use super::table::{Shape, Table, TableBody};
use super::{Api, columns, cutouts, links};
use crate::stored::StoredAlert;

/// An object whose alerts lie further apart than this moves `[arcsec]`.
const MOVING_ARCSEC: f64 = 5.0;

/// An object.
#[derive(Serialize, ToSchema)]
pub struct ObjectBody {
    /// Its id.
    pub object_id: String,
    /// Its survey.
    pub survey: String,
    /// Right ascension of its newest alert, deg, ICRS.
    pub ra: Option<f64>,
    /// Declination of it, deg.
    pub dec: Option<f64>,
    /// Galactic longitude, deg.
    pub gal_l: Option<f64>,
    /// Galactic latitude, deg.
    pub gal_b: Option<f64>,
    /// Its alerts.
    pub n_alerts: usize,
    /// Time of the first, d (TAI).
    pub first_mjd_tai: f64,
    /// Time of the last.
    pub last_mjd_tai: f64,
    /// The same, ISO 8601, UTC.
    pub first_utc: String,
    /// The same, ISO 8601, UTC.
    pub last_utc: String,
    /// By band.
    pub bands: Vec<BandBody>,
    /// Its newest alert.
    pub last_alert_id: String,
    /// The newest alert with stamps.
    pub stamps_alert_id: Option<String>,
    /// Whether it moves.
    pub moving: bool,
    /// Filters that took alerts of it.
    pub matches: Vec<TakenCount>,
    /// Where else to look.
    pub links: Vec<links::Link>,
}

/// An object's alerts in one band.
#[derive(Serialize, ToSchema)]
pub struct BandBody {
    /// u, g, r, i, z, y; `null` when not known.
    pub band: Option<String>,
    /// Alerts.
    pub n: usize,
    /// Magnitude of the last, AB; `null` where the flux is not positive.
    pub last_mag: Option<f64>,
    /// Its flux, nJy.
    pub last_flux: Option<f32>,
    /// Brightest magnitude, AB.
    pub peak_mag: Option<f64>,
}

/// What a filter took of an object.
#[derive(Serialize, ToSchema)]
pub struct TakenCount {
    /// The filter.
    pub filter: String,
    /// Alerts that it took.
    pub n: usize,
    /// When the first, microseconds since 1970, UTC.
    pub first_us: Option<i64>,
    /// When the last.
    pub last_us: Option<i64>,
    /// The last.
    pub last_alert_id: String,
}

impl Api {
    /// An object's points in one survey: the one named, or that of its newest alert.
    ///
    /// # Errors
    /// There is no such object.
    pub fn points(&self, object_id: &str, survey: Option<&str>) -> Result<Vec<Point>, Problem> {
        let mut points = self.stock.points(object_id)?;
        let last = points.last().map(|point| point.survey.clone());
        let survey = survey.map(str::to_owned).or(last);
        points.retain(|point| survey.as_ref() == Some(&point.survey));
        if points.is_empty() {
            let detail = format!("there is no object `{}`", shown(object_id));
            return Err(Problem::not_found("unknown_object", detail).at("object_id"));
        }
        Ok(points)
    }

    /// The alert of a point.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn alert_of(&self, point: &Point) -> Result<StoredAlert, Problem> {
        let found = self.stock.one(Some(&point.survey), point.alert_id)?;
        self.stock.decode(found.packet)
    }

    fn object(&self, object_id: &str, survey: Option<&str>) -> Result<ObjectBody, Problem> {
        let points = self.points(object_id, survey)?;
        let (first, last) = (&points[0], &points[points.len() - 1]);
        let newest = self.alert_of(last)?;
        let at = place(&newest);
        let moved = match (at, place(&self.alert_of(first)?)) {
            (Some(now), Some(then)) => now.separation_arcsec(then) > MOVING_ARCSEC,
            _ => false,
        };
        let moving = moved || is_of_solar_system(&newest);
        let galactic = at.map(Icrs::to_galactic);
        Ok(ObjectBody {
            object_id: object_id.to_owned(),
            survey: last.survey.clone(),
            ra: at.map(|at| at.ra_deg),
            dec: at.map(|at| at.dec_deg),
            gal_l: galactic.map(|(l, _)| l),
            gal_b: galactic.map(|(_, b)| b),
            n_alerts: points.len(),
            first_mjd_tai: first.mjd_tai,
            last_mjd_tai: last.mjd_tai,
            first_utc: MjdTai(first.mjd_tai).iso_utc(),
            last_utc: MjdTai(last.mjd_tai).iso_utc(),
            bands: bands(&points),
            last_alert_id: last.alert_id.to_string(),
            stamps_alert_id: self.with_stamps(&points, &newest)?,
            moving,
            matches: by_filter(&self.taken_of(object_id, &points)?),
            links: links::links(&last.survey, object_id, at),
        })
    }

    /// The newest alert that brings stamps, of the last three.
    fn with_stamps(
        &self,
        points: &[Point],
        newest: &StoredAlert,
    ) -> Result<Option<String>, Problem> {
        if !cutouts::kinds(newest).is_empty() {
            return Ok(Some(newest.packet.alert_id.to_string()));
        }
        for point in points.iter().rev().skip(1).take(2) {
            if !cutouts::kinds(&self.alert_of(point)?).is_empty() {
                return Ok(Some(point.alert_id.to_string()));
            }
        }
        Ok(None)
    }

    fn taken_of(&self, object_id: &str, points: &[Point]) -> Result<Vec<Match>, Problem> {
        let (first, last) = (points[0].mjd_tai, points[points.len() - 1].mjd_tai);
        let survey = points[0].survey.as_str();
        self.matches(
            &self.stock.archive()?,
            |bounds| bounds.has_object(object_id) && bounds.has_time(first, last),
            |_, of, _, object| object == Some(object_id) && of == survey,
        )
    }
}

/// Whether an alert is of a known body of the solar system: Rubin names it (some writers put 0 where there is none).
fn is_of_solar_system(alert: &StoredAlert) -> bool {
    text(alert, "diaSource.ssObjectId").is_some_and(|id| id != "0")
}

/// Where an alert is.
pub(super) fn place(alert: &StoredAlert) -> Option<Icrs> {
    let (ra_deg, dec_deg) = (number(alert, "ra")?, number(alert, "dec")?);
    Some(Icrs { ra_deg, dec_deg })
}

fn bands(points: &[Point]) -> Vec<BandBody> {
    let mut bands: BTreeMap<Option<&str>, Vec<&Point>> = BTreeMap::new();
    for point in points {
        bands.entry(point.band.as_deref()).or_default().push(point);
    }
    let band = |(band, points): (Option<&str>, Vec<&Point>)| {
        let last = points
            .last()
            .map(|point| point.psf_flux)
            .filter(|flux| flux.is_finite());
        let mags = points.iter().filter_map(|point| mag(point.psf_flux));
        BandBody {
            band: band.map(str::to_owned),
            n: points.len(),
            last_mag: last.and_then(mag),
            last_flux: last,
            peak_mag: mags.reduce(f64::min),
        }
    };
    let order = |band: &BandBody| {
        band.band
            .as_ref()
            .and_then(|band| "ugrizy".find(band.as_str()))
    };
    let mut bands: Vec<BandBody> = bands.into_iter().map(band).collect();
    bands.sort_by_key(order);
    bands
}

fn by_filter(matches: &[Match]) -> Vec<TakenCount> {
    let mut filters: BTreeMap<&str, Vec<&Match>> = BTreeMap::new();
    for taken in matches {
        filters.entry(&taken.filter).or_default().push(taken);
    }
    let count = |(filter, mut taken): (&str, Vec<&Match>)| {
        taken.sort_by(|a, b| a.mjd_tai.total_cmp(&b.mjd_tai));
        let times = taken.iter().filter_map(|taken| taken.matched_us);
        Some(TakenCount {
            filter: filter.to_owned(),
            n: taken.len(),
            first_us: times.clone().min(),
            last_us: times.max(),
            last_alert_id: taken.last()?.alert_id.to_string(),
        })
    };
    filters.into_iter().filter_map(count).collect()
}

/// One object: where it is, how bright it was, who took it, where else to look
#[utoipa::path(method(get, post), path = "/objects/{object_id}", tag = "objects", operation_id = "object",
    params(("object_id" = String, Path, description = "ZTF's objectId, Rubin's diaObjectId or ssObjectId.", example = "ZTF26aaaaaaa"), OfSurvey),
    responses((status = 200, description = "The object.", body = ObjectBody)))]
pub async fn object(
    State(api): State<Api>,
    Path(id): Path<String>,
    Params(of): Params<OfSurvey>,
) -> Answer {
    api.look(move |api| api.object(&id, of.survey.as_deref()))
        .await
}

/// An object's light curve: all its alerts, and the newest packet's history; each exposure once
#[utoipa::path(method(get, post), path = "/objects/{object_id}/lightcurve", tag = "objects", operation_id = "lightcurve",
    params(("object_id" = String, Path, description = "The object.", example = "ZTF26aaaaaaa"), OfSurvey, Shape),
    responses((status = 200, description = "The points, by time. `kind` is detection, forced or limit.", body = TableBody)))]
pub async fn lightcurve(
    State(api): State<Api>,
    Path(id): Path<String>,
    TableParams(of, shape): TableParams<OfSurvey>,
) -> Answer {
    api.table(Lane::Quick, ("lightcurve", shape), move |api| {
        let points = api.points(&id, of.survey.as_deref())?;
        let newest = points.last().map(|point| api.alert_of(point)).transpose()?;
        light_curve::table(&light_curve::merge(&points, newest.as_ref()))
    })
    .await
}

/// A page of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Most rows, up to 10,000; 100 when left out.
    #[param(minimum = 1, maximum = 10_000)]
    pub limit: Option<u32>,
    /// Where to go on: `next` of the answer before.
    pub cursor: Option<String>,
    /// Which come first: the newest when left out.
    #[param(inline)]
    pub order: Option<Order>,
}

/// The alerts of an object
#[utoipa::path(method(get, post), path = "/objects/{object_id}/alerts", tag = "objects", operation_id = "object_alerts",
    params(("object_id" = String, Path, description = "The object.", example = "ZTF26aaaaaaa"), PageQuery, Shape),
    responses((status = 200, description = "The alerts.", body = TableBody)))]
pub async fn object_alerts(
    State(api): State<Api>,
    Path(id): Path<String>,
    TableParams(page, shape): TableParams<PageQuery>,
) -> Answer {
    let query = AlertsQuery {
        object_id: Some(id),
        limit: page.limit,
        cursor: page.cursor,
        order: page.order,
        ..AlertsQuery::default()
    };
    api.table(Lane::Quick, ("alerts", shape), move |api| {
        let object = query.object_id.as_deref().unwrap_or_default();
        api.points(object, None)?;
        alerts::list(api, &query)
    })
    .await
}

/// Which filters took alerts of an object
#[utoipa::path(method(get, post), path = "/objects/{object_id}/matches", tag = "objects", operation_id = "object_matches",
    params(("object_id" = String, Path, description = "The object.", example = "ZTF26aaaaaaa"), OfSurvey, Shape),
    responses((status = 200, description = "The matches, by time.", body = TableBody)))]
pub async fn object_matches(
    State(api): State<Api>,
    Path(id): Path<String>,
    TableParams(of, shape): TableParams<OfSurvey>,
) -> Answer {
    api.table(Lane::Quick, ("matches", shape), move |api| {
        let points = api.points(&id, of.survey.as_deref())?;
        let mut matches = api.taken_of(&id, &points)?;
        matches.sort_by(|a, b| a.mjd_tai.total_cmp(&b.mjd_tai));
        match_table(&matches)
    })
    .await
}

fn match_table(matches: &[Match]) -> Result<Table, Problem> {
    let schema = columns::schema(&[
        "filter",
        "version",
        "survey",
        "alert_id",
        "object_id",
        "mjd_tai",
        "matched_us",
    ])?;
    let rows = columns::Rows(matches);
    let batch = columns::batch(
        &schema,
        vec![
            rows.text(|m| Some(&m.filter)),
            rows.text(|m| Some(&m.version)),
            rows.text(|m| Some(&m.survey)),
            rows.whole(|m| Some(m.alert_id)),
            rows.text(|m| m.object_id.as_deref()),
            rows.real(|m| Some(m.mjd_tai).filter(|mjd| mjd.is_finite())),
            rows.whole(|m| m.matched_us),
        ],
    )?;
    Ok(Table::new(schema, vec![batch]))
}
