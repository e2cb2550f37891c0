//! Transactions: messages to several partitions, and a group's offsets, that count all or not at all.
//!
//! A transactional id belongs to one producer at a time, known by a producer id and an epoch: who asks for them later
//! shuts the earlier one out. What a producer has under way is kept in `transactions.log`, a file of [`Lines`], **before**
//! anything is written for it:
//!
//! | step | on the disk first |
//! |---|---|
//! | partitions are added | the id is `Ongoing`, with them |
//! | offsets of a group are added | the offsets, which do not count yet |
//! | the end | `Committing` or `Aborting`: from here on there is no other end |
//! | marks in the partitions, offsets to the group | each once, also when a start has to go on from here |
//! | done | `Committed` or `Aborted` |
//!
//! So a killed process leaves nothing that the next start does not either go on with (`Ongoing`: its producer may still
//! commit) or complete. A transaction in a partition that the file does not know is aborted at the start.

mod coordinator;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

pub(crate) use coordinator::Producer;

use crate::lines::Lines;
use crate::offsets::{Committed, now_s};

/// An id of which nothing was heard for so long is forgotten, as in Kafka.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(7 * 24);

/// What is going on under a transactional id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Nothing, since its producer began.
    #[default]
    Empty,
    Ongoing,
    Committing,
    Aborting,
    Committed,
    Aborted,
}

/// Everything known of a transactional id, as the file keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    /// The epoch that the producer itself gave up for the present one; it may ask again.
    pub(crate) given_up: Option<i16>,
    pub(crate) timeout_ms: u32,
    pub(crate) state: State,
    /// Topics and numbers.
    pub(crate) partitions: BTreeSet<(String, i32)>,
    /// Group, topic, partition and the offset that counts after a commit.
    pub(crate) offsets: Vec<(String, String, i32, Committed)>,
    /// When it was last changed `[s, UTC since 1970]`.
    pub(crate) changed_s: u64,
}

impl Transaction {
    /// Checks who speaks.
    pub(crate) fn check(&self, producer_id: i64, epoch: i16) -> Result<(), ResponseError> {
        if producer_id != self.producer_id || producer_id < 0 {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if epoch != self.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        Ok(())
    }

    fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Empty | State::Committed | State::Aborted)
    }
}

/// A line of the file. Without a transaction the id is forgotten.
#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    transaction: Option<Transaction>,
}

/// A transactional id in memory.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) transaction: Transaction,
    /// When its transaction began, or when this process did.
    begun: Instant,
}

/// All transactional ids.
#[derive(Debug)]
pub(crate) struct Transactions {
    ids: Mutex<HashMap<String, Arc<Mutex<Known>>>>,
    file: Mutex<Kept>,
    most: usize,
    sync_each: bool,
}

/// The file, what it says, and which offsets are waiting for a commit.
#[derive(Debug)]
struct Kept {
    lines: Lines,
    by_id: HashMap<String, Transaction>,
    /// Group, topic, partition and id.
    waiting: BTreeSet<(String, String, i32, String)>,
}

impl Transactions {
    /// Opens the file; at most `most` ids are kept.
    pub(crate) fn open(path: PathBuf, most: usize, sync_each: bool) -> io::Result<Self> {
        let (lines, entries) = Lines::open::<Line>(path)?;
        let mut kept = Kept {
            lines,
            by_id: HashMap::new(),
            waiting: BTreeSet::new(),
        };
        entries.into_iter().for_each(|line| kept.apply(line));
        let known = |(id, transaction): (&String, &Transaction)| {
            let known = Known {
                id: id.clone(),
                transaction: transaction.clone(),
                begun: Instant::now(),
            };
            (id.clone(), Arc::new(Mutex::new(known)))
        };
        Ok(Self {
            ids: Mutex::new(kept.by_id.iter().map(known).collect()),
            file: Mutex::new(kept),
            most,
            sync_each,
        })
    }

    /// The id, if it is known.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Mutex<Known>>> {
        lock(&self.ids).get(id).cloned()
    }

    fn all(&self) -> Vec<Arc<Mutex<Known>>> {
        lock(&self.ids).values().cloned().collect()
    }

    /// The id, new if need be.
    fn get_or_begin(&self, id: &str) -> Result<Arc<Mutex<Known>>, ResponseError> {
        let mut ids = lock(&self.ids);
        if let Some(known) = ids.get(id) {
            return Ok(Arc::clone(known));
        }
        if ids.len() >= self.most {
            return Err(ResponseError::PolicyViolation);
        }
        let known = Known {
            id: id.to_owned(),
            transaction: Transaction {
                producer_id: -1,
                ..Transaction::default()
            },
            begun: Instant::now(),
        };
        let known = Arc::new(Mutex::new(known));
        ids.insert(id.to_owned(), Arc::clone(&known));
        Ok(known)
    }

    /// Keeps what was changed. On an error nothing was kept.
    fn keep(&self, known: &mut Known, change: Transaction) -> io::Result<()> {
        let change = Transaction {
            changed_s: now_s(),
            ..change
        };
        let mut file = lock(&self.file);
        file.write(Line {
            id: known.id.clone(),
            transaction: Some(change.clone()),
        })?;
        if self.sync_each {
            file.lines.sync()?;
        }
        known.transaction = change;
        Ok(())
    }

    /// Forgets an id that was at rest for long.
    fn forget(&self, id: &str) -> io::Result<()> {
        lock(&self.ids).remove(id);
        lock(&self.file).write(Line {
            id: id.to_owned(),
            transaction: None,
        })
    }

    /// Whether an open transaction may change what `group` has committed there.
    pub(crate) fn is_waiting(&self, group: &str, topic: &str, partition: i32) -> bool {
        let from = (group.to_owned(), topic.to_owned(), partition, String::new());
        let file = lock(&self.file);
        let next = file.waiting.range(from..).next();
        next.is_some_and(|(g, t, p, _)| (g.as_str(), t.as_str(), *p) == (group, topic, partition))
    }

    /// Forces the file to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        lock(&self.file).lines.sync()
    }
}

impl Kept {
    fn write(&mut self, line: Line) -> io::Result<()> {
        self.lines.append(std::slice::from_ref(&line))?;
        self.apply(line);
        if self.lines.is_long(self.by_id.len()) {
            let all: Vec<_> = self
                .by_id
                .iter()
                .map(|(id, transaction)| Line {
                    id: id.clone(),
                    transaction: Some(transaction.clone()),
                })
                .collect();
            self.lines.rewrite(&all)?;
        }
        Ok(())
    }

    fn apply(&mut self, Line { id, transaction }: Line) {
        if let Some(old) = self.by_id.remove(&id) {
            for (group, topic, partition, _) in old.offsets {
                self.waiting.remove(&(group, topic, partition, id.clone()));
            }
        }
        let Some(transaction) = transaction else {
            return;
        };
        for (group, topic, partition, _) in &transaction.offsets {
            let place = (group.clone(), topic.clone(), *partition, id.clone());
            self.waiting.insert(place);
        }
        self.by_id.insert(id, transaction);
    }
}

/// Topic, partition and what is committed there.
type Commit = ((String, i32), Committed);

/// Offsets sorted out by the group that is to have them.
fn by_group(offsets: &[(String, String, i32, Committed)]) -> BTreeMap<String, Vec<Commit>> {
    let mut groups: BTreeMap<String, Vec<Commit>> = BTreeMap::new();
    for (group, topic, partition, committed) in offsets {
        let place = (topic.clone(), *partition);
        groups
            .entry(group.clone())
            .or_default()
            .push((place, committed.clone()));
    }
    groups
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
