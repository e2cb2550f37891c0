//! Checks of rows: the journal, then what is derived from it.

mod derived;

use std::collections::{BTreeMap, HashMap};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Check;
use super::files::Listing;
use crate::archive::Archive;
use crate::delta::TableFile;
use crate::error::ArchiveError;
use crate::ledger::{self, Ledger};
use crate::part::PositionedFile;
use crate::place::{PacketPlace, RecordPlace};
use crate::read::{self, PACKET_COLUMNS};
use crate::tables::{FORCED, PACKETS};
use crate::writer::{Span, may_skip, table};
use derived::{check_alerts, check_index_counts, check_matches, check_quarantine, check_simple};

/// Packets decoded at a time: they are large.
const BATCH_ROWS: usize = 64;

/// What the rows of `packets` say, for comparing the other tables with.
#[derive(Default)]
struct Journal {
    surveys: Vec<String>,
    /// Stored alerts, and whether their table has them.
    stored: HashMap<(usize, i64), bool>,
    /// Stored alerts by survey.
    counts: HashMap<usize, u64>,
    /// Records in quarantine and the CRC-32 of their packets.
    quarantined: HashMap<(String, i64, i32), i64>,
    next: BTreeMap<String, i64>,
    /// What the commit being read says it covers, and packets of it found.
    spans: BTreeMap<String, (Span, u64)>,
    /// Packet being read: partition, offset, its row.
    current: Option<(String, i64, u64)>,
}

impl Journal {
    fn survey(&mut self, name: &str) -> usize {
        self.surveys
            .iter()
            .position(|s| s == name)
            .unwrap_or_else(|| {
                self.surveys.push(name.to_owned());
                self.surveys.len() - 1
            })
    }

    fn stored(&self, survey: &str, alert_id: i64) -> bool {
        let survey = self.surveys.iter().position(|s| s == survey);
        survey.is_some_and(|s| self.stored.contains_key(&(s, alert_id)))
    }

    /// Begins a commit, which must go on where the one before it ended.
    fn begin(&mut self, spans: Option<&BTreeMap<String, Span>>, check: &mut Check) {
        self.spans.clear();
        for (partition, span) in spans.into_iter().flatten() {
            let next = self.next.get(partition).copied().unwrap_or(0);
            check.expect(span.from == next, || {
                format!(
                    "{partition}: a commit begins at {}, not at {next}",
                    span.from
                )
            });
            self.spans.insert(partition.clone(), (*span, 0));
        }
    }

    /// Notes a packet; its offset must be the next one, or a later one where a Kafka partition may skip.
    fn take(&mut self, partition: &str, offset: i64, file: &TableFile, check: &mut Check) {
        let next = self.next.entry(partition.to_owned()).or_insert(0);
        let expected = std::mem::replace(next, offset + 1);
        let mut skips = false;
        if let Some((span, packets)) = self.spans.get_mut(partition) {
            *packets += 1;
            skips = may_skip(partition) && offset > expected && offset < span.next;
        }
        check.expect(offset == expected || skips, || {
            let path = file.path.display();
            format!("{partition}: offset {offset} follows where {expected} should ({path})")
        });
    }

    /// Ends a commit: all packets of which it speaks must have been there.
    fn end(&mut self, check: &mut Check) {
        for (partition, (span, packets)) in std::mem::take(&mut self.spans) {
            let next = self.next.get(&partition).copied().unwrap_or(0);
            let whole = packets == span.packets && next == span.next;
            check.expect(whole, || {
                format!(
                    "{partition}: {packets} packets to {next}, the commit has {} to {}",
                    span.packets, span.next
                )
            });
        }
    }
}

struct Checks {
    packets: Check,
    positions: Check,
    ids: Check,
    index: Check,
}

/// All checks of rows. A file that is not whole is noted and skipped, as `files` has told already.
pub(super) fn check(
    archive: &Archive,
    listing: &Listing,
    ledger: &mut Ledger,
    damaged: bool,
) -> Vec<Check> {
    let mut journal = Journal::default();
    let mut checks = Checks {
        packets: Check::new("packets"),
        positions: Check::new("positions"),
        ids: Check::new("alert ids"),
        index: Check::new("index"),
    };
    let files: Vec<&TableFile> = listing.files(PACKETS).collect();
    for files in files.chunk_by(|a, b| a.name.commit == b.name.commit) {
        let spans = listing.spans(files[0].name.commit);
        ledger.count_skipped(spans);
        journal.begin(spans, &mut checks.positions);
        for file in files {
            if let Err(error) = read_journal(archive, file, &mut journal, &mut checks, ledger) {
                checks.packets.wrong(|| error.to_string());
            }
        }
        journal.end(&mut checks.positions);
    }
    if listing.commits == listing.committed {
        check_positions(archive, &journal, &mut checks.positions);
    }
    let mut lines = Check::new("ledger");
    for ((partition, night), line) in &ledger.lines {
        lines.expect(line.balances(), || {
            format!("{partition}, night {night:?}: {line:?}")
        });
    }
    let mut all = vec![checks.packets, checks.positions, lines, checks.ids];
    all.extend(check_alerts(listing, &mut journal));
    all.push(check_simple(listing, FORCED, &journal));
    all.push(check_matches(listing, &journal, ledger));
    all.push(check_quarantine(listing, &mut journal));
    if archive.has_index() && !damaged {
        check_index_counts(archive, &journal, listing, &mut checks.index);
        all.push(checks.index);
    }
    all
}

