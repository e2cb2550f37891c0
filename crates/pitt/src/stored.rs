//! Stored alerts, decoded again from their packets.

use anyhow::{Context, Result, bail};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};
use pitt_alert::{Decoder, Packet, Selection};
use pitt_archive::{Archive, StoredPacket};

/// One alert: the packet as received, and its one row.
pub struct StoredAlert {
    /// The packet.
    pub packet: StoredPacket,
    /// One row with every column asked for.
    pub row: RecordBatch,
}

/// Decodes stored packets by their own schemas.
pub struct Reader {
    archive: Archive,
    decoder: Decoder,
}

impl Reader {
    /// A reader of these columns.
    ///
    /// # Errors
    /// The archive's schemas cannot be read.
    pub fn new(archive: &Archive, selection: Selection) -> Result<Self> {
        let mut decoder = Decoder::new(archive.schema_store()?);
        decoder.select(selection);
        Ok(Self {
            archive: archive.clone(),
            decoder,
        })
    }

    /// The alert of this id, in whichever survey has it.
    ///
    /// # Errors
    /// There is none, or the archive is damaged.
    pub fn alert(&mut self, alert_id: i64) -> Result<StoredAlert> {
        let mut found = self.archive.find(alert_id)?;
        if found.is_empty() {
            bail!(
                "no alert {alert_id} in {} (`pitt query \"SELECT alert_id, object_id FROM alerts LIMIT 5\"` lists some)",
                self.archive.folder().display()
            );
        }
        if found.len() > 1 {
            let surveys: Vec<&str> = found.iter().map(|packet| packet.survey.as_str()).collect();
            tracing::warn!(
                "alert {alert_id} is in several surveys ({}): showing the first",
                surveys.join(", ")
            );
        }
        self.decode(found.swap_remove(0))
    }

    /// The alert of this survey and id; `None` if there is none.
    ///
    /// # Errors
    /// The archive is damaged.
    pub fn survey_alert(&mut self, survey: &str, alert_id: i64) -> Result<Option<StoredAlert>> {
        self.archive
            .packet(survey, alert_id)?
            .map(|packet| self.decode(packet))
            .transpose()
    }

    fn decode(&mut self, packet: StoredPacket) -> Result<StoredAlert> {
        decode(&mut self.decoder, packet)
    }
}

/// Decodes a stored packet's alert.
///
/// # Errors
/// It cannot be decoded, although it is stored.
pub fn decode(decoder: &mut Decoder, packet: StoredPacket) -> Result<StoredAlert> {
    let decoded = decoder.decode(&[Packet {
        position: packet.position.clone(),
        name: packet.name.clone(),
        received_us: packet.received_us,
        bytes: packet.bytes.clone(),
    }]);
    let row = decoded.batches.iter().find_map(|batch| {
        let row = batch
            .origins
            .iter()
            .position(|origin| origin.record == packet.record)?;
        Some(batch.records.slice(row, 1))
    });
    let row = row.with_context(|| {
        format!(
            "the stored packet of alert {} cannot be decoded (run `pitt verify`)",
            packet.alert_id
        )
    })?;
    Ok(StoredAlert { packet, row })
}

/// A column by its dotted path; `None` when it is not there or null.
pub fn value(row: &RecordBatch, path: &str) -> Option<ArrayRef> {
    let mut names = path.split('.');
    let mut array = row.column_by_name(names.next()?)?.clone();
    for name in names {
        let inner = array
            .as_any()
            .downcast_ref::<StructArray>()?
            .column_by_name(name)?
            .clone();
        array = inner;
    }
    array.is_valid(0).then_some(array)
}
