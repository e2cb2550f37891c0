//! Packets without what they repeat: for storage, and back byte for byte.
//!
//! A ZTF packet is a container file of which a third to a half is the schema's JSON, the same in every packet but for
//! the sync marker. [`split`] takes that header off and names it by a hash, so that it is stored once; [`join`] puts the
//! packet together again. Whatever is not exactly header, marker, blocks, marker stays as it is.

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_128;

use crate::avro::container::{self, MAGIC, SYNC};

/// How a packet was split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A container file. Its header and its sync marker (after the header and at the very end) are taken off; the body is
    /// what is between: blocks, of which all but the last still end with the marker.
    Container,
    /// A message in Confluent's wire format, whole.
    Wire,
    /// Anything else, whole.
    Plain,
}

impl FrameKind {
    /// Stable lower-case name.
    pub const fn as_str(self) -> &'static str {
        match self {
            FrameKind::Container => "container",
            FrameKind::Wire => "wire",
            FrameKind::Plain => "plain",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<FrameKind> {
        [FrameKind::Container, FrameKind::Wire, FrameKind::Plain]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// XXH3-128 of a container's header: magic and metadata, without the sync marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderId(pub u128);

impl HeaderId {
    /// The id of these header bytes.
    pub fn of(header: &[u8]) -> HeaderId {
        HeaderId(xxh3_128(header))
    }

    /// 32 hexadecimal digits.
    pub fn hex(self) -> String {
        format!("{:032x}", self.0)
    }

    /// The id of 32 hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<HeaderId> {
        u128::from_str_radix(hex, 16).ok().map(HeaderId)
    }
}

/// A packet in parts. Header and body are views into the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// How it was split.
    pub kind: FrameKind,
    /// Which header [`join`] needs; of containers only.
    pub header_id: Option<HeaderId>,
    /// That header; empty when there is none.
    pub header: Bytes,
    /// The container's sync marker.
    pub sync: Option<[u8; SYNC]>,
    /// What is left: for [`FrameKind::Wire`] and [`FrameKind::Plain`] the whole packet.
    pub body: Bytes,
}

/// Takes a packet apart. Costs a walk over the header's lengths, and a hash of it.
pub fn split(bytes: &Bytes) -> Frame {
    if let Some(frame) = split_container(bytes) {
        return frame;
    }
    let kind = if bytes.len() >= 5 && bytes[0] == 0 {
        FrameKind::Wire
    } else {
        FrameKind::Plain
    };
    Frame {
        kind,
        header_id: None,
        header: Bytes::new(),
        sync: None,
        body: bytes.clone(),
    }
}

fn split_container(bytes: &Bytes) -> Option<Frame> {
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let length = container::header(bytes).ok()?.length;
    let body = length + SYNC..bytes.len().checked_sub(SYNC)?;
    if body.start > body.end {
        return None;
    }
    let sync: [u8; SYNC] = bytes[length..body.start].try_into().ok()?;
    if bytes[body.end..] != sync {
        return None;
    }
    let header = bytes.slice(..length);
    Some(Frame {
        kind: FrameKind::Container,
        header_id: Some(HeaderId::of(&header)),
        header,
        sync: Some(sync),
        body: bytes.slice(body),
    })
}

/// Puts a packet together, byte for byte as [`split`] had it. `header` is the one that [`Frame::header_id`] names; it is
/// not looked at where there is none. The frame's own `header` is not used, so a stored frame may leave it empty.
pub fn join(frame: &Frame, header: &[u8]) -> Bytes {
    let Some(sync) = frame.sync else {
        return frame.body.clone();
    };
    let mut packet = BytesMut::with_capacity(header.len() + frame.body.len() + 2 * SYNC);
    packet.put_slice(header);
    packet.put_slice(&sync);
    packet.put_slice(&frame.body);
    packet.put_slice(&sync);
    packet.freeze()
}

/// The schema id of a message in Confluent's wire format.
pub fn wire_schema_id(bytes: &[u8]) -> Option<u32> {
    match *bytes {
        [0, a, b, c, d, ..] => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_no_whole_container_stays_whole() {
        for packet in [
            &b""[..],
            b"Obj\x01",
            b"Obj\x01\0",
            b"<html>",
            b"\0\0\0\x03\x84datum",
            b"Obj\x01\x02\x02a\x02b\0short",
        ] {
            let packet = Bytes::copy_from_slice(packet);
            let frame = split(&packet);
            assert_ne!(frame.kind, FrameKind::Container);
            assert_eq!(join(&frame, b""), packet);
        }
    }

    #[test]
    fn a_container_without_blocks_is_reproduced() {
        // Header, marker, and the marker's bytes again as the "blocks".
        let packet = Bytes::from([&b"Obj\x01\x02\x02a\x02b\0"[..], &[7; 16], &[7; 16]].concat());
        let frame = split(&packet);
        assert_eq!((frame.kind, frame.body.len()), (FrameKind::Container, 0));
        assert_eq!(
            join(
                &Frame {
                    header: Bytes::new(),
                    ..frame.clone()
                },
                &frame.header
            ),
            packet
        );
    }
}
