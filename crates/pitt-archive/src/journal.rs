//! From packets and what was decoded of them to rows of `packets`.

use arrow_array::builder::{
    BinaryBuilder, BinaryViewBuilder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BinaryViewArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, DataType, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use std::sync::Arc;

use crate::error::ArchiveError;
use crate::tables::PACKETS;
use pitt_alert::frame::Frame;
use pitt_alert::{AlertBatch, Decoded, Packet};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Stored,
    /// Seen before; byte-equal or not.
    Duplicate {
        byte_equal: bool,
    },
    Quarantined,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate { .. } => "duplicate",
            Self::Quarantined => "quarantined",
        }
    }
}

/// Where a row's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Batch and row of the decoded alerts.
    Alert { batch: usize, row: usize },
    /// Index into the rejected.
    Rejected(usize),
    /// The packet gave neither alerts nor a rejection.
    Nothing,
}

/// One row to be of `packets`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Index of its packet among those given.
    pub(crate) packet: usize,
    /// Number of the record in the packet, from 0.
    pub(crate) record: u32,
    /// What was decoded of it.
    pub(crate) source: Source,
    /// What becomes of it; changed while duplicates are looked for.
    pub(crate) outcome: Outcome,
}

/// One entry a record, in the order of packets and records; every packet has at least one.
pub(crate) fn entries(packets: &[Packet], decoded: &Decoded) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(packets.len());
    for (batch, alerts) in decoded.batches.iter().enumerate() {
        for (row, origin) in alerts.origins.iter().enumerate() {
            entries.push(Entry {
                packet: origin.packet,
                record: origin.record,
                source: Source::Alert { batch, row },
                outcome: Outcome::Stored,
            });
        }
    }
    for (index, rejected) in decoded.rejected.iter().enumerate() {
        entries.push(Entry {
            packet: rejected.packet,
            record: rejected.record.unwrap_or(0),
            source: Source::Rejected(index),
            outcome: Outcome::Quarantined,
        });
    }
    let mut heard = vec![false; packets.len()];
    for entry in &entries {
        if let Some(heard) = heard.get_mut(entry.packet) {
            *heard = true;
        }
    }
    let silent = heard.iter().enumerate().filter(|(_, heard)| !**heard);
    entries.extend(silent.map(|(packet, _)| Entry {
        packet,
        record: 0,
        source: Source::Nothing,
        outcome: Outcome::Quarantined,
    }));
    entries.sort_by_key(|e| (e.packet, e.record));
    entries
}

/// The common columns of a batch that the archive needs; absent ones are `None`.
pub(crate) struct Common<'a> {
    /// Survey's id of the alert.
    pub(crate) alert_id: Option<&'a Int64Array>,
    /// Id of its object, as text.
    pub(crate) object_id: Option<&'a StringArray>,
    /// Middle of the exposure `[d, TAI]`.
    pub(crate) mjd_tai: Option<&'a Float64Array>,
    /// Night of the observation, YYYYMMDD.
    pub(crate) night: Option<&'a Int32Array>,
    /// Right ascension `[deg]`, ICRS.
    pub(crate) ra: Option<&'a Float64Array>,
    /// Declination `[deg]`, ICRS.
    pub(crate) dec: Option<&'a Float64Array>,
}

impl<'a> Common<'a> {
    pub(crate) fn of(records: &'a RecordBatch) -> Self {
        let column = |name: &str| records.column_by_name(name);
        Self {
            alert_id: column("alert_id").and_then(|a| a.as_primitive_opt::<Int64Type>()),
            object_id: column("object_id").and_then(|a| a.as_string_opt()),
            mjd_tai: column("mjd_tai").and_then(|a| a.as_primitive_opt::<Float64Type>()),
            night: column("night").and_then(|a| a.as_primitive_opt::<Int32Type>()),
            ra: column("ra").and_then(|a| a.as_primitive_opt::<Float64Type>()),
            dec: column("dec").and_then(|a| a.as_primitive_opt::<Float64Type>()),
        }
    }

