//! Finding one record in a packet.

use std::sync::Arc;

use bytes::Bytes;

use super::MessageError;
use crate::avro::container::{self, Codec, MAGIC, SYNC};
use crate::avro::cursor::{Cursor, Fault};
use crate::avro::schema::Type;
use crate::avro::skip::Skip;
use crate::decode;
use crate::frame;
use crate::reason::{Problem, Reason};
use crate::schemas::{SchemaStore, WriterSchema};

/// One alert of a packet: its datum, and the schema it was written with. Views into the packet, unless its block is
/// compressed.
#[derive(Clone, Debug)]
pub struct AlertRecord {
    pub(super) schema: Arc<WriterSchema>,
    pub(super) datum: Bytes,
    /// The packet, when it is a container file of this record alone.
    pub(super) file: Option<Bytes>,
    wire_id: Option<u32>,
    number: u32,
}

impl AlertRecord {
    /// The record of that number in a packet, as [`crate::Decoder::decode`] counts them.
    ///
    /// # Errors
    /// The packet cannot be read so far, its schema is not at hand, or there is no such record. Of the record itself only
    /// its place is looked at.
    pub fn find(
        packet: &Bytes,
        record: u32,
        schemas: &SchemaStore,
    ) -> Result<AlertRecord, MessageError> {
        let unreadable = |problem| MessageError::unreadable(record, problem);
        if packet.starts_with(MAGIC) {
            return Self::in_container(packet, record, schemas);
        }
        let Some(id) = frame::wire_schema_id(packet) else {
            let detail = "neither a container file nor Confluent's wire format";
            return Err(unreadable(Problem::new(Reason::NotAvro, detail)));
        };
        let schema = schemas
            .get(id)
            .map_err(|error| unreadable(Problem::new(Reason::UnknownSchema, error.to_string())))?;
        match record {
            0 => Ok(AlertRecord {
                wire_id: Some(id),
                ..Self::of_datum(schema, packet.slice(5..))
            }),
            _ => Err(MessageError::NoSuchRecord { record, records: 1 }),
        }
    }

    /// A bare datum with its schema.
    pub fn of_datum(schema: Arc<WriterSchema>, datum: Bytes) -> AlertRecord {
        AlertRecord {
            schema,
            datum,
            file: None,
            wire_id: None,
            number: 0,
        }
    }

    /// The schema it was written with.
    pub fn schema(&self) -> &Arc<WriterSchema> {
        &self.schema
    }

    /// The id under which the broker's registry has the schema: the one it came with, else [`WriterSchema::derived_id`].
    pub fn schema_id(&self) -> String {
        let id = self.wire_id.unwrap_or_else(|| self.schema.derived_id());
        id.to_string()
    }

    fn in_container(
        packet: &Bytes,
        record: u32,
        schemas: &SchemaStore,
    ) -> Result<AlertRecord, MessageError> {
        let unreadable = |problem| MessageError::unreadable(record, problem);
        let bad_header = |detail: String| unreadable(Problem::new(Reason::BadHeader, detail));
        let header = container::header(packet)
            .map_err(|fault| bad_header(format!("container header: {}", fault.describe())))?;
        let codec = Codec::named(header.codec).map_err(unreadable)?;
        let json = std::str::from_utf8(header.schema).map_err(|e| bad_header(e.to_string()))?;
        let schema = schemas
            .intern(json)
            .map_err(|e| unreadable(Problem::new(Reason::BadSchema, e.to_string())))?;
        let mut at = header.length + SYNC;
        let sync = packet
            .get(header.length..at)
            .ok_or_else(|| bad_header("the packet ends in its header".into()))?;
        let mut before = 0;
        while let Some(block) = container::block(packet, at, sync).map_err(unreadable)? {
            at = block.end + SYNC;
            if (record as usize) < before + block.records {
                let packed = packet.slice(block.start..block.end);
                let data = container::unpack(codec, &packed, decode::most_unpacked(packet))
                    .map_err(unreadable)?;
                let alone = before == 0 && block.records == 1 && at == packet.len();
                let place = (record as usize - before, block.records);
                return Ok(AlertRecord {
                    file: alone.then(|| packet.clone()),
                    number: record,
                    ..Self::of_datum(
                        schema.clone(),
                        nth(&schema, data, place).map_err(unreadable)?,
                    )
                });
            }
            before += block.records;
        }
        Err(MessageError::NoSuchRecord {
            record,
            records: before,
        })
    }

    /// An error in this record's datum.
    pub(super) fn faulty(&self, fault: Fault, position: usize) -> MessageError {
        MessageError::unreadable(self.number, Problem::datum(fault, position))
    }
}

/// One datum of a block: its index and how many there are. A single one is the whole block.
fn nth(
    schema: &WriterSchema,
    block: Bytes,
    (index, count): (usize, usize),
) -> Result<Bytes, Problem> {
    if count == 1 {
        return Ok(block);
    }
    let skip = Skip::of(&Type::Record(schema.root().clone()));
    let mut cursor = Cursor::new(&block, 0, 0);
    let mut start = 0;
    for _ in 0..=index {
        start = cursor.position();
        skip.run(&mut cursor)
            .map_err(|fault| Problem::datum(fault, cursor.position()))?;
    }
    let end = cursor.position();
    Ok(block.slice(start..end))
}
