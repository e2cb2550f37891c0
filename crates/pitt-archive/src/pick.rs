//! Stored records listed with their places, and their packets read again by these.
//!
//! Data files never change and are never taken away, so a list of places means the same packets for as long as the archive
//! is there, whatever comes after it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use pitt_alert::{Packet, Position};

use crate::archive::{Archive, Inner};
use crate::delta::TableFile;
use crate::error::ArchiveError;
use crate::read;
use crate::tables::PACKETS;

/// Where a packet is: commit and file of the table `packets`, and the row there that holds its bytes, from 0.
///
/// Places are in the order of receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketPlace {
    /// Commit that brought the file.
    pub commit: u64,
    /// Number of the file in the commit.
    pub file: u32,
    /// Row in the file.
    pub row: u64,
}

/// A stored record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRecord<'a> {
    /// Where its packet is.
    pub place: PacketPlace,
    /// Number of the record in the packet, from 0.
    pub record: u32,
    /// Survey of the alert.
    pub survey: &'a str,
    /// The alert.
    pub alert_id: i64,
    /// Night of the exposure, YYYYMMDD.
    pub night: Option<i32>,
    /// Fingerprint of the writer's schema.
    pub schema: Option<&'a str>,
}

const COLUMNS: [&str; 8] = [
    "survey",
    "alert_id",
    "partition",
    "offset",
    "record",
    "outcome",
    "night",
    "schema",
];

/// Packets read at a time: they are large.
const BATCH_ROWS: usize = 64;

impl Archive {
    /// Calls `take` with every stored record in the order of receipt, until it breaks off; only of files that `wants` does not
    /// rule out.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn each_stored(
        &self,
        wants: impl Fn(&TableFile) -> bool,
        mut take: impl FnMut(StoredRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), ArchiveError> {
        let files = self.snapshot(PACKETS)?.map(|s| s.files).unwrap_or_default();
        for file in files.iter().filter(|file| wants(file)) {
            if each_stored_in(file, &mut take)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The packets at these places, one for each, in their order. Places of one file that stand together must ascend.
    pub fn packets_at(&self, places: Vec<PacketPlace>) -> PacketsAt {
        PacketsAt {
            archive: self.clone(),
            places,
            next: 0,
            open: None,
        }
    }
}

/// Calls `take` with every stored record of a file.
pub(crate) fn each_stored_in(
    file: &TableFile,
    take: &mut impl FnMut(StoredRecord<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, ArchiveError> {
    let (mut row, mut packet_row) = (0, 0);
    let mut last: Option<(String, i64)> = None;
    for batch in read::columns(&file.path, &COLUMNS)? {
        let batch = batch?;
        let rows = Rows::of(&batch);
        for i in 0..batch.num_rows() {
            let (partition, offset) = (rows.text(2, i), rows.offset.value(i));
            if last
                .as_ref()
                .is_none_or(|(p, o)| *o != offset || p != partition)
            {
                packet_row = row;
                last = Some((partition.to_owned(), offset));
            }
            row += 1;
            let place = PacketPlace {
                commit: file.name.commit,
                file: file.name.number,
                row: packet_row,
            };
            if let Some(stored) = rows.stored(i, place)
                && take(stored).is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

struct Rows<'a> {
    batch: &'a RecordBatch,
    alert_id: &'a arrow_array::Int64Array,
    offset: &'a arrow_array::Int64Array,
    record: &'a arrow_array::Int32Array,
    night: &'a arrow_array::Int32Array,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a RecordBatch) -> Self {
        Self {
            batch,
            alert_id: batch.column(1).as_primitive::<Int64Type>(),
            offset: batch.column(3).as_primitive::<Int64Type>(),
            record: batch.column(4).as_primitive::<Int32Type>(),
            night: batch.column(6).as_primitive::<Int32Type>(),
        }
    }

    fn text(&self, column: usize, i: usize) -> &'a str {
        self.batch.column(column).as_string::<i32>().value(i)
    }

    /// The record of a row, if it was stored from there.
    fn stored(&self, i: usize, place: PacketPlace) -> Option<StoredRecord<'a>> {
        let whole = self.alert_id.is_valid(i) && self.batch.column(0).is_valid(i);
        (whole && self.text(5, i) == "stored").then(|| StoredRecord {
            place,
            record: self.record.value(i).unsigned_abs(),
            survey: self.text(0, i),
            alert_id: self.alert_id.value(i),
            night: self.night.is_valid(i).then(|| self.night.value(i)),
            schema: (self.batch.column(7).is_valid(i)).then(|| self.text(7, i)),
        })
    }
}

/// Iterator of [`Archive::packets_at`].
pub struct PacketsAt {
    archive: Archive,
    places: Vec<PacketPlace>,
    next: usize,
    open: Option<OpenPackets>,
}

struct OpenPackets {
    path: PathBuf,
    batches: Box<dyn Iterator<Item = Result<RecordBatch, ArchiveError>> + Send>,
    batch: Option<RecordBatch>,
    next: usize,
}

impl PacketsAt {
    fn next_packet(&mut self) -> Result<Option<Packet>, ArchiveError> {
        let Some(place) = self.places.get(self.next).copied() else {
            return Ok(None);
        };
        let inner = &self.archive.inner;
        let new_file = self.next.checked_sub(1).is_none_or(|before| {
            let before = self.places[before];
            (before.commit, before.file) != (place.commit, place.file)
        });
        if new_file {
            let rest = self.places[self.next..].iter();
            let together = rest.take_while(|p| (p.commit, p.file) == (place.commit, place.file));
            let rows: Vec<u64> = together.map(|p| p.row).collect();
            self.open = Some(OpenPackets::open(inner, place, &rows)?);
        }
        self.next += 1;
        let open = self.open.as_mut();
        open.map(|open| open.packet(inner, place.row)).transpose()
    }
}

impl Iterator for PacketsAt {
    type Item = Result<Packet, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_packet().transpose()
    }
}

impl OpenPackets {
    fn open(inner: &Inner, place: PacketPlace, rows: &[u64]) -> Result<Self, ArchiveError> {
        let path = inner.packet_file(place.commit, place.file)?;
        let batches = inner.open_files.packet_rows(&path, rows, BATCH_ROWS)?;
        Ok(Self {
            path,
            batches: Box::new(batches),
            batch: None,
            next: 0,
        })
    }

    fn packet(&mut self, inner: &Inner, row: u64) -> Result<Packet, ArchiveError> {
        let damaged = |detail: &str| damaged(&self.path, row, detail);
        while self
            .batch
            .as_ref()
            .is_none_or(|b| self.next >= b.num_rows())
        {
            let batch = self.batches.next().transpose()?;
            self.batch = Some(batch.ok_or_else(|| damaged("the file has no such row"))?);
            self.next = 0;
        }
        let batch = self.batch.as_ref();
        let batch = batch.ok_or_else(|| damaged("the file has no such row"))?;
        let book = inner.book();
        let joined = read::join_row(batch, self.next, |id| book.header(id));
        let joined = joined
            .map_err(|detail| damaged(&detail))?
            .ok_or_else(|| damaged("the row carries no packet"))?;
        self.next += 1;
        Ok(Packet {
            position: Position {
                partition: joined.partition.into(),
                offset: joined.offset,
            },
            name: joined.name.into(),
            received_us: joined.received_us,
            bytes: joined.bytes,
        })
    }
}

fn damaged(path: &Path, row: u64, detail: &str) -> ArchiveError {
    ArchiveError::Damaged {
        path: path.display().to_string(),
        row,
        detail: detail.to_owned(),
    }
}
