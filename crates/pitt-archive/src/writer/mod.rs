//! Writing: exactly once, in the order received, by one writer at a time or by several that claim and commit in turn.

mod claimed;
mod commit;
mod decide;
mod derived;
mod matched;
mod packets;
mod positions;

pub(crate) use commit::{growth, table, table_mut};
pub(crate) use matched::grown as grown_matches;
pub use matched::{Match, NumberedMatch};
pub(crate) use positions::{Span, from_json as spans_from_json, may_skip};

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pitt_alert::{Decoded, Packet};

use crate::archive::{Archive, Inner};
use crate::claims::{self, Place};
use crate::error::ArchiveError;
use crate::journal::{Entry, Outcome};
use crate::recover;
use crate::stream::Stream;
use crate::tables::PACKETS;
use crate::turns::{self, Writers};
use claimed::Beside;
use derived::Derived;
use matched::MatchRow;
use packets::write_packets;

/// What became of the records of one append.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppendReport {
    /// Stored for the first time.
    pub stored: u64,
    /// Seen before.
    pub duplicates: u64,
    /// Could not be read.
    pub quarantined: u64,
    /// The matches that are new, in order of their numbers. Not those of duplicates, nor those that were numbered before
    /// a crash: these keep their numbers, and [`Archive::matches_after`] has them after the commit.
    pub matches: Vec<NumberedMatch>,
}

/// What a commit made durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitReport {
    /// Number of the commit.
    pub commit: u64,
    /// Rows of `packets`.
    pub rows: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A writer of an archive: the only one or, with [`crate::ArchiveOptions::claims`], one of several.
///
/// [`Writer::append`] writes to files that no log lists yet; [`Writer::commit`] makes them, and the positions of the
/// sources, visible and durable: first `schemas`, then `packets` with the positions, then the derived tables, then
/// the index. A crash before `packets` has committed leaves nothing but files nobody lists, and the
/// source is read again from [`Writer::next_offset`]. A crash after it is completed by the next writer from the
/// files named in the commit's manifest. A writer that was dropped without a commit has written nothing.
///
/// With claims an append decides durably before it writes: which alerts are stored from its packets, and the numbers of their
/// matches. Packets that are read again after a crash come out the same. A writer whose partition another one has taken over
/// is told so ([`ArchiveError::Fenced`]) at its next append or commit; what it appended and did not commit is then read again
/// by the other one.
pub struct Writer {
    inner: Arc<Inner>,
    /// Number of the next commit.
    commit: u64,
    next: HashMap<String, i64>,
    /// Lane whose numbers new matches get, and the last one given.
    lane: u32,
    last_seq: u64,
    /// The commit up to which nothing is left to be completed.
    complete_to: u64,
    /// With claims: what is between this writer and others.
    beside: Option<Beside>,
    open: Option<Open>,
    failed: bool,
    _writers: Writers,
}

/// What has been appended since the last commit.
struct Open {
    packets: Stream,
    derived: Derived,
    positions: BTreeMap<String, Span>,
    /// Alerts stored in this commit: size and hash of the packet, and record.
    pending: HashMap<(Arc<str>, i64), (usize, u128, u32)>,
    /// Last match numbers by lane.
    seqs: BTreeMap<u32, u64>,
    /// Places whose matches had numbers before.
    redone: HashSet<Place>,
    /// Numbers that no match will have.
    void: Vec<(u32, u64)>,
    since: Instant,
    rows: u64,
}

/// What is decided of a batch before it is written.
struct Decision {
    entries: Vec<Entry>,
    spans: BTreeMap<String, Span>,
    /// Matches that are new.
    numbered: Vec<NumberedMatch>,
    /// All rows of `matches`.
    rows: Vec<MatchRow>,
    /// Places of those that had their numbers before.
    redone: Vec<Place>,
}

impl Archive {
    /// Starts writing; completes what a crash has left half done.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::InUse`] when this or another process has a writer already; with claims, when another process has
    /// one without.
    pub fn writer(&self) -> Result<Writer, ArchiveError> {
        let inner = &self.inner;
        let in_use = || ArchiveError::InUse {
            path: self.folder().join("index"),
        };
        if !self.has_index() || inner.writing.swap(true, Ordering::SeqCst) {
            return Err(in_use());
        }
        let opened = Writer::open_for(inner);
        if !matches!(opened, Ok(Some(_))) {
            inner.writing.store(false, Ordering::SeqCst);
        }
        opened?.ok_or_else(in_use)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What was not committed will be read from its source again.
        self.inner.fresh().clear();
        self.inner.writing.store(false, Ordering::SeqCst);
    }
}

