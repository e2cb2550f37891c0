//! Alerts sifted by their common columns, the newest (or oldest) first, without reading more files than needed.
//!
//! Alerts without a time have no place in such a list and are left out; SQL has them.
//! Files are read in the order of their bounds in time, and only as many as can still hold one of the rows asked for.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use pitt_archive::{Archive, tables};
use pitt_sky::coords::Icrs;
use pitt_sky::healpix::cone_ranges29;
use std::ops::Range;

use super::Api;
use super::alert_rows::{Alert, COLUMNS, alerts};
use super::problem::Problem;
use super::shelf::Bounds;

/// A place in the list: time, survey, alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// d (TAI).
    pub mjd_tai: f64,
    /// Survey.
    pub survey: String,
    /// Alert.
    pub alert_id: i64,
}

/// A cone, with the cells that cover it.
pub struct Cone {
    center: Icrs,
    radius_arcsec: f64,
    cells: Vec<Range<i64>>,
}

impl Cone {
    /// The cone around a position.
    pub fn new(center: Icrs, radius_arcsec: f64) -> Self {
        let cells = cone_ranges29(center.ra_deg, center.dec_deg, radius_arcsec);
        Self {
            center,
            radius_arcsec,
            cells,
        }
    }

    fn has(&self, ra: Option<f64>, dec: Option<f64>) -> bool {
        let at = ra
            .zip(dec)
            .map(|(ra_deg, dec_deg)| Icrs { ra_deg, dec_deg });
        at.is_some_and(|at| self.center.separation_arcsec(at) <= self.radius_arcsec)
    }

    fn may_be_in(&self, bounds: &Bounds) -> bool {
        bounds.cell.is_none_or(|(low, high)| {
            self.cells
                .iter()
                .any(|cells| cells.start <= high && low < cells.end)
        })
    }
}

/// Which alerts are wanted.
#[derive(Default)]
pub struct Sieve {
    /// Of this survey.
    pub survey: Option<String>,
    /// Of this object.
    pub object_id: Option<String>,
    /// Of this night.
    pub night: Option<i32>,
    /// In this band.
    pub band: Option<String>,
    /// Of at least this reliability.
    pub min_reliability: Option<f64>,
    /// Not before, d (TAI).
    pub since: Option<f64>,
    /// Not after, d (TAI).
    pub until: Option<f64>,
    /// Here.
    pub cone: Option<Cone>,
    /// Only these: survey and alert.
    pub only: Option<HashMap<String, BTreeSet<i64>>>,
    /// The oldest first.
    pub oldest_first: bool,
    /// Beyond this place.
    pub after: Option<Place>,
}

impl Sieve {
    fn may_be_in(&self, bounds: &Bounds) -> bool {
        let (mut since, mut until) = (
            self.since.unwrap_or(f64::NEG_INFINITY),
            self.until.unwrap_or(f64::INFINITY),
        );
        if let Some(after) = self
            .after
            .as_ref()
            .filter(|after| after.mjd_tai.is_finite())
        {
            match self.oldest_first {
                true => since = since.max(after.mjd_tai),
                false => until = until.min(after.mjd_tai),
            }
        }
        self.night.is_none_or(|night| bounds.has_night(night))
            && bounds.has_time(since, until)
            && self
                .object_id
                .as_ref()
                .is_none_or(|object| bounds.has_object(object))
            && self.cone.as_ref().is_none_or(|cone| cone.may_be_in(bounds))
    }

    fn wants(&self, alert: &Alert) -> bool {
        alert.mjd_tai.is_some()
            && self.object_id.is_none_or_is(alert.object_id.as_ref())
            && self.band.is_none_or_is(alert.band.as_ref())
            && self.night.is_none_or_is(alert.night.as_ref())
            && self
                .min_reliability
                .is_none_or(|least| alert.reliability.is_some_and(|is| f64::from(is) >= least))
            && self
                .since
                .is_none_or(|since| alert.mjd_tai.is_some_and(|mjd| mjd >= since))
            && self
                .until
                .is_none_or(|until| alert.mjd_tai.is_some_and(|mjd| mjd <= until))
            && self
                .cone
                .as_ref()
                .is_none_or(|cone| cone.has(alert.ra, alert.dec))
            && self.only.as_ref().is_none_or(|only| {
                only.get(&alert.survey)
                    .is_some_and(|ids| ids.contains(&alert.alert_id))
            })
            && self.after.as_ref().is_none_or(|after| {
                let place = (after.mjd_tai, after.survey.as_str(), after.alert_id);
                self.order(self.key(alert), place) == Ordering::Greater
            })
    }

