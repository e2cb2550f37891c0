//! Stored records listed with their places, and their packets read again by these.
//!
//! Data files never change and are never taken away, so a list of places means the same packets for as long as the archive
//! is there, whatever comes after it.

use std::ops::ControlFlow;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use pitt_alert::Packet;

use crate::archive::Archive;
use crate::delta::TableFile;
use crate::error::ArchiveError;
use crate::place::PacketPlace;
use crate::read::{self, JoinedPacket};
use crate::tables::PACKETS;

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

/// Packets read together: they are large.
const TOGETHER: usize = 64;

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
            places: places.into_iter(),
            read: vec![].into_iter(),
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
            let place = PacketPlace::of(file.name, packet_row);
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
    places: std::vec::IntoIter<PacketPlace>,
    /// Packets that were read together.
    read: std::vec::IntoIter<JoinedPacket>,
}

impl PacketsAt {
    /// Reads the packets of the next places, as far as they are in one file.
    fn read_on(&mut self) -> Result<(), ArchiveError> {
        let rest = self.places.as_slice();
        let Some(first) = rest.first() else {
            return Ok(());
        };
        let file = first.in_file();
        let together = rest.iter().take(TOGETHER);
        let together = together.take_while(|place| place.in_file() == file);
        let rows: Vec<u64> = together.map(|place| place.row).collect();
        self.read = self.archive.inner.join_rows(file, &rows)?.into_iter();
        self.places.nth(rows.len() - 1);
        Ok(())
    }
}

impl Iterator for PacketsAt {
    type Item = Result<Packet, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read.len() == 0
            && let Err(error) = self.read_on()
        {
            self.places = vec![].into_iter();
            return Some(Err(error));
        }
        self.read.next().map(|joined| Ok(joined.into_packet()))
    }
}
