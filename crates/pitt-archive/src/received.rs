//! What was received where, for those who come back with a place from outside: the stream's or the output's.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use pitt_alert::Position;

use crate::archive::Archive;
use crate::delta::{DeltaLog, TableFile};
use crate::error::ArchiveError;
use crate::place::ReplayPlace;
use crate::read;
use crate::tables::PACKETS;

/// Size and checksum of a packet as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Size `[bytes]`.
    pub size: u64,
    /// CRC-32, as in zip files.
    pub crc32: u32,
}

/// Files that are looked through for fingerprints, newest first: more than a night of commits.
const MOST_FILES: usize = 4_000;

/// What is looked for, by partition and offset.
type Wanted<'a> = HashMap<&'a str, HashMap<i64, Option<Fingerprint>>>;

impl Archive {
    /// Fingerprints of the packets at these positions; `None` where nothing was received, or too long ago for this: the newest
    /// 4,000 files are looked through. Reads the log anew, as [`Archive::committed_by_all`] does.
    pub fn fingerprints(
        &self,
        positions: &[Position],
    ) -> Result<Vec<Option<Fingerprint>>, ArchiveError> {
        let mut wanted = Wanted::default();
        for Position { partition, offset } in positions {
            wanted.entry(partition).or_default().insert(*offset, None);
        }
        let mut missing: usize = wanted.values().map(HashMap::len).sum();
        let log = DeltaLog::open(&self.inner.site, PACKETS)?;
        let files = log.map(|log| log.files()).transpose()?.unwrap_or_default();
        for file in files.iter().rev().take(MOST_FILES) {
            if missing == 0 {
                break;
            }
            let within = |(low, high): (i64, i64)| {
                let mut all = wanted.values().flatten();
                all.any(|(offset, found)| found.is_none() && (low..=high).contains(offset))
            };
            if file.range_i64("offset").is_none_or(within) {
                missing -= take_fingerprints(file, &mut wanted)?;
            }
        }
        let found = |position: &Position| {
            let offsets = wanted.get(&*position.partition)?;
            offsets.get(&position.offset).copied().flatten()
        };
        Ok(positions.iter().map(found).collect())
    }

    fn packet_files(&self) -> Result<Vec<TableFile>, ArchiveError> {
        Ok(self.snapshot(PACKETS)?.map(|s| s.files).unwrap_or_default())
    }

    /// Position and time of receipt (microseconds since 1970, UTC) of the row before a place; `None` when there is no such row.
    pub fn received_at(&self, place: ReplayPlace) -> Result<Option<(Position, i64)>, ArchiveError> {
        let files = self.packet_files()?;
        let file = files
            .iter()
            .find(|f| (f.name.commit, f.name.number) == (place.commit, place.file));
        let (Some(file), Some(mut row)) = (file, place.row.checked_sub(1)) else {
            return Ok(None);
        };
        for rows in file.read(&["partition", "offset", "received_us"])? {
            let rows = rows?;
            let i = row as usize;
            if i < rows.num_rows() {
                let number = |column: usize| rows.column(column).as_primitive::<Int64Type>();
                let position = Position {
                    partition: rows.column(0).as_string::<i32>().value(i).into(),
                    offset: number(1).value(i),
                };
                return Ok(Some((position, number(2).value(i))));
            }
            row -= rows.num_rows() as u64;
        }
        Ok(None)
    }

    /// The place before the first row that was received later than a time (microseconds since 1970, UTC); the end when none was,
    /// `None` for the beginning.
    pub fn place_before(&self, time_us: i64) -> Result<Option<ReplayPlace>, ArchiveError> {
        let mut place = None;
        for file in self.packet_files()? {
            let latest = file.range_i64("received_us").map(|(_, high)| high);
            let row = match latest {
                Some(latest) if latest <= time_us => file.rows,
                _ => rows_until(&file, time_us)?,
            };
            if row > 0 {
                place = Some(ReplayPlace {
                    commit: file.name.commit,
                    file: file.name.number,
                    row,
                });
            }
            if row < file.rows {
                break;
            }
        }
        Ok(place)
    }
}

/// Rows of a file before the first that was received later than a time.
fn rows_until(file: &TableFile, time_us: i64) -> Result<u64, ArchiveError> {
    let mut before = 0;
    for rows in file.read(&["received_us"])? {
        let rows = rows?;
        let times = rows.column(0).as_primitive::<Int64Type>();
        match times.values().iter().position(|time| *time > time_us) {
            Some(at) => return Ok(before + at as u64),
            None => before += times.len() as u64,
        }
    }
    Ok(before)
}

/// Takes what a file has of the fingerprints that are wanted and missing; gives how many.
fn take_fingerprints(file: &TableFile, wanted: &mut Wanted<'_>) -> Result<usize, ArchiveError> {
    let mut taken = 0;
    for rows in read::columns(&file.path, &["partition", "offset", "size", "crc32"])? {
        let rows = rows?;
        let partitions = rows.column(0).as_string::<i32>();
        let number = |column: usize, i| rows.column(column).as_primitive::<Int64Type>().value(i);
        for i in 0..rows.num_rows() {
            let offsets = wanted.get_mut(partitions.value(i));
            let Some(found) = offsets.and_then(|of| of.get_mut(&number(1, i))) else {
                continue;
            };
            taken += usize::from(found.is_none());
            *found = Some(Fingerprint {
                size: number(2, i).unsigned_abs(),
                crc32: number(3, i) as u32,
            });
        }
    }
    Ok(taken)
}
