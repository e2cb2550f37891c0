//! What to simulate.

use std::fmt;

use pitt_sky::time::MjdUtc;

use crate::folder::SimulateError;

/// Days `[MJD UTC]` that the surveys' ids can tell: ZTF's count 10^15 a day from 2017-01-01 and end with 64 bits on
/// 2042-04-03.
const DAYS: std::ops::RangeInclusive<f64> = 57_754.0..=66_977.0;

/// Visits of a night, and detections of a visit, that LSST's ids can tell apart: 14 and 20 bits.
const LSST_VISITS: u32 = 1 << 14;
const LSST_ALERTS: u32 = 1 << 20;

/// A survey that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SimSurvey {
    /// Zwicky Transient Facility, packets of schema 4.02.
    Ztf,
    /// Rubin's LSST, packets of schema 11.0.
    Lsst,
}

impl SimSurvey {
    /// The survey's short name, `ztf` or `lsst`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ztf => "ztf",
            Self::Lsst => "lsst",
        }
    }
}

impl SimSurvey {
    /// The survey of that short name (lower case); `None` for any other text.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Ztf, Self::Lsst]
            .into_iter()
            .find(|survey| survey.as_str() == name)
    }
}

impl fmt::Display for SimSurvey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Size and shape of a simulation. The same configuration gives the same packets, byte for byte.
///
/// The default is a demo night: two surveys, 40 visits each, 60 alerts a visit, 4,800 packets, a few of them damaged.
/// Rubin's own shape is `visits_per_night: 1000, alerts_per_visit: 10_000`.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulationConfig {
    /// Chooses the sky, the weather and the noise.
    pub seed: u64,
    /// First night, YYYYMMDD. ZTF: UTC date; LSST: date of UTC minus 12 h. It and all others, the history's
    /// among them, must be in 2017-01-01 to 2042-04-01: see [`SimulationConfig::check`].
    pub first_night: i32,
    /// Nights in a row, all clear.
    pub nights: u32,
    /// Visits a night, of each survey. Each field is visited twice a night, in two bands.
    pub visits_per_night: u32,
    /// Alerts a visit, exactly; what the sky does not fill is filled by bogus detections.
    pub alerts_per_visit: u32,
    /// Surveys to simulate; their visits alternate.
    pub surveys: Vec<SimSurvey>,
    /// Time between the starts of visits `[s]`.
    pub cadence_s: f64,
    /// Nights before the first one, of which ZTF observed 45 % and LSST two thirds. They fill the histories: with the
    /// default an old LSST object comes with some hundred detections and as many forced points.
    pub history_nights: u32,
    /// Packets of a million that arrive damaged, so that every reader must notice; see [`Fault`](crate::Fault).
    pub bad_packets_per_million: u32,
    /// Packets of a million that are sent a second time, later in the same visit.
    pub duplicates_per_million: u32,
    /// Noise realisations of each kind of stamp, at least 1. Stamps are rendered once and used again; see
    /// [`Simulator`](crate::Simulator).
    pub stamp_variants: u32,
}

impl Default for SimulationConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            first_night: 20_260_224,
            nights: 1,
            visits_per_night: 40,
            alerts_per_visit: 60,
            surveys: vec![SimSurvey::Ztf, SimSurvey::Lsst],
            cadence_s: 39.0,
            history_nights: 75,
            bad_packets_per_million: 1000,
            duplicates_per_million: 1000,
            stamp_variants: 2,
        }
    }
}

impl SimulationConfig {
    /// Whether every alert has an id of its own.
    ///
    /// # Errors
    /// The first night is no date, a night of the history or of the simulation is outside 2017-01-01 to 2042-04-01, or LSST has
    /// more than 16,384 visits a night or 1,048,576 alerts a visit.
    pub fn check(&self) -> Result<(), SimulateError> {
        let (visits, alerts) = (self.visits_per_night, self.alerts_per_visit);
        let lsst = self.surveys.contains(&SimSurvey::Lsst);
        if lsst && (visits > LSST_VISITS || alerts > LSST_ALERTS) {
            return Err(SimulateError::LsstIds { visits, alerts });
        }
        let Some(MjdUtc(first)) = MjdUtc::from_yyyymmdd(self.first_night) else {
            return Err(SimulateError::FirstNight(self.first_night));
        };
        let start = first - f64::from(self.history_nights);
        let night_d = f64::from(self.visits_per_night) * self.cadence_s.max(1.0) / 86_400.0;
        // A night begins up to a day after its date's midnight.
        let end = first + f64::from(self.nights) + night_d.max(1.0);
        if DAYS.contains(&start) && DAYS.contains(&end) {
            return Ok(());
        }
        Err(SimulateError::Nights {
            first: self.first_night,
            nights: self.nights,
            history: self.history_nights,
            visits: self.visits_per_night,
        })
    }
}
