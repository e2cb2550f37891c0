//! Lists of alerts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Float64Array, Int32Array, Int64Array, StringArray};
use axum::extract::State;
use pitt_archive::Archive;
use pitt_sky::coords::Icrs;
use pitt_sky::photometry::mag_ab;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::alert_rows::Alert;
use super::answer::Answer;
use super::params::TableParams;
use super::pool::Lane;
use super::problem::{Problem, shown};
use super::sift::{Cone, Place, Sieve};
use super::table::{Table, TableBody};
use super::{Api, columns, cursor, position};
use crate::suggest;

/// Alerts a page when not said otherwise.
const USUAL: u32 = 100;
/// Most alerts a page.
const MOST: u32 = 10_000;

/// Which alerts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AlertsQuery {
    /// Survey: `ztf` or `lsst`.
    #[param(example = "ztf")]
    pub survey: Option<String>,
    /// Alerts of this object.
    pub object_id: Option<String>,
    /// Night of the observation, YYYYMMDD.
    pub night: Option<i32>,
    /// Only what this filter took; brings the columns `version` and `matched_us`.
    pub filter: Option<String>,
    /// Band: u, g, r, i, z or y.
    pub band: Option<String>,
    /// Least reliability, 0 to 1.
    pub min_reliability: Option<f64>,
    /// Not before this time `[d]`, MJD (TAI).
    pub since: Option<f64>,
    /// Not after this time `[d]`, MJD (TAI).
    pub until: Option<f64>,
    /// Right ascension, degrees or sexagesimal hours; with `dec` and `radius`.
    pub ra: Option<String>,
    /// Declination, degrees or sexagesimal.
    pub dec: Option<String>,
    /// Radius around the position `[arcsec]`.
    pub radius: Option<f64>,
    /// Most alerts, up to 10,000; 100 when left out.
    #[param(minimum = 1, maximum = 10_000)]
    pub limit: Option<u32>,
    /// Where to go on: `next` of the answer before.
    pub cursor: Option<String>,
    /// Which come first: the newest when left out.
    #[param(inline)]
    pub order: Option<Order>,
}

/// Which come first.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The newest.
    #[default]
    Newest,
    /// The oldest.
    Oldest,
}

/// A limit within its bounds.
pub fn limit(wanted: Option<u32>, usual: u32, most: u32) -> Result<usize, Problem> {
    let limit = wanted.unwrap_or(usual);
    if (1..=most).contains(&limit) {
        return Ok(limit as usize);
    }
    let detail = format!("`limit` is {limit}, expected 1 to {most}");
    Err(Problem::bad_parameter("limit", detail).hint("go on with `cursor` for more"))
}

impl AlertsQuery {
    fn sieve(&self) -> Result<Sieve, Problem> {
        let oldest_first = self.order == Some(Order::Oldest);
        let list = if oldest_first {
            "alerts-oldest"
        } else {
            "alerts"
        };
        let after = self
            .cursor
            .as_deref()
            .map(|cursor| place(list, cursor))
            .transpose()?;
        Ok(Sieve {
            survey: self.survey.clone(),
            object_id: self.object_id.clone(),
            night: self.night,
            band: self.band.clone(),
            min_reliability: self.min_reliability,
            since: self.since,
            until: self.until,
            cone: self.cone()?,
            only: None,
            oldest_first,
            after,
        })
    }

    fn cone(&self) -> Result<Option<Cone>, Problem> {
        match (&self.ra, &self.dec, self.radius) {
            (None, None, None) => Ok(None),
            (Some(ra), Some(dec), Some(radius)) => {
                let center: Icrs = position::center(ra, dec)?;
                Ok(Some(Cone::new(center, position::radius(radius)?)))
            }
            _ => {
                let detail = "a cone needs `ra`, `dec` and `radius`";
                Err(Problem::bad_parameter("radius", detail))
            }
        }
    }
}

fn place(list: &str, cursor: &str) -> Result<Place, Problem> {
    let [mjd, survey, alert_id] = cursor::read::<3>(list, cursor)?;
    let bad = || {
        Problem::bad_parameter(
            "cursor",
            "the cursor is damaged (take it from `next` as it is)",
        )
    };
    Ok(Place {
        mjd_tai: mjd.parse().map_err(|_| bad())?,
        survey,
        alert_id: alert_id.parse().map_err(|_| bad())?,
    })
}

/// Alerts: of a night, an object, a filter, a piece of sky; the newest first
///
/// Alerts without a time are left out; SQL has them.
#[utoipa::path(method(get, post), path = "/alerts", tag = "alerts", operation_id = "alerts",
    params(AlertsQuery, super::table::Shape),
    responses((status = 200, description = "The alerts. In other formats than JSON the header `x-next-cursor` says where it goes on.", body = TableBody)))]
pub async fn alerts(
    State(api): State<Api>,
    TableParams(query, shape): TableParams<AlertsQuery>,
) -> Answer {
    api.table(Lane::Quick, ("alerts", shape), move |api| list(api, &query))
        .await
}

/// The alerts of one object, the newest first, as Fink's users know them
#[utoipa::path(method(get, post), path = "/sources", tag = "aliases", operation_id = "sources",
    params(SourcesQuery, super::table::Shape),
    responses((status = 200, description = "The alerts.", body = TableBody)))]
pub async fn sources(
    State(api): State<Api>,
    TableParams(query, shape): TableParams<SourcesQuery>,
) -> Answer {
    let query = AlertsQuery {
        object_id: Some(query.object_id),
        cursor: query.cursor,
        limit: Some(MOST),
        ..AlertsQuery::default()
    };
    api.table(Lane::Quick, ("sources", shape), move |api| {
        list(api, &query)
    })
    .await
}

