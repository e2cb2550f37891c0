//! An axis: a range of values laid over a range of points, with ticks where people expect them.

/// A straight axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// Value at the first end (left, or bottom).
    pub(super) first: f64,
    /// Value at the other end; smaller than `first` on an inverted axis.
    pub(super) last: f64,
    /// Point at the first end.
    pub(super) from: f32,
    /// Point at the other end.
    pub(super) to: f32,
}

impl Axis {
    /// Where a value stands, points.
    pub(super) fn at(&self, value: f64) -> f32 {
        let share = (value - self.first) / (self.last - self.first);
        self.from + share as f32 * (self.to - self.from)
    }

    /// Whether a value is between the ends.
    pub(super) fn holds(&self, value: f64) -> bool {
        value >= self.first.min(self.last) && value <= self.first.max(self.last)
    }

    /// Step between labelled ticks, for about `count` of them: 1, 2 or 5 times a power of ten.
    pub(super) fn step(&self, count: f64) -> f64 {
        let rough = ((self.last - self.first).abs() / count).max(1e-12);
        let power = 10f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .find(|factor| factor * power >= rough);
        factor.unwrap_or(10.0) * power
    }

    /// Multiples of a step between the ends.
    pub(super) fn ticks(&self, step: f64) -> Vec<f64> {
        let (low, high) = (self.first.min(self.last), self.first.max(self.last));
        let start = (low / step - 1e-9).ceil() as i64;
        let end = (high / step + 1e-9).floor() as i64;
        (start..=end.min(start.saturating_add(1000)))
            .map(|multiple| multiple as f64 * step)
            .collect()
    }

    /// Steps of the small ticks under a labelled one.
    pub(super) fn minor(step: f64) -> f64 {
        let lead = step / 10f64.powf((step.log10() + 1e-9).floor());
        if (1.5..3.0).contains(&lead) {
            step / 4.0
        } else {
            step / 5.0
        }
    }
}

/// A value as a label, with as many decimals as its step needs and a real minus sign.
pub(super) fn label(value: f64, step: f64) -> String {
    let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
    let value = if value.abs() < step * 1e-6 {
        0.0
    } else {
        value
    };
    format!("{value:.decimals$}").replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_inside_the_axis() {
        let axis = Axis {
            first: 21.3,
            last: 17.9,
            from: 0.0,
            to: 100.0,
        };
        let step = axis.step(6.0);
        assert_eq!(step, 1.0);
        assert_eq!(axis.ticks(step), [18.0, 19.0, 20.0, 21.0]);
        assert_eq!(label(-0.25, 0.05), "\u{2212}0.25");
        assert_eq!(axis.at(21.3), 0.0);
    }
}
