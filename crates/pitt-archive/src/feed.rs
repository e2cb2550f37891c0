//! The log of matches, as publishers read it: by lane, in order of number.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};

use crate::archive::{Archive, Inner};
use crate::claims;
use crate::delta::TableFile;
use crate::error::ArchiveError;
use crate::read;
use crate::tables::{MATCHES, PACKETS, lane_txn};
use crate::writer::{Match, table, table_mut};

/// A committed match with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedMatch {
    /// Its number in its lane.
    pub seq: u64,
    /// Name of the filter.
    pub filter: Arc<str>,
    /// Version of the filter.
    pub version: Arc<str>,
    /// Survey of the alert.
    pub survey: Arc<str>,
    /// The alert.
    pub alert_id: i64,
    /// When it was numbered, microseconds since 1970, UTC.
    pub matched_us: i64,
}

impl LoggedMatch {
    /// Which filter took which alert.
    pub fn taken(&self) -> Match {
        Match {
            survey: self.survey.clone(),
            alert_id: self.alert_id,
            filter: self.filter.clone(),
            version: self.version.clone(),
        }
    }
}

const COLUMNS: [&str; 7] = [
    "lane",
    "seq",
    "filter",
    "version",
    "survey",
    "alert_id",
    "matched_us",
];

impl Archive {
    /// Identity of the archive, drawn when it was made.
    pub fn id(&self) -> Result<String, ArchiveError> {
        Ok(table(&self.inner.tables(), PACKETS)?.id().to_owned())
    }

    /// The lanes that ever had a process, in order; lane 0 is always there.
    pub fn lanes(&self) -> Vec<u32> {
        let mut lanes = BTreeSet::from([0]);
        let entries = std::fs::read_dir(self.folder().join("lanes"));
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|n| n.strip_suffix(".lock"));
            lanes.extend(number.and_then(|n| n.parse::<u32>().ok()));
        }
        lanes.into_iter().collect()
    }

    /// The committed matches of a lane after a number, in order of number and without a gap; at most `limit`.
    ///
    /// Where a number is still missing (a process died and its packets have not been read again yet) the answer ends before
    /// it. Reads what other processes have committed.
    pub fn matches_after(
        &self,
        lane: u32,
        seq: u64,
        limit: usize,
    ) -> Result<Vec<LoggedMatch>, ArchiveError> {
        self.inner.learn_of_matches()?;
        let mut next = seq + 1;
        loop {
            let first = next;
            let window = first..=first.saturating_add(limit.max(1) as u64 - 1);
            let mut found = self.matches_in(lane, &window)?;
            let mut matches = Vec::new();
            while window.contains(&next) {
                if let Some(found) = found.remove(&next) {
                    matches.push(found);
                    next += 1;
                } else if let Some(last) = self.inner.void_until(lane, next)? {
                    next = last + 1;
                } else {
                    return Ok(matches);
                }
            }
            if !matches.is_empty() {
                return Ok(matches);
            }
        }
    }

    /// The last match number of a lane that is committed, by whichever process; 0 when there is none.
    pub fn last_match(&self, lane: u32) -> Result<u64, ArchiveError> {
        self.inner.learn_of_others()?;
        self.inner.last_seq(lane)
    }

    /// The last match number of a lane that was claimed and may still be missing in the table; 0 when there is none.
    pub fn last_claimed(&self, lane: u32) -> u64 {
        let claimed = claims::numbers_on_disk(self.folder());
        let own = claimed.into_iter().filter(|(of, _)| *of == lane);
        own.map(|(_, seq)| seq).max().unwrap_or(0)
    }

    pub(crate) fn matches_in(
        &self,
        lane: u32,
        window: &RangeInclusive<u64>,
    ) -> Result<BTreeMap<u64, LoggedMatch>, ArchiveError> {
        let mut found = BTreeMap::new();
        let files = self.snapshot(MATCHES)?.map(|s| s.files);
        for file in files.unwrap_or_default() {
            if !may_hold(&file, window) {
                continue;
            }
            for rows in read::columns(&file.path, &COLUMNS)? {
                take_rows(&rows?, lane, window, &mut found);
            }
        }
        Ok(found)
    }
}

/// Whether a file has numbers of a window; those of older versions have none.
fn may_hold(file: &TableFile, window: &RangeInclusive<u64>) -> bool {
    file.range_i64("seq").is_some_and(|(low, high)| {
        low.unsigned_abs() <= *window.end() && *window.start() <= high.unsigned_abs()
    })
}

fn take_rows(
    rows: &RecordBatch,
    lane: u32,
    window: &RangeInclusive<u64>,
    found: &mut BTreeMap<u64, LoggedMatch>,
) {
    let lanes = rows.column(0).as_primitive::<Int32Type>();
    let number = |column: usize, i| rows.column(column).as_primitive::<Int64Type>().value(i);
    let text = |column: usize, i| Arc::from(rows.column(column).as_string::<i32>().value(i));
    for i in 0..rows.num_rows() {
        let seq = number(1, i).unsigned_abs();
        let own = lanes.is_valid(i) && u32::try_from(lanes.value(i)) == Ok(lane);
        if own && window.contains(&seq) {
            let logged = LoggedMatch {
                seq,
                filter: text(2, i),
                version: text(3, i),
                survey: text(4, i),
                alert_id: number(5, i),
                matched_us: number(6, i),
            };
            found.insert(seq, logged);
        }
    }
}

impl Inner {
    /// Reads what others have committed to a table; whether that was anything.
    fn update_table(&self, name: &str) -> Result<bool, ArchiveError> {
        let mut tables = self.tables();
        let log = table_mut(&mut tables, name)?;
        let before = log.version();
        log.update()?;
        Ok(log.version() != before)
    }

    /// Reads the matches that others have committed, and their packets.
    pub(crate) fn learn_of_matches(&self) -> Result<(), ArchiveError> {
        self.update_table(MATCHES)?;
        self.learn_of_others()
    }

    /// Reads what others have committed, if they have.
    fn learn_of_others(&self) -> Result<(), ArchiveError> {
        if self.update_table(PACKETS)? {
            // Whoever reads of a match may ask for its packet next.
            self.update_tables()?;
            self.catch_up()?;
        }
        Ok(())
    }

    /// The last match number of a lane that is committed; 0 when there is none.
    pub(crate) fn last_seq(&self, lane: u32) -> Result<u64, ArchiveError> {
        let last = table(&self.tables(), PACKETS)?.txn(&lane_txn(lane))?;
        Ok(last.unwrap_or(0).unsigned_abs())
    }

    /// The last of the numbers from `first` on that no match will ever have, if `first` is the first of such.
    pub(crate) fn void_until(&self, lane: u32, first: u64) -> Result<Option<u64>, ArchiveError> {
        let last = table(&self.tables(), PACKETS)?.txn(&void_txn(lane, first))?;
        Ok(last.map(i64::unsigned_abs))
    }
}

/// Application id under which a commit of `packets` records numbers that were given to matches whose packets the source then
/// lost before they could be read again; its version is the last of them.
pub(crate) fn void_txn(lane: u32, first: u64) -> String {
    format!("pitt:void:{lane}:{first}")
}
