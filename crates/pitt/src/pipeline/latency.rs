//! How long alerts took, without keeping every one.

/// A histogram with buckets that grow: eight to an octave, so a quantile is right within 9 %.
#[derive(Clone, Debug)]
pub struct Latency {
    counts: Vec<u64>,
    total: u64,
}

const PER_OCTAVE: f64 = 8.0;

impl Default for Latency {
    fn default() -> Self {
        Self {
            counts: vec![0; 48 * PER_OCTAVE as usize],
            total: 0,
        }
    }
}

impl Latency {
    /// Adds `count` alerts that took `micros` each.
    pub fn add(&mut self, micros: i64, count: u64) {
        let bucket = ((micros.max(1) as f64).log2() * PER_OCTAVE) as usize;
        let last = self.counts.len() - 1;
        self.counts[bucket.min(last)] += count;
        self.total += count;
    }

    /// The time \[ms\] that a share of the alerts stayed under; `None` before the first alert.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let rank = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        (self.total > 0).then(|| ((bucket + 1) as f64 / PER_OCTAVE).exp2() / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_nine_percent_above() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile_ms(0.5), None);
        (1..=100_000).for_each(|micros| latency.add(micros, 1));
        for (share, exact) in [(0.5, 50.0), (0.99, 99.0)] {
            let found = latency.quantile_ms(share).unwrap();
            assert!((exact..exact * 1.1).contains(&found), "{found}");
        }
    }
}
