//! Places for what takes long: streams of events and costly questions, so many to a caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::caller::Key;
use super::rules::Kind;

/// Costly questions at once, of all callers together.
const COSTLY_IN_ALL: usize = 16;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Streams of one caller,
    pub(super) streams_each: usize,
    /// and of all.
    pub(super) streams: usize,
    /// Costly questions of one caller.
    pub(super) costly_each: usize,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The caller has as many as one may have.
    Yours(usize),
    /// All are taken.
    All(usize),
}

#[derive(Default)]
struct Taken {
    all: [usize; 2],
    each: HashMap<Key, [usize; 2]>,
}

/// The places.
pub(super) struct Places {
    room: Room,
    taken: Mutex<Taken>,
}

/// One place; free again when it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    key: Key,
    kind: usize,
}

impl Places {
    pub(super) fn new(room: Room) -> Self {
        Self {
            room,
            taken: Mutex::default(),
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for an answer of this kind; quick ones need none.
    pub(super) fn take(self: &Arc<Self>, kind: Kind, key: &Key) -> Result<Option<Place>, Full> {
        let (kind, each, all) = match kind {
            Kind::Quick => return Ok(None),
            Kind::Costly => (0, self.room.costly_each, COSTLY_IN_ALL),
            Kind::Stream => (1, self.room.streams_each, self.room.streams),
        };
        let mut taken = self.taken();
        if taken.all[kind] >= all {
            return Err(Full::All(all));
        }
        let own = taken.each.entry(key.clone()).or_default();
        if own[kind] >= each {
            return Err(Full::Yours(each));
        }
        own[kind] += 1;
        taken.all[kind] += 1;
        drop(taken);
        Ok(Some(Place {
            places: self.clone(),
            key: key.clone(),
            kind,
        }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all[self.kind] -= 1;
        if let Some(own) = taken.each.get_mut(&self.key) {
            own[self.kind] -= 1;
            if *own == [0, 0] {
                taken.each.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::Token(name.into())
    }

    #[test]
    fn a_caller_has_so_many_places_and_all_together_so_many() {
        let places = Arc::new(Places::new(Room {
            streams_each: 2,
            streams: 3,
            costly_each: 1,
        }));
        let take = |kind, name| places.take(kind, &key(name));
        let first = take(Kind::Stream, "a").unwrap();
        let _second = take(Kind::Stream, "a").unwrap();
        assert_eq!(take(Kind::Stream, "a").err(), Some(Full::Yours(2)));
        let _costly = take(Kind::Costly, "a").unwrap();
        assert_eq!(take(Kind::Costly, "a").err(), Some(Full::Yours(1)));
        let third = take(Kind::Stream, "b").unwrap();
        assert_eq!(take(Kind::Stream, "b").err(), Some(Full::All(3)));
        drop((first, third));
        assert!(take(Kind::Stream, "b").unwrap().is_some());
        assert!(take(Kind::Quick, "a").unwrap().is_none());
        assert!(!places.taken().each.contains_key(&key("b")), "forgotten");
    }
}
