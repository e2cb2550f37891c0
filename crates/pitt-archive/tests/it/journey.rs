//! From packets to answers.

use std::collections::HashMap;

use pitt_alert::Packet;
use pitt_archive::{Archive, ArchiveError, ArchiveOptions};

use crate::night::{archive_of, decoder, every_third, night, open};

/// Survey, alert id and packet of every alert, each once, the first received.
fn first_of_each(packets: &[Packet]) -> HashMap<(String, i64), Packet> {
    let decoded = decoder().decode(packets);
    let mut first: HashMap<(String, i64), Packet> = HashMap::new();
    for batch in &decoded.batches {
        let ids = batch.records.column_by_name("alert_id").unwrap();
        let ids: &arrow_array::Int64Array = ids.as_any().downcast_ref().unwrap();
        for (origin, id) in batch.origins.iter().zip(ids.values()) {
            let packet = &packets[origin.packet];
            let known = first
                .entry((batch.survey.to_string(), *id))
                .or_insert_with(|| packet.clone());
            if packet.position.offset < known.position.offset {
                *known = packet.clone();
            }
        }
    }
    first
}

fn check_every_packet(archive: &Archive, packets: &[Packet]) {
    for ((survey, alert_id), packet) in first_of_each(packets) {
        let stored = archive.packet(&survey, alert_id).unwrap().expect("stored");
        assert_eq!(stored.bytes, packet.bytes);
        assert_eq!(stored.position, packet.position);
    }
}

#[test]
fn packets_asked_for_together_are_those_asked_for_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(400);
    let archive = archive_of(folder.path(), &packets, 90);
    let first = first_of_each(&packets);
    let mut wanted: Vec<(&str, i64)> = first.keys().map(|(s, id)| (s.as_str(), *id)).collect();
    // One twice, and two that are not there.
    wanted.extend([wanted[0], (wanted[0].0, -1), ("nobody", wanted[0].1)]);
    let together = archive.packets(&wanted).unwrap();
    assert_eq!(together.len(), wanted.len());
    for ((survey, alert_id), stored) in wanted.iter().zip(together) {
        let packet = first.get(&((*survey).to_owned(), *alert_id));
        assert_eq!(stored.as_ref().map(|s| &s.bytes), packet.map(|p| &p.bytes));
        let alone = archive.packet(survey, *alert_id).unwrap();
        assert_eq!(format!("{stored:?}"), format!("{alone:?}"));
    }
    assert!(archive.packets(&[]).unwrap().is_empty());
}

#[test]
fn every_packet_comes_back_byte_for_byte_also_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(400);
    let archive = archive_of(folder.path(), &packets, 90);
    check_every_packet(&archive, &packets);
    drop(archive);
    let archive = open(folder.path());
    check_every_packet(&archive, &packets);
    let rows = archive.snapshot("packets").unwrap().unwrap().rows();
    assert_eq!(rows, packets.len() as u64);
    let alerts: u64 = archive
        .surveys()
        .iter()
        .map(|s| {
            archive
                .snapshot(&format!("alerts/{s}"))
                .unwrap()
                .unwrap()
                .rows()
        })
        .sum();
    assert_eq!(alerts, first_of_each(&packets).len() as u64);
}

#[test]
fn a_second_process_answers_from_the_tables_what_the_index_answers() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(400);
    let archive = archive_of(folder.path(), &packets, 200);
    let reader = open(folder.path());
    assert!(archive.has_index() && !reader.has_index());
    assert!(matches!(reader.writer(), Err(ArchiveError::InUse { .. })));
    let mut seen = 0;
    for (survey, alert_id) in first_of_each(&packets).keys().take(20) {
        let (a, b) = (
            archive.packet(survey, *alert_id).unwrap(),
            reader.packet(survey, *alert_id).unwrap(),
        );
        assert_eq!(a.unwrap().bytes, b.unwrap().bytes);
        seen += 1;
    }
    assert_eq!(seen, 20);
    let objects = some_objects(&archive);
    for (object, ra, dec) in objects {
        let points = archive.light_curve(&object).unwrap();
        assert!(!points.is_empty());
        assert_eq!(points, reader.light_curve(&object).unwrap());
        let hits = archive.cone(ra, dec, 30.0).unwrap();
        assert!(hits.iter().any(|h| h.object_id == object));
        let ids = |hits: &[pitt_archive::ConeHit]| {
            hits.iter().map(|h| h.object_id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            ids(&hits).len(),
            ids(&reader.cone(ra, dec, 30.0).unwrap()).len()
        );
    }
}

fn some_objects(archive: &Archive) -> Vec<(String, f64, f64)> {
    let mut objects = Vec::new();
    for survey in archive.surveys() {
        let snapshot = archive
            .snapshot(&format!("alerts/{survey}"))
            .unwrap()
            .unwrap();
        let file = std::fs::File::open(&snapshot.files[0].path).unwrap();
        let reader =
            parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        let text: &arrow_array::StringArray = batch
            .column_by_name("object_id")
            .unwrap()
            .as_any()
            .downcast_ref()
            .unwrap();
        let number = |name: &str| -> arrow_array::Float64Array {
            batch
                .column_by_name(name)
                .unwrap()
                .as_any()
                .downcast_ref::<arrow_array::Float64Array>()
                .unwrap()
                .clone()
        };
        let (ra, dec) = (number("ra"), number("dec"));
        objects.extend(
            (0..10)
                .filter(|i| !text.value(*i).is_empty())
                .map(|i| (text.value(i).to_owned(), ra.value(i), dec.value(i))),
        );
    }
    objects
}

