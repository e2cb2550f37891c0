//! Packets by their alert: where each is, and the bytes of its row put together again.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::PoisonError;

use arrow_array::RecordBatch;
use pitt_alert::Position;

use super::{Archive, Inner};
use crate::answer::StoredPacket;
use crate::delta::TableFile;
use crate::error::ArchiveError;
use crate::place::{PacketPlace, RecordPlace};
use crate::read::{self, JoinedPacket};
use crate::scan;
use crate::tables::PACKETS;
use crate::writer::table;

impl Archive {
    /// One alert's packet, byte for byte as it was received; `None` if it is not stored.
    pub fn packet(
        &self,
        survey: &str,
        alert_id: i64,
    ) -> Result<Option<StoredPacket>, ArchiveError> {
        Ok(self.packets(&[(survey, alert_id)])?.pop().flatten())
    }

    /// Packets of many alerts, in the order asked for. Quicker than one by one where they are near each other, as alerts are that were
    /// received together.
    pub fn packets(
        &self,
        wanted: &[(&str, i64)],
    ) -> Result<Vec<Option<StoredPacket>>, ArchiveError> {
        let mut places = Vec::with_capacity(wanted.len());
        for (survey, alert_id) in wanted {
            places.push(match &*self.inner.index() {
                Some(index) => index.locate(survey, *alert_id)?,
                None => scan::locate(self, survey, *alert_id)?,
            });
        }
        let each: BTreeSet<PacketPlace> = places.iter().flatten().map(|at| at.packet).collect();
        let each: Vec<PacketPlace> = each.into_iter().collect();
        let mut joined = HashMap::new();
        for of_file in each.chunk_by(|a, b| a.in_file() == b.in_file()) {
            let rows: Vec<u64> = of_file.iter().map(|place| place.row).collect();
            let packets = self.inner.join_rows(of_file[0].in_file(), &rows)?;
            joined.extend(of_file.iter().copied().zip(packets));
        }
        let stored = |((survey, alert_id), at): (&(&str, i64), Option<RecordPlace>)| {
            let at = at?;
            let packet = joined.get(&at.packet)?.clone();
            Some(packet.stored(survey, *alert_id, at.record))
        };
        Ok(wanted.iter().zip(places).map(stored).collect())
    }

    /// The packets of an alert id, in every survey that has it.
    pub fn find(&self, alert_id: i64) -> Result<Vec<StoredPacket>, ArchiveError> {
        let mut found = Vec::new();
        for survey in self.surveys() {
            found.extend(self.packet(&survey, alert_id)?);
        }
        Ok(found)
    }
}

impl Inner {
    pub(crate) fn note_packet_files(&self, files: &[TableFile]) {
        let mut known = self
            .packet_files
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.extend(
            files
                .iter()
                .map(|f| ((f.name.commit, f.name.number), f.path.clone())),
        );
    }

    /// The packet at a place.
    pub(crate) fn read_packet(
        &self,
        survey: &str,
        alert_id: i64,
        at: RecordPlace,
    ) -> Result<Option<StoredPacket>, ArchiveError> {
        let packets = self.join_rows(at.packet.in_file(), &[at.packet.row])?;
        let joined = packets.into_iter().next();
        Ok(joined.map(|joined| joined.stored(survey, alert_id, at.record)))
    }

    /// Where a file of packets is. One that is committed at this moment may be in the log and not yet among those noted.
    fn packet_path(&self, (commit, number): (u64, u32)) -> Result<PathBuf, ArchiveError> {
        let noted = {
            let files = self
                .packet_files
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            files.get(&(commit, number)).cloned()
        };
        if let Some(path) = noted {
            return Ok(path);
        }
        let files = table(&self.tables(), PACKETS)?.files()?;
        let named = |file: &TableFile| (file.name.commit, file.name.number) == (commit, number);
        let found = files.into_iter().find(named).map(|file| file.path);
        found.ok_or_else(|| ArchiveError::Format {
            table: PACKETS.to_owned(),
            detail: format!("no file {commit}-{number} in the log"),
        })
    }

    /// Puts together the packets in rows of a file, which ascend.
    pub(crate) fn join_rows(
        &self,
        file: (u64, u32),
        rows: &[u64],
    ) -> Result<Vec<JoinedPacket>, ArchiveError> {
        let path = self.packet_path(file)?;
        let batches = self.open_files.packet_rows(&path, rows)?;
        let book = self.book();
        let each = batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(move |i| (batch, i)));
        let join = |(row, (batch, i)): (&u64, (&RecordBatch, usize))| {
            let damaged = |detail: String| ArchiveError::Damaged {
                path: path.display().to_string(),
                row: *row,
                detail,
            };
            let joined = read::join_row(batch, i, |id| book.header(id)).map_err(damaged)?;
            joined.ok_or_else(|| damaged("the row carries no packet".to_owned()))
        };
        rows.iter().zip(each).map(join).collect()
    }
}

impl JoinedPacket {
    fn stored(self, survey: &str, alert_id: i64, record: u32) -> StoredPacket {
        StoredPacket {
            survey: survey.to_owned(),
            alert_id,
            bytes: self.bytes,
            schema: self.schema,
            position: Position {
                partition: self.partition.into(),
                offset: self.offset,
            },
            record,
            name: self.name.into(),
            received_us: self.received_us,
        }
    }
}