fn packet_rows(
    file: &TableFile,
) -> Result<impl Iterator<Item = Result<RecordBatch, ArchiveError>>, ArchiveError> {
    let reader = PositionedFile::open(&file.path)?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(reader)
        .map_err(ArchiveError::parquet(&file.path))?;
    let mut names = PACKET_COLUMNS.to_vec();
    names.extend(ledger::COLUMNS);
    names.extend(["survey", "alert_id", "record"]);
    read::columns_of(builder, &file.path, &names, BATCH_ROWS)
}

fn read_journal(
    archive: &Archive,
    file: &TableFile,
    journal: &mut Journal,
    checks: &mut Checks,
    ledger: &mut Ledger,
) -> Result<(), ArchiveError> {
    let mut row = 0;
    for rows in packet_rows(file)? {
        let rows = rows?;
        ledger.count(&rows, PACKET_COLUMNS.len());
        for i in 0..rows.num_rows() {
            check_packet(archive, file, (&rows, i, row), checks);
            check_row(archive, file, (&rows, i, row), journal, checks);
            row += 1;
        }
    }
    journal.current = None;
    Ok(())
}

fn check_packet(
    archive: &Archive,
    file: &TableFile,
    (rows, i, row): (&RecordBatch, usize, u64),
    checks: &mut Checks,
) {
    let joined = {
        let book = archive.inner.book();
        read::join_row(rows, i, |id| book.header(id))
    };
    match joined {
        Ok(None) => {}
        Ok(Some(_)) => checks.packets.checked += 1,
        Err(detail) => checks.packets.expect(false, || {
            format!("{}, row {row}: {detail}", file.path.display())
        }),
    }
}

fn check_row(
    archive: &Archive,
    file: &TableFile,
    (rows, i, row): (&RecordBatch, usize, u64),
    journal: &mut Journal,
    checks: &mut Checks,
) {
    let partition = rows.column(6).as_string::<i32>().value(i);
    let offset = rows.column(7).as_primitive::<Int64Type>().value(i);
    let record = rows.column(16).as_primitive::<Int32Type>().value(i);
    let same = journal
        .current
        .as_ref()
        .is_some_and(|(p, o, _)| *o == offset && p == partition);
    if !same {
        journal.take(partition, offset, file, &mut checks.positions);
        journal.current = Some((partition.to_owned(), offset, row));
    }
    let packet_row = journal.current.as_ref().map_or(row, |(_, _, row)| *row);
    let outcome = rows.column(12).as_string::<i32>().value(i);
    if outcome == "quarantined" {
        let crc32 = rows.column(4).as_primitive::<Int64Type>().value(i);
        journal
            .quarantined
            .insert((partition.to_owned(), offset, record), crc32);
    }
    let ids = rows.column(15).as_primitive::<Int64Type>();
    if outcome != "stored" || !ids.is_valid(i) {
        return;
    }
    let name = rows.column(14).as_string::<i32>().value(i);
    let survey = journal.survey(name);
    let alert_id = ids.value(i);
    *journal.counts.entry(survey).or_default() += 1;
    let twice = journal.stored.insert((survey, alert_id), false).is_some();
    checks
        .ids
        .expect(!twice, || format!("{name} {alert_id} is stored twice"));
    let at = RecordPlace {
        packet: PacketPlace::of(file.name, packet_row),
        record: record.unsigned_abs(),
    };
    if let Some(index) = &*archive.inner.index() {
        let found = index.locate(name, alert_id).ok().flatten();
        checks.index.expect(found == Some(at), || {
            format!("{name} {alert_id}: the index says {found:?}, it is {at:?}")
        });
    }
}

fn check_positions(archive: &Archive, journal: &Journal, check: &mut Check) {
    let tables = archive.inner.tables();
    for (partition, next) in &journal.next {
        let committed = table(&tables, PACKETS).and_then(|t| t.txn(partition));
        match committed {
            Ok(Some(committed)) if committed == *next => {}
            other => check.wrong(|| {
                format!("{partition}: rows end before {next}, the commit says {other:?}")
            }),
        }
    }
}

fn text(rows: &RecordBatch, column: usize, i: usize) -> &str {
    rows.column(column).as_string::<i32>().value(i)
}

fn number(rows: &RecordBatch, column: usize, i: usize) -> i64 {
    rows.column(column).as_primitive::<Int64Type>().value(i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::PartName;

    /// Problems found when a commit that counted three packets of a partition has these offsets.
    fn problems(partition: &str, offsets: &[i64]) -> u64 {
        let name = PartName {
            commit: 1,
            number: 0,
            hash: 0,
        };
        let file = TableFile {
            path: "file".into(),
            name,
            size: 0,
            rows: 0,
            stats: String::new(),
        };
        let span = Span {
            from: 0,
            next: 13,
            packets: 3,
        };
        let spans = BTreeMap::from([(partition.to_owned(), span)]);
        let (mut journal, mut check) = (Journal::default(), Check::new("positions"));
        journal.begin(Some(&spans), &mut check);
        for offset in offsets {
            journal.take(partition, *offset, &file, &mut check);
        }
        journal.end(&mut check);
        check.problems
    }

    #[test]
    fn a_vanished_row_is_not_taken_for_a_skipped_offset() {
        assert_eq!(problems("kafka:ztf/alerts/0", &[7, 8, 12]), 0);
        for lost in [&[7, 8][..], &[7, 12], &[8, 12], &[]] {
            assert!(problems("kafka:ztf/alerts/0", lost) > 0, "{lost:?}");
        }
        assert!(problems("kafka:ztf/alerts/0", &[7, 7, 12]) > 0);
        assert!(problems("folder", &[7, 8, 12]) > 0);
    }
}