#[test]
fn deleting_the_index_changes_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(300);
    let archive = archive_of(folder.path(), &packets, 100);
    let objects = some_objects(&archive);
    let answers = |archive: &Archive| {
        objects
            .iter()
            .map(|(o, ra, dec)| {
                (
                    archive.light_curve(o).unwrap(),
                    archive.cone(*ra, *dec, 60.0).unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };
    let before = answers(&archive);
    archive.rebuild_index().unwrap();
    assert_eq!(before, answers(&archive));
    drop(archive);
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let archive = open(folder.path());
    assert_eq!(before, answers(&archive));
    check_every_packet(&archive, &packets);
}

#[test]
fn packets_that_do_not_follow_are_refused_and_the_writer_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(64);
    let archive = open(folder.path());
    let mut writer = archive.writer().unwrap();
    let mut decoder = decoder();
    let decoded = decoder.decode(&packets[1..2]);
    let refused = writer.append(&packets[1..2], &decoded, &[]);
    assert!(
        matches!(
            refused,
            Err(ArchiveError::Gap {
                expected: 0,
                got: 1,
                ..
            })
        ),
        "{refused:?}"
    );
    let decoded = decoder.decode(&packets);
    let matches = every_third(&decoded);
    let report = writer.append(&packets, &decoded, &matches).unwrap();
    assert_eq!(
        report.stored + report.duplicates + report.quarantined,
        packets.len() as u64
    );
    writer.commit().unwrap();
    assert_eq!(
        writer.next_offset(&packets[0].position.partition).unwrap(),
        32
    );
}

#[test]
fn a_writer_that_slept_while_another_wrote_is_fenced() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(64);
    let path = folder.path().to_str().unwrap();
    let with_index = |name: &str| ArchiveOptions {
        index: Some(folder.path().join(name)),
        claims: true,
        ..Default::default()
    };
    let (a, b) = (
        Archive::open(path, with_index("a")).unwrap(),
        Archive::open(path, with_index("b")).unwrap(),
    );
    let (mut zombie, mut other) = (a.writer().unwrap(), b.writer().unwrap());
    let decoded = decoder().decode(&packets);
    zombie.append(&packets, &decoded, &[]).unwrap();
    other.append(&packets, &decoded, &[]).unwrap();
    other.commit().unwrap();
    assert!(matches!(zombie.commit(), Err(ArchiveError::Fenced { .. })));
    assert!(matches!(
        zombie.append(&packets, &decoded, &[]),
        Err(ArchiveError::Poisoned)
    ));
    b.refresh().unwrap();
    assert_eq!(
        b.snapshot("packets").unwrap().unwrap().rows(),
        packets.len() as u64
    );
}

#[test]
fn a_second_writer_is_refused_unless_both_claim() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let with = |name: &str, claims| ArchiveOptions {
        index: Some(folder.path().join(name)),
        claims,
        ..Default::default()
    };
    let alone = Archive::open(path, with("a", false)).unwrap();
    let other = Archive::open(path, with("b", false)).unwrap();
    let beside = Archive::open(path, with("c", true)).unwrap();
    let writer = alone.writer().unwrap();
    assert!(matches!(other.writer(), Err(ArchiveError::InUse { .. })));
    assert!(matches!(beside.writer(), Err(ArchiveError::InUse { .. })));
    drop(writer);
    let writer = beside.writer().unwrap();
    assert!(matches!(alone.writer(), Err(ArchiveError::InUse { .. })));
    drop(writer);
    alone.writer().unwrap();
}

#[test]
fn a_survey_sending_the_same_night_again_adds_rows_to_the_journal_only() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(64);
    let archive = archive_of(folder.path(), &packets, 64);
    let count = |table: &str| archive.snapshot(table).unwrap().unwrap().rows();
    let before = (
        count("alerts/ztf"),
        count("alerts/lsst"),
        count("forced"),
        count("matches"),
    );
    let again: Vec<Packet> = packets
        .iter()
        .map(|p| {
            let mut p = p.clone();
            p.position.partition = format!("{}_again", p.position.partition).into();
            p
        })
        .collect();
    let mut writer = archive.writer().unwrap();
    let decoded = decoder().decode(&again);
    let report = writer
        .append(&again, &decoded, &every_third(&decoded))
        .unwrap();
    writer.commit().unwrap();
    assert_eq!(report.stored, 0);
    assert_eq!(
        before,
        (
            count("alerts/ztf"),
            count("alerts/lsst"),
            count("forced"),
            count("matches")
        )
    );
    assert_eq!(count("packets"), 2 * packets.len() as u64);
}
