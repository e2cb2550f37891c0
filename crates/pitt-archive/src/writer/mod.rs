//! Writing: exactly once, in the order received, by one writer at a time or by several that claim and commit in turn.

mod claimed;
mod commit;
mod derived;
mod matched;
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

use pitt_alert::frame::{self, Frame, FrameKind};
use pitt_alert::{Decoded, Packet};
use xxhash_rust::xxh3::xxh3_128;

use crate::archive::{Archive, Inner};
use crate::claims::{self, Place};
use crate::error::ArchiveError;
use crate::journal::{self, Common, Entry, JournalBuilder, Outcome, Source};
use crate::recover;
use crate::stream::Stream;
use crate::tables::PACKETS;
use crate::turns::{self, Writers};
use claimed::Beside;
use derived::Derived;
use matched::{MatchRow, Taken};

/// Bytes of packets gathered before they go to the Parquet writer.
const GATHER_BYTES: usize = 16 << 20;

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

    /// Decides as the only writer.
    fn decide_alone(
        &mut self,
        spans: BTreeMap<String, Span>,
        packets: &[Packet],
        decoded: &Decoded,
        matches: &[Match],
    ) -> Result<Decision, ArchiveError> {
        let mut entries = journal::entries(packets, decoded);
        self.mark_pending(&mut entries, packets, decoded)?;
        let taken = matched::taken(matches, &entries, decoded);
        let numbered = self.number(&taken, &entries, now_us());
        Ok(Decision {
            rows: numbered.iter().map(|n| row_of(n, matches)).collect(),
            entries,
            spans,
            numbered,
            redone: Vec::new(),
        })
    }

    fn positions_after(
        &mut self,
        packets: &[Packet],
    ) -> Result<BTreeMap<String, Span>, ArchiveError> {
        let mut positions: BTreeMap<String, Span> = BTreeMap::new();
        for packet in packets {
            let partition = &*packet.position.partition;
            if let Some(span) = positions.get_mut(partition) {
                span.take(packet)?;
                continue;
            }
            let open = self.open.as_ref().and_then(|o| o.positions.get(partition));
            let mut span = match open {
                Some(span) => *span,
                None => Span::at(self.next_offset(partition)?),
            };
            span.take(packet)?;
            positions.insert(partition.to_owned(), span);
        }
        Ok(positions)
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

    /// Gives matches the next numbers of the lane.
    fn number(
        &mut self,
        taken: &[Taken],
        entries: &[Entry],
        matched_us: i64,
    ) -> Vec<NumberedMatch> {
        let first = self.last_seq + 1;
        self.last_seq += taken.len() as u64;
        let numbered = taken.iter().zip(first..).map(|(taken, seq)| NumberedMatch {
            lane: self.lane,
            seq,
            filter: taken.given,
            packet: entries[taken.entry].packet,
            batch: taken.batch,
            row: taken.row,
            matched_us,
        });
        numbered.collect()
    }

    /// Marks entries whose alert is stored already.
    fn mark_committed(
        &self,
        entries: &mut [Entry],
        packets: &[Packet],
        decoded: &Decoded,
    ) -> Result<(), ArchiveError> {
        let index = self.inner.index();
        let Some(index) = &*index else {
            return Err(ArchiveError::Poisoned);
        };
        let common = Common::of_all(decoded);
        for entry in entries {
            let Source::Alert { batch, row } = entry.source else {
                continue;
            };
            let survey = &decoded.batches[batch].survey;
            let Some(alert_id) = common[batch].alert_id(row) else {
                continue;
            };
            if let Some(at) = index.locate(survey, alert_id)? {
                let stored = self.inner.read_packet(survey, alert_id, at)?;
                let byte_equal = stored.is_some_and(|stored| {
                    let same = stored.bytes == packets[entry.packet].bytes;
                    same && stored.record == entry.record
                });
                entry.outcome = Outcome::Duplicate { byte_equal };
            }
        }
        Ok(())
    }

    /// Marks entries whose alert is stored already, or earlier in this commit.
    fn mark_pending(
        &mut self,
        entries: &mut [Entry],
        packets: &[Packet],
        decoded: &Decoded,
    ) -> Result<(), ArchiveError> {
        self.mark_committed(entries, packets, decoded)?;
        let pending = &mut self.open()?.pending;
        let common = Common::of_all(decoded);
        for entry in entries {
            let (Outcome::Stored, Source::Alert { batch, row }) = (entry.outcome, entry.source)
            else {
                continue;
            };
            let Some(alert_id) = common[batch].alert_id(row) else {
                continue;
            };
            let bytes = &packets[entry.packet].bytes;
            let mark = (bytes.len(), xxh3_128(bytes), entry.record);
            let key = (decoded.batches[batch].survey.clone(), alert_id);
            match pending.get(&key) {
                Some(first) => {
                    let byte_equal = *first == mark;
                    entry.outcome = Outcome::Duplicate { byte_equal };
                }
                None => drop(pending.insert(key, mark)),
            }
        }
        Ok(())
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

fn row_of(numbered: &NumberedMatch, matches: &[Match]) -> MatchRow {
    MatchRow {
        taken: matches[numbered.filter].clone(),
        lane: numbered.lane,
        seq: numbered.seq,
        matched_us: numbered.matched_us,
        packet: numbered.packet,
        batch: numbered.batch,
        row: numbered.row,
    }
}

/// Microseconds since 1970, UTC.
fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// Writes rows of the journal, and notes the headers and schemas that they refer to.
fn write_packets(
    inner: &Inner,
    journal: &mut Stream,
    entries: &[Entry],
    packets: &[Packet],
    decoded: &Decoded,
) -> Result<(), ArchiveError> {
    let schema = journal.schema().clone();
    let mut builder = JournalBuilder::new(decoded);
    for rows in entries.chunk_by(|a, b| a.packet == b.packet) {
        let packet = &packets[rows[0].packet];
        let crc32 = crc32fast::hash(&packet.bytes);
        let carried = rows
            .iter()
            .any(|e| e.outcome != Outcome::Duplicate { byte_equal: true });
        let framed = carried.then(|| take_apart(rows, packet));
        if let Some((id, header)) = framed
            .as_ref()
            .and_then(|f| Some((f.header_id?, &f.header)))
        {
            inner.book().note_header(&id.hex(), header);
        }
        for (i, entry) in rows.iter().enumerate() {
            let framed = framed.as_ref().filter(|_| i == 0);
            builder.push(entry, packet, (crc32, framed));
        }
        if builder.bytes() >= GATHER_BYTES {
            journal.write(&builder.finish(&schema)?)?;
        }
    }
    journal.write(&builder.finish(&schema)?)?;
    note_schemas(inner, entries, packets, decoded);
    Ok(())
}

fn note_schemas(inner: &Inner, entries: &[Entry], packets: &[Packet], decoded: &Decoded) {
    for entry in entries {
        if let Source::Alert { batch, row } = entry.source
            && row == 0
        {
            let wire_id = frame::wire_schema_id(&packets[entry.packet].bytes).map(i64::from);
            inner
                .book()
                .note_schema(&decoded.batches[batch].schema, wire_id);
        }
    }
}

/// A packet without what the archive has already. One that could not be read stays whole: its header may be damaged,
/// and would be stored for this packet alone.
fn take_apart(rows: &[Entry], packet: &Packet) -> Frame {
    if rows.iter().any(|e| e.outcome != Outcome::Quarantined) {
        return frame::split(&packet.bytes);
    }
    Frame {
        kind: FrameKind::Plain,
        header_id: None,
        header: bytes::Bytes::new(),
        sync: None,
        body: packet.bytes.clone(),
    }
}
