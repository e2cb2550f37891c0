//! How long things took, without keeping every one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A histogram with buckets that grow: eight to an octave, so a quantile is right within 9 %.
///
/// Threads add to it without a lock; a reader may see a time whose sum is not there yet.
#[derive(Debug)]
pub struct Latency {
    counts: Vec<AtomicU64>,
    /// All times added up, us.
    micros: AtomicU64,
}

const PER_OCTAVE: usize = 8;
const OCTAVES: usize = 48;

impl Default for Latency {
    fn default() -> Self {
        Self {
            counts: (0..OCTAVES * PER_OCTAVE)
                .map(|_| AtomicU64::new(0))
                .collect(),
            micros: AtomicU64::new(0),
        }
    }
}

impl Latency {
    /// Adds `count` alerts that took `micros` each. What took no time, or less, took one microsecond.
    pub fn add(&self, micros: i64, count: u64) {
        let micros = micros.max(1);
        let bucket = ((micros as f64).log2() * PER_OCTAVE as f64) as usize;
        let last = self.counts.len() - 1;
        self.counts[bucket.min(last)].fetch_add(count, Ordering::Relaxed);
        let sum = micros.unsigned_abs().saturating_mul(count);
        self.micros.fetch_add(sum, Ordering::Relaxed);
    }

    /// Adds one thing that began then and is over now.
    pub fn add_since(&self, begin: Instant) {
        self.add_between(begin, Instant::now());
    }

    /// Adds one thing that began and ended then.
    pub fn add_between(&self, begin: Instant, end: Instant) {
        let micros = end.saturating_duration_since(begin).as_micros();
        self.add(i64::try_from(micros).unwrap_or(i64::MAX), 1);
    }

    /// How many were added.
    pub fn total(&self) -> u64 {
        self.counts().sum()
    }

    /// All times added up `[s]`.
    pub fn sum_s(&self) -> f64 {
        self.micros.load(Ordering::Relaxed) as f64 * 1e-6
    }

    /// How many took less than so long, exactly, at `steps` (1, 2, 4 or 8) bounds to each octave of a range of powers of two of
    /// microseconds: `(seconds, count)`, ascending.
    pub fn below(&self, octaves: std::ops::Range<usize>, steps: usize) -> Vec<(f64, u64)> {
        let counts: Vec<u64> = self.counts().collect();
        let below = |bucket: usize| counts.iter().take(bucket).sum();
        let bounds = octaves.start * PER_OCTAVE..octaves.end * PER_OCTAVE;
        let bounds = bounds.step_by(PER_OCTAVE / steps.clamp(1, PER_OCTAVE));
        bounds
            .map(|bucket| {
                let seconds = (bucket as f64 / PER_OCTAVE as f64).exp2() * 1e-6;
                (seconds, below(bucket))
            })
            .collect()
    }

    /// The time `[ms]` that a share of the alerts stayed under; `None` before the first alert.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        quantile_ms(&self.mark(), share)
    }

    /// How it stands, for [`Self::quantile_since_ms`] later.
    pub fn mark(&self) -> Vec<u64> {
        self.counts().collect()
    }

    /// The time `[ms]` that a share of the alerts added after a mark stayed under; `None` if there was none.
    pub fn quantile_since_ms(&self, mark: &[u64], share: f64) -> Option<f64> {
        let since = self.counts().zip(mark);
        let since: Vec<u64> = since.map(|(now, then)| now.saturating_sub(*then)).collect();
        quantile_ms(&since, share)
    }

    fn counts(&self) -> impl Iterator<Item = u64> {
        self.counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
    }
}

fn quantile_ms(counts: &[u64], share: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    let rank = (share * total as f64).ceil().max(1.0) as u64;
    let mut seen = 0;
    let bucket = counts.iter().position(|count| {
        seen += count;
        seen >= rank
    })?;
    (total > 0).then(|| ((bucket + 1) as f64 / PER_OCTAVE as f64).exp2() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_slow_before_a_mark_does_not_count_after_it() {
        let latency = Latency::default();
        latency.add(5_000_000, 100);
        let mark = latency.mark();
        assert_eq!(latency.quantile_since_ms(&mark, 0.99), None);
        latency.add(1000, 100);
        let found = latency.quantile_since_ms(&mark, 0.99).unwrap();
        assert!((1.0..1.1).contains(&found), "{found}");
        assert!(latency.quantile_ms(0.99).unwrap() > 5000.0);
    }

    #[test]
    fn quantiles_are_within_nine_percent_above() {
        let latency = Latency::default();
        assert_eq!(latency.quantile_ms(0.5), None);
        (1..=100_000).for_each(|micros| latency.add(micros, 1));
        for (share, exact) in [(0.5, 50.0), (0.99, 99.0)] {
            let found = latency.quantile_ms(share).unwrap();
            assert!((exact..exact * 1.1).contains(&found), "{found}");
        }
    }

    #[test]
    fn octaves_hold_exactly_what_is_below_them() {
        let latency = Latency::default();
        (1..=5000).for_each(|micros| latency.add(micros, 1));
        assert_eq!(
            latency.below(10..14, 1),
            [
                (0.001024, 1023),
                (0.002048, 2047),
                (0.004096, 4095),
                (0.008192, 5000)
            ]
        );
        assert_eq!((latency.total(), latency.sum_s()), (5000, 12.5025));
    }

    #[test]
    fn finer_bounds_agree_with_coarse_ones() {
        let latency = Latency::default();
        (1..=5000).for_each(|micros| latency.add(micros, 1));
        let fine = latency.below(10..14, 8);
        let every_eighth: Vec<_> = fine.iter().copied().step_by(8).collect();
        assert_eq!((fine.len(), every_eighth), (32, latency.below(10..14, 1)));
        assert!(fine.is_sorted_by_key(|(_, count)| *count));
    }

    #[test]
    fn clocks_that_were_set_back_count_as_no_time() {
        let latency = Latency::default();
        latency.add(-7_000_000, 3);
        assert_eq!(latency.below(1..2, 1), [(0.000002, 3)]);
    }
}