    /// Those of every batch.
    pub(crate) fn of_all(decoded: &'a Decoded) -> Vec<Self> {
        decoded
            .batches
            .iter()
            .map(|b| Self::of(&b.records))
            .collect()
    }

    pub(crate) fn alert_id(&self, row: usize) -> Option<i64> {
        self.alert_id
            .filter(|a| a.is_valid(row))
            .map(|a| a.value(row))
    }

    pub(crate) fn object_id(&self, row: usize) -> Option<&'a str> {
        self.object_id
            .filter(|a| a.is_valid(row))
            .map(|a| a.value(row))
    }

    pub(crate) fn mjd_tai(&self, row: usize) -> Option<f64> {
        self.mjd_tai
            .filter(|a| a.is_valid(row))
            .map(|a| a.value(row))
    }

    pub(crate) fn night(&self, row: usize) -> Option<i32> {
        self.night.filter(|a| a.is_valid(row)).map(|a| a.value(row))
    }
}

/// Builds rows of `packets`.
pub(crate) struct JournalBuilder<'a> {
    decoded: &'a Decoded,
    common: Vec<Common<'a>>,
    survey: StringBuilder,
    alert_id: Int64Builder,
    object_id: StringBuilder,
    mjd_tai: Float64Builder,
    night: Int32Builder,
    partition: StringBuilder,
    offset: Int64Builder,
    record: Int32Builder,
    received_us: Int64Builder,
    name: StringBuilder,
    outcome: StringBuilder,
    reason: StringBuilder,
    detail: StringBuilder,
    schema: StringBuilder,
    frame: StringBuilder,
    frame_header: StringBuilder,
    frame_sync: BinaryBuilder,
    crc32: Int64Builder,
    size: Int64Builder,
    packet: Vec<Option<Bytes>>,
    bytes: usize,
}

impl<'a> JournalBuilder<'a> {
    /// A builder of rows for what was decoded together.
    pub(crate) fn new(decoded: &'a Decoded) -> Self {
        Self {
            decoded,
            common: Common::of_all(decoded),
            survey: StringBuilder::new(),
            alert_id: Int64Builder::new(),
            object_id: StringBuilder::new(),
            mjd_tai: Float64Builder::new(),
            night: Int32Builder::new(),
            partition: StringBuilder::new(),
            offset: Int64Builder::new(),
            record: Int32Builder::new(),
            received_us: Int64Builder::new(),
            name: StringBuilder::new(),
            outcome: StringBuilder::new(),
            reason: StringBuilder::new(),
            detail: StringBuilder::new(),
            schema: StringBuilder::new(),
            frame: StringBuilder::new(),
            frame_header: StringBuilder::new(),
            frame_sync: BinaryBuilder::new(),
            crc32: Int64Builder::new(),
            size: Int64Builder::new(),
            packet: vec![],
            bytes: 0,
        }
    }

    /// Packet bytes waiting in the builder.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends one row; `framed` is what the row carries of the packet, `crc32` the packet's.
    pub(crate) fn push(
        &mut self,
        entry: &Entry,
        packet: &Packet,
        (crc32, framed): (u32, Option<&Frame>),
    ) {
        match entry.source {
            Source::Alert { batch, row } => self.push_alert(entry, batch, row),
            Source::Rejected(index) => {
                let rejected = &self.decoded.rejected[index];
                self.push_unread(rejected.reason.as_str(), Some(&rejected.detail));
            }
            Source::Nothing => self.push_unread("no_record", None),
        }
        self.partition.append_value(&packet.position.partition);
        self.offset.append_value(packet.position.offset);
        self.record
            .append_value(i32::try_from(entry.record).unwrap_or(i32::MAX));
        self.received_us.append_value(packet.received_us);
        self.name.append_value(&packet.name);
        self.outcome.append_value(entry.outcome.as_str());
        self.crc32.append_value(i64::from(crc32));
        self.size.append_value(packet.bytes.len() as i64);
        self.push_frame(framed);
    }

