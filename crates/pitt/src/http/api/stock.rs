//! What can be looked up: the archive, and before it what is received and not committed yet.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use pitt_alert::{Decoder, Selection};
use pitt_archive::{Archive, ConeHit, Point, StoredPacket};
use pitt_sky::coords::Icrs;

use super::problem::{Problem, shown};
use crate::stored::{self, StoredAlert};
use crate::suggest;

/// Decoders kept for the next question; each has its schemas' plans compiled.
const DECODERS: usize = 4;

/// What is received and not committed yet. Answers come from memory, at once.
///
/// What is here may have been committed a moment ago as well: [`Stock`] takes care that nothing comes twice.
pub trait Fresh: Send + Sync {
    /// The packet of an alert.
    fn packet(&self, survey: &str, alert_id: i64) -> Option<StoredPacket>;
    /// Points of an object, one from each of its alerts, in any order.
    fn points(&self, object_id: &str) -> Vec<Point>;
    /// Objects within a radius `[arcsec]` of a position, with what is known of them here alone.
    fn cone(&self, center: Icrs, radius_arcsec: f64) -> Vec<ConeHit>;
}

/// An alert's packet, and whether it is in the archive.
pub struct Found {
    /// The packet.
    pub packet: StoredPacket,
    /// Whether it is committed.
    pub stored: bool,
}

/// Look-ups of everything received. Calls block: they belong in the [`Pool`](super::pool::Pool).
pub struct Stock {
    open: Box<dyn Fn() -> Option<Archive> + Send + Sync>,
    fresh: OnceLock<Arc<dyn Fresh>>,
    /// For so many schemas of the archive. They do not hold on to it: it may have to be opened anew.
    decoders: Mutex<(usize, Vec<Decoder>)>,
}

impl Stock {
    /// The stock of the archive that `open` gives, as long as there is one.
    pub fn new(open: impl Fn() -> Option<Archive> + Send + Sync + 'static) -> Self {
        Self {
            open: Box::new(open),
            fresh: OnceLock::new(),
            decoders: Mutex::default(),
        }
    }

    /// Looks at what is not committed yet, too. Only the first call counts.
    pub fn set_fresh(&self, fresh: Arc<dyn Fresh>) {
        let _ = self.fresh.set(fresh);
    }

    /// The archive.
    ///
    /// # Errors
    /// It is closed just now: the run ends, or goes on with another handle.
    pub fn archive(&self) -> Result<Archive, Problem> {
        (self.open)().ok_or_else(|| {
            Problem::unavailable("archive_closed", "the archive is closed just now", 2)
        })
    }

    /// The packets of an alert id, in this survey or in every one that has it.
    ///
    /// # Errors
    /// There is no such survey, or the archive cannot be read.
    pub fn find(&self, survey: Option<&str>, alert_id: i64) -> Result<Vec<Found>, Problem> {
        let archive = self.archive()?;
        let mut found = vec![];
        for survey in self.surveys(&archive, survey)? {
            let stored = archive.packet(&survey, alert_id)?;
            let fresh = || self.fresh.get()?.packet(&survey, alert_id);
            let stored_there = stored.is_some();
            let packet = stored.or_else(fresh);
            found.extend(packet.map(|packet| Found {
                packet,
                stored: stored_there,
            }));
        }
        Ok(found)
    }

