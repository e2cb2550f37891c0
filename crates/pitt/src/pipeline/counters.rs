//! What a run has done so far, for the live table and the summary.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::latency::Latency;

/// One number that threads add to.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts of one run. What the archive took is counted when the archive says so, and equals its ledger.
#[derive(Debug, Default)]
pub struct Counters {
    /// Packets handed out by the source.
    pub received: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Alerts stored.
    pub stored: Counter,
    /// Alerts that were there already.
    pub duplicates: Counter,
    /// Records and packets that could not be read.
    pub quarantined: Counter,
    /// Time from receipt to match, of every alert.
    latency: Mutex<Latency>,
    /// Matches of each filter, in the order of the filters.
    matches: Vec<Counter>,
}

impl Counters {
    /// All zero, for so many filters.
    pub fn new(filters: usize) -> Self {
        let matches = (0..filters).map(|_| Counter::default()).collect();
        Self {
            matches,
            ..Self::default()
        }
    }

    /// Matches of one filter so far.
    pub fn matches(&self, filter: usize) -> u64 {
        self.matches.get(filter).map_or(0, Counter::get)
    }

    /// Adds matches of one filter.
    pub fn add_matches(&self, filter: usize, count: u64) {
        if let Some(counter) = self.matches.get(filter) {
            counter.add(count);
        }
    }

    /// A copy of the times so far.
    pub fn latency(&self) -> Latency {
        self.latency
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Adds the times of a batch: receipt of each packet, and when its filters were done.
    pub fn add_latencies(&self, received_us: impl Iterator<Item = i64>, matched_us: i64) {
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        received_us.for_each(|received| latency.add(matched_us - received, 1));
    }
}
