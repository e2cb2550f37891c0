//! SkyPortal's generic broker: `base_url = http://HOST:PORT/skyportal`.

use axum::extract::{Path, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pitt_sky::photometry::{mag_ab, mag_err};
use pitt_sky::time::MjdTai;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::http::api::Api;
use crate::http::api::alert::{alert_id, number, text};
use crate::http::api::answer::Answer;
use crate::http::api::cutouts::{Kind, stamp};
use crate::http::api::light_curve::{self, CurvePoint};
use crate::http::api::params::Params;
use crate::http::api::position;
use crate::http::api::problem::Problem;
use crate::stored::StoredAlert;

/// Most alerts of one answer: each is read from its packet.
const MOST: usize = 100;

/// Which alerts: of an object, one by id, or those around a position.
#[derive(Debug, Deserialize, IntoParams)]
pub struct Which {
    #[serde(rename = "objectId")]
    object_id: Option<String>,
    candid: Option<i64>,
    ra: Option<String>,
    dec: Option<String>,
    /// `[arcsec]`
    radius: Option<f64>,
    limit: Option<u32>,
}

/// `GET /alerts?objectId&candid&ra&dec&radius`
pub async fn alerts(State(api): State<Api>, Params(which): Params<Which>) -> Answer {
    api.look(move |api| {
        let most = which
            .limit
            .map_or(MOST, |limit| limit as usize)
            .clamp(1, MOST);
        if let Some(candid) = which.candid {
            let found = api.stock.find(None, candid)?;
            let decoded = found
                .into_iter()
                .map(|found| api.stock.decode(found.packet));
            let records = decoded.map(|alert| api.record(&alert?, true));
            return records.collect::<Result<Vec<Value>, Problem>>();
        }
        let ids = match (which.object_id, which.ra, which.dec) {
            (Some(object_id), _, _) => vec![object_id],
            (None, Some(ra), Some(dec)) => {
                let center = position::center(&ra, &dec)?;
                let hits = api
                    .stock
                    .cone(center, position::radius(which.radius.unwrap_or(5.0))?)?;
                hits.into_iter().map(|hit| hit.object_id).collect()
            }
            _ => {
                let detail = "give `objectId`, `candid`, or `ra` and `dec`";
                return Err(Problem::bad_parameter("objectId", detail));
            }
        };
        let mut records = vec![];
        for id in ids {
            // An object that nobody has seen is an empty list here, not an error.
            let points = api.stock.points(&id)?;
            for point in points.iter().rev().take(most - records.len()) {
                records.push(api.record(&api.alert_of(point)?, false)?);
            }
            if records.len() == most {
                break;
            }
        }
        Ok(records)
    })
    .await
}

/// `GET /alerts/{id}`, with history and stamps: by candid, or the newest alert of an object.
pub async fn alert(State(api): State<Api>, Path(id): Path<String>) -> Answer {
    api.look(move |api| {
        let by_object = api.stock.points(&id)?;
        let alert = match by_object.last() {
            Some(point) => api.alert_of(point)?,
            None => api
                .stock
                .decode(api.stock.one(None, alert_id(&id)?)?.packet)?,
        };
        api.record(&alert, true)
    })
    .await
}

impl Api {
    fn record(&self, alert: &StoredAlert, whole: bool) -> Result<Value, Problem> {
        let flux = number(alert, "psf_flux");
        let error = number(alert, "psf_flux_err");
        let bright = flux.map(f64::abs).filter(|flux| *flux > 0.0);
        let band = text(alert, "band");
        let own = |path: &str| number(alert, &format!("candidate.{path}"));
        let jd = number(alert, "mjd_tai").map(|mjd| MjdTai(mjd).to_utc().to_jd().0);
        let mut record = json!({
            "objectId": text(alert, "object_id"),
            "candid": alert.packet.alert_id.to_string(),
            "survey": alert.packet.survey,
            "candidate": {
                "candid": alert.packet.alert_id.to_string(),
                "ra": number(alert, "ra"),
                "dec": number(alert, "dec"),
                "jd": jd,
                "magpsf": own("magpsf").or(bright.map(mag_ab)),
                "sigmapsf": own("sigmapsf").or(bright.zip(error).map(|(flux, error)| mag_err(flux, error))),
                "isdiffpos": flux.map(|flux| if flux > 0.0 { "t" } else { "f" }),
                "fid": band.as_deref().and_then(|band| "gri".find(band)).map(|at| at + 1),
                "band": band,
                "drb": number(alert, "reliability"),
            },
        });
        if whole {
            let curve = light_curve::merge(&[], Some(alert));
            record["prv_candidates"] = curve.iter().map(previous).collect();
            for (name, kind) in [
                ("cutoutScience", Kind::Science),
                ("cutoutTemplate", Kind::Template),
                ("cutoutDifference", Kind::Difference),
            ] {
                record[name] = stamp(alert, kind)
                    .map(|bytes| STANDARD.encode(bytes))
                    .into();
            }
        }
        Ok(record)
    }
}

fn previous(point: &CurvePoint) -> Value {
    let limit = point.kind == light_curve::Kind::Limit;
    let mag = light_curve::mag(point.flux.abs());
    json!({
        "candid": point.alert_id.map(|id| id.to_string()),
        "jd": MjdTai(point.mjd_tai).to_utc().to_jd().0,
        "fid": point.band.as_deref().and_then(|band| "gri".find(band)).map(|at| at + 1),
        "band": point.band,
        "magpsf": mag.filter(|_| !limit),
        "sigmapsf": Some(mag_err(point.flux.abs().into(), point.flux_err.into())).filter(|error| !limit && error.is_finite()),
        "diffmaglim": mag.filter(|_| limit),
        "isdiffpos": if point.flux > 0.0 { "t" } else { "f" },
    })
}
