//! Rates over the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::RateStatus;

/// The longest span that is remembered.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(10);

/// Sums as they stood at times of the last minute.
#[derive(Debug)]
pub(super) struct Rates {
    noted: VecDeque<(Instant, u64, u64)>,
}

impl Rates {
    /// Counting from zero.
    pub(super) fn new(begin: Instant) -> Self {
        Self {
            noted: VecDeque::from([(begin, 0, 0)]),
        }
    }

    /// Notes sums; forgets what is older than a minute, but for the last of it.
    pub(super) fn note(&mut self, now: Instant, alerts: u64, bytes: u64) {
        self.noted.push_back((now, alerts, bytes));
        while self.noted.len() > 2 && now.duration_since(self.noted[1].0) >= LONG {
            self.noted.pop_front();
        }
    }

    /// The rates up to the last note.
    pub(super) fn now(&self) -> RateStatus {
        let (alerts, bytes) = self.over(SHORT);
        RateStatus {
            alerts_per_s: alerts,
            bytes_per_s: bytes,
            alerts_per_s_1m: self.over(LONG).0,
        }
    }

    /// Alerts and bytes a second between the last note and the one a span before it, or the first.
    fn over(&self, span: Duration) -> (f64, f64) {
        let Some(last) = self.noted.back() else {
            return (0.0, 0.0);
        };
        let old_enough = |noted: &&(Instant, u64, u64)| last.0.duration_since(noted.0) >= span;
        let first = self
            .noted
            .iter()
            .rev()
            .find(old_enough)
            .or(self.noted.front());
        let Some(first) = first else {
            return (0.0, 0.0);
        };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        if seconds == 0.0 {
            return (0.0, 0.0);
        }
        (
            (last.1 - first.1) as f64 / seconds,
            (last.2 - first.2) as f64 / seconds,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_shows_in_the_short_rate_first_and_leaves_both() {
        let begin = Instant::now();
        let mut rates = Rates::new(begin);
        let mut sum = 0;
        let mut at = |rates: &mut Rates, seconds: u64, more: u64| {
            sum += more;
            rates.note(begin + Duration::from_secs(seconds), sum, 10 * sum);
        };
        for second in 1..=120 {
            at(&mut rates, second, 100);
        }
        assert_eq!(rates.now(), rate(100.0, 100.0));
        (121..=130).for_each(|second| at(&mut rates, second, 700));
        assert_eq!(rates.now(), rate(700.0, 200.0));
        (131..=200).for_each(|second| at(&mut rates, second, 0));
        assert_eq!(rates.now(), rate(0.0, 0.0));
        assert!(rates.noted.len() <= 62);
    }

    fn rate(short: f64, long: f64) -> RateStatus {
        RateStatus {
            alerts_per_s: short,
            bytes_per_s: 10.0 * short,
            alerts_per_s_1m: long,
        }
    }
}
