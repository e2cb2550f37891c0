//! What is appended and not committed yet, as readers in the same process see it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_select::concat::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pitt_alert::Packet;
use pitt_archive::{Archive, ArchiveOptions, Latest, Writer};

use crate::beside::in_partition;
use crate::night::{decoder, every_third, night};
use crate::tiny;

fn open(folder: &Path, claims: bool, fresh_bytes: usize) -> Archive {
    let options = ArchiveOptions {
        claims,
        fresh_bytes,
        ..Default::default()
    };
    Archive::open(folder.to_str().unwrap(), options).unwrap()
}

fn append(writer: &mut Writer, packets: &[Packet]) {
    let decoded = decoder().decode(packets);
    writer
        .append(packets, &decoded, &every_third(&decoded))
        .unwrap();
}

fn latest(archive: &Archive, name: &str) -> Latest {
    archive.latest(|table| table == name).unwrap().remove(0)
}

/// Rows of a table in memory, and in its files, each as one batch of the table's columns.
fn rows(latest: &Latest) -> (RecordBatch, RecordBatch) {
    let schema = &latest.table.schema;
    let memory = concat_batches(schema, &latest.fresh).unwrap();
    let mut files = vec![];
    for file in &latest.table.files {
        let file = std::fs::File::open(&file.path).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        for rows in reader.build().unwrap() {
            let rows = rows.unwrap();
            let columns = schema
                .fields()
                .iter()
                .map(|field| rows.column_by_name(field.name()).unwrap().clone());
            files.push(RecordBatch::try_new(schema.clone(), columns.collect()).unwrap());
        }
    }
    (memory, concat_batches(schema, &files).unwrap())
}

fn ids(rows: &RecordBatch) -> Vec<i64> {
    let ids = rows.column_by_name("alert_id").unwrap();
    ids.as_primitive::<Int64Type>().values().to_vec()
}

#[test]
fn what_is_appended_is_there_in_the_columns_and_the_order_that_its_commit_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path(), false, 64 << 20);
    let mut writer = archive.writer().unwrap();
    // Some of them twice, some bad.
    let packets = night(200);
    let tables = ["alerts/lsst", "alerts/ztf", "matches"];
    for chunk in [&packets[..90], &packets[90..]] {
        // In batches of all sizes, as a quiet stream and a burst have them.
        for (i, part) in chunk.chunks(30).enumerate() {
            let cut = (1 + 7 * i).min(part.len());
            append(&mut writer, &part[..cut]);
            append(&mut writer, &part[cut..]);
        }
        let before = tables.map(|name| latest(&archive, name));
        assert_eq!(archive.latest_surveys().len(), 2);
        let counted: u64 = archive.fresh_counts().rows;
        let of = |latest: &Latest| rows(latest).0.num_rows() as u64;
        assert_eq!(counted, before.iter().map(of).sum::<u64>());
        writer.commit().unwrap();
        for (name, before) in tables.into_iter().zip(before) {
            let after = latest(&archive, name);
            assert!(after.fresh.is_empty(), "{name}");
            assert_eq!(before.table.schema, after.table.schema, "{name}");
            let (memory, known) = rows(&before);
            let all = rows(&after).1;
            let new = all.slice(known.num_rows(), all.num_rows() - known.num_rows());
            assert!(memory.num_rows() > 10 && memory == new, "{name}");
        }
        assert_eq!(archive.fresh_counts(), Default::default());
    }
}

#[test]
fn rows_that_came_before_their_table_grew_have_nulls_in_the_new_columns() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path(), false, 64 << 20);
    let mut writer = archive.writer().unwrap();
    let small = |offset: i64| {
        let mut packet = Packet::unplaced("small", tiny::container(100 + offset));
        packet.position.offset = offset;
        packet
    };
    append(&mut writer, &[small(0), small(1)]);
    let narrow = latest(&archive, "alerts/ztf").table.schema;
    append(&mut writer, &night(64));
    append(&mut writer, &[small(2)]);
    let latest = latest(&archive, "alerts/ztf");
    assert!(latest.table.schema.fields().len() > narrow.fields().len());
    let (memory, _) = rows(&latest);
    assert_eq!(ids(&memory)[..2], [100, 101]);
    assert_eq!(ids(&memory).last(), Some(&102));
    let candidate = memory.column_by_name("candidate").unwrap().as_struct();
    let real = candidate.column_by_name("drb").unwrap();
    let last = memory.num_rows() - 1;
    assert!(real.is_null(0) && real.is_valid(2) && real.is_null(last));
    let flux = candidate.column_by_name("magpsf").unwrap();
    assert!(flux.is_valid(0) && flux.is_valid(last));
}