/// Of which object.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SourcesQuery {
    /// The object.
    #[serde(alias = "objectId", alias = "diaObjectId")]
    #[param(example = "ZTF26aaaaaaa")]
    pub object_id: String,
    /// Where to go on: `next` of the answer before.
    pub cursor: Option<String>,
}

/// The table that a query asks for.
///
/// # Errors
/// A parameter that cannot be, or an archive that cannot be read.
pub fn list(api: &Api, query: &AlertsQuery) -> Result<Table, Problem> {
    let limit = limit(query.limit, USUAL, MOST)?;
    let archive = api.stock.archive()?;
    if let Some(survey) = &query.survey {
        known_survey(&archive, survey)?;
    }
    let mut sieve = query.sieve()?;
    let taken = query
        .filter
        .as_deref()
        .map(|filter| taken(api, &archive, filter, &sieve))
        .transpose()?;
    if let Some(taken) = &taken {
        let mut only: HashMap<String, BTreeSet<i64>> = HashMap::new();
        for (survey, alert_id) in taken.keys() {
            only.entry(survey.clone()).or_default().insert(*alert_id);
        }
        sieve.only = Some(only);
    }
    let mut alerts = api.sift(&archive, &sieve, limit + 1)?;
    let list = if sieve.oldest_first {
        "alerts-oldest"
    } else {
        "alerts"
    };
    let next = (alerts.len() > limit).then(|| {
        alerts.truncate(limit);
        let Place {
            mjd_tai,
            survey,
            alert_id,
        } = sieve.place(&alerts[limit - 1]);
        cursor::write(list, &[mjd_tai.to_string(), survey, alert_id.to_string()])
    });
    Ok(table(&alerts, taken.as_ref())?.going_on(next))
}

/// That there is such a survey.
///
/// # Errors
/// There is none.
pub(super) fn known_survey(archive: &Archive, survey: &str) -> Result<(), Problem> {
    let known = archive.latest_surveys();
    if known.contains(survey) {
        return Ok(());
    }
    let hint = suggest::hint(survey, known.iter().map(String::as_str));
    let detail = format!("there is no survey `{}`{hint}", shown(survey));
    Err(Problem::not_found("unknown_survey", detail).at("survey"))
}

/// Survey and alert: version of the filter, and when.
type Taken = HashMap<(String, i64), (String, Option<i64>)>;

fn taken(api: &Api, archive: &Archive, filter: &str, sieve: &Sieve) -> Result<Taken, Problem> {
    let may_hold = |bounds: &super::shelf::Bounds| {
        sieve.night.is_none_or(|night| bounds.has_night(night))
            && sieve
                .object_id
                .as_ref()
                .is_none_or(|object| bounds.has_object(object))
            && bounds.has_time(
                sieve.since.unwrap_or(f64::NEG_INFINITY),
                sieve.until.unwrap_or(f64::INFINITY),
            )
    };
    let matches = api.matches(archive, may_hold, |name, _, _, _| name == filter)?;
    let taken = matches.into_iter();
    Ok(taken
        .map(|taken| {
            (
                (taken.survey, taken.alert_id),
                (taken.version, taken.matched_us),
            )
        })
        .collect())
}

fn table(alerts: &[Alert], taken: Option<&Taken>) -> Result<Table, Problem> {
    let mut names = vec![
        "survey",
        "alert_id",
        "object_id",
        "mjd_tai",
        "night",
        "ra",
        "dec",
        "band",
        "psf_flux",
        "psf_flux_err",
        "mag",
        "reliability",
    ];
    let mag = |alert: &Alert| {
        alert
            .psf_flux
            .filter(|flux| *flux > 0.0)
            .map(|flux| mag_ab(flux.into()))
    };
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(
            alerts
                .iter()
                .map(|a| Some(a.survey.as_str()))
                .collect::<StringArray>(),
        ),
        Arc::new(
            alerts
                .iter()
                .map(|a| Some(a.alert_id))
                .collect::<Int64Array>(),
        ),
        Arc::new(
            alerts
                .iter()
                .map(|a| a.object_id.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(alerts.iter().map(|a| a.mjd_tai).collect::<Float64Array>()),
        Arc::new(alerts.iter().map(|a| a.night).collect::<Int32Array>()),
        Arc::new(alerts.iter().map(|a| a.ra).collect::<Float64Array>()),
        Arc::new(alerts.iter().map(|a| a.dec).collect::<Float64Array>()),
        Arc::new(
            alerts
                .iter()
                .map(|a| a.band.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(alerts.iter().map(|a| a.psf_flux).collect::<Float32Array>()),
        Arc::new(
            alerts
                .iter()
                .map(|a| a.psf_flux_err)
                .collect::<Float32Array>(),
        ),
        Arc::new(alerts.iter().map(mag).collect::<Float64Array>()),
        Arc::new(
            alerts
                .iter()
                .map(|a| a.reliability)
                .collect::<Float32Array>(),
        ),
    ];
    if let Some(taken) = taken {
        names.extend(["version", "matched_us"]);
        let of = |a: &Alert| taken.get(&(a.survey.clone(), a.alert_id));
        let version = |a: &Alert| of(a).map(|(version, _)| version.as_str());
        arrays.push(Arc::new(
            alerts.iter().map(version).collect::<StringArray>(),
        ));
        arrays.push(Arc::new(
            alerts.iter().map(|a| of(a)?.1).collect::<Int64Array>(),
        ));
    }
    let schema = columns::schema(&names)?;
    let batch = columns::batch(&schema, arrays)?;
    Ok(Table::new(schema, vec![batch]))
}
