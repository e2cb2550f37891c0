//! What a run has done so far, for the live table and the summary.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use pitt_alert::{Reason, Rejected};

use super::latency::Latency;
use crate::publish::Health;

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

/// What an alert, or its batch, spends time on.
///
/// | stage | from | to | of |
/// |---|---|---|---|
/// | `arrival` | the message's own time | receipt | each packet of a stream |
/// | `wait` | receipt | a worker takes its batch | each packet |
/// | `decode` | | | a batch |
/// | `filter` | | | a batch |
/// | `append` | | written and claimed | a batch |
/// | `commit` | | durable | a commit |
/// | `publish` | receipt | acknowledged by the output | each message |
/// | `match` | receipt | all filters are done | each packet |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// On its way to us.
    Arrival,
    /// In our queues.
    Wait,
    /// Being decoded.
    Decode,
    /// Being filtered.
    Filter,
    /// Being written.
    Append,
    /// Being made durable.
    Commit,
    /// From receipt to the output's acknowledgement.
    Publish,
    /// From receipt to match.
    Match,
}

impl Stage {
    /// Every stage, in the order of the journey.
    pub const ALL: [Self; 8] = [
        Self::Arrival,
        Self::Wait,
        Self::Decode,
        Self::Filter,
        Self::Append,
        Self::Commit,
        Self::Publish,
        Self::Match,
    ];

    /// The name in metrics and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arrival => "arrival",
            Self::Wait => "wait",
            Self::Decode => "decode",
            Self::Filter => "filter",
            Self::Append => "append",
            Self::Commit => "commit",
            Self::Publish => "publish",
            Self::Match => "match",
        }
    }
}

/// Counts of one run. What the archive took is counted when the archive says so, and equals its ledger.
#[derive(Debug, Default)]
pub struct Counters {
    /// Packets handed out by the source.
    pub received: Counter,
    /// Their bytes.
    pub bytes: Counter,
    /// Processor time of the workers `[ns]`: decoding and filters.
    pub worker_ns: Counter,
    /// Alerts stored.
    pub stored: Counter,
    /// Alerts that were there already.
    pub duplicates: Counter,
    /// Records and packets that could not be read.
    pub quarantined: Counter,
    /// The same by reason, in the order of [`Reason::ALL`].
    reasons: [Counter; Reason::ALL.len()],
    /// Times, in the order of [`Stage::ALL`].
    stages: [Latency; Stage::ALL.len()],
    /// What is counted of each filter, by its name: through all its versions, also while it rests.
    filters: RwLock<BTreeMap<Arc<str>, Arc<FilterCounts>>>,
    /// How publishing goes.
    pub output: Health,
}

/// Counts of one filter.
#[derive(Debug, Default)]
pub struct FilterCounts {
    /// Matches.
    pub matches: Counter,
    /// Matches that the output has acknowledged.
    pub delivered: Counter,
}

impl Counters {
    /// All zero, with these filters known from the beginning.
    pub fn new<'a>(filters: impl IntoIterator<Item = &'a str>) -> Self {
        let counters = Self::default();
        for name in filters {
            counters.of_filter(name);
        }
        counters
    }

    /// The counts of a filter.
    pub fn of_filter(&self, name: &str) -> Arc<FilterCounts> {
        let known = self.filters.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = known.get(name) {
            return counts.clone();
        }
        drop(known);
        let mut known = self.filters.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(name.into()).or_default().clone()
    }

    /// The counts of every filter, by name.
    pub fn filters(&self) -> Vec<(Arc<str>, Arc<FilterCounts>)> {
        let known = self.filters.read().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .map(|(name, counts)| (name.clone(), counts.clone()))
            .collect()
    }

    /// Matches of all filters so far.
    pub fn matches(&self) -> u64 {
        self.filters()
            .iter()
            .map(|(_, counts)| counts.matches.get())
            .sum()
    }

    /// Adds matches of one filter.
    pub fn add_matches(&self, filter: &str, count: u64) {
        if count > 0 {
            self.of_filter(filter).matches.add(count);
        }
    }

    /// Adds what could not be read, by its reasons.
    pub fn add_rejected(&self, rejected: &[Rejected]) {
        for one in rejected {
            self.reasons[one.reason as usize].add(1);
        }
    }

    /// What could not be read, by reason; only reasons that occurred.
    pub fn rejected(&self) -> impl Iterator<Item = (Reason, u64)> {
        let counts = self.reasons.iter().map(Counter::get);
        Reason::ALL
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
    }

    /// Times of a stage.
    pub fn stage(&self, stage: Stage) -> &Latency {
        &self.stages[stage as usize]
    }

    /// Times from receipt to match.
    pub fn latency(&self) -> &Latency {
        self.stage(Stage::Match)
    }

    /// Adds the times of a batch's packets in a stage that begins with their receipt: when each was received, and when the
    /// stage was over.
    pub fn add_times(&self, stage: Stage, received_us: impl Iterator<Item = i64>, over_us: i64) {
        let stage = self.stage(stage);
        received_us.for_each(|received| stage.add(over_us - received, 1));
    }

    /// Adds the times of a batch: receipt of each packet, and when its filters were done.
    pub fn add_latencies(&self, received_us: impl Iterator<Item = i64>, matched_us: i64) {
        self.add_times(Stage::Match, received_us, matched_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_and_stages_are_counted_under_their_own_names() {
        for (at, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(at, reason as usize);
        }
        for (at, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(at, stage as usize);
        }
    }
}
