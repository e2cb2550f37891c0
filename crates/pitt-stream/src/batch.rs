//! Record batches, version 2: the unit that producers send, the log keeps and consumers get.
//!
//! | bytes | field | | bytes | field |
//! |---|---|---|---|---|
//! | 0..8 | base offset | | 27..35 | base timestamp `[ms]` |
//! | 8..12 | length of what follows | | 35..43 | largest timestamp `[ms]` |
//! | 12..16 | leader epoch | | 43..51 | producer id, -1 when not idempotent |
//! | 16 | magic, 2 | | 51..53 | producer epoch |
//! | 17..21 | CRC-32C of 21.. | | 53..57 | first sequence number |
//! | 21..23 | attributes (codec in bits 0..3, 4: in a transaction, 5: its end) | | 57..61 | number of records |
//! | 23..27 | last offset - base offset | | 61.. | records, perhaps compressed |
//!
//! The base offset and the leader epoch are outside the checksum, so the log numbers a batch without touching the
//! rest: no decompression, no copy by record, and every codec works.
//! Source: <https://kafka.apache.org/documentation/#recordbatch>.

use bytes::Bytes;

use crate::record::{Record, build, record_head, records};

/// Length of a batch before its records `[bytes]`.
pub(crate) const HEADER: usize = 61;
/// Where the length stops counting itself and what precedes it `[bytes]`.
pub(crate) const LENGTH_END: usize = 12;
const CODEC: i16 = 0x07;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
/// The largest codec number of Kafka: zstd.
const LAST_CODEC: i16 = 4;

/// The head of a batch, without its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) base_offset: i64,
    /// Length of the whole batch `[bytes]`.
    pub(crate) size: usize,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) records: i32,
    pub(crate) magic: i8,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Commit,
    Abort,
}

