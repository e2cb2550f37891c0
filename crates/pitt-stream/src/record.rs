//! Records within a batch: what a message is made of.

use bytes::{BufMut, Bytes, BytesMut};

use crate::batch::{BatchHeader, HEADER, LENGTH_END};

/// A message to append from within the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The key; records of one key usually go to one partition.
    pub key: Option<Bytes>,
    /// The message. `None` is Kafka's tombstone.
    pub value: Option<Bytes>,
    /// Names and values beside the message.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// When it was made [ms, UTC since 1970]; `None` takes the present.
    pub timestamp_ms: Option<i64>,
}

impl Record {
    /// A message without key or headers, made now.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self {
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// The same message with a key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The same message with a header more.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// The value of the header called `name`.
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        let found = self.headers.iter().find(|(n, _)| n == name)?;
        found.1.as_ref()
    }

    /// Upper bound of the record's length in a batch `[bytes]`.
    pub(crate) fn size_bound(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(k, v)| k.len() + optional_len(v.as_ref()) + 20)
            .sum();
        optional_len(self.key.as_ref()) + optional_len(self.value.as_ref()) + headers + 60
    }

    /// Reads a record without its length: its offset after the batch's first, and the record.
    fn decode(base_timestamp: i64, mut bytes: Bytes) -> Option<(i64, Self)> {
        if bytes.is_empty() {
            return None;
        }
        let _attributes = bytes.split_to(1);
        let (delta_ms, delta_offset) = (take_varint(&mut bytes)?, take_varint(&mut bytes)?);
        let (key, value) = (take_optional(&mut bytes)?, take_optional(&mut bytes)?);
        let mut headers = Vec::new();
        for _ in 0..take_varint(&mut bytes)? {
            let name = take_optional(&mut bytes)??;
            let name = String::from_utf8_lossy(&name).into_owned();
            headers.push((name, take_optional(&mut bytes)?));
        }
        let record = Self {
            key,
            value,
            headers,
            timestamp_ms: Some(base_timestamp.saturating_add(delta_ms)),
        };
        Some((delta_offset, record))
    }

    fn encode(&self, delta_ms: i64, delta_offset: i64, body: &mut BytesMut, out: &mut BytesMut) {
        body.clear();
        body.put_u8(0);
        put_varint(body, delta_ms);
        put_varint(body, delta_offset);
        put_optional(body, self.key.as_ref());
        put_optional(body, self.value.as_ref());
        put_varint(body, length(self.headers.len()));
        for (name, value) in &self.headers {
            put_varint(body, length(name.len()));
            body.put_slice(name.as_bytes());
            put_optional(body, value.as_ref());
        }
        put_varint(out, length(body.len()));
        out.put_slice(body);
    }
}

/// Makes one uncompressed batch of `records` (at least one); `now_ms` dates those that have no time.
pub(crate) fn build(records: &[Record], now_ms: i64) -> Bytes {
    let times = || records.iter().map(|r| r.timestamp_ms.unwrap_or(now_ms));
    let base = times().next().unwrap_or(now_ms);
    let latest = times().max().unwrap_or(now_ms);
    let size = HEADER + records.iter().map(Record::size_bound).sum::<usize>();
    let mut out = BytesMut::with_capacity(size);
    out.put_bytes(0, HEADER);
    let mut body = BytesMut::new();
    for (i, record) in records.iter().enumerate() {
        let delta = record.timestamp_ms.unwrap_or(now_ms).saturating_sub(base);
        record.encode(delta, length(i), &mut body, &mut out);
    }
    let count = i32::try_from(records.len()).unwrap_or(i32::MAX);
    let total = u32::try_from(out.len() - LENGTH_END).unwrap_or(u32::MAX);
    out[8..12].copy_from_slice(&total.to_be_bytes());
    out[16] = 2;
    out[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    out[27..35].copy_from_slice(&base.to_be_bytes());
    out[35..43].copy_from_slice(&latest.to_be_bytes());
    out[43..57].fill(0xff);
    out[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c(&out[21..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out.freeze()
}

fn optional_len(bytes: Option<&Bytes>) -> usize {
    bytes.map_or(0, Bytes::len)
}

fn length(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn put_optional(out: &mut BytesMut, bytes: Option<&Bytes>) {
    put_varint(out, bytes.map_or(-1, |b| length(b.len())));
    out.put_slice(bytes.map_or(&[][..], |b| b));
}

fn put_varint(out: &mut BytesMut, value: i64) {
    let mut rest = (value << 1 ^ value >> 63).cast_unsigned();
    while rest >= 0x80 {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

/// The records of an uncompressed batch with their offsets; it ends early where the bytes make no sense.
pub(crate) fn records(header: BatchHeader, batch: &Bytes) -> impl Iterator<Item = (i64, Record)> {
    let mut rest = batch.slice(HEADER.min(batch.len())..);
    std::iter::from_fn(move || {
        let (length, body) = varint(&rest)?;
        let begin = rest.len() - body.len();
        let end = begin.checked_add(usize::try_from(length).ok()?)?;
        if end > rest.len() {
            return None;
        }
        let record = rest.split_to(end).slice(begin..);
        let (delta, record) = Record::decode(header.base_timestamp, record)?;
        Some((header.base_offset.saturating_add(delta), record))
    })
}

/// Timestamp and offset of the first record in `bytes`, relative to the batch, and what follows the record.
pub(crate) fn record_head(bytes: &[u8]) -> Option<(i64, i64, &[u8])> {
    let (length, body) = varint(bytes)?;
    let length = usize::try_from(length).ok()?;
    let record = body.get(..length)?;
    let (delta_ms, rest) = varint(record.get(1..)?)?;
    let (delta_offset, _) = varint(rest)?;
    Some((delta_ms, delta_offset, &body[length..]))
}

fn varint(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut value = 0_u64;
    for (i, &byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(i).ok()?)?;
        if byte & 0x80 == 0 {
            let decoded = (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
            return Some((decoded, &bytes[i + 1..]));
        }
    }
    None
}

/// Takes a number off the front of `bytes`.
fn take_varint(bytes: &mut Bytes) -> Option<i64> {
    let (value, rest) = varint(bytes)?;
    let used = bytes.len() - rest.len();
    let _ = bytes.split_to(used);
    Some(value)
}

/// Takes bytes with their length off the front of `bytes`: the outer `None` for nonsense, the inner one for null.
fn take_optional(bytes: &mut Bytes) -> Option<Option<Bytes>> {
    let length = take_varint(bytes)?;
    if length < 0 {
        return Some(None);
    }
    let length = usize::try_from(length).ok().filter(|n| *n <= bytes.len())?;
    Some(Some(bytes.split_to(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were() {
        let with_all = Record {
            key: Some(Bytes::from("k")),
            value: None,
            headers: vec![("a".into(), Some(Bytes::from("b"))), ("c".into(), None)],
            timestamp_ms: Some(1_000),
        };
        let plain = Record {
            timestamp_ms: Some(990),
            ..Record::new(vec![7; 300])
        };
        let batch = build(&[with_all.clone(), plain.clone()], 0);
        let header = BatchHeader::check(&batch).unwrap();
        let back: Vec<_> = records(header, &batch).collect();
        assert_eq!(back, [(0, with_all), (1, plain)]);
        for end in HEADER..batch.len() {
            assert!(
                records(header, &batch.slice(..end)).count() < 2,
                "cut at {end}"
            );
        }
    }
}