    /// The one alert of this id.
    ///
    /// # Errors
    /// There is none, or several surveys have one and none is named.
    pub fn one(&self, survey: Option<&str>, alert_id: i64) -> Result<Found, Problem> {
        let mut found = self.find(survey, alert_id)?;
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => {
                let detail = format!("there is no alert {alert_id}");
                Err(Problem::not_found("unknown_alert", detail))
            }
            _ => {
                let surveys = found.iter().map(|found| found.packet.survey.as_str());
                let surveys = surveys.collect::<Vec<_>>().join(", ");
                let detail = format!("several surveys have an alert {alert_id}: {surveys}");
                let problem =
                    Problem::new(axum::http::StatusCode::CONFLICT, "ambiguous_alert", detail);
                Err(problem.at("survey").hint("say which with `survey`"))
            }
        }
    }

    /// Surveys to look in, also those that no commit has a table of yet.
    fn surveys(&self, archive: &Archive, wanted: Option<&str>) -> Result<Vec<String>, Problem> {
        let known: Vec<String> = archive.latest_surveys().into_iter().collect();
        let Some(wanted) = wanted else {
            return Ok(known);
        };
        if known.iter().any(|survey| survey == wanted) {
            return Ok(vec![wanted.to_owned()]);
        }
        let hint = suggest::hint(wanted, known.iter().map(String::as_str));
        let detail = format!("there is no survey `{}`{hint}", shown(wanted));
        Err(Problem::not_found("unknown_survey", detail).at("survey"))
    }

    /// An object's points, one from each of its alerts, in order of time.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn points(&self, object_id: &str) -> Result<Vec<Point>, Problem> {
        let mut points = self.archive()?.light_curve(object_id)?;
        let fresh = self.fresh.get().map(|fresh| fresh.points(object_id));
        if let Some(fresh) = fresh.filter(|fresh| !fresh.is_empty()) {
            let key = |point: &Point| (point.survey.clone(), point.alert_id);
            let known: HashSet<_> = points.iter().map(key).collect();
            points.extend(
                fresh
                    .into_iter()
                    .filter(|point| !known.contains(&key(point))),
            );
            points.sort_by(|a, b| {
                a.mjd_tai
                    .total_cmp(&b.mjd_tai)
                    .then(a.alert_id.cmp(&b.alert_id))
            });
        }
        Ok(points)
    }

    /// Objects within a radius of a position, nearest first.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn cone(&self, center: Icrs, radius_arcsec: f64) -> Result<Vec<ConeHit>, Problem> {
        let hits = self
            .archive()?
            .cone(center.ra_deg, center.dec_deg, radius_arcsec)?;
        let fresh = self
            .fresh
            .get()
            .map(|fresh| fresh.cone(center, radius_arcsec));
        let Some(fresh) = fresh.filter(|fresh| !fresh.is_empty()) else {
            return Ok(hits);
        };
        let key = |hit: &ConeHit| (hit.object_id.clone(), hit.survey.clone());
        let mut all: BTreeMap<_, _> = hits.into_iter().map(|hit| (key(&hit), hit)).collect();
        for hit in fresh {
            let points = self.points(&hit.object_id)?;
            let survey = hit.survey.clone();
            let own = points.iter().filter(|point| point.survey == survey);
            let entry = all.entry(key(&hit)).or_insert(hit);
            entry.n_detections = u32::try_from(own.clone().count()).unwrap_or(u32::MAX);
            entry.last_mjd_tai = own
                .map(|point| point.mjd_tai)
                .fold(entry.last_mjd_tai, f64::max);
        }
        let mut hits: Vec<ConeHit> = all.into_values().collect();
        hits.sort_by(|a, b| a.separation_arcsec.total_cmp(&b.separation_arcsec));
        Ok(hits)
    }

    /// Decodes a packet with everything in it.
    ///
    /// # Errors
    /// It cannot be decoded, although it is stored.
    pub fn decode(&self, packet: StoredPacket) -> Result<StoredAlert, Problem> {
        let archive = self.archive()?;
        let schemas = archive.schemas().len();
        let kept = {
            let mut decoders = self.kept();
            // A schema that came since is not known to them.
            if decoders.0 != schemas {
                *decoders = (schemas, vec![]);
            }
            decoders.1.pop()
        };
        let mut decoder = match kept {
            Some(decoder) => decoder,
            None => {
                let mut decoder = Decoder::new(archive.schema_store()?);
                decoder.select(Selection::everything());
                decoder
            }
        };
        let alert = stored::decode(&mut decoder, packet)?;
        let mut decoders = self.kept();
        if decoders.0 == schemas && decoders.1.len() < DECODERS {
            decoders.1.push(decoder);
        }
        Ok(alert)
    }

    fn kept(&self) -> MutexGuard<'_, (usize, Vec<Decoder>)> {
        self.decoders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
