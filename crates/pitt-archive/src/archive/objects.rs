//! Objects: their light curves, and which of them are near a position.

use super::Archive;
use crate::answer::{ConeHit, Point};
use crate::error::ArchiveError;
use crate::scan;

impl Archive {
    /// An object's detections, one from each of its alerts, in order of time.
    pub fn light_curve(&self, object_id: &str) -> Result<Vec<Point>, ArchiveError> {
        match &*self.inner.index() {
            Some(index) => index.light_curve(object_id),
            None => scan::light_curve(self, object_id),
        }
    }

    /// Objects within a radius of a position, nearest first.
    ///
    /// | argument | unit | meaning |
    /// |---|---|---|
    /// | `ra`, `dec` | deg (ICRS) | center |
    /// | `radius_arcsec` | arcsec | up to a few degrees; larger areas are a query on `alerts` |
    pub fn cone(
        &self,
        ra: f64,
        dec: f64,
        radius_arcsec: f64,
    ) -> Result<Vec<ConeHit>, ArchiveError> {
        match &*self.inner.index() {
            Some(index) => index.cone(ra, dec, radius_arcsec),
            None => scan::cone(self, ra, dec, radius_arcsec),
        }
    }
}
