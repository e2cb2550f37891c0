//! What the archive answers.

use std::sync::Arc;

use bytes::Bytes;

use pitt_alert::{Packet, Position};

/// One stored alert's packet, byte for byte as it was received.
#[derive(Debug, Clone)]
pub struct StoredPacket {
    /// Survey.
    pub survey: String,
    /// Alert id asked for.
    pub alert_id: i64,
    /// The whole packet.
    pub bytes: Bytes,
    /// Fingerprint of the writer's schema.
    pub schema: Option<String>,
    /// Where it came from.
    pub position: Position,
    /// Number of the alert's record in the packet, 0 when there is only one.
    pub record: u32,
    /// The packet's name, for people.
    pub name: Arc<str>,
    /// Time of receipt, microseconds UTC since 1970.
    pub received_us: i64,
}

impl StoredPacket {
    /// The packet as a source gave it.
    pub fn into_packet(self) -> Packet {
        Packet {
            position: self.position,
            name: self.name,
            received_us: self.received_us,
            bytes: self.bytes,
        }
    }
}

/// One detection of an object, from one of its alerts.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Survey of the alert.
    pub survey: String,
    /// The alert.
    pub alert_id: i64,
    /// Middle of the exposure, d (TAI).
    pub mjd_tai: f64,
    /// Band, if known.
    pub band: Option<String>,
    /// Difference flux, nJy, signed; `NaN` when the alert has none.
    pub psf_flux: f32,
    /// Its standard error, nJy; `NaN` when the alert has none.
    pub psf_flux_err: f32,
}

/// An object in a cone.
#[derive(Debug, Clone, PartialEq)]
pub struct ConeHit {
    /// The object.
    pub object_id: String,
    /// Its survey.
    pub survey: String,
    /// Right ascension, deg (ICRS): of the first alert, or where a moving object was seen nearest to the center.
    pub ra: f64,
    /// Declination, deg (ICRS).
    pub dec: f64,
    /// Distance from the center.
    pub separation_arcsec: f64,
    /// Number of its alerts in the archive.
    pub n_detections: u32,
    /// Time of the last of them, d (TAI).
    pub last_mjd_tai: f64,
}

impl ConeHit {
    /// Nearest first; the same order in every run.
    pub(crate) fn sort(hits: &mut [Self]) {
        hits.sort_by(|a, b| {
            a.separation_arcsec
                .total_cmp(&b.separation_arcsec)
                .then_with(|| (&a.object_id, &a.survey).cmp(&(&b.object_id, &b.survey)))
        });
    }
}
