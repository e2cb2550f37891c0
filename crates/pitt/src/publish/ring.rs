//! The newest matches, in memory.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pitt_alert::Packet;
use pitt_archive::Match;

/// A match that is to be published, with its alert.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    /// Its number in its lane.
    pub(crate) seq: u64,
    /// The packet that brought the alert.
    pub(crate) packet: Packet,
    /// Number of the alert's record in it.
    pub(crate) record: u32,
    /// Filter and alert.
    pub(crate) taken: Match,
    /// When it matched, microseconds UTC since 1970.
    pub(crate) matched_us: i64,
}

/// What the ring has after a number.
#[derive(Debug)]
pub(crate) enum Newest {
    /// The matches that follow.
    Next(Vec<Due>),
    /// Later ones only: those between are in the archive, or will be.
    Later,
    /// Nothing.
    Nothing,
}

/// The newest matches of a lane, as many as fit.
pub(crate) struct Ring {
    most_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    due: VecDeque<Due>,
    bytes: usize,
    /// Number of the last match ever added.
    newest: Option<u64>,
}

/// What a match takes besides its packet, roughly `[bytes]`.
const OVERHEAD: usize = 256;

impl State {
    /// A packet is counted with the first of its matches, and let go with the last.
    fn cost(&self, at: usize) -> usize {
        let same = |a: &Due, b: &Due| a.packet.bytes.as_ptr() == b.packet.bytes.as_ptr();
        let due = &self.due[at];
        let shared = self.due.get(at + 1).is_some_and(|next| same(due, next));
        OVERHEAD + if shared { 0 } else { due.packet.bytes.len() }
    }

    fn drop_first(&mut self) {
        let cost = self.cost(0);
        self.due.pop_front();
        self.bytes = self.bytes.saturating_sub(cost);
    }
}

impl Ring {
    pub(crate) fn new(most_bytes: usize) -> Ring {
        Ring {
            most_bytes,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds matches in order. What no longer fits goes, oldest first.
    pub(crate) fn push(&self, due: impl Iterator<Item = Due>) {
        let mut state = self.lock();
        state.due.extend(due);
        state.newest = state.due.back().map(|due| due.seq).or(state.newest);
        state.bytes = (0..state.due.len()).map(|at| state.cost(at)).sum();
        while state.bytes > self.most_bytes && !state.due.is_empty() {
            state.drop_first();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// What follows on a number: at most so many matches, and bytes of packets unless it is a single one.
    pub(crate) fn after(&self, seq: u64, messages: usize, bytes: usize) -> Newest {
        let mut state = self.lock();
        while state.due.front().is_some_and(|due| due.seq <= seq) {
            state.drop_first();
        }
        match state.due.front() {
            None => return Newest::Nothing,
            Some(first) if first.seq != seq + 1 => return Newest::Later,
            Some(_) => {}
        }
        let mut room = bytes;
        let mut next: Vec<Due> = vec![];
        for due in state.due.iter().take(messages) {
            let follows = next.last().is_none_or(|last| last.seq + 1 == due.seq);
            let size = due.packet.bytes.len();
            if !follows || (size > room && !next.is_empty()) {
                break;
            }
            room = room.saturating_sub(size);
            next.push(due.clone());
        }
        Newest::Next(next)
    }

    /// Number of the last match that was added, if any was.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.lock().newest
    }

    /// Waits until something is added, or somebody wakes it; at most so long.
    pub(crate) fn wait(&self, most: Duration) {
        let state = self.lock();
        let _ = self.changed.wait_timeout(state, most);
    }

    /// Wakes whoever waits.
    pub(crate) fn wake(&self) {
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(seq: u64, size: usize) -> Due {
        Due {
            seq,
            packet: Packet::unplaced("made up", vec![0; size]),
            record: 0,
            taken: Match {
                survey: "ztf".into(),
                alert_id: 1,
                filter: "bright".into(),
                version: "1".into(),
            },
            matched_us: 0,
        }
    }

    fn seqs(newest: Newest) -> Vec<u64> {
        match newest {
            Newest::Next(due) => due.iter().map(|due| due.seq).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn gives_what_follows_within_the_limits() {
        let ring = Ring::new(1 << 20);
        ring.push((3..=8).map(|seq| due(seq, 100)));
        assert!(matches!(ring.after(1, 10, 1000), Newest::Later));
        assert_eq!(seqs(ring.after(2, 10, 1000)), [3, 4, 5, 6, 7, 8]);
        assert_eq!(seqs(ring.after(2, 2, 1000)), [3, 4]);
        assert_eq!(seqs(ring.after(2, 10, 250)), [3, 4]);
        assert_eq!(seqs(ring.after(4, 10, 10)), [5], "a single one always goes");
        ring.push([due(11, 100)].into_iter());
        assert_eq!(seqs(ring.after(7, 10, 1000)), [8], "not over a gap");
        assert!(matches!(ring.after(11, 10, 1000), Newest::Nothing));
    }

    #[test]
    fn the_oldest_go_when_it_is_full() {
        let ring = Ring::new(3 * (OVERHEAD + 1000));
        ring.push((1..=5).map(|seq| due(seq, 1000)));
        assert!(matches!(ring.after(0, 10, 10_000), Newest::Later));
        assert_eq!(seqs(ring.after(2, 10, 10_000)), [3, 4, 5]);
    }

    #[test]
    fn a_packet_of_many_matches_counts_once() {
        let ring = Ring::new(2 * 1000 + 10 * OVERHEAD);
        let one = due(1, 1000);
        ring.push((1..=8).map(|seq| Due { seq, ..one.clone() }));
        assert_eq!(seqs(ring.after(0, 10, 100_000)).len(), 8);
    }
}
