//! What the log keeps, finds, cuts and drops.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;
use crate::config::Retention;
use crate::record::{Record, build};

fn settings(segment_bytes: u64) -> LogSettings {
    LogSettings {
        segment_bytes,
        message_bytes: 1 << 20,
        sync_each: false,
    }
}

fn open(folder: &Path, segment_bytes: u64) -> Log {
    Log::open(folder.to_owned(), settings(segment_bytes)).unwrap()
}

/// One batch of `n` records of `size` bytes, `time_ms` apart by 1 ms.
fn batch(n: i64, size: usize, time_ms: i64) -> Bytes {
    let records: Vec<_> = (0..n)
        .map(|i| Record {
            timestamp_ms: Some(time_ms + i),
            ..Record::new(vec![b'x'; size])
        })
        .collect();
    build(&records, 0)
}

/// Reads everything from `offset` on, in pieces of at most `max_bytes`, and returns the batches' first offsets.
fn offsets(log: &Log, mut offset: i64, max_bytes: usize) -> Vec<i64> {
    let mut seen = Vec::new();
    loop {
        let slice = log.read(offset, max_bytes, true, false).unwrap();
        let mut rest = &slice.batches[..];
        while let Some(header) = BatchHeader::read(rest) {
            assert!(header.matches(&rest[..header.size]));
            seen.push(header.base_offset);
            offset = header.next_offset();
            rest = &rest[header.size..];
        }
        assert!(rest.is_empty(), "only whole batches are read");
        if offset == slice.next {
            return seen;
        }
    }
}

#[test]
fn numbers_batches_and_reads_them_back_across_segments() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 10_000);
    for i in 0..100 {
        assert_eq!(log.append(&batch(3, 300, i), None).unwrap().offset, 3 * i);
    }
    assert!(
        fs::read_dir(folder.path()).unwrap().count() > 10,
        "segments roll"
    );
    let expected: Vec<i64> = (0..100).map(|i| 3 * i).collect();
    for max_bytes in [1, 1_000, 5_000, 1 << 20] {
        assert_eq!(
            offsets(&log, 0, max_bytes),
            expected,
            "max_bytes {max_bytes}"
        );
    }
    assert_eq!(
        offsets(&log, 151, 1 << 20)[0],
        150,
        "the batch that holds the offset"
    );
}

#[test]
fn batches_larger_than_the_index_step_and_the_limit_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 30);
    for size in [200_000, 10, 300_000, 10, 10] {
        log.append(&batch(1, size, 0), None).unwrap();
    }
    assert_eq!(offsets(&log, 0, 1_000), [0, 1, 2, 3, 4]);
    assert!(log.read(0, 1_000, false, false).unwrap().batches.is_empty());
    assert_eq!(offsets(&log, 1, 1_000), [1, 2, 3, 4]);
}

#[test]
fn offsets_out_of_range_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 20);
    log.append(&batch(2, 10, 0), None).unwrap();
    assert!(log.read(2, 100, true, false).unwrap().batches.is_empty());
    assert!(matches!(
        log.read(3, 100, true, false),
        Err(OutOfRange::Offset { start: 0, next: 2 })
    ));
    assert!(matches!(
        log.read(-1, 100, true, false),
        Err(OutOfRange::Offset { .. })
    ));
}

#[test]
fn a_restart_finds_everything_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 5_000);
    for i in 0..50 {
        log.append(&batch(2, 200, i), None).unwrap();
    }
    let before = offsets(&log, 0, 4_000);
    drop(log);
    let log = open(folder.path(), 5_000);
    assert_eq!(offsets(&log, 0, 4_000), before);
    assert_eq!(log.append(&batch(1, 10, 0), None).unwrap().offset, 100);
    drop(log);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "index") {
            fs::write(path, b"damaged").unwrap();
        }
    }
    assert_eq!(
        offsets(&open(folder.path(), 5_000), 0, 4_000).len(),
        51,
        "without any index"
    );
}

#[test]
fn a_torn_end_is_cut_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 20);
    log.append(&batch(2, 50, 0), None).unwrap();
    let whole = log.size();
    log.append(&batch(1, 50, 0), None).unwrap();
    let (path, full) = (folder.path().join("00000000000000000000.log"), log.size());
    drop(log);
    let bytes = fs::read(&path).unwrap();
    for end in whole..full {
        fs::write(&path, &bytes[..usize::try_from(end).unwrap()]).unwrap();
        let log = open(folder.path(), 1 << 20);
        assert_eq!(
            (log.range(), log.size()),
            ((0, 2), whole),
            "cut at byte {end}"
        );
        assert_eq!(fs::metadata(&path).unwrap().len(), whole);
    }
}

#[test]
fn garbage_at_the_end_is_cut_and_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 20);
    log.append(&batch(2, 50, 0), None).unwrap();
    let size = log.size();
    drop(log);
    let path = folder.path().join("00000000000000000000.log");
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xff; 500], size).unwrap();
    let log = open(folder.path(), 1 << 20);
    assert_eq!(log.append(&batch(1, 10, 0), None).unwrap().offset, 2);
    assert_eq!(offsets(&log, 0, 100), [0, 2]);
}