impl Writer {
    fn open_for(inner: &Arc<Inner>) -> Result<Option<Self>, ArchiveError> {
        let root = &inner.site.root;
        let writers = if inner.options.claims {
            Writers::together(root)?
        } else {
            Writers::alone(root)?
        };
        let Some(mut writers) = writers else {
            return Ok(None);
        };
        let last = {
            let _turn = turns::turn(root)?;
            inner.update_tables()?;
            recover::remove_leftovers(inner, writers.alone)?;
            if claims::is_unfinished(root) {
                claims::complete(table_mut(&mut inner.tables(), PACKETS)?, root)?;
            }
            recover::complete(inner)?
        };
        if inner.options.claims && writers.alone {
            writers = writers.share(root)?;
        }
        let lane = inner.lane.as_ref().map_or(0, |lane| lane.number);
        Ok(Some(Self {
            inner: inner.clone(),
            commit: last + 1,
            next: HashMap::new(),
            lane,
            last_seq: inner.last_seq(lane)?,
            complete_to: last,
            beside: Beside::open(inner, last)?,
            open: None,
            failed: false,
            _writers: writers,
        }))
    }

    /// Offset of the packet that must come next in a partition; of a Kafka partition, the lowest that may come next.
    pub fn next_offset(&mut self, partition: &str) -> Result<i64, ArchiveError> {
        if let Some(next) = self.open.as_ref().and_then(|o| o.positions.get(partition)) {
            return Ok(next.next);
        }
        self.committed_next(partition)
    }

    /// Offset that comes next by the commits known here.
    fn committed_next(&mut self, partition: &str) -> Result<i64, ArchiveError> {
        if let Some(next) = self.next.get(partition) {
            return Ok(*next);
        }
        let next = table(&self.inner.tables(), PACKETS)?
            .txn(partition)?
            .unwrap_or(0);
        self.next.insert(partition.to_owned(), next);
        Ok(next)
    }

    /// Whether it is time for a commit, by age or by size.
    pub fn commit_due(&self) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.since.elapsed() >= self.inner.options.commit_every
                || open.packets.bytes() >= self.inner.options.commit_bytes
        })
    }

    /// Packets and records waiting for the next commit.
    pub fn waiting(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.rows)
    }

    /// Writes packets, what was decoded of them, and which filters took them.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Gap`] when packets do not follow on what is stored, before anything is written. After any
    /// other error the writer is spent: open a new one, which stands at the last commit. [`ArchiveError::Fenced`] is one
    /// of these: another writer has gone on with a partition of these packets.
    pub fn append(
        &mut self,
        packets: &[Packet],
        decoded: &Decoded,
        matches: &[Match],
    ) -> Result<AppendReport, ArchiveError> {
        if self.failed {
            return Err(ArchiveError::Poisoned);
        }
        if packets.is_empty() {
            return Ok(AppendReport::default());
        }
        let decision = match self.beside.take() {
            Some(mut beside) => {
                let claimed = self.claim(&mut beside, packets, decoded, matches);
                self.beside = Some(beside);
                // What was decided and not claimed is in memory only, and with that writer it goes.
                self.failed = claimed
                    .as_ref()
                    .is_err_and(|e| !matches!(e, ArchiveError::Gap { .. }));
                claimed?
            }
            None => {
                let spans = self.positions_after(packets)?;
                self.failed = true;
                self.decide_alone(spans, packets, decoded, matches)?
            }
        };
        self.failed = true;
        let report = self.write(decision, packets, decoded)?;
        self.failed = false;
        Ok(report)
    }

    fn write(
        &mut self,
        decision: Decision,
        packets: &[Packet],
        decoded: &Decoded,
    ) -> Result<AppendReport, ArchiveError> {
        let Decision { entries, rows, .. } = decision;
        let inner = self.inner.clone();
        let Open {
            packets: journal,
            derived,
            ..
        } = self.open()?;
        // Compressing the packets costs as much as all the rest: it has a thread of its own.
        let (journalled, derived) = thread::scope(|scope| {
            let journal =
                scope.spawn(|| write_packets(&inner, journal, &entries, packets, decoded));
            let derived = derived.write(&entries, packets, decoded, &rows);
            (
                journal.join().unwrap_or_else(|panic| resume_unwind(panic)),
                derived,
            )
        });
        journalled?;
        derived?;
        let mut report = AppendReport {
            matches: decision.numbered,
            ..Default::default()
        };
        for entry in &entries {
            match entry.outcome {
                Outcome::Stored => report.stored += 1,
                Outcome::Duplicate { .. } => report.duplicates += 1,
                Outcome::Quarantined => report.quarantined += 1,
            }
        }
        let open = self.open()?;
        open.rows += entries.len() as u64;
        open.positions.extend(decision.spans);
        let fresh = std::mem::take(&mut open.derived.fresh);
        inner.keep_fresh(fresh, &open.positions);
        open.redone.extend(decision.redone);
        for row in &rows {
            let last = open.seqs.entry(row.lane).or_default();
            *last = row.seq.max(*last);
        }
        Ok(report)
    }

    fn open(&mut self) -> Result<&mut Open, ArchiveError> {
        if self.open.is_none() {
            self.open = Some(Open {
                packets: derived::new_stream(&self.inner, PACKETS, self.commit)?,
                derived: Derived::new(self.inner.clone(), self.commit),
                positions: BTreeMap::new(),
                pending: HashMap::new(),
                seqs: BTreeMap::new(),
                redone: HashSet::new(),
                void: Vec::new(),
                since: Instant::now(),
                rows: 0,
            });
        }
        self.open.as_mut().ok_or(ArchiveError::Poisoned)
    }
}

/// Microseconds since 1970, UTC.
fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}
