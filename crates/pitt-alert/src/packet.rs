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

/// How the stand-in of a packet that was not read begins.
const LEFT_OUT: &str = "pitt-left-out 1: ";

/// What stands in a packet's place when a source does not read it because it is too large: a line of text.
///
/// Decoding rejects it as [`Reason::TooLarge`](crate::Reason::TooLarge), now and whenever it is replayed, so the packet has its row,
/// its position and its reason like every other.
pub fn left_out(size: u64) -> Bytes {
    format!("{LEFT_OUT}{size} bytes, more than the source's limit").into()
}

/// What a stand-in tells of the packet; `None` for a packet.
pub(crate) fn told_of_left_out(bytes: &[u8]) -> Option<&str> {
    let told = bytes.strip_prefix(LEFT_OUT.as_bytes())?;
    std::str::from_utf8(told).ok()
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