#[test]
fn finds_the_first_record_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 20_000);
    for i in 0..200 {
        log.append(&batch(3, 400, 1_000 * i), None).unwrap();
    }
    assert_eq!(log.offset_at(0).unwrap(), Some((0, 0)));
    assert_eq!(log.offset_at(100_000).unwrap(), Some((100_000, 300)));
    assert_eq!(log.offset_at(100_001).unwrap(), Some((100_001, 301)));
    assert_eq!(log.offset_at(100_003).unwrap(), Some((101_000, 303)));
    assert_eq!(log.offset_at(199_003).unwrap(), None);
    assert_eq!(log.latest_time().unwrap(), Some((199_002, 599)));
}

#[test]
fn keeps_by_size_and_by_age_of_the_append_not_of_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 5_000);
    for _ in 0..50 {
        log.append(&batch(1, 1_000, 0), None).unwrap();
    }
    let now = SystemTime::now();
    let week = Retention {
        time: Some(Duration::from_hours(168)),
        bytes: None,
    };
    assert_eq!(
        log.retain(week, now).unwrap(),
        0,
        "records of 1970, appended now"
    );
    assert!(
        log.retain(
            Retention {
                time: None,
                bytes: Some(20_000)
            },
            now
        )
        .unwrap()
            > 0
    );
    assert!((20_000..26_000).contains(&log.size()), "{}", log.size());
    let (start, next) = log.range();
    assert!(start > 0 && next == 50);
    assert!(matches!(
        log.read(0, 100, true, false),
        Err(OutOfRange::Offset { .. })
    ));
    log.retain(week, now + Duration::from_hours(169)).unwrap();
    assert_eq!(log.range(), (50, 50));
    drop(log);
    assert_eq!(
        open(folder.path(), 5_000).range(),
        (50, 50),
        "offsets never begin again"
    );
}

#[test]
fn repeats_of_an_idempotent_producer_are_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 3_000);
    let of_producer = |sequence: i32| {
        let mut bytes = batch(1, 500, 0).to_vec();
        bytes[43..51].copy_from_slice(&77_i64.to_be_bytes());
        bytes[51..53].copy_from_slice(&0_i16.to_be_bytes());
        bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        Bytes::from(bytes)
    };
    for i in 0..20 {
        assert_eq!(
            log.append(&of_producer(i), None).unwrap().offset,
            i64::from(i)
        );
    }
    drop(log);
    let log = open(folder.path(), 3_000);
    assert_eq!(log.append(&of_producer(19), None).unwrap().offset, 19);
    assert!(matches!(
        log.append(&of_producer(21), None),
        Err(AppendError::Gap)
    ));
    assert_eq!(log.append(&of_producer(20), None).unwrap().offset, 20);
    assert_eq!(log.range(), (0, 21));
}

/// One record of 500 bytes in a producer's transaction.
fn in_transaction(producer: i64, sequence: i32) -> Bytes {
    let mut bytes = batch(1, 500, 0).to_vec();
    bytes[21..23].copy_from_slice(&0x10_i16.to_be_bytes());
    bytes[43..51].copy_from_slice(&producer.to_be_bytes());
    bytes[51..53].copy_from_slice(&0_i16.to_be_bytes());
    bytes[53..57].copy_from_slice(&sequence.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

#[test]
fn transactions_over_several_segments_are_known_after_every_kind_of_restart() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 3_000);
    for i in 0..10 {
        log.append(&in_transaction(1, i), Some((1, 0))).unwrap();
        log.append(&in_transaction(2, i), Some((2, 0))).unwrap();
    }
    log.end_transaction(1, 0, Ending::Abort, 0).unwrap();
    let aborted = Aborted {
        producer_id: 1,
        first: 0,
        last: 20,
    };
    let check = |log: &Log| {
        assert_eq!((log.stable(), log.in_transaction()), (1, vec![2]));
        let slice = log.read(0, 1 << 20, true, true).unwrap();
        assert_eq!(slice.aborted, [aborted]);
        let header = BatchHeader::read(&slice.batches).unwrap();
        assert_eq!(slice.batches.len(), header.size, "only what is settled");
    };
    check(&log);
    drop(log);
    check(&open(folder.path(), 3_000));
    open(folder.path(), 3_000).close().unwrap();
    check(&open(folder.path(), 3_000));
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "index") {
            fs::remove_file(path).unwrap();
        }
    }
    let log = open(folder.path(), 3_000);
    check(&log);
    log.end_transaction(2, 1, Ending::Commit, 0).unwrap();
    assert_eq!(log.stable(), 22);
    let read = log.read(19, 1 << 20, true, true).unwrap();
    assert_eq!(read.aborted, [aborted]);
    let later = log.read(21, 1 << 20, true, true).unwrap();
    assert_eq!(later.aborted, []);
    assert!(matches!(
        log.append(&in_transaction(2, 10), Some((2, 0))),
        Err(AppendError::Fenced)
    ));
}
