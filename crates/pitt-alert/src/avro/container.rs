//! Avro object container files: header, blocks, codecs.

use std::io::Read;

use bytes::Bytes;

use super::cursor::{Cursor, Fault};
use crate::reason::{Problem, Reason};

/// First bytes of every container file.
pub(crate) const MAGIC: &[u8; 4] = b"Obj\x01";
/// Largest header read, bytes. The largest seen is 130 kB; its JSON in memory takes some forty times as much.
pub(crate) const MAX_HEADER: usize = 1 << 20;
/// A sync marker's length, bytes.
pub(crate) const SYNC: usize = 16;

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

/// What a container's header says, and where it ends.
pub(crate) struct Header<'a> {
    pub(crate) schema: &'a [u8],
    pub(crate) codec: &'a [u8],
    /// Length of magic and metadata, bytes: the sync marker begins here.
    pub(crate) length: usize,
}

impl Codec {
    pub(crate) fn named(name: &[u8]) -> Result<Codec, Problem> {
        match name {
            b"" | b"null" => Ok(Codec::Null),
            b"deflate" => Ok(Codec::Deflate),
            b"snappy" => Ok(Codec::Snappy),
            b"zstandard" => Ok(Codec::Zstandard),
            other => Err(Problem::new(
                Reason::UnsupportedCodec,
                format!(
                    "codec `{}` (null, deflate, snappy and zstandard are read)",
                    String::from_utf8_lossy(other)
                ),
            )),
        }
    }
}

/// Reads a header. `bytes` start with [`MAGIC`].
pub(crate) fn header(bytes: &[u8]) -> Result<Header<'_>, Fault> {
    let end = bytes.len().min(MAX_HEADER);
    let within = |fault| {
        if bytes.len() > MAX_HEADER && fault == Fault::Truncated {
            Fault::TooLarge
        } else {
            fault
        }
    };
    let (mut schema, mut codec) = (&[][..], &[][..]);
    let mut cursor = Cursor::new(&bytes[..end], MAGIC.len(), 0);
    while let Some((count, _)) = cursor.block(2).map_err(within)? {
        for _ in 0..count {
            let length = cursor.length().map_err(within)?;
            let key = cursor.take(length).map_err(within)?;
            let length = cursor.length().map_err(within)?;
            let value = cursor.take(length).map_err(within)?;
            match key {
                b"avro.schema" => schema = value,
                b"avro.codec" => codec = value,
                _ => {}
            }
        }
    }
    Ok(Header {
        schema,
        codec,
        length: cursor.position(),
    })
}

/// One block, still compressed.
pub(crate) struct Block {
    pub(crate) records: usize,
    /// Start and end in the packet.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Reads the frame of the block at `start`, and checks the marker after it. `None` at the end of the packet.
pub(crate) fn block(bytes: &[u8], start: usize, sync: &[u8]) -> Result<Option<Block>, Problem> {
    if start >= bytes.len() {
        return Ok(None);
    }
    let mut cursor = Cursor::new(bytes, start, 0);
    let damaged = |fault: Fault| {
        let reason = if fault == Fault::Truncated {
            Reason::Truncated
        } else {
            Reason::BadBlock
        };
        Problem::new(
            reason,
            format!("block at byte {start}: {}", fault.describe()),
        )
    };
    let records =
        usize::try_from(cursor.long().map_err(damaged)?).map_err(|_| damaged(Fault::Length))?;
    let length = cursor.length().map_err(damaged)?;
    let (start, end) = (cursor.position(), cursor.position() + length);
    match bytes.get(end..end + SYNC) {
        None => Err(Problem::new(
            Reason::Truncated,
            format!(
                "the packet ends after {} bytes, inside the block's sync marker",
                bytes.len()
            ),
        )),
        Some(marker) if marker != sync => Err(Problem::new(
            Reason::BadBlock,
            format!("no sync marker at byte {end}, where the block should end"),
        )),
        Some(_) => Ok(Some(Block {
            records,
            start,
            end,
        })),
    }
}

/// Unpacks a block's data, to at most `limit` bytes.
pub(crate) fn unpack(codec: Codec, packed: &Bytes, limit: usize) -> Result<Bytes, Problem> {
    match codec {
        Codec::Null => Ok(packed.clone()),
        Codec::Deflate => read_limited(
            flate2::bufread::DeflateDecoder::new(packed.as_ref()),
            packed.len(),
            limit,
        ),
        Codec::Snappy => unpack_snappy(packed, limit),
        Codec::Zstandard => {
            let decoder = zstd::stream::read::Decoder::with_buffer(packed.as_ref());
            let mut decoder =
                decoder.map_err(|e| Problem::new(Reason::BadBlock, format!("zstandard: {e}")))?;
            decoder
                .window_log_max(27)
                .map_err(|e| Problem::new(Reason::BadBlock, format!("zstandard: {e}")))?;
            read_limited(decoder, packed.len(), limit)
        }
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        Reason::TooLarge,
        format!("a block unpacks to more than the {limit} bytes left for this packet"),
    )
}

fn read_limited(reader: impl Read, packed: usize, limit: usize) -> Result<Bytes, Problem> {
    let mut unpacked = Vec::with_capacity(packed.saturating_mul(2).min(limit));
    reader
        .take(limit as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(|e| Problem::new(Reason::BadBlock, format!("a block does not unpack: {e}")))?;
    if unpacked.len() > limit {
        return Err(too_large(limit));
    }
    Ok(unpacked.into())
}

/// Snappy's raw format, then the big-endian CRC-32 of the unpacked bytes.
fn unpack_snappy(packed: &[u8], limit: usize) -> Result<Bytes, Problem> {
    let bad = |detail: String| Problem::new(Reason::BadBlock, detail);
    let (data, crc) = packed
        .split_last_chunk::<4>()
        .ok_or_else(|| bad("snappy: no checksum".into()))?;
    let length = snap::raw::decompress_len(data).map_err(|e| bad(format!("snappy: {e}")))?;
    // Snappy packs at most 64 bytes into three: more is a lie, and would be allocated before it is found out.
    if length > limit || length > data.len().saturating_mul(22).saturating_add(64) {
        return Err(too_large(limit));
    }
    let unpacked = snap::raw::Decoder::new()
        .decompress_vec(data)
        .map_err(|e| bad(format!("snappy: {e}")))?;
    let found = crc32fast::hash(&unpacked);
    if found != u32::from_be_bytes(*crc) {
        return Err(bad(format!(
            "snappy: checksum {found:08x} differs from the one written"
        )));
    }
    Ok(unpacked.into())
}
