//! What is known of match numbers, committed or claimed: for a publisher that comes back with a number from the other side.

use std::collections::BTreeSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};

use crate::archive::Archive;
use crate::claims;
use crate::error::ArchiveError;
use crate::feed::LoggedMatch;
use crate::read;
use crate::tables::MATCHES;

/// What an archive knows of a match number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Numbered {
    /// This match has it, committed or claimed.
    Match(LoggedMatch),
    /// It was given, and stays empty: the source lost the match's packet, or its claim was let go.
    Empty,
    /// It was never given.
    Never,
}

/// How far an empty number may lie behind the first of its run.
const LONGEST_RUN: u64 = 10_000;

const COLUMNS: [&str; 3] = ["lane", "seq", "matched_us"];

impl Archive {
    /// Which match has a number of a lane. Reads what other processes have claimed and committed.
    pub fn numbered(&self, lane: u32, seq: u64) -> Result<Numbered, ArchiveError> {
        // Claims first: what is no longer among them is in the table.
        let mut claimed = claims::matches_on_disk(self.folder(), lane);
        if let Some(found) = claimed.find(|found| found.seq == seq) {
            return Ok(Numbered::Match(found));
        }
        self.inner.learn_of_matches()?;
        let first = seq.saturating_sub(LONGEST_RUN).max(1);
        let mut found = self.matches_in(lane, &(first..=seq))?;
        if let Some(found) = found.remove(&seq) {
            return Ok(Numbered::Match(found));
        }
        let before = (first..=seq)
            .rev()
            .take_while(|number| !found.contains_key(number));
        for number in before {
            if let Some(last) = self.inner.void_until(lane, number)? {
                let empty = seq <= last;
                return Ok(if empty {
                    Numbered::Empty
                } else {
                    Numbered::Never
                });
            }
        }
        Ok(Numbered::Never)
    }

    /// The last number of a lane that was ever given here, committed or claimed; 0 when there is none.
    pub fn last_number(&self, lane: u32) -> Result<u64, ArchiveError> {
        let claimed = self.last_claimed(lane);
        Ok(self.last_match(lane)?.max(claimed))
    }

    /// The number before the first match of a lane that is later than a time (microseconds since 1970, UTC); the last of all
    /// when none is.
    pub fn number_before(&self, lane: u32, time_us: i64) -> Result<u64, ArchiveError> {
        let last = self.last_number(lane)?;
        let mut first_later = last + 1;
        self.each_number(lane, |seq, matched_us| {
            if matched_us > time_us {
                first_later = first_later.min(seq);
            }
        })?;
        Ok(first_later - 1)
    }

    /// How many matches of a lane have a number up to this one, committed or claimed.
    pub fn count_matches(&self, lane: u32, up_to: u64) -> Result<u64, ArchiveError> {
        let mut numbers = BTreeSet::new();
        self.each_number(lane, |seq, _| {
            if seq <= up_to {
                numbers.insert(seq);
            }
        })?;
        Ok(numbers.len() as u64)
    }

    /// Tells number and time of every match of a lane; one that is claimed and committed may come twice.
    fn each_number(&self, lane: u32, mut tell: impl FnMut(u64, i64)) -> Result<(), ArchiveError> {
        for claimed in claims::matches_on_disk(self.folder(), lane) {
            tell(claimed.seq, claimed.matched_us);
        }
        self.inner.learn_of_matches()?;
        let files = self.snapshot(MATCHES)?.map(|s| s.files);
        for file in files.unwrap_or_default() {
            // Files of older versions have no numbers.
            if file.range_i64("seq").is_none() {
                continue;
            }
            for rows in read::columns(&file.path, &COLUMNS)? {
                tell_rows(&rows?, lane, &mut tell);
            }
        }
        Ok(())
    }
}

fn tell_rows(rows: &RecordBatch, lane: u32, tell: &mut impl FnMut(u64, i64)) {
    let lanes = rows.column(0).as_primitive::<Int32Type>();
    let number = |column: usize, i| rows.column(column).as_primitive::<Int64Type>().value(i);
    for i in 0..rows.num_rows() {
        if lanes.is_valid(i) && u32::try_from(lanes.value(i)) == Ok(lane) {
            tell(number(1, i).unsigned_abs(), number(2, i));
        }
    }
}