#[test]
fn nothing_is_kept_unless_wanted_and_nothing_after_a_writer_that_did_not_commit() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(64);
    let archive = open(folder.path(), false, 0);
    append(&mut archive.writer().unwrap(), &packets);
    assert_eq!(archive.fresh_counts(), Default::default());
    drop(archive);
    let archive = open(folder.path(), false, 64 << 20);
    let mut writer = archive.writer().unwrap();
    append(&mut writer, &packets);
    assert!(archive.fresh_counts().rows > 60);
    drop(writer);
    assert_eq!(archive.fresh_counts(), Default::default());
    assert!(archive.latest_surveys().is_empty());
}

#[test]
fn what_does_not_fit_goes_oldest_first_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let most = 600_000;
    let archive = open(folder.path(), false, most);
    let mut writer = archive.writer().unwrap();
    for chunk in in_partition(&night(800), "all").chunks(50) {
        append(&mut writer, chunk);
        assert!(archive.fresh_counts().bytes <= most as u64);
    }
    let counts = archive.fresh_counts();
    let kept: Vec<Vec<i64>> = ["alerts/lsst", "alerts/ztf", "matches"]
        .iter()
        .map(|name| ids(&rows(&latest(&archive, name)).0))
        .collect();
    writer.commit().unwrap();
    let mut written = 0;
    for (name, kept) in ["alerts/lsst", "alerts/ztf", "matches"].iter().zip(kept) {
        let all = ids(&rows(&latest(&archive, name)).1);
        assert!(!kept.is_empty() && all.ends_with(&kept), "{name}");
        written += all.len() as u64;
    }
    assert!(counts.let_go > 100, "{counts:?}");
    assert_eq!(counts.rows + counts.let_go, written);
}

#[test]
fn whoever_looks_while_commits_go_on_finds_every_alert_once() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path(), true, 64 << 20);
    let packets = night(160);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = archive.writer().unwrap();
            for chunk in packets.chunks(8) {
                append(&mut writer, chunk);
                writer.commit().unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        let mut seen = [0, 0];
        while !done.load(Ordering::SeqCst) {
            let tables = ["alerts/ztf", "matches"];
            for (name, seen) in tables.into_iter().zip(&mut seen) {
                let Some(latest) = archive.latest(|table| table == name).unwrap().pop() else {
                    continue;
                };
                let (memory, files) = rows(&latest);
                let mut all = ids(&files);
                all.extend(ids(&memory));
                assert!(all.len() >= *seen, "{name}: {} after {seen}", all.len());
                *seen = all.len();
                assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
            }
        }
        assert!(seen[0] > 50 && seen[1] > 20, "{seen:?}");
    });
}

#[test]
fn what_another_writer_took_over_and_committed_is_not_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    let packets = in_partition(&night(64), "kafka:c/t/0");
    let (a, b) = (
        open(folder.path(), true, 64 << 20),
        open(folder.path(), true, 0),
    );
    let (mut paused, mut other) = (a.writer().unwrap(), b.writer().unwrap());
    append(&mut paused, &packets[..20]);
    append(&mut other, &packets[..20]);
    let before = a.fresh_counts().rows;
    assert!(before > 0);
    other.commit().unwrap();
    assert_eq!(counted(&a), before, "nothing is known of it yet");
    a.follow().unwrap();
    assert_eq!(counted(&a), before, "once, from the files");
    assert_eq!(a.fresh_counts().rows, 0);
}

/// Rows of alerts and matches, in memory and in files.
fn counted(archive: &Archive) -> u64 {
    let of_interest = |name: &str| name == "matches" || name.starts_with("alerts/");
    let latest = archive.latest(of_interest).unwrap();
    let rows = |latest: &Latest| {
        let memory: usize = latest.fresh.iter().map(RecordBatch::num_rows).sum();
        latest.table.rows() + memory as u64
    };
    latest.iter().map(rows).sum()
}
