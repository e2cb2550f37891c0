//! How an input is: what is wrong since when, how far behind each partition is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::time::now_us;

/// How an input is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceHealth {
    /// Its name in the settings.
    pub name: String,
    /// The cluster's addresses.
    pub servers: String,
    /// Its consumer group.
    pub group: String,
    /// What it is doing.
    pub state: SourceState,
    /// Since when, microseconds UTC since 1970.
    pub since_us: i64,
    /// What is wrong now, worst first. Empty when all is well.
    pub troubles: Vec<Trouble>,
    /// The last thing that was wrong, also when it is over.
    pub last_error: Option<Trouble>,
    /// Partitions that this program reads now, by topic and number.
    pub partitions: Vec<PartitionHealth>,
    /// Messages handed on, and their bytes.
    pub messages: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Bytes that wait to be taken.
    pub waiting_bytes: u64,
    /// Messages that the cluster dropped before they could be read: they expired.
    pub expired: u64,
    /// How often partitions were given or taken.
    pub rebalances: u64,
    /// How often the partitions were paused because nobody took what had come.
    pub pauses: u64,
}

/// What an input is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SourceState {
    /// Looking for the cluster and its topics, joining the group.
    #[default]
    Joining,
    /// Reading, or waiting for the next message.
    Reading,
    /// Paused until what has come is taken: back-pressure.
    Paused,
    /// Something is wrong, and tried again.
    Waiting,
    /// Ended.
    Closed,
}

impl SourceState {
    /// One word, for tables and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Reading => "reading",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Closed => "closed",
        }
    }
}

/// What can be wrong, worst first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TroubleKind {
    /// The cluster is not reached, TLS fails, or we are not let in.
    Connection,
    /// The group does not let us in, or the session broke and is begun anew.
    Group,
    /// A schema is needed that its registry cannot be asked for.
    Schema,
    /// A topic of this name is not there, or may not be read.
    Topic(String),
    /// A partition ends before the place where the archive stands, or has another message before it.
    Position(String),
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of thing.
    pub kind: TroubleKind,
    /// What, where, what to do.
    pub text: String,
    /// Since when, microseconds UTC since 1970.
    pub since_us: i64,
}

/// How one partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionHealth {
    /// Topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: i32,
    /// Offset of the next message to hand on; `None` before the first when reading begins at the oldest.
    pub next: Option<i64>,
    /// Offset that the next message written will have; `None` until the cluster has said.
    pub end: Option<i64>,
}

impl PartitionHealth {
    /// Messages that are there and not yet handed on; `None` while unknown.
    pub fn lag(&self) -> Option<i64> {
        Some((self.end? - self.next?).max(0))
    }
}

/// Where an input's health is kept up to date.
#[derive(Debug)]
pub(super) struct Board {
    name: String,
    servers: String,
    group: String,
    state: Mutex<State>,
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) rebalances: AtomicU64,
    pub(super) pauses: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    doing: SourceState,
    since_us: i64,
    troubles: BTreeMap<TroubleKind, Trouble>,
    last: Option<Trouble>,
}

impl Board {
    pub(super) fn new(name: &str, servers: &str, group: &str) -> Self {
        Self {
            name: name.to_owned(),
            servers: servers.to_owned(),
            group: group.to_owned(),
            state: Mutex::new(State {
                since_us: now_us(),
                ..State::default()
            }),
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            rebalances: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the input is doing, apart from what is wrong.
    pub(super) fn doing(&self, doing: SourceState) {
        let mut state = self.state();
        if state.doing != doing {
            state.doing = doing;
            state.since_us = now_us();
        }
    }

    /// Notes something wrong; says it once, however often it is noted, until it is over.
    pub(super) fn trouble(&self, kind: TroubleKind, text: String) {
        let mut state = self.state();
        if let Some(known) = state.troubles.get_mut(&kind) {
            known.text = text;
            return;
        }
        tracing::warn!("kafka input `{}`: {text}", self.name);
        let since_us = now_us();
        let trouble = Trouble {
            kind: kind.clone(),
            text,
            since_us,
        };
        state.last = Some(trouble.clone());
        state.troubles.insert(kind, trouble);
    }

    /// Notes that something is over, and says so if it was said.
    pub(super) fn over(&self, kind: &TroubleKind) {
        if let Some(trouble) = self.state().troubles.remove(kind) {
            let seconds = (now_us() - trouble.since_us) as f64 / 1e6;
            tracing::warn!("kafka input `{}`: back after {seconds:.1} s", self.name);
        }
    }

    /// How it is now.
    pub(super) fn health(
        &self,
        partitions: Vec<PartitionHealth>,
        waiting_bytes: u64,
    ) -> SourceHealth {
        let state = self.state();
        let first = state.troubles.values().next();
        let waiting = state.doing != SourceState::Closed && first.is_some();
        SourceHealth {
            name: self.name.clone(),
            servers: self.servers.clone(),
            group: self.group.clone(),
            state: if waiting {
                SourceState::Waiting
            } else {
                state.doing
            },
            since_us: first.map_or(state.since_us, |trouble| trouble.since_us),
            troubles: state.troubles.values().cloned().collect(),
            last_error: state.last.clone(),
            partitions,
            messages: self.messages.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            waiting_bytes,
            expired: self.expired.load(Ordering::Relaxed),
            rebalances: self.rebalances.load(Ordering::Relaxed),
            pauses: self.pauses.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_shows_until_it_is_over_and_is_remembered() {
        let board = Board::new("ztf", "a:1", "pitt");
        board.doing(SourceState::Reading);
        board.trouble(TroubleKind::Schema, "registry".into());
        board.trouble(TroubleKind::Connection, "down".into());
        board.trouble(TroubleKind::Connection, "still down".into());
        let health = board.health(vec![], 0);
        assert_eq!(health.state, SourceState::Waiting);
        assert_eq!(health.troubles.len(), 2);
        assert_eq!(health.troubles[0].text, "still down");
        board.over(&TroubleKind::Connection);
        board.over(&TroubleKind::Schema);
        let health = board.health(vec![], 0);
        assert_eq!(health.state, SourceState::Reading);
        assert_eq!(health.last_error.unwrap().text, "down");
    }
}
