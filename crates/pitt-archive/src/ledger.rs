//! The ledger: every record received, counted by source partition, night and outcome.

use std::collections::BTreeMap;
use std::fmt;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, RecordBatch};

use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::tables::{MATCHES, PACKETS};
use crate::tally::Tally;
use crate::writer::Span;

/// Counts of one partition and night.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerLine {
    /// Records received.
    pub received: u64,
    /// Alerts stored.
    pub stored: u64,
    /// Alerts that had been stored before.
    pub duplicates: u64,
    /// Records that could not be read, by reason.
    pub quarantined: BTreeMap<String, u64>,
}

impl LedgerLine {
    /// Whether every record received is stored, duplicate or in quarantine.
    pub fn balances(&self) -> bool {
        self.received == self.stored + self.duplicates + self.quarantined.values().sum::<u64>()
    }

    /// Adds the counts of another line.
    pub fn add(&mut self, line: &LedgerLine) {
        self.received += line.received;
        self.stored += line.stored;
        self.duplicates += line.duplicates;
        for (reason, count) in &line.quarantined {
            *self.quarantined.entry(reason.clone()).or_default() += count;
        }
    }
}

/// Counts of everything received, and what each filter took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// By partition of the source and night (YYYYMMDD; `None` for what could not be read and says no night).
    pub lines: BTreeMap<(String, Option<i32>), LedgerLine>,
    /// Offsets that no packet has, by partition: Kafka's compaction, expiry and markers of transactions.
    pub skipped: BTreeMap<String, u64>,
    /// Matches by filter and version.
    pub matched: BTreeMap<(String, String), u64>,
}

/// Columns of `packets` that the ledger counts.
pub(crate) const COLUMNS: [&str; 4] = ["partition", "night", "outcome", "reason"];

impl Ledger {
    /// Counts rows of [`COLUMNS`], of which `first` is the first in the batch.
    pub(crate) fn count(&mut self, rows: &RecordBatch, first: usize) {
        let partition = rows.column(first).as_string::<i32>();
        let night = rows.column(first + 1).as_primitive::<Int32Type>();
        let outcome = rows.column(first + 2).as_string::<i32>();
        let reason = rows.column(first + 3).as_string::<i32>();
        for i in 0..rows.num_rows() {
            let key = (
                partition.value(i).to_owned(),
                night.is_valid(i).then(|| night.value(i)),
            );
            let line = self.lines.entry(key).or_default();
            line.received += 1;
            match outcome.value(i) {
                "stored" => line.stored += 1,
                "duplicate" => line.duplicates += 1,
                "quarantined" => {
                    *line
                        .quarantined
                        .entry(reason.value(i).to_owned())
                        .or_default() += 1
                }
                _ => {}
            }
        }
    }

    /// Counts the offsets that a commit says are no packet's.
    pub(crate) fn count_skipped(&mut self, spans: Option<&BTreeMap<String, Span>>) {
        for (partition, span) in spans.into_iter().flatten() {
            if span.skipped() > 0 {
                *self.skipped.entry(partition.clone()).or_default() += span.skipped();
            }
        }
    }

    /// Sum over all partitions and nights.
    pub fn total(&self) -> LedgerLine {
        let mut total = LedgerLine::default();
        self.lines.values().for_each(|line| total.add(line));
        total
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<28} {:>8} {:>10} {:>10} {:>10} {:>11}",
            "partition", "night", "received", "stored", "duplicate", "quarantined"
        )?;
        let total = self.total();
        let named = self.lines.iter().map(|((partition, night), line)| {
            (
                partition.as_str(),
                night.map_or_else(|| "-".to_owned(), |n| n.to_string()),
                line,
            )
        });
        for (partition, night, line) in named.chain([("total", String::new(), &total)]) {
            let quarantined: u64 = line.quarantined.values().sum();
            writeln!(
                f,
                "{partition:<28} {night:>8} {:>10} {:>10} {:>10} {quarantined:>11}",
                line.received, line.stored, line.duplicates
            )?;
        }
        for (partition, skipped) in &self.skipped {
            writeln!(
                f,
                "{partition:<28} skipped {skipped} offsets that no message has"
            )?;
        }
        Ok(())
    }
}

impl Archive {
    /// Counts everything received from the files of `packets` and `matches`.
    pub fn ledger(&self) -> Result<Ledger, ArchiveError> {
        let mut tally = Tally::default();
        for table in [PACKETS, MATCHES] {
            if let Some(snapshot) = self.snapshot(table)? {
                tally.count(&snapshot)?;
            }
        }
        Ok(tally.ledger)
    }
}