    fn key<'a>(&self, alert: &'a Alert) -> (f64, &'a str, i64) {
        (self.time(alert), &alert.survey, alert.alert_id)
    }

    /// The time by which an alert is ordered: without one it comes last.
    fn time(&self, alert: &Alert) -> f64 {
        let last = if self.oldest_first {
            f64::INFINITY
        } else {
            f64::NEG_INFINITY
        };
        alert.mjd_tai.unwrap_or(last)
    }

    /// Where an alert stands in the list.
    pub fn place(&self, alert: &Alert) -> Place {
        Place {
            mjd_tai: self.time(alert),
            survey: alert.survey.clone(),
            alert_id: alert.alert_id,
        }
    }

    /// Which of two comes first.
    fn order(&self, a: (f64, &str, i64), b: (f64, &str, i64)) -> Ordering {
        let order =
            a.0.total_cmp(&b.0)
                .then_with(|| a.1.cmp(b.1))
                .then(a.2.cmp(&b.2));
        if self.oldest_first {
            order
        } else {
            order.reverse()
        }
    }

    /// Takes those of some alerts that are wanted, and keeps the first `most`.
    fn take(&self, alerts: Vec<Alert>, most: usize, found: &mut Vec<Alert>) {
        found.extend(alerts.into_iter().filter(|alert| self.wants(alert)));
        found.sort_by(|a, b| self.order(self.key(a), self.key(b)));
        found.truncate(most);
    }

    /// Whether no alert of a file with these bounds can come before one at this time.
    fn comes_after(&self, bounds: &Bounds, mjd_tai: f64) -> bool {
        bounds
            .mjd_tai
            .is_some_and(|(low, high)| match self.oldest_first {
                true => low > mjd_tai,
                false => high < mjd_tai,
            })
    }

    /// The end of the bounds at which reading begins.
    fn begin(&self, bounds: &Bounds) -> f64 {
        match (bounds.mjd_tai, self.oldest_first) {
            (Some((low, _)), true) => low,
            (Some((_, high)), false) => -high,
            (None, _) => f64::NEG_INFINITY,
        }
    }
}

/// An optional wish and a value that may be missing.
trait Wish<T> {
    fn is_none_or_is(&self, value: Option<&T>) -> bool;
}

impl<T: PartialEq> Wish<T> for Option<T> {
    fn is_none_or_is(&self, value: Option<&T>) -> bool {
        self.as_ref().is_none_or(|wish| value == Some(wish))
    }
}

impl Api {
    /// The first `most` alerts that the sieve lets through, in its order; those in memory, that no file has yet, among them.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn sift(
        &self,
        archive: &Archive,
        sieve: &Sieve,
        most: usize,
    ) -> Result<Vec<Alert>, Problem> {
        let names = COLUMNS.map(|(name, _)| name);
        let (mut files, mut found) = (vec![], vec![]);
        for survey in archive.latest_surveys() {
            if !sieve.survey.is_none_or_is(Some(&survey)) {
                continue;
            }
            let may_hold = |bounds: &Bounds| sieve.may_be_in(bounds);
            let table = tables::alerts(&survey);
            let latest = self.shelf.latest(archive, &table, &names, may_hold)?;
            for rows in &latest.fresh {
                sieve.take(alerts(&survey, rows)?, most, &mut found);
            }
            let of_survey = latest.files.into_iter();
            files.extend(of_survey.map(|(file, bounds)| (survey.clone(), file, bounds)));
        }
        files.sort_by(|a, b| sieve.begin(&a.2).total_cmp(&sieve.begin(&b.2)));
        for (survey, file, bounds) in files {
            let last = found
                .get(most.wrapping_sub(1))
                .map(|alert| sieve.time(alert));
            if last.is_some_and(|last| sieve.comes_after(&bounds, last)) {
                break;
            }
            for rows in file.read(&names)? {
                sieve.take(alerts(&survey, &rows?)?, most, &mut found);
            }
        }
        Ok(found)
    }
}
