//! Counts of everything received, kept up to date: each data file is counted once, since files never change.

use std::collections::{BTreeMap, HashSet};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
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

/// What a filter took, through all its versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenCounts {
    /// Its matches.
    pub matches: u64,
    /// When the last was numbered, microseconds since 1970, UTC; `None` in archives of older versions.
    pub last_us: Option<i64>,
    /// Its matches by night, YYYYMMDD; `None` for alerts that say no night.
    pub nights: BTreeMap<Option<i32>, u64>,
}

/// The ledger, the nights, the filters and the schemas of an archive, counted file by file.
#[derive(Debug, Default)]
pub struct Tally {
    /// By partition and night, and the matches by filter.
    pub ledger: Ledger,
    /// By night, YYYYMMDD; `None` for what could not be read and says no night.
    pub nights: BTreeMap<Option<i32>, NightCounts>,
    /// Matches by name of the filter.
    pub filters: BTreeMap<String, TakenCounts>,
    /// The largest match number counted in each lane.
    pub lanes: BTreeMap<u32, u64>,
    /// Records received, by fingerprint of the writer's schema.
    pub schemas: BTreeMap<String, u64>,
    seen: HashSet<(&'static str, PartName)>,
}

impl Tally {
    /// Counts the files of `packets` or `matches` that it has not counted yet; other tables have nothing to count.
    pub fn count(&mut self, table: &TableSnapshot) -> Result<(), ArchiveError> {
        for file in &table.files {
            let name = match table.name.as_str() {
                PACKETS => PACKETS,
                MATCHES => MATCHES,
                _ => return Ok(()),
            };
            if self.seen.contains(&(name, file.name)) {
                continue;
            }
            if name == PACKETS {
                self.count_packets_of(file)?;
            } else {
                self.count_matches_of(file)?;
            }
            self.seen.insert((name, file.name));
        }
        Ok(())
    }

    fn count_matches_of(&mut self, file: &TableFile) -> Result<(), ArchiveError> {
        // Files of older versions have no numbers.
        let numbered = file.range_i64("seq").is_some();
        let columns = &COLUMNS_OF_MATCHES[..if numbered { 6 } else { 3 }];
        let batches: Vec<RecordBatch> =
            read::columns(&file.path, columns)?.collect::<Result<_, _>>()?;
        batches.iter().for_each(|rows| self.count_matches(rows));
        Ok(())
    }

    fn count_packets_of(&mut self, file: &TableFile) -> Result<(), ArchiveError> {
        // Read first and counted then: a file that cannot be read to its end is counted not at all.
        let batches: Vec<RecordBatch> =
            read::columns(&file.path, &COLUMNS_OF_PACKETS)?.collect::<Result<_, _>>()?;
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
            let counts = match self.filters.get_mut(filter.value(i)) {
                Some(counts) => counts,
                None => self.filters.entry(filter.value(i).to_owned()).or_default(),
            };
            counts.matches += 1;
            *counts.nights.entry(night).or_default() += 1;
        }
        if rows.num_columns() > 3 {
            self.count_numbers(rows);
        }
    }

    /// When the filters took their last, and how far each lane's numbers go.
    fn count_numbers(&mut self, rows: &RecordBatch) {
        let filter = rows.column(0).as_string::<i32>();
        let matched_us = rows.column(3).as_primitive::<Int64Type>();
        let lane = rows.column(4).as_primitive::<Int32Type>();
        let seq = rows.column(5).as_primitive::<Int64Type>();
        for i in 0..rows.num_rows() {
            if let Some(counts) = self.filters.get_mut(filter.value(i))
                && matched_us.is_valid(i)
            {
                counts.last_us = counts.last_us.max(Some(matched_us.value(i)));
            }
            if lane.is_valid(i) && seq.is_valid(i) {
                let last = self.lanes.entry(lane.value(i).unsigned_abs()).or_default();
                *last = seq.value(i).unsigned_abs().max(*last);
            }
        }
    }
}

const COLUMNS_OF_PACKETS: [&str; 6] = [
    COLUMNS[0], COLUMNS[1], COLUMNS[2], COLUMNS[3], "survey", "schema",
];
const COLUMNS_OF_MATCHES: [&str; 6] = ["filter", "version", "night", "matched_us", "lane", "seq"];

/// Adds one without making a key that is there already.
fn add(counts: &mut BTreeMap<String, u64>, key: &str) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => drop(counts.insert(key.to_owned(), 1)),
    }
}
