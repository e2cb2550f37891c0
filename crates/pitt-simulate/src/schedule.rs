//! When a survey looks where: nights, visits, and the conditions of each exposure.

use pitt_sky::band::Band;
use pitt_sky::time::MjdUtc;

use crate::brightness::flux_njy;
use crate::config::{SimSurvey, SimulationConfig};
use crate::random::Draw;

/// Used when the configured first night is not a date: the first night of public LSST alerts.
const FALLBACK_MJD: f64 = 61_095.0;

/// Mean 5-sigma depth of one exposure in u, g, r, i, z, y `[mag]`.
/// LSST: LPM-17 table 6, shallower by 0.3 for the difference image; ZTF: Bellm et al. 2019, doi:10.1088/1538-3873/aaecbe
/// (g, r, i; the other bands are not observed).
const DEPTH_ZTF: [f64; 6] = [19.0, 20.8, 20.6, 19.9, 19.0, 19.0];
const DEPTH_LSST: [f64; 6] = [23.6, 24.6, 24.3, 23.7, 23.0, 22.2];

/// The two bands of an LSST field on successive nights.
const PAIRS_LSST: [(Band, Band); 6] = [
    (Band::G, Band::R),
    (Band::R, Band::I),
    (Band::I, Band::Z),
    (Band::U, Band::G),
    (Band::R, Band::I),
    (Band::Z, Band::Y),
];

/// One exposure of one field, with its conditions.
#[derive(Clone, Debug)]
pub(crate) struct Exposure {
    /// Whose it is.
    pub(crate) survey: SimSurvey,
    /// Night, counted from the first night of the history.
    pub(crate) night: u32,
    /// YYYYMMDD, in the survey's convention.
    pub(crate) date: i32,
    /// Number of the visit in its night.
    pub(crate) seq: u32,
    /// Number of the field, from 0.
    pub(crate) field: u32,
    /// Filter in the light path.
    pub(crate) band: Band,
    /// Start of the exposure, days UTC.
    pub(crate) jd_utc: f64,
    /// Middle of the exposure, days TAI.
    pub(crate) mjd_tai: f64,
    /// 5-sigma depth of the difference image, mag AB.
    pub(crate) depth: f64,
    /// Noise of a faint point source, nJy.
    pub(crate) sigma_njy: f64,
    /// Full width at half maximum of a star, arcsec.
    pub(crate) seeing: f64,
    /// Zero point, mag; ZTF's pixel values hang on it.
    pub(crate) zero_point: f64,
    /// Address of this exposure's draws.
    pub(crate) key: u64,
}

/// A night in which the dome was open.
#[derive(Clone, Debug)]
struct Night {
    number: u32,
    mjd_utc: f64,
    date: i32,
}

/// All nights and visits of one survey.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    survey: SimSurvey,
    seed: u64,
    nights: Vec<Night>,
    first_night: u32,
    visits_per_night: u32,
    /// Fields observed each night.
    fields: u32,
    cadence_d: f64,
}