/// Makes the mark that ends a producer's transaction in one partition: a control batch of one record, whose key is a
/// version and 0 for an abort or 1 for a commit, and whose value is a version and the coordinator's epoch.
pub(crate) fn mark(producer_id: i64, epoch: i16, ending: Ending, now_ms: i64) -> Bytes {
    let kind = u8::from(ending == Ending::Commit);
    let record = Record::new(Bytes::from_static(&[0; 6])).with_key(vec![0, 0, 0, kind]);
    let mut batch = build(&[record], now_ms).to_vec();
    batch[21..23].copy_from_slice(&(TRANSACTIONAL | CONTROL).to_be_bytes());
    batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
    batch[51..53].copy_from_slice(&epoch.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

/// Why a produced batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("the batch is cut short or has bytes after its end")]
    Length,
    #[error("message format {0} is not supported (use a client of 2017 or later: format 2)")]
    Magic(i8),
    #[error("the checksum does not match: the batch was damaged on its way")]
    Checksum,
    #[error("the batch belongs to a transaction and its request to none, or the other way round")]
    Transactional,
    #[error("only the stream itself ends transactions")]
    Control,
    #[error("the batch contradicts itself (codec, count or offsets)")]
    Inconsistent,
}

impl BatchHeader {
    /// Reads the head of a batch; `None` when `bytes` cannot begin one.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let length = i32::from_be_bytes(field(bytes, 8));
        let size = usize::try_from(length).ok()?.checked_add(LENGTH_END)?;
        (size >= HEADER).then_some(Self {
            base_offset: i64::from_be_bytes(field(bytes, 0)),
            size,
            magic: i8::from_be_bytes(field(bytes, 16)),
            crc: u32::from_be_bytes(field(bytes, 17)),
            attributes: i16::from_be_bytes(field(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(field(bytes, 23)),
            base_timestamp: i64::from_be_bytes(field(bytes, 27)),
            max_timestamp: i64::from_be_bytes(field(bytes, 35)),
            producer_id: i64::from_be_bytes(field(bytes, 43)),
            producer_epoch: i16::from_be_bytes(field(bytes, 51)),
            base_sequence: i32::from_be_bytes(field(bytes, 53)),
            records: i32::from_be_bytes(field(bytes, 57)),
        })
    }

    /// Checks a batch that a producer sent: exactly one, whole, consistent, of a kind that is kept.
    pub(crate) fn check(batch: &[u8]) -> Result<Self, BatchError> {
        if let Some(&magic) = batch.get(16)
            && magic != 2
        {
            return Err(BatchError::Magic(magic.cast_signed()));
        }
        let header = Self::read(batch).ok_or(BatchError::Length)?;
        if header.size != batch.len() {
            return Err(BatchError::Length);
        }
        if !header.matches(batch) {
            return Err(BatchError::Checksum);
        }
        if header.is_control() {
            return Err(BatchError::Control);
        }
        if header.consistent() {
            Ok(header)
        } else {
            Err(BatchError::Inconsistent)
        }
    }

    fn consistent(&self) -> bool {
        self.records > 0
            && self.last_offset_delta == self.records - 1
            && self.attributes & CODEC <= LAST_CODEC
            && (self.producer_id >= 0 || !self.is_transactional())
            && (self.producer_id < 0 || (self.producer_epoch >= 0 && self.base_sequence >= 0))
    }

    /// Whether the checksum of the whole `batch` is that of its head.
    pub(crate) fn matches(&self, batch: &[u8]) -> bool {
        self.magic == 2 && batch.len() == self.size && crc32c::crc32c(&batch[21..]) == self.crc
    }

    /// The offset of the record after this batch.
    pub(crate) fn next_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
            .saturating_add(1)
    }

    /// The head's first 16 bytes as the log keeps them: with the given offset, leader epoch 0.
    pub(crate) fn numbered(&self, offset: i64) -> [u8; 16] {
        let mut head = [0; 16];
        head[..8].copy_from_slice(&offset.to_be_bytes());
        let length = u32::try_from(self.size - LENGTH_END).unwrap_or(u32::MAX);
        head[8..12].copy_from_slice(&length.to_be_bytes());
        head
    }

    fn compressed(&self) -> bool {
        self.attributes & CODEC != 0
    }

    /// Whether it counts only once its producer commits.
    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it is a mark of the stream's own and no message.
    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// How the transaction ended whose mark `batch` is; `None` for every other batch.
    pub(crate) fn ending(&self, batch: &Bytes) -> Option<Ending> {
        if !(self.is_control() && self.is_transactional()) {
            return None;
        }
        let (_, record) = records(*self, batch).next()?;
        match *record.key? {
            [_, _, 0, 0, ..] => Some(Ending::Abort),
            [_, _, 0, 1, ..] => Some(Ending::Commit),
            _ => None,
        }
    }

    /// Whether its records can be read without opening anything, and count as they stand.
    pub(crate) fn is_plain(&self) -> bool {
        self.attributes & (CODEC | TRANSACTIONAL | CONTROL) == 0
    }
}

fn field<const N: usize>(bytes: &[u8; HEADER], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// Finds the first record at or after `timestamp` `[ms]` in a batch that has one: (timestamp, offset).
///
/// A compressed batch is not opened: the answer is then its first record, so a reader begins a little early, by at
/// most one batch, and never late.
pub(crate) fn first_at(header: &BatchHeader, batch: &[u8], timestamp: i64) -> (i64, i64) {
    let whole = (
        header
            .base_timestamp
            .max(timestamp.min(header.max_timestamp)),
        header.base_offset,
    );
    if header.compressed() {
        return whole;
    }
    let mut rest = batch.get(HEADER..).unwrap_or_default();
    while let Some((delta_ms, delta_offset, after)) = record_head(rest) {
        let at = header.base_timestamp.saturating_add(delta_ms);
        if at >= timestamp {
            return (at, header.base_offset.saturating_add(delta_offset));
        }
        rest = after;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Bytes {
        let records: Vec<_> = (0..3)
            .map(|i| Record {
                timestamp_ms: Some(1_000 + 10 * i),
                ..Record::new(vec![7; 100]).with_key("k")
            })
            .collect();
        build(&records, 0)
    }

    #[test]
    fn a_built_batch_passes_its_own_check() {
        let header = BatchHeader::check(&three()).unwrap();
        assert_eq!(
            (header.records, header.base_timestamp, header.max_timestamp),
            (3, 1_000, 1_020)
        );
    }

    #[test]
    fn damage_anywhere_after_the_head_is_seen() {
        let good = three();
        for at in [17, 22, 30, 60, good.len() - 1] {
            let mut bad = good.to_vec();
            bad[at] ^= 1;
            assert_eq!(
                BatchHeader::check(&bad),
                Err(BatchError::Checksum),
                "byte {at}"
            );
        }
    }

    #[test]
    fn a_mark_says_how_the_transaction_ended_and_no_client_may_send_it() {
        for ending in [Ending::Commit, Ending::Abort] {
            let mark = mark(7, 3, ending, 1_000);
            let header = BatchHeader::read(&mark).unwrap();
            assert!(header.matches(&mark));
            assert_eq!((header.producer_id, header.producer_epoch), (7, 3));
            assert_eq!(header.ending(&mark), Some(ending));
            assert_eq!(BatchHeader::check(&mark), Err(BatchError::Control));
        }
        let batch = three();
        assert_eq!(BatchHeader::read(&batch).unwrap().ending(&batch), None);
    }

    #[test]
    fn cut_or_lengthened_batches_are_refused() {
        let good = three();
        for end in 0..good.len() {
            assert!(BatchHeader::check(&good[..end]).is_err());
        }
        let mut long = good.to_vec();
        long.push(0);
        assert_eq!(BatchHeader::check(&long), Err(BatchError::Length));
    }

    #[test]
    fn the_first_record_at_a_time_is_found_within_a_batch() {
        let batch = three();
        let header = BatchHeader::check(&batch).unwrap();
        assert_eq!(first_at(&header, &batch, 1_001), (1_010, 1));
        assert_eq!(first_at(&header, &batch, 0), (1_000, 0));
        assert_eq!(first_at(&header, &batch, 1_020), (1_020, 2));
    }
}
