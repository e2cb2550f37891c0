//! Buckets of requests: who asks too often waits.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::caller::Key;

/// Most callers remembered; full buckets are forgotten first.
const CALLERS: usize = 16_384;

/// How many requests, and how fast they come back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// Requests that come back each second; 0 for no limit.
    pub(super) per_s: f64,
    /// Most at once.
    pub(super) burst: f64,
}

impl Rate {
    /// Until one request has come back.
    fn wait(self, left: f64) -> Duration {
        Duration::from_secs_f64(((1.0 - left) / self.per_s).clamp(0.0, 1e6))
    }
}

/// What is left after a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Left {
    /// Most at once.
    pub(super) limit: u64,
    /// Requests left now.
    pub(super) remaining: u64,
    /// Until all are there again.
    pub(super) full_in: Duration,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn refill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * rate.per_s).min(rate.burst);
        self.at = now;
    }
}

/// One bucket a caller.
#[derive(Default)]
pub(super) struct Buckets(Mutex<HashMap<Key, Bucket>>);

impl Buckets {
    /// Takes a request out. `Ok(None)` when there is no limit; else how long until there is one, when it is empty.
    pub(super) fn take(
        &self,
        key: &Key,
        rate: Rate,
        now: Instant,
    ) -> Result<Option<Left>, Duration> {
        if rate.per_s <= 0.0 {
            return Ok(None);
        }
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CALLERS && !buckets.contains_key(key) {
            make_room(&mut buckets, now);
        }
        let bucket = buckets.entry(key.clone()).or_insert(Bucket {
            left: rate.burst,
            at: now,
        });
        bucket.refill(rate, now);
        if bucket.left < 1.0 {
            return Err(rate.wait(bucket.left));
        }
        bucket.left -= 1.0;
        Ok(Some(Left {
            limit: rate.burst as u64,
            remaining: bucket.left as u64,
            full_in: Duration::from_secs_f64((rate.burst - bucket.left) / rate.per_s),
        }))
    }
}

/// Forgets the half that has asked for nothing longest.
fn make_room(buckets: &mut HashMap<Key, Bucket>, now: Instant) {
    let mut ages: Vec<Duration> = buckets
        .values()
        .map(|bucket| now.saturating_duration_since(bucket.at))
        .collect();
    ages.sort_unstable();
    let middle = ages[ages.len() / 2];
    buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at) < middle);
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_s: 10.0,
        burst: 3.0,
    };

    fn token(name: impl ToString) -> Key {
        Key::Token(name.to_string())
    }

    #[test]
    fn an_empty_bucket_fills_again_at_its_rate() {
        let (buckets, begin) = (Buckets::default(), Instant::now());
        for left in [2, 1, 0] {
            let taken = buckets.take(&token("a"), RATE, begin).unwrap().unwrap();
            assert_eq!((taken.limit, taken.remaining), (3, left));
        }
        let wait = buckets.take(&token("a"), RATE, begin).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(buckets.take(&token("b"), RATE, begin).is_ok(), "another's");
        let later = begin + Duration::from_millis(150);
        assert!(buckets.take(&token("a"), RATE, later).is_ok());
        assert!(buckets.take(&token("a"), RATE, later).is_err());
        let much_later = begin + Duration::from_secs(3600);
        let full = buckets.take(&token("a"), RATE, much_later).unwrap();
        assert_eq!(full.unwrap().remaining, 2, "no more than the burst");
    }

    #[test]
    fn without_a_rate_there_is_no_limit() {
        let none = Rate { per_s: 0.0, ..RATE };
        let buckets = Buckets::default();
        assert!((0..100).all(|_| buckets.take(&token("a"), none, Instant::now()) == Ok(None)));
    }

    #[test]
    fn a_crowd_of_callers_takes_bounded_memory() {
        let (buckets, begin) = (Buckets::default(), Instant::now());
        for number in 0..3 * CALLERS {
            let now = begin + Duration::from_micros(number as u64);
            buckets.take(&token(number), RATE, now).unwrap();
        }
        assert!(buckets.0.lock().unwrap().len() <= CALLERS);
    }
}
