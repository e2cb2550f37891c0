//! Stored packets in the order in which they were received.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pitt_alert::Packet;

use crate::archive::Archive;
use crate::delta::TableFile;
use crate::error::ArchiveError;
use crate::part::PositionedFile;
use crate::place::ReplayPlace;
use crate::read::{self, PACKET_COLUMNS};
use crate::tables::PACKETS;

/// A packet with at least one stored alert, as it was received.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// The packet, with its position, name and time of receipt.
    pub packet: Packet,
    /// Numbers of its records that were stored from it; the others were duplicates or could not be read.
    pub stored: Vec<u32>,
    /// Night of the first stored record, YYYYMMDD.
    pub night: Option<i32>,
    /// Where to go on after it.
    pub place: ReplayPlace,
}

/// Iterator of [`Archive::replay`].
pub struct Replay {
    archive: Archive,
    files: std::vec::IntoIter<TableFile>,
    after: Option<ReplayPlace>,
    rows: Option<FileRows>,
    waiting: Option<Replayed>,
}

struct FileRows {
    file: TableFile,
    batches: Box<dyn Iterator<Item = Result<RecordBatch, ArchiveError>> + Send>,
    batch: Option<RecordBatch>,
    next: usize,
    row: u64,
}

/// Rows read at a time: packets are large.
const BATCH_ROWS: usize = 64;

impl Archive {
    /// Every packet with a stored alert, in the order of receipt, from the beginning or after a place.
    pub fn replay(&self, after: Option<ReplayPlace>) -> Result<Replay, ArchiveError> {
        let mut files = self.snapshot(PACKETS)?.map(|s| s.files).unwrap_or_default();
        if let Some(after) = after {
            files.retain(|f| (f.name.commit, f.name.number) >= (after.commit, after.file));
        }
        Ok(Replay {
            archive: self.clone(),
            files: files.into_iter(),
            after,
            rows: None,
            waiting: None,
        })
    }
}

impl Archive {
    /// The same, files of the newest nights first and of these the newest; only files that may hold nights that are wanted, which
    /// `wants` tells from the first and the last of a file. Within a file the order is that of receipt.
    pub fn replay_newest(&self, wants: impl Fn(i32, i32) -> bool) -> Result<Replay, ArchiveError> {
        let files = self.snapshot(PACKETS)?.map(|s| s.files).unwrap_or_default();
        let number = |night: i64| i32::try_from(night).unwrap_or(0);
        let nights = |f: TableFile| {
            let (low, high) = f.range_i64("night")?;
            Some((number(low), number(high), f))
        };
        let mut files: Vec<_> = files.into_iter().filter_map(nights).collect();
        files.retain(|(low, high, _)| wants(*low, *high));
        files.sort_by_key(|(_, high, f)| (*high, f.name.commit, f.name.number));
        let files: Vec<TableFile> = files.into_iter().rev().map(|(.., f)| f).collect();
        Ok(Replay {
            archive: self.clone(),
            files: files.into_iter(),
            after: None,
            rows: None,
            waiting: None,
        })
    }
}

impl FileRows {
    fn open(file: TableFile) -> Result<Self, ArchiveError> {
        let reader = PositionedFile::open(&file.path)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(reader)
            .map_err(ArchiveError::parquet(&file.path))?;
        let mut names = PACKET_COLUMNS.to_vec();
        names.extend(["record", "outcome", "night"]);
        let batches = read::columns_of(builder, &file.path, &names, BATCH_ROWS)?;
        Ok(Self {
            file,
            batches: Box::new(batches),
            batch: None,
            next: 0,
            row: 0,
        })
    }

    /// Steps to the next row: its batch and number in it.
    fn step(&mut self) -> Result<Option<usize>, ArchiveError> {
        while self
            .batch
            .as_ref()
            .is_none_or(|b| self.next >= b.num_rows())
        {
            match self.batches.next().transpose()? {
                Some(batch) => self.batch = Some(batch),
                None => return Ok(None),
            }
            self.next = 0;
        }
        self.next += 1;
        self.row += 1;
        Ok(Some(self.next - 1))
    }
}

impl Replay {
    fn next_packet(&mut self) -> Result<Option<Replayed>, ArchiveError> {
        loop {
            let Some(rows) = &mut self.rows else {
                match self.files.next() {
                    Some(file) => self.rows = Some(FileRows::open(file)?),
                    None => return Ok(self.waiting.take().filter(|p| !p.stored.is_empty())),
                }
                continue;
            };
            let Some(i) = rows.step()? else {
                self.rows = None;
                continue;
            };
            let place = ReplayPlace {
                commit: rows.file.name.commit,
                file: rows.file.name.number,
                row: rows.row,
            };
            if self.after.is_some_and(|after| place <= after) {
                continue;
            }
            let finished = self.take_row(i, place)?;
            if let Some(finished) = finished.filter(|p| !p.stored.is_empty()) {
                return Ok(Some(finished));
            }
        }
    }

    /// Takes a row in; gives the packet before when the row begins another.
    fn take_row(&mut self, i: usize, place: ReplayPlace) -> Result<Option<Replayed>, ArchiveError> {
        let Some((rows, batch)) = self
            .rows
            .as_ref()
            .and_then(|r| Some((r, r.batch.as_ref()?)))
        else {
            return Ok(None);
        };
        let offset = batch.column(7).as_primitive::<Int64Type>().value(i);
        let partition = batch.column(6).as_string::<i32>().value(i);
        let same = self.waiting.as_ref().is_some_and(|w| {
            w.packet.position.offset == offset && &*w.packet.position.partition == partition
        });
        let mut finished = None;
        if !same {
            let book = self.archive.inner.book();
            let joined = read::join_row(batch, i, |id| book.header(id)).map_err(|detail| {
                ArchiveError::Damaged {
                    path: rows.file.path.display().to_string(),
                    row: place.row - 1,
                    detail,
                }
            })?;
            let fresh = joined.map(|joined| Replayed {
                packet: joined.into_packet(),
                stored: Vec::new(),
                night: None,
                place,
            });
            finished = std::mem::replace(&mut self.waiting, fresh);
        }
        if let Some(waiting) = &mut self.waiting
            && batch.column(11).as_string::<i32>().value(i) == "stored"
        {
            let night = batch.column(12).as_primitive::<Int32Type>();
            waiting.night = waiting.night.or(night.is_valid(i).then(|| night.value(i)));
            let record = batch.column(10).as_primitive::<Int32Type>().value(i);
            waiting.stored.push(record.unsigned_abs());
            waiting.place = place;
        }
        Ok(finished)
    }
}

impl Iterator for Replay {
    type Item = Result<Replayed, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_packet().transpose()
    }
}
