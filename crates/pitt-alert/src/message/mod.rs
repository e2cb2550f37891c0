//! One alert as a message for others: JSON, an Avro container file, or a bare Avro datum.
//!
//! A message is made from the packet's own bytes by the writer's schema, so it holds every field the survey sent, under
//! the survey's names; nothing passes through the tables. Beside the survey's fields stands what the broker knows, the
//! [`Annotation`].
//!
//! | form | survey's fields | stamps left out | annotation |
//! |---|---|---|---|
//! | JSON ([`AlertRecord::json`]) | as [below](#json) | `null` | member `pitt` |
//! | Avro container ([`AlertRecord::container`]) | the writer's schema in the file | null, or empty where null is not allowed | field `pitt` of a derived schema, on request |
//! | Avro datum ([`AlertRecord::datum`]) | the writer's schema beside it | the same | the same |
//!
//! # JSON
//!
//! - An Avro `long` that is an id is a string, because readers in other languages round numbers above 2^53: one whose
//!   field's name ends in `id` or has `obj` in it, in whatever case (`candid`, `diaSourceId`, `objectidps1`, `nearbyObj1`),
//!   but not ZTF's small numbers `fid`, `nid`, `rcid` and `programid`. Any other `long` beyond 2^53 is a string too.
//! - Floats have the fewest digits that give the same value back at their own width. NaN and infinities are `null`.
//! - Bytes are base64 (RFC 4648, padded). Stamps, the top-level fields whose names begin with `cutout`, are `null` unless asked for.
//! - Enums are their symbols, maps are objects, unions are the value alone, timestamps are the number they are in Avro.
//! - `objectId` is added, with the common object id, where the survey has no field of that name: readers made for ZTF look for it.

mod annotation;
mod avro;
mod container;
mod json;
mod record;

pub use annotation::{Annotation, Matched, rfc3339};
pub use avro::annotated_schema;
pub use container::ContainerWriter;
pub use record::AlertRecord;

use crate::reason::{Problem, Reason};

/// Why no message can be made of a packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The record cannot be read.
    #[error("record {record}: {detail} ({reason})")]
    Unreadable {
        /// Number of the record in its packet.
        record: u32,
        /// What kind of fault it is.
        reason: Reason,
        /// What and where.
        detail: String,
    },
    /// The packet holds fewer records.
    #[error("record {record}: the packet holds {records}")]
    NoSuchRecord {
        /// Number of the record asked for.
        record: u32,
        /// How many there are.
        records: usize,
    },
    /// The writer's schema has no place for a further field.
    #[error("schema `{name}` cannot be extended by `pitt`: {detail}")]
    Schema {
        /// Name of the outermost record.
        name: String,
        /// Why not.
        detail: String,
    },
}

impl MessageError {
    fn unreadable(record: u32, problem: Problem) -> MessageError {
        MessageError::Unreadable {
            record,
            reason: problem.reason,
            detail: problem.detail,
        }
    }
}
