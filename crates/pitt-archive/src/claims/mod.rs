//! Claims: what several writers have decided and not committed yet.
//!
//! Before a writer with claims writes anything of a batch it says in the claim log which positions it takes, which alerts
//! it is the first to bring and from where, and which numbers their matches have. From then on that is decided for all:
//!
//! - an alert is stored from the place that claimed it; anywhere else, in whichever process, it is a duplicate;
//! - a match keeps lane and number, filter and version, whoever commits it;
//! - a partition belongs to the writer that claimed of it last. One that had it before is fenced at its next append or
//!   commit, which is how a process that was stopped and goes on learns that it has lost its place.
//!
//! After a crash the source is read again from the committed position; places that are claimed come out as they were
//! claimed, and only what was never claimed is decided anew. Claims are dropped once they are committed.

mod log;
mod record;
mod release;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::error::ArchiveError;
use crate::feed::LoggedMatch;
use log::{ClaimLog, News};
pub(crate) use record::{ClaimedAlert, ClaimedMatch, ClaimedSpan, Place, Record};
pub use release::{ClaimBook, ClaimedPartition, ReleasedClaims};
pub(crate) use release::{complete, is_unfinished};

/// Bytes of the log below which nothing is dropped from it.
const SHORTEN_BYTES: u64 = 64 << 10;

/// The claims as one writer knows them.
pub(crate) struct Claims {
    log: ClaimLog,
    /// This writer's identity.
    writer: u128,
    /// Who has each partition of which there are claims that this writer does not know to be committed.
    owners: HashMap<Arc<str>, Owner>,
    alerts: HashMap<(Arc<str>, i64), FirstPlace>,
    /// Matches that another writer numbered, by the place of their alert.
    matches: HashMap<Place, Vec<NumberedClaim>>,
    last_seq: HashMap<u32, u64>,
    shorten_at: u64,
}

/// The writer that claimed of a partition last.
struct Owner {
    writer: u128,
    /// Where that claim ends.
    end: i64,
    /// Where the furthest claim of all ends, also of those that had the partition before.
    furthest: i64,
}

/// Where an alert is stored from, and what its packet was.
pub(crate) struct FirstPlace {
    pub(crate) place: Place,
    pub(crate) size: u64,
    pub(crate) hash: u128,
}

/// A match that has its number already.
#[derive(Debug, Clone)]
pub(crate) struct NumberedClaim {
    pub(crate) lane: u32,
    pub(crate) seq: u64,
    pub(crate) matched_us: i64,
    pub(crate) filter: Arc<str>,
    pub(crate) version: Arc<str>,
}

/// The lock under which claims are made.
pub(crate) struct ClaimTurn(log::Turn);

