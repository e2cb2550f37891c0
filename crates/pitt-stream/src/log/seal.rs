//! The file that describes a closed segment, so that a start need not read the segment again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use bytes::{Buf, BufMut};

use crate::log::producers::{Aborted, Producer, Producers, Written};
use crate::log::segment::{Entry, Segment};

const MAGIC: &[u8; 8] = b"PITTIDX2";

/// Writes the index of a closed segment and the producers known at its end.
///
/// Layout, big-endian: `PITTIDX2`; size of the log file u64; next offset i64; largest timestamp i64; number of entries
/// u32 and for each offset i64, position u64, largest timestamp before i64; number of producers u32 and for each id
/// i64, epoch i16, number of batches u8 and for each first i32, last i32, offset i64; number of open transactions u32 and for
/// each producer i64, first offset i64; number of transactions aborted in this segment u32 and for each producer i64, first
/// offset i64, offset of the mark i64; CRC-32C of all before u32.
/// A file that does not fit (size, checksum) is ignored and the segment is read instead, so it needs no
/// forcing to the disk.
pub(crate) fn write(segment: &Segment, producers: &Producers) -> io::Result<()> {
    let mut out = Vec::with_capacity(64 + 24 * segment.index.len());
    out.put_slice(MAGIC);
    out.put_u64(segment.size);
    out.put_i64(segment.next);
    out.put_i64(segment.latest);
    out.put_u32(u32::try_from(segment.index.len()).map_err(io::Error::other)?);
    for entry in &segment.index {
        out.put_i64(entry.offset);
        out.put_u64(entry.position);
        out.put_i64(entry.latest_before);
    }
    out.put_u32(u32::try_from(producers.by_id.len()).map_err(io::Error::other)?);
    for (id, producer) in &producers.by_id {
        put_producer(&mut out, *id, producer);
    }
    put_transactions(&mut out, segment, producers)?;
    let crc = crc32c::crc32c(&out);
    out.put_u32(crc);
    File::create(segment.index_path())?.write_all(&out)
}

fn put_producer(out: &mut Vec<u8>, id: i64, producer: &Producer) {
    out.put_i64(id);
    out.put_i16(producer.epoch);
    out.put_u8(u8::try_from(producer.batches.len()).unwrap_or(u8::MAX));
    for batch in &producer.batches {
        out.put_i32(batch.first);
        out.put_i32(batch.last);
        out.put_i64(batch.offset);
    }
}

fn put_transactions(out: &mut Vec<u8>, segment: &Segment, producers: &Producers) -> io::Result<()> {
    out.put_u32(u32::try_from(producers.open.len()).map_err(io::Error::other)?);
    for (producer, first) in &producers.open {
        out.put_i64(*producer);
        out.put_i64(*first);
    }
    out.put_u32(u32::try_from(segment.aborted.len()).map_err(io::Error::other)?);
    for aborted in &segment.aborted {
        out.put_i64(aborted.producer_id);
        out.put_i64(aborted.first);
        out.put_i64(aborted.last);
    }
    Ok(())
}

/// Fills `segment` from its index file and returns the producers; `None` when the file is absent or does not fit.
pub(crate) fn read(segment: &mut Segment) -> Option<Producers> {
    let (size, appended) = log_file(&segment.path).ok()?;
    let bytes = fs::read(segment.index_path()).ok()?;
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_be_bytes(*crc) {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    if rest.try_get_u64().ok()? != size {
        return None;
    }
    segment.next = rest.try_get_i64().ok()?;
    segment.latest = rest.try_get_i64().ok()?;
    segment.index = entries(&mut rest)?;
    let mut known = producers(&mut rest)?;
    for _ in 0..rest.try_get_u32().ok()? {
        let producer = rest.try_get_i64().ok()?;
        known.open.insert(producer, rest.try_get_i64().ok()?);
    }
    let n = rest.try_get_u32().ok()?;
    segment.aborted = (0..n).map(|_| aborted(&mut rest)).collect::<Option<_>>()?;
    segment.size = size;
    segment.appended = appended;
    Some(known)
}

fn aborted(rest: &mut &[u8]) -> Option<Aborted> {
    let (producer_id, first) = (rest.try_get_i64().ok()?, rest.try_get_i64().ok()?);
    Some(Aborted {
        producer_id,
        first,
        last: rest.try_get_i64().ok()?,
    })
}

fn log_file(path: &Path) -> io::Result<(u64, std::time::SystemTime)> {
    let about = fs::metadata(path)?;
    Ok((about.len(), about.modified()?))
}

fn entries(rest: &mut &[u8]) -> Option<Vec<Entry>> {
    let n = rest.try_get_u32().ok()?;
    (0..n).map(|_| entry(rest)).collect()
}

fn entry(rest: &mut &[u8]) -> Option<Entry> {
    let (offset, position) = (rest.try_get_i64().ok()?, rest.try_get_u64().ok()?);
    Some(Entry {
        offset,
        position,
        latest_before: rest.try_get_i64().ok()?,
    })
}

fn producers(rest: &mut &[u8]) -> Option<Producers> {
    let mut producers = Producers::default();
    for _ in 0..rest.try_get_u32().ok()? {
        let id = rest.try_get_i64().ok()?;
        let epoch = rest.try_get_i16().ok()?;
        let n = rest.try_get_u8().ok()?;
        let batches = (0..n).map(|_| written(rest)).collect::<Option<_>>()?;
        producers.by_id.insert(id, Producer { epoch, batches });
    }
    Some(producers)
}

fn written(rest: &mut &[u8]) -> Option<Written> {
    let (first, last) = (rest.try_get_i32().ok()?, rest.try_get_i32().ok()?);
    Some(Written {
        first,
        last,
        offset: rest.try_get_i64().ok()?,
    })
}
