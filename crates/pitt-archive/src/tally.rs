//! Counts of everything received, kept up to date: each data file is counted once, since files never change.

use std::collections::{BTreeMap, HashSet};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, RecordBatch};

use crate::archive::TableSnapshot;
use crate::delta::TableFile;
use crate::error::ArchiveError;
use crate::ledger::{COLUMNS, Ledger};
use crate::part::PartName;
use crate::read;
use crate::tables::{MATCHES, PACKETS, POSITIONS};
use crate::writer::spans_from_json;

/// Counts of one night.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NightCounts {
    /// Records received.
    pub received: u64,
    /// Alerts stored.
    pub stored: u64,
    /// Alerts that had been stored before.
    pub duplicates: u64,
    /// Records that could not be read.
    pub quarantined: u64,
    /// Matches of all filters.
    pub matches: u64,
    /// Alerts stored, by survey.
    pub surveys: BTreeMap<String, u64>,
}

/// The ledger, the nights and the schemas of an archive, counted file by file.
#[derive(Debug, Default)]
pub struct Tally {
    /// By partition and night, and the matches by filter.
    pub ledger: Ledger,
    /// By night, YYYYMMDD; `None` for what could not be read and says no night.
    pub nights: BTreeMap<Option<i32>, NightCounts>,
    /// Records received, by fingerprint of the writer's schema.
    pub schemas: BTreeMap<String, u64>,
    seen: HashSet<(&'static str, PartName)>,
}

impl Tally {
    /// Counts the files of `packets` or `matches` that it has not counted yet; other tables have nothing to count.
    pub fn count(&mut self, table: &TableSnapshot) -> Result<(), ArchiveError> {
        for file in &table.files {
            let (name, columns): (_, &[&str]) = match table.name.as_str() {
                PACKETS => (PACKETS, &COLUMNS_OF_PACKETS),
                MATCHES => (MATCHES, &COLUMNS_OF_MATCHES),
                _ => return Ok(()),
            };
            if self.seen.contains(&(name, file.name)) {
                continue;
            }
            self.count_file(name, columns, file)?;
            self.seen.insert((name, file.name));
        }
        Ok(())
    }

    fn count_file(
        &mut self,
        table: &str,
        columns: &[&str],
        file: &TableFile,
    ) -> Result<(), ArchiveError> {
        // Read first and counted then: a file that cannot be read to its end is counted not at all.
        let batches: Vec<RecordBatch> =
            read::columns(&file.path, columns)?.collect::<Result<_, _>>()?;
        if table == MATCHES {
            batches.iter().for_each(|rows| self.count_matches(rows));
            return Ok(());
        }
        // Only the last file of a commit has them; `verify` says when they cannot be read.
        let [spans] = read::footer(&file.path, [POSITIONS])?;
        for rows in &batches {
            self.ledger.count(rows, 0);
            self.count_packets(rows);
        }
        self.ledger
            .count_skipped(spans.and_then(|spans| spans_from_json(&spans)).as_ref());
        Ok(())
    }

    fn count_packets(&mut self, rows: &RecordBatch) {
        let night = rows.column(1).as_primitive::<Int32Type>();
        let outcome = rows.column(2).as_string::<i32>();
        let survey = rows.column(4).as_string::<i32>();
        let schema = rows.column(5).as_string::<i32>();
        for i in 0..rows.num_rows() {
            let night = night.is_valid(i).then(|| night.value(i));
            let counts = self.nights.entry(night).or_default();
            counts.received += 1;
            match outcome.value(i) {
                "stored" => {
                    counts.stored += 1;
                    add(&mut counts.surveys, survey.value(i));
                }
                "duplicate" => counts.duplicates += 1,
                _ => counts.quarantined += 1,
            }
            if schema.is_valid(i) {
                add(&mut self.schemas, schema.value(i));
            }
        }
    }

    fn count_matches(&mut self, rows: &RecordBatch) {
        let filter = rows.column(0).as_string::<i32>();
        let version = rows.column(1).as_string::<i32>();
        let night = rows.column(2).as_primitive::<Int32Type>();
        for i in 0..rows.num_rows() {
            let key = (filter.value(i).to_owned(), version.value(i).to_owned());
            *self.ledger.matched.entry(key).or_default() += 1;
            let night = night.is_valid(i).then(|| night.value(i));
            self.nights.entry(night).or_default().matches += 1;
        }
    }
}

const COLUMNS_OF_PACKETS: [&str; 6] = [
    COLUMNS[0], COLUMNS[1], COLUMNS[2], COLUMNS[3], "survey", "schema",
];
const COLUMNS_OF_MATCHES: [&str; 3] = ["filter", "version", "night"];

/// Adds one without making a key that is there already.
fn add(counts: &mut BTreeMap<String, u64>, key: &str) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => drop(counts.insert(key.to_owned(), 1)),
    }
}
