//! What is delivered here, in numbers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::telemetry::WebhooksStatus;

/// Counts of this process since it started, and what waits now.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) delivering: AtomicBool,
    pub(super) delivered: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) dead: AtomicU64,
    waiting: AtomicU64,
    failing: AtomicU64,
}

impl Tally {
    pub(super) fn add(number: &AtomicU64, more: u64) {
        number.fetch_add(more, Ordering::Relaxed);
    }

    /// The webhooks are counted by whoever lists them.
    pub(super) fn status(&self) -> WebhooksStatus {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        WebhooksStatus {
            delivering: self.delivering.load(Ordering::Relaxed),
            failing: of(&self.failing),
            delivered: of(&self.delivered),
            refused: of(&self.refused),
            dead: of(&self.dead),
            waiting: of(&self.waiting),
            ..WebhooksStatus::default()
        }
    }
}

/// What one webhook adds to the gauges; taken back when it ends.
#[derive(Debug, Default)]
pub(super) struct Share {
    waiting: u64,
    failing: u64,
}

impl Share {
    pub(super) fn set(&mut self, tally: &Tally, waiting: u64, failing: bool) {
        let failing = u64::from(failing);
        for (gauge, before, now) in [
            (&tally.waiting, &mut self.waiting, waiting),
            (&tally.failing, &mut self.failing, failing),
        ] {
            gauge.fetch_add(now.wrapping_sub(*before), Ordering::Relaxed);
            *before = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_the_sum_of_what_is_and_not_of_what_was() {
        let tally = Tally::default();
        let (mut one, mut other) = (Share::default(), Share::default());
        one.set(&tally, 500, true);
        other.set(&tally, 3, false);
        one.set(&tally, 100, false);
        let status = tally.status();
        assert_eq!((status.waiting, status.failing), (103, 0));
        one.set(&tally, 0, false);
        other.set(&tally, 0, false);
        assert_eq!(tally.status().waiting, 0);
    }
}
