//! Questions the index answers.

use std::collections::HashMap;

use pitt_sky::coords::Icrs;
use pitt_sky::healpix;

use super::follow::ObjectState;
use super::{Index, keys};
use crate::answer::{ConeHit, Point};
use crate::error::ArchiveError;
use crate::place::RecordPlace;

impl Index {
    pub(crate) fn locate(
        &self,
        survey: &str,
        alert_id: i64,
    ) -> Result<Option<RecordPlace>, ArchiveError> {
        let value = self.id.get(keys::id(survey, alert_id))?;
        Ok(value.and_then(|v| keys::read_record_place(&v)))
    }

    /// Number of alerts in the index.
    pub(crate) fn count_ids(&self) -> Result<u64, ArchiveError> {
        Ok(self.id.len()? as u64)
    }

    /// Time of the newest forced point of an object.
    pub(crate) fn newest_forced(
        &self,
        object_id: &str,
        survey: &str,
    ) -> Result<Option<f64>, ArchiveError> {
        let value = self.forced.get(keys::object(object_id, survey))?;
        Ok(value.and_then(|v| keys::f64_at(&v, 0)))
    }

    /// Points of an object, in order of time.
    pub(crate) fn light_curve(&self, object_id: &str) -> Result<Vec<Point>, ArchiveError> {
        let prefix = keys::text(object_id);
        let mut points = Vec::new();
        for entry in self.lc.prefix(&prefix) {
            let (key, value) = entry.into_inner()?;
            points.extend(read_point(&key[prefix.len()..], &value));
        }
        Ok(points)
    }

    /// Objects within `radius_arcsec`, nearest first.
    pub(crate) fn cone(
        &self,
        ra: f64,
        dec: f64,
        radius_arcsec: f64,
    ) -> Result<Vec<ConeHit>, ArchiveError> {
        let center = Icrs {
            ra_deg: ra,
            dec_deg: dec,
        };
        let mut nearest: HashMap<(String, String), (f64, f64, f64)> = HashMap::new();
        for cells in healpix::cone_ranges29(ra, dec, radius_arcsec) {
            let range = cells.start.to_be_bytes()..cells.end.to_be_bytes();
            for entry in self.pos.range(range) {
                let (key, value) = entry.into_inner()?;
                let (Some((object_id, survey)), Some(ra), Some(dec)) = (
                    keys::read_object(&key[8..]),
                    keys::f64_at(&value, 0),
                    keys::f64_at(&value, 8),
                ) else {
                    continue;
                };
                let separation = center.separation_arcsec(Icrs {
                    ra_deg: ra,
                    dec_deg: dec,
                });
                if separation <= radius_arcsec {
                    let best = nearest
                        .entry((object_id.to_owned(), survey.to_owned()))
                        .or_insert((ra, dec, separation));
                    if separation < best.2 {
                        *best = (ra, dec, separation);
                    }
                }
            }
        }
        self.hits(nearest)
    }

    fn hits(
        &self,
        nearest: HashMap<(String, String), (f64, f64, f64)>,
    ) -> Result<Vec<ConeHit>, ArchiveError> {
        let mut hits = Vec::with_capacity(nearest.len());
        for ((object_id, survey), (ra, dec, separation_arcsec)) in nearest {
            let value = self.object.get(keys::object(&object_id, &survey))?;
            let Some(state) = value.and_then(|v| ObjectState::from_bytes(&v)) else {
                continue;
            };
            hits.push(ConeHit {
                object_id,
                survey,
                ra,
                dec,
                separation_arcsec,
                n_detections: state.alerts,
                last_mjd_tai: state.last_mjd_tai,
            });
        }
        ConeHit::sort(&mut hits);
        Ok(hits)
    }
}

fn read_point(key: &[u8], value: &[u8]) -> Option<Point> {
    let band_end = 8 + value.get(8..)?.iter().position(|b| *b == 0)?;
    let band = std::str::from_utf8(&value[8..band_end]).ok()?;
    Some(Point {
        mjd_tai: keys::read_ordered_f64(key, 0)?,
        alert_id: keys::read_ordered_i64(key, 8)?,
        psf_flux: keys::f32_at(value, 0)?,
        psf_flux_err: keys::f32_at(value, 4)?,
        band: (!band.is_empty()).then(|| band.to_owned()),
        survey: std::str::from_utf8(&value[band_end + 1..]).ok()?.to_owned(),
    })
}