impl Claims {
    /// The claims of an archive, for a new writer of a process's session; nothing is read yet.
    pub(crate) fn new(root: &Path, session: Option<u64>) -> Self {
        let (drawn, own) = uuid::Uuid::new_v4().as_u64_pair();
        Self {
            log: ClaimLog::new(root),
            writer: u128::from(session.unwrap_or(drawn)) << 64 | u128::from(own),
            owners: HashMap::new(),
            alerts: HashMap::new(),
            matches: HashMap::new(),
            last_seq: HashMap::new(),
            shorten_at: SHORTEN_BYTES,
        }
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> Result<ClaimTurn, ArchiveError> {
        self.log.lock().map(ClaimTurn)
    }

    /// Reads what others claimed. False when the log has been shortened since the last time: then the caller reads what
    /// was committed and asks again; until then nothing may be decided.
    pub(crate) fn read(&mut self, turn: &ClaimTurn) -> Result<bool, ArchiveError> {
        match self.log.read(&turn.0)? {
            News::Records(records) => {
                for record in records {
                    self.take_in(record);
                }
                Ok(true)
            }
            News::Another => {
                self.log.begin_again();
                self.owners.clear();
                self.alerts.clear();
                self.matches.clear();
                Ok(false)
            }
        }
    }

    fn take_in(&mut self, record: Record) {
        let last = record.first_seq + record.matches.len() as u64;
        if !record.matches.is_empty() {
            let known = self.last_seq.entry(record.lane).or_default();
            *known = (last - 1).max(*known);
        }
        for span in &record.spans {
            let (writer, end) = (record.writer, span.next);
            let known = self.owners.get(&span.partition);
            let furthest = known.map_or(end, |owner| owner.furthest.max(end));
            let owner = Owner {
                writer,
                end,
                furthest,
            };
            self.owners.insert(span.partition.clone(), owner);
        }
        if record.writer != self.writer {
            self.take_matches(&record);
        }
        for alert in record.alerts {
            self.take_alert(alert);
        }
    }

    fn take_alert(&mut self, alert: ClaimedAlert) {
        let place = alert.place.clone();
        let first = FirstPlace {
            place: alert.place,
            size: alert.size,
            hash: alert.hash,
        };
        let before = self.alerts.insert((alert.survey, alert.alert_id), first);
        // One that was let go and comes again keeps the numbers that are published.
        if let Some(before) = before.filter(|before| before.place.is_released())
            && let Some(numbered) = self.matches.remove(&before.place)
        {
            self.matches.entry(place).or_default().extend(numbered);
        }
    }

    fn take_matches(&mut self, record: &Record) {
        for (seq, found) in (record.first_seq..).zip(&record.matches) {
            let Some(alert) = record.alerts.get(found.alert as usize) else {
                continue;
            };
            let matches = self.matches.entry(alert.place.clone()).or_default();
            matches.push(NumberedClaim {
                lane: record.lane,
                seq,
                matched_us: record.matched_us,
                filter: found.filter.clone(),
                version: found.version.clone(),
            });
        }
    }

    /// Makes a claim durable; [`Claims::read`] must have been true under the same lock.
    pub(crate) fn claim(
        &mut self,
        turn: &ClaimTurn,
        mut record: Record,
    ) -> Result<(), ArchiveError> {
        record.writer = self.writer;
        self.log.append(&turn.0, &record)?;
        self.take_in(record);
        Ok(())
    }

    /// Whether another writer has claimed of a partition last, beyond the committed offset.
    pub(crate) fn is_others(&self, partition: &str, committed: i64) -> bool {
        let owner = self.owners.get(partition);
        owner.is_some_and(|owner| owner.writer != self.writer && owner.end > committed)
    }

    /// Where a claimed alert is stored from.
    pub(crate) fn first_place(&self, key: &(Arc<str>, i64)) -> Option<&FirstPlace> {
        self.alerts.get(key)
    }

    /// The matches that were numbered for an alert before: by another writer at this place, or wherever its claim was
    /// let go after they had been published.
    pub(crate) fn matches_of(&self, key: &(Arc<str>, i64), place: &Place) -> &[NumberedClaim] {
        let first = self.alerts.get(key).map(|first| &first.place);
        let released = first.filter(|first| first.is_released());
        let numbered = self.matches.get(released.unwrap_or(place));
        numbered.map_or(&[], Vec::as_slice)
    }

    /// Last number claimed in a lane.
    pub(crate) fn last_seq(&self, lane: u32) -> u64 {
        self.last_seq.get(&lane).copied().unwrap_or(0)
    }

    /// Partitions with claims.
    pub(crate) fn partitions(&self) -> Vec<Arc<str>> {
        self.owners.keys().cloned().collect()
    }

    /// Forgets what is committed and in the index; `next` gives the committed position of a partition.
    pub(crate) fn forget(&mut self, next: &HashMap<Arc<str>, i64>) {
        let committed = |p: &Place| next.get(&p.partition).is_some_and(|n| p.offset < *n);
        self.alerts.retain(|_, first| !committed(&first.place));
        self.matches.retain(|place, _| !committed(place));
        self.owners.retain(|partition, owner| {
            let next = next.get(partition).copied().unwrap_or(0);
            owner.furthest > next
        });
    }

    /// Numbers of matches that others claimed in positions that are being committed, and that were not found there: the source
    /// has lost their packets.
    pub(crate) fn void(
        &self,
        covers: impl Fn(&Place) -> bool,
        redone: &HashSet<Place>,
    ) -> Vec<(u32, u64)> {
        let lost = self.matches.iter();
        let lost = lost.filter(|(place, _)| covers(place) && !redone.contains(place));
        let mut numbers: Vec<_> = lost
            .flat_map(|(_, matches)| matches.iter().map(|m| (m.lane, m.seq)))
            .collect();
        numbers.sort_unstable();
        numbers
    }

    /// Drops from the log what is committed, when that is much; `next` as in [`Claims::forget`].
    pub(crate) fn shorten(
        &mut self,
        next: impl Fn(&str) -> Result<i64, ArchiveError>,
    ) -> Result<(), ArchiveError> {
        if self.log.bytes() < self.shorten_at {
            return Ok(());
        }
        let turn = self.lock()?;
        if !self.read(&turn)? {
            return Ok(());
        }
        let mut ends = HashMap::new();
        for partition in self.partitions() {
            let next = next(&partition)?;
            ends.insert(partition, next);
        }
        self.log
            .shorten(&turn.0, |records| wanted(records, &ends))?;
        self.shorten_at = SHORTEN_BYTES.max(2 * self.log.bytes());
        Ok(())
    }
}

/// Which records are still wanted: those with positions that are not committed, and of each such partition the last one, which
/// says whose it is. A partition that is not among `ends` has nothing but committed claims.
fn wanted(records: &[Record], ends: &HashMap<Arc<str>, i64>) -> Vec<bool> {
    let live = |s: &&ClaimedSpan| ends.get(&s.partition).is_some_and(|next| s.next > *next);
    let spans = records.iter().flat_map(|record| &record.spans);
    let mut owned: HashSet<Arc<str>> = spans.filter(live).map(|s| s.partition.clone()).collect();
    let mut wanted = vec![false; records.len()];
    for (record, wanted) in records.iter().zip(&mut wanted).rev() {
        for span in &record.spans {
            let last = owned.remove(&span.partition);
            *wanted |= last || live(&span);
        }
        *wanted |= record.is_released() || record.lets_go();
    }
    wanted
}

/// The match numbers that claims on disk hold and that may still be missing in the table: lane and number.
pub(crate) fn numbers_on_disk(root: &Path) -> HashSet<(u32, u64)> {
    let numbers = |record: Record| {
        let lane = record.lane;
        (record.first_seq..)
            .zip(record.matches)
            .map(move |(seq, _)| (lane, seq))
    };
    log::peek(root).into_iter().flat_map(numbers).collect()
}

/// The matches of a lane that claims on disk hold, of which the alert is known.
pub(crate) fn matches_on_disk(root: &Path, lane: u32) -> impl Iterator<Item = LoggedMatch> {
    let own = log::peek(root).into_iter().filter(move |r| r.lane == lane);
    own.flat_map(|record| {
        let logged = record.numbers().filter_map(|(found, seq)| {
            let alert = record.alerts.get(found.alert as usize)?;
            Some(LoggedMatch {
                seq,
                filter: found.filter.clone(),
                version: found.version.clone(),
                survey: alert.survey.clone(),
                alert_id: alert.alert_id,
                matched_us: record.matched_us,
            })
        });
        logged.collect::<Vec<_>>()
    })
}

/// Whether claims were let go whose matches had been published: their numbers are kept for when the alerts come again.
pub(crate) fn any_released(root: &Path) -> bool {
    log::peek(root).iter().any(Record::is_released)
}

/// Positions that claims on disk speak of.
pub(crate) fn spans_on_disk(root: &Path) -> Vec<ClaimedSpan> {
    let records = log::peek(root).into_iter();
    records.flat_map(|record| record.spans).collect()
}