impl Schedule {
    pub(crate) fn new(config: &SimulationConfig, survey: SimSurvey) -> Self {
        let first_mjd = MjdUtc::from_yyyymmdd(config.first_night).map_or(FALLBACK_MJD, |mjd| mjd.0);
        let first_night = config.history_nights;
        let seed = Draw::at(&[config.seed, survey as u64]).bits();
        // Clouds, and ZTF's public survey returns every second night.
        let missed = match survey {
            SimSurvey::Ztf => 0.55,
            SimSurvey::Lsst => 0.33,
        };
        let mut nights = Vec::new();
        for number in 0..first_night + config.nights {
            let clouded = Draw::at(&[seed, 0x636c_6f75, u64::from(number)]).unit() < missed;
            if number >= first_night || !clouded {
                let mjd_utc = first_mjd + f64::from(number) - f64::from(first_night);
                nights.push(Night {
                    number,
                    mjd_utc,
                    date: MjdUtc(mjd_utc + 0.5).yyyymmdd(),
                });
            }
        }
        Self {
            survey,
            seed,
            nights,
            first_night,
            visits_per_night: config.visits_per_night,
            fields: config.visits_per_night.div_ceil(2).max(1),
            cadence_d: config.cadence_s / 86_400.0,
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn fields(&self) -> u32 {
        self.fields
    }

    /// Length of the history and the simulation `[nights]`.
    pub(crate) fn total_nights(&self) -> u32 {
        self.nights.last().map_or(0, |night| night.number + 1)
    }

    /// First midnight of the history, days UTC.
    pub(crate) fn start_mjd(&self) -> f64 {
        self.nights.first().map_or(FALLBACK_MJD, |night| {
            night.mjd_utc - f64::from(night.number)
        })
    }

    /// Start of the first simulated night, days UTC.
    pub(crate) fn first_mjd(&self) -> f64 {
        self.start_mjd() + f64::from(self.first_night)
    }

    /// All exposures of the field that visit `seq` of simulated night `night` (from 0) looks at, from the beginning of the
    /// history up to that visit, which is the last.
    pub(crate) fn exposures(&self, night: u32, seq: u32) -> Vec<Exposure> {
        let field = seq % self.fields;
        let last = self.first_night + night;
        let mut found = Vec::new();
        for open in self.nights.iter().filter(|open| open.number <= last) {
            for pass in 0..2 {
                let at = pass * self.fields + field;
                if at < self.visits_per_night && (open.number < last || at <= seq) {
                    found.push(self.exposure(open, at, field, pass));
                }
            }
        }
        found
    }

    fn exposure(&self, night: &Night, seq: u32, field: u32, pass: u32) -> Exposure {
        let key = Draw::at(&[
            self.seed,
            0x6578_706f,
            u64::from(night.number),
            u64::from(seq),
        ])
        .bits();
        let mut draw = Draw::at(&[key]);
        // ZTF begins at dusk on Palomar, 03:30 UTC of its date; LSST at dusk on Cerro Pachon, 00:30 UTC of the next day;
        // both within half an hour, or light curves would be sampled at whole days.
        let (begin_d, exposure_s) = match self.survey {
            SimSurvey::Ztf => (3.5 / 24.0, 30.0),
            SimSurvey::Lsst => (24.5 / 24.0, 30.0),
        };
        let late_d = Draw::at(&[self.seed, 0x6475_736b, u64::from(night.number)]).unit() * 0.02;
        let start = MjdUtc(night.mjd_utc + begin_d + late_d + f64::from(seq) * self.cadence_d);
        let middle = MjdUtc(start.0 + exposure_s / 2.0 / 86_400.0);
        let band = self.band(night.number, field, pass);
        let (depths, seeing) = match self.survey {
            SimSurvey::Ztf => (DEPTH_ZTF, draw.between(1.7, 2.8)),
            SimSurvey::Lsst => (DEPTH_LSST, draw.between(0.65, 1.2)),
        };
        let depth = depths[usize::from(band.index())] + 0.18 * draw.normal();
        Exposure {
            survey: self.survey,
            night: night.number,
            date: night.date,
            seq,
            field,
            band,
            jd_utc: start.to_jd().0,
            mjd_tai: middle.to_tai().0,
            depth,
            sigma_njy: flux_njy(depth) / 5.0,
            seeing,
            zero_point: 26.2 + 0.08 * draw.normal(),
            key,
        }
    }

    fn band(&self, night: u32, field: u32, pass: u32) -> Band {
        let (first, second) = match self.survey {
            SimSurvey::Ztf if (night + field) % 4 == 3 => (Band::R, Band::I),
            SimSurvey::Ztf => (Band::G, Band::R),
            SimSurvey::Lsst => PAIRS_LSST[((night + field) % 6) as usize],
        };
        if pass == 0 { first } else { second }
    }
}

impl Exposure {
    /// LSST's visit number: date and number in the night.
    pub(crate) fn visit(&self) -> i64 {
        i64::from(self.date) * 100_000 + i64::from(self.seq)
    }

    /// A number no other exposure of the survey has: days since MJD 50000 and number in the night.
    pub(crate) fn serial(&self) -> u64 {
        let day = (self.jd_utc - 2_450_000.5) as u64;
        day << 14 | u64::from(self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_visited_twice_a_night_and_keeps_its_past() {
        let config = SimulationConfig {
            nights: 2,
            ..Default::default()
        };
        let schedule = Schedule::new(&config, SimSurvey::Lsst);
        let before = schedule.exposures(0, 25);
        let after = schedule.exposures(1, 5);
        assert!(before.len() > 80, "{}", before.len());
        assert_eq!(after.len(), before.len() + 1);
        assert_eq!(after[before.len() - 1].key, before[before.len() - 1].key);
        assert!(
            after
                .windows(2)
                .all(|pair| pair[0].mjd_tai < pair[1].mjd_tai)
        );
        assert_eq!(before[before.len() - 1].date, 20_260_224);
    }
}
