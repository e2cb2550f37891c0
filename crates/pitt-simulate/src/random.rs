//! Random numbers by address: the same words always give the same draws, in any order.
//!
//! Light curves must be the same whether a detection is the alert itself or an entry of a later alert's history, so a
//! draw is a pure function of (seed, object, exposure) and nothing is stored. A stream cipher would do as well, but costs
//! 100 ns to set up per address; SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195) costs one.

/// A sequence of draws that starts at an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw(u64);

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Draw {
    /// The draws at the address `words`.
    pub(crate) fn at(words: &[u64]) -> Self {
        let fold =
            |state: u64, word: &u64| mix(state.wrapping_add(GAMMA) ^ mix(word.wrapping_add(GAMMA)));
        Self(words.iter().fold(GAMMA, fold))
    }

    /// 64 uniform bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..n`; `n` is at least 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.bits() % n.max(1)
    }

    /// Normal with mean 0 and variance 1, as the sum of twelve uniform numbers: exact integers on every machine, and
    /// bounded by 6, which no light curve of ours notices.
    pub(crate) fn normal(&mut self) -> f64 {
        let mut sum = 0;
        for _ in 0..3 {
            let bits = self.bits();
            sum +=
                (bits & 0xffff) + ((bits >> 16) & 0xffff) + ((bits >> 32) & 0xffff) + (bits >> 48);
        }
        // Each 16-bit number is uniform on the middles of 65536 cells of [0, 1).
        (sum as f64 + 6.0) / 65536.0 - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_address_gives_the_same_draws_and_neighbours_differ() {
        assert_eq!(Draw::at(&[1, 2]).bits(), Draw::at(&[1, 2]).bits());
        assert_ne!(Draw::at(&[1, 2]).bits(), Draw::at(&[2, 1]).bits());
        assert_ne!(Draw::at(&[1]).bits(), Draw::at(&[1, 0]).bits());
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let mut draw = Draw::at(&[7]);
        let values: Vec<f64> = (0..20_000).map(|_| draw.normal()).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 20_000.0;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04,
            "{mean} {variance}"
        );
    }
}