    fn push_alert(&mut self, entry: &Entry, batch: usize, row: usize) {
        let (alerts, common): (&AlertBatch, _) =
            (&self.decoded.batches[batch], &self.common[batch]);
        self.survey.append_value(&alerts.survey);
        self.alert_id.append_option(common.alert_id(row));
        self.object_id.append_option(common.object_id(row));
        self.mjd_tai.append_option(common.mjd_tai(row));
        self.night.append_option(common.night(row));
        self.reason.append_option(match entry.outcome {
            Outcome::Duplicate { byte_equal: true } => Some("byte_equal"),
            Outcome::Duplicate { byte_equal: false } => Some("differs"),
            _ => None,
        });
        self.detail.append_null();
        self.schema.append_value(alerts.schema.fingerprint_hex());
    }

    fn push_unread(&mut self, reason: &str, detail: Option<&str>) {
        self.survey.append_null();
        self.alert_id.append_null();
        self.object_id.append_null();
        self.mjd_tai.append_null();
        self.night.append_null();
        self.reason.append_value(reason);
        self.detail.append_option(detail);
        self.schema.append_null();
    }

    fn push_frame(&mut self, framed: Option<&Frame>) {
        self.frame.append_option(framed.map(|f| f.kind.as_str()));
        self.frame_header
            .append_option(framed.and_then(|f| f.header_id).map(|id| id.hex()));
        self.frame_sync.append_option(framed.and_then(|f| f.sync));
        self.packet.push(framed.map(|f| f.body.clone()));
        self.bytes += framed.map_or(0, |f| f.body.len());
    }

    /// The rows so far, in the columns of `packets`, but with views in place of copies of the packets' bytes; the
    /// builder is empty again.
    pub(crate) fn finish(&mut self, schema: &SchemaRef) -> Result<RecordBatch, ArchiveError> {
        self.bytes = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.survey.finish()),
            Arc::new(self.alert_id.finish()),
            Arc::new(self.object_id.finish()),
            Arc::new(self.mjd_tai.finish()),
            Arc::new(self.night.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.record.finish()),
            Arc::new(self.received_us.finish()),
            Arc::new(self.name.finish()),
            Arc::new(self.outcome.finish()),
            Arc::new(self.reason.finish()),
            Arc::new(self.detail.finish()),
            Arc::new(self.schema.finish()),
            Arc::new(self.frame.finish()),
            Arc::new(self.frame_header.finish()),
            Arc::new(self.frame_sync.finish()),
            Arc::new(self.crc32.finish()),
            Arc::new(self.size.finish()),
            Arc::new(
                views(&std::mem::take(&mut self.packet)).map_err(ArchiveError::arrow(PACKETS))?,
            ),
        ];
        RecordBatch::try_new(with_views(schema), columns).map_err(ArchiveError::arrow(PACKETS))
    }
}

/// The columns of `packets`, of which the last is views.
fn with_views(schema: &SchemaRef) -> SchemaRef {
    let last = schema.fields().len().saturating_sub(1);
    let field = |(at, field): (usize, &FieldRef)| {
        let kind = if at == last {
            DataType::BinaryView
        } else {
            field.data_type().clone()
        };
        Arc::new(field.as_ref().clone().with_data_type(kind))
    };
    let fields: Vec<FieldRef> = schema.fields().iter().enumerate().map(field).collect();
    Arc::new(Schema::new(fields))
}

/// Views of bytes that stay where they are.
fn views(packets: &[Option<Bytes>]) -> Result<BinaryViewArray, ArrowError> {
    let mut builder = BinaryViewBuilder::with_capacity(packets.len());
    for packet in packets {
        let Some(packet) = packet else {
            builder.append_null();
            continue;
        };
        let length = u32::try_from(packet.len())
            .map_err(|_| ArrowError::OffsetOverflowError(packet.len()))?;
        let block = builder.append_block(Buffer::from(packet.clone()));
        builder.try_append_view(block, 0, length)?;
    }
    Ok(builder.finish())
}
