//! Everybody who is connected, and who goes when there is no room: whoever has made us wait longest.
//!
//! A client makes us wait when it has asked for nothing, while its request is on its way, and when it does not take the bytes of
//! its answer. When all places are taken, one of those goes: of the address that has the most connections, the one that has
//! made us wait longest. One address can open as many connections as it likes; it only sends its own away.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use std::time::Instant;
use tokio::sync::Notify;

/// Everybody who is connected.
pub(super) struct Crowd {
    begin: Instant,
    guests: Mutex<Guests>,
}

#[derive(Default)]
struct Guests {
    next: u64,
    here: HashMap<u64, Arc<Guest>>,
}

/// Times are milliseconds since the crowd began, and one; 0 for not at all.
struct Guest {
    address: IpAddr,
    /// Since when it has asked for nothing whole.
    silent: AtomicU64,
    /// Since when it has taken no byte.
    blocked: AtomicU64,
    go: Notify,
}

impl Guest {
    /// Since when it makes us wait.
    fn waits(&self) -> Option<u64> {
        let times = [&self.silent, &self.blocked];
        let times = times.map(|time| time.load(Ordering::Relaxed));
        times.into_iter().filter(|time| *time > 0).min()
    }
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            guests: Mutex::default(),
        }
    }
}

impl Crowd {
    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).map_or(u64::MAX, |now| now + 1)
    }

    /// A place for one more; sends somebody away if it is full. `None` when everybody is being served.
    pub(super) fn enter(self: &Arc<Self>, most: usize, address: IpAddr) -> Option<Place> {
        let mut guests = self.guests();
        if guests.here.len() >= most {
            let leaves = guests.who_leaves()?;
            if let Some(guest) = guests.here.remove(&leaves) {
                guest.go.notify_one();
            }
        }
        let number = guests.next;
        guests.next += 1;
        let guest = Arc::new(Guest {
            address,
            silent: AtomicU64::new(self.now()),
            blocked: AtomicU64::new(0),
            go: Notify::new(),
        });
        guests.here.insert(number, guest.clone());
        drop(guests);
        Some(Place {
            number,
            seat: Seat {
                crowd: self.clone(),
                guest,
            },
        })
    }
}

impl Guests {
    fn who_leaves(&self) -> Option<u64> {
        let mut of_address: HashMap<IpAddr, usize> = HashMap::new();
        for guest in self.here.values() {
            *of_address.entry(guest.address).or_default() += 1;
        }
        let waiting = self.here.iter();
        let waiting = waiting.filter_map(|(number, guest)| {
            let since = guest.waits()?;
            let connections = of_address.get(&guest.address)?;
            Some((std::cmp::Reverse(*connections), since, *number))
        });
        waiting.min().map(|(.., number)| number)
    }
}

/// One client's place; free again when it is dropped.
pub(super) struct Place {
    number: u64,
    seat: Seat,
}

impl Place {
    /// For those who serve it.
    pub(super) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Waits until it has to go.
    pub(super) async fn gone(&self) {
        self.seat.guest.go.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seat.crowd.guests().here.remove(&self.number);
    }
}

/// Where it is noted whether a client makes us wait.
#[derive(Clone)]
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    guest: Arc<Guest>,
}

impl Seat {
    /// The client is being served while this lives.
    pub(super) fn serve(&self) -> Serving {
        self.guest.silent.store(0, Ordering::Relaxed);
        Serving(self.clone())
    }

    /// The client is waited for while this lives, in the midst of being served.
    pub(super) fn wait(&self) -> Waiting {
        self.guest.silent.store(self.crowd.now(), Ordering::Relaxed);
        Waiting(self.clone())
    }

    /// Whether the client takes the bytes that it is sent.
    pub(super) fn takes(&self, takes: bool) {
        let since = if takes { 0 } else { self.crowd.now() };
        self.guest.blocked.store(since, Ordering::Relaxed);
    }
}

/// See [`Seat::serve`].
pub(super) struct Serving(Seat);

impl Drop for Serving {
    fn drop(&mut self) {
        let now = self.0.crowd.now();
        self.0.guest.silent.store(now, Ordering::Relaxed);
    }
}

/// See [`Seat::wait`].
pub(super) struct Waiting(Seat);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.guest.silent.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn is_here(crowd: &Crowd, place: &Place) -> bool {
        crowd.guests().here.contains_key(&place.number)
    }

    /// Long enough for the crowd's clock to move on.
    fn pass() {
        std::thread::sleep(Duration::from_millis(3));
    }

    #[test]
    fn the_one_that_has_made_us_wait_longest_makes_room() {
        let crowd = Arc::new(Crowd::default());
        let first = crowd.enter(2, HERE).unwrap();
        let serving = first.seat().serve();
        let second = crowd.enter(2, HERE).unwrap();
        pass();
        let third = crowd.enter(2, HERE).unwrap();
        assert!(is_here(&crowd, &first) && !is_here(&crowd, &second));
        let _third = third.seat().serve();
        assert!(crowd.enter(2, HERE).is_none(), "both are being served");
        drop(serving);
        assert!(crowd.enter(2, HERE).is_some());
    }

    #[test]
    fn who_sends_no_body_or_takes_no_bytes_makes_us_wait() {
        let crowd = Arc::new(Crowd::default());
        let (slow, stalled) = (crowd.enter(2, HERE).unwrap(), crowd.enter(2, HERE).unwrap());
        let _serving = (slow.seat().serve(), stalled.seat().serve());
        let waiting = slow.seat().wait();
        pass();
        stalled.seat().takes(false);
        drop(waiting);
        let _next = crowd.enter(2, HERE).unwrap();
        assert!(is_here(&crowd, &slow) && !is_here(&crowd, &stalled));
        let _waiting = slow.seat().wait();
        let _last = crowd.enter(2, HERE).unwrap();
    }

    #[test]
    fn one_address_sends_only_its_own_away() {
        let crowd = Arc::new(Crowd::default());
        let other = IpAddr::from([10, 0, 0, 1]);
        let quiet = crowd.enter(4, other).unwrap();
        let mut many = vec![];
        for _ in 0..20 {
            pass();
            many.push(crowd.enter(4, HERE).unwrap());
        }
        assert!(is_here(&crowd, &quiet));
        assert_eq!(
            many.iter().filter(|place| is_here(&crowd, place)).count(),
            3
        );
    }
}
