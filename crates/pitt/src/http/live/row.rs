//! A match as readers get it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use pitt_alert::message::Annotation;
use pitt_sky::photometry::mag_ab;
use serde_json::{Value, json};

/// A match with its number and its alert's common columns.
#[derive(Debug)]
pub struct MatchEntry {
    /// Lane of the process that numbered it.
    pub lane: u32,
    /// Its number there.
    pub seq: u64,
    /// The filter,
    pub filter: Arc<str>,
    /// its version,
    pub version: Arc<str>,
    /// and when it took the alert, microseconds UTC since 1970.
    pub matched_us: i64,
    /// The alert.
    pub alert: Annotation,
    data: OnceLock<Bytes>,
}

impl MatchEntry {
    /// A match of an alert.
    pub fn new(
        (lane, seq): (u32, u64),
        (filter, version): (Arc<str>, Arc<str>),
        matched_us: i64,
        alert: Annotation,
    ) -> Self {
        Self {
            lane,
            seq,
            filter,
            version,
            matched_us,
            alert,
            data: OnceLock::new(),
        }
    }

    /// Its place: lane and number.
    pub fn cursor(&self) -> String {
        format!("{}:{}", self.lane, self.seq)
    }

    /// AB magnitude of the difference flux; `None` where that is not above 0.
    pub fn mag(&self) -> Option<f64> {
        let flux = f64::from(self.alert.psf_flux?);
        // The shortest number that says as much as the flux does.
        (flux > 0.0).then(|| (mag_ab(flux) * 1e4).round() / 1e4)
    }

    /// The row, as in `/api/v1/matches`.
    pub fn json(&self) -> Value {
        json!({
            "filter": &*self.filter,
            "version": &*self.version,
            "survey": &*self.alert.survey,
            "alert_id": self.alert.alert_id.to_string(),
            "object_id": self.alert.object_id,
            "ra": self.alert.ra,
            "dec": self.alert.dec,
            "band": self.alert.band,
            "mag": self.mag(),
            "mjd_tai": self.alert.mjd_tai,
            "matched_us": self.matched_us,
            "cursor": self.cursor(),
        })
    }

    /// The row as text, written once for all readers.
    pub fn data(&self) -> &Bytes {
        self.data.get_or_init(|| self.json().to_string().into())
    }
}
