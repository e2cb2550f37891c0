//! Bytes of the index's keys and values.

use crate::index::Watermark;
use crate::part::PartName;
use crate::place::{PacketPlace, RecordPlace};

/// Order of a file in its table.
pub(super) fn order(name: &PartName) -> (u64, u32) {
    (name.commit, name.number)
}

/// Value of `meta`: commit (8 bytes), file (4), then the table's id.
pub(super) fn watermark(table_id: &str, name: &PartName) -> Vec<u8> {
    let mut value = Vec::with_capacity(12 + table_id.len());
    value.extend(name.commit.to_be_bytes());
    value.extend(name.number.to_be_bytes());
    value.extend(table_id.as_bytes());
    value
}

/// Reads a [`watermark`]; `None` if it is none.
pub(super) fn read_watermark(value: &[u8]) -> Option<Watermark> {
    Some(Watermark {
        file: (u64_at(value, 0)?, u32_at(value, 8)?),
        table_id: String::from_utf8(value.get(12..)?.to_vec()).ok()?,
    })
}

/// Key of `id`: survey, zero byte, alert id (8).
pub(super) fn id(survey: &str, alert_id: i64) -> Vec<u8> {
    let mut key = text(survey);
    key.extend(ordered_i64(alert_id));
    key
}

/// Value of `id`: commit (8 bytes), file (4), row (8), record (4), all big-endian.
pub(super) fn record_place(at: &RecordPlace) -> [u8; 24] {
    let mut value = [0; 24];
    value[..8].copy_from_slice(&at.packet.commit.to_be_bytes());
    value[8..12].copy_from_slice(&at.packet.file.to_be_bytes());
    value[12..20].copy_from_slice(&at.packet.row.to_be_bytes());
    value[20..].copy_from_slice(&at.record.to_be_bytes());
    value
}

/// Reads a [`record_place`]; `None` if it is too short.
pub(super) fn read_record_place(value: &[u8]) -> Option<RecordPlace> {
    Some(RecordPlace {
        packet: PacketPlace {
            commit: u64_at(value, 0)?,
            file: u32_at(value, 8)?,
            row: u64_at(value, 12)?,
        },
        record: u32_at(value, 20)?,
    })
}

/// A word and the zero byte that ends it, so that no word is the beginning of another's key.
pub(super) fn text(word: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(word.len() + 24);
    key.extend(word.as_bytes());
    key.push(0);
    key
}

/// Key of `object` and `forced`: object, zero byte, survey.
pub(super) fn object(object_id: &str, survey: &str) -> Vec<u8> {
    let mut key = text(object_id);
    key.extend(survey.as_bytes());
    key
}

/// Key of `lc`: object, zero byte, time `[d, TAI]` (8 bytes), alert id (8): an object's points follow each other in time.
pub(super) fn point(object_id: &str, mjd_tai: f64, alert_id: i64) -> Vec<u8> {
    let mut key = text(object_id);
    key.extend(ordered_f64(mjd_tai));
    key.extend(ordered_i64(alert_id));
    key
}

/// Key of `pos`: HEALPix cell of order 29 (8 bytes), then as in [`object`]: a range of cells is a range of keys.
pub(super) fn position(cell: i64, object_id: &str, survey: &str) -> Vec<u8> {
    let mut key = cell.to_be_bytes().to_vec();
    key.extend(text(object_id));
    key.extend(survey.as_bytes());
    key
}

/// Splits `object`, zero byte, `survey`.
pub(super) fn read_object(key: &[u8]) -> Option<(&str, &str)> {
    let end = key.iter().position(|b| *b == 0)?;
    let object_id = std::str::from_utf8(&key[..end]).ok()?;
    Some((object_id, std::str::from_utf8(&key[end + 1..]).ok()?))
}

/// Eight bytes that sort as the numbers do.
pub(super) fn ordered_i64(value: i64) -> [u8; 8] {
    ((value as u64) ^ (1 << 63)).to_be_bytes()
}

/// The number in the eight bytes from `at` on; `None` if there are fewer.
pub(super) fn read_ordered_i64(bytes: &[u8], at: usize) -> Option<i64> {
    Some((u64_at(bytes, at)? ^ (1 << 63)) as i64)
}

/// Eight bytes that sort as the numbers do, negative ones and infinities too.
pub(super) fn ordered_f64(value: f64) -> [u8; 8] {
    let bits = value.to_bits();
    let flipped = if bits >> 63 == 1 {
        !bits
    } else {
        bits ^ (1 << 63)
    };
    flipped.to_be_bytes()
}

/// The number in the eight bytes from `at` on; `None` if there are fewer.
pub(super) fn read_ordered_f64(bytes: &[u8], at: usize) -> Option<f64> {
    let flipped = u64_at(bytes, at)?;
    Some(f64::from_bits(if flipped >> 63 == 1 {
        flipped ^ (1 << 63)
    } else {
        !flipped
    }))
}

/// Big-endian, from `at` on; `None` beyond the end. So are those below.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn f64_at(bytes: &[u8], at: usize) -> Option<f64> {
    Some(f64::from_bits(u64_at(bytes, at)?))
}

pub(super) fn f32_at(bytes: &[u8], at: usize) -> Option<f32> {
    Some(f32::from_bits(u32_at(bytes, at)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_sort_as_numbers_do_and_come_back() {
        let times = [-1.5, -0.0, 0.0, 58_000.25, 60_000.5, f64::INFINITY];
        assert!(
            times
                .windows(2)
                .all(|w| ordered_f64(w[0]) <= ordered_f64(w[1]))
        );
        for time in times {
            assert_eq!(read_ordered_f64(&ordered_f64(time), 0), Some(time));
        }
        let ids = [i64::MIN, -1, 0, 1, i64::MAX];
        assert!(
            ids.windows(2)
                .all(|w| ordered_i64(w[0]) < ordered_i64(w[1]))
        );
        for id in ids {
            assert_eq!(read_ordered_i64(&ordered_i64(id), 0), Some(id));
        }
    }
}
