//! What a source gives: bytes, and where they came from.

use std::sync::Arc;

use bytes::Bytes;

/// Where a packet came from. Positions in a partition ascend by one from 0 and never change their meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Partition of a source: a topic's partition, a night's file, a folder.
    pub partition: Arc<str>,
    /// Position in it.
    pub offset: i64,
}

/// One packet as it was received.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Where it came from.
    pub position: Position,
    /// For people: file, tar member or `topic[partition]@offset`.
    pub name: Arc<str>,
    /// When it was received, microseconds UTC since 1970.
    pub received_us: i64,
    /// All of it, unaltered.
    pub bytes: Bytes,
}

impl Packet {
    /// A packet that stands alone, at position 0 of a partition of its own name. For tests and single files.
    pub fn unplaced(name: &str, bytes: impl Into<Bytes>) -> Packet {
        let name: Arc<str> = name.into();
        Packet {
            position: Position {
                partition: name.clone(),
                offset: 0,
            },
            name,
            received_us: 0,
            bytes: bytes.into(),
        }
    }
}
