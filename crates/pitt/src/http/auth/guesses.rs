//! Who tries tokens that are none waits longer and longer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Wrong tokens that cost nothing: a typing mistake, an old script.
const FREE: u32 = 5;
/// The first wait, which doubles with each further one,
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Forgotten after so long without another.
const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Most addresses remembered.
const ADDRESSES: usize = 4096;

struct Tries {
    count: u32,
    last: Instant,
}

impl Tries {
    /// How long after the last try the next is listened to.
    fn wait(&self) -> Duration {
        match self.count.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(more) => FIRST_WAIT
                .saturating_mul(1 << more.min(10))
                .min(LONGEST_WAIT),
        }
    }
}

/// Tries by address.
#[derive(Default)]
pub(super) struct Guesses(Mutex<HashMap<IpAddr, Tries>>);

impl Guesses {
    /// Counts a try before it is looked at, so that many at once count as many; or says how long to wait.
    pub(super) fn begin(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tries.len() >= ADDRESSES && !tries.contains_key(&address) {
            make_room(&mut tries, now);
        }
        let of_address = tries.entry(address).or_insert(Tries {
            count: 0,
            last: now,
        });
        let passed = now.saturating_duration_since(of_address.last);
        if passed >= MEMORY {
            of_address.count = 0;
        }
        let wait = of_address.wait().saturating_sub(passed);
        if !wait.is_zero() {
            return Err(wait);
        }
        of_address.count = of_address.count.saturating_add(1);
        of_address.last = now;
        Ok(())
    }

    /// The try was a token: it does not count.
    pub(super) fn right(&self, address: IpAddr) {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_address) = tries.get_mut(&address) {
            of_address.count = of_address.count.saturating_sub(1);
        }
    }
}

/// Forgets what is old, or else the one that tried longest ago.
fn make_room(tries: &mut HashMap<IpAddr, Tries>, now: Instant) {
    tries.retain(|_, tries| now.saturating_duration_since(tries.last) < MEMORY);
    if tries.len() >= ADDRESSES {
        let oldest = tries.iter().min_by_key(|(_, tries)| tries.last);
        let oldest = oldest.map(|(address, _)| *address);
        oldest.map(|address| tries.remove(&address));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn each_wrong_token_makes_the_next_wait_longer() {
        let (guesses, mut now) = (Guesses::default(), Instant::now());
        for _ in 0..FREE {
            assert_eq!(guesses.begin(HERE, now), Ok(()));
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(guesses.begin(HERE, now), Err(wait));
            let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
            assert_eq!(guesses.begin(other, now), Ok(()), "another address");
            guesses.right(other);
            now += wait;
            assert_eq!(guesses.begin(HERE, now), Ok(()));
        }
        now += MEMORY;
        assert!((0..FREE).all(|_| guesses.begin(HERE, now).is_ok()));
    }

    #[test]
    fn right_ones_do_not_count() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(guesses.begin(HERE, now), Ok(()));
            guesses.right(HERE);
        }
    }

    #[test]
    fn a_crowd_of_addresses_takes_bounded_memory() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for number in 0..3 * ADDRESSES as u32 {
            let address = IpAddr::V4(Ipv4Addr::from_bits(number));
            assert_eq!(guesses.begin(address, now), Ok(()));
        }
        assert!(guesses.0.lock().unwrap().len() <= ADDRESSES);
    }
}
