//! When a packet is due.

use std::time::{Duration, Instant};

/// How fast packets are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// As fast as they come.
    #[default]
    Unlimited,
    /// So many a second.
    Rate(f64),
    /// So many times as fast as the telescope took them: a visit's alerts together, then a pause to the next.
    Sky(f64),
}

impl Pace {
    /// From what was typed: alerts a second, or times as fast as the sky.
    ///
    /// # Errors
    /// What is wrong with the number.
    pub fn of(rate: Option<f64>, speedup: Option<f64>) -> Result<Self, String> {
        let positive = |name: &str, value: f64| {
            let good = value > 0.0 && value.is_finite();
            let wrong = || format!("--{name} is {value}, expected a number above 0");
            good.then_some(value).ok_or_else(wrong)
        };
        match (rate, speedup) {
            (Some(rate), _) => positive("rate", rate).map(Pace::Rate),
            (_, Some(speedup)) => positive("speedup", speedup).map(Pace::Sky),
            _ => Ok(Pace::Unlimited),
        }
    }
}

/// A longer pause on the sky is the day between two nights, or a cloud, and is not waited for `[s]`.
const LONGEST_PAUSE_S: f64 = 3600.0;
const DAY_S: f64 = 86_400.0;

/// Says when each packet is due, in the order in which they come.
#[derive(Debug)]
pub struct Clock {
    pace: Pace,
    begun: Option<Instant>,
    sent: u64,
    /// Latest exposure so far `[d, TAI]`.
    latest_mjd: Option<f64>,
    /// Time on the sky since the first packet, without the pauses left out `[s]`.
    sky_s: f64,
}

impl Clock {
    /// A clock that begins with the first packet it is asked about.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            begun: None,
            sent: 0,
            latest_mjd: None,
            sky_s: 0.0,
        }
    }

    /// When the next packet is due, whose exposure's middle was at `mjd_tai` `[d, TAI]`.
    ///
    /// Packets come in the order of their source, which need not be that of the sky: one from before the latest so
    /// far, or without a time, is due with its predecessor.
    pub fn due(&mut self, mjd_tai: Option<f64>, now: Instant) -> Instant {
        let begun = *self.begun.get_or_insert(now);
        let after_s = match self.pace {
            Pace::Unlimited => 0.0,
            Pace::Rate(rate) => self.sent as f64 / rate,
            Pace::Sky(speedup) => self.sky(mjd_tai) / speedup,
        };
        self.sent += 1;
        begun + Duration::try_from_secs_f64(after_s).unwrap_or_default()
    }

    fn sky(&mut self, mjd_tai: Option<f64>) -> f64 {
        if let Some(mjd) = mjd_tai.filter(|mjd| mjd.is_finite()) {
            let latest = *self.latest_mjd.get_or_insert(mjd);
            let pause_s = (mjd - latest) * DAY_S;
            if pause_s > 0.0 {
                self.latest_mjd = Some(mjd);
            }
            if (0.0..=LONGEST_PAUSE_S).contains(&pause_s) {
                self.sky_s += pause_s;
            }
        }
        self.sky_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pace: Pace, times: &[Option<f64>]) -> Vec<f64> {
        let (mut clock, now) = (Clock::new(pace), Instant::now());
        let due = times.iter().map(|t| clock.due(*t, now).duration_since(now));
        due.map(|d| d.as_secs_f64()).collect()
    }

    #[test]
    fn a_rate_spaces_packets_evenly() {
        assert_eq!(seconds(Pace::Rate(4.0), &[None; 3]), [0.0, 0.25, 0.5]);
        assert_eq!(
            seconds(Pace::Unlimited, &[Some(1.0), Some(2.0)]),
            [0.0, 0.0]
        );
    }

    #[test]
    fn visits_follow_as_on_the_sky_only_faster_and_days_are_not_waited_for() {
        let at = |s: f64| Some(60_000.0 + s / DAY_S);
        let night = [
            at(0.0),
            at(0.0),
            at(40.0),
            None,
            at(30.0),
            at(80.0),
            at(80_000.0),
            at(80_040.0),
        ];
        let due = seconds(Pace::Sky(10.0), &night);
        let expected = [0.0, 0.0, 4.0, 4.0, 4.0, 8.0, 8.0, 12.0];
        for (due, expected) in due.iter().zip(expected) {
            assert!((due - expected).abs() < 1e-3, "{due} {expected}");
        }
    }
}
