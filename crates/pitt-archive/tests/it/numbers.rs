//! Match numbers: ascending by one, over commits, crashes and restarts; also in archives that had none.

use std::path::Path;

use pitt_archive::{Archive, LoggedMatch, Numbered};

use crate::beside::{beside, in_partition};
use crate::night::{decoder, every_third, ingest, night, open, prove, rows_of};

fn numbered(archive: &Archive) -> Vec<LoggedMatch> {
    archive.matches_after(0, 0, 1_000_000).unwrap()
}

#[test]
fn numbers_ascend_by_one_over_restarts_and_appends_that_were_never_committed() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(96);
    let mut reported = Vec::new();
    for part in packets.chunks(24) {
        let archive = open(folder.path());
        for committed in [false, true] {
            let mut writer = archive.writer().unwrap();
            let decoded = decoder().decode(part);
            let matches = every_third(&decoded);
            let report = writer.append(part, &decoded, &matches).unwrap();
            if committed {
                writer.commit().unwrap();
                let ids = report
                    .matches
                    .iter()
                    .map(|n| (n.seq, matches[n.filter].alert_id));
                reported.extend(ids);
            }
        }
    }
    let archive = open(folder.path());
    let logged = numbered(&archive);
    let found: Vec<_> = logged.iter().map(|m| (m.seq, m.alert_id)).collect();
    assert!(found.len() > 20);
    assert_eq!(found, reported);
    assert!(found.iter().map(|f| f.0).eq(1..=found.len() as u64));
    assert_eq!(archive.matches_after(0, 10, 5).unwrap(), logged[10..15]);
    assert!(archive.matches_after(7, 0, 5).unwrap().is_empty());
    prove(&archive);
}

#[test]
fn which_match_has_a_number_is_known_when_it_is_claimed_and_when_it_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let packets = in_partition(&night(96), "kafka:c/a/0");
    let decoded = decoder().decode(&packets);
    let given = every_third(&decoded);
    let claim = |commit: bool| {
        let archive = beside(folder.path());
        let mut writer = archive.writer().unwrap();
        let report = writer.append(&packets, &decoded, &given).unwrap();
        if commit {
            writer.commit().unwrap();
        }
        report.matches
    };
    let claimed = claim(false);
    let last = claimed.len() as u64;
    let time_us = claimed[0].matched_us;
    let prove = |committed: u64| {
        let archive = beside(folder.path());
        assert_eq!(archive.last_match(0).unwrap(), committed);
        assert_eq!(archive.last_number(0).unwrap(), last);
        for one in &claimed {
            let Numbered::Match(found) = archive.numbered(0, one.seq).unwrap() else {
                panic!("match {} is not known", one.seq);
            };
            assert_eq!((found.seq, found.matched_us), (one.seq, one.matched_us));
            assert_eq!(found.alert_id, given[one.filter].alert_id);
        }
        assert_eq!(archive.numbered(0, last + 1).unwrap(), Numbered::Never);
        assert_eq!(archive.numbered(1, 1).unwrap(), Numbered::Never);
        assert_eq!(archive.number_before(0, time_us).unwrap(), last);
        assert_eq!(archive.number_before(0, time_us - 1).unwrap(), 0);
        assert_eq!(archive.count_matches(0, u64::MAX).unwrap(), last);
        assert_eq!(archive.count_matches(0, 3).unwrap(), 3);
    };
    // The process is gone, and nothing is committed.
    prove(0);
    assert!(claim(true).is_empty(), "they had their numbers");
    prove(last);
}

#[test]
fn a_duplicate_has_no_number() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path());
    let mut packets = night(48);
    ingest(&mut archive.writer().unwrap(), &packets, 16);
    let before = numbered(&archive);
    for packet in &mut packets {
        packet.position.partition = format!("again_{}", packet.position.partition).into();
    }
    let mut writer = archive.writer().unwrap();
    let decoded = decoder().decode(&packets);
    let report = writer
        .append(&packets, &decoded, &every_third(&decoded))
        .unwrap();
    writer.commit().unwrap();
    assert!(report.duplicates > 0 && report.matches.is_empty());
    assert_eq!(numbered(&archive), before);
}

/// The archive as versions before numbers wrote it: without the three columns, in the log and in the files.
fn without_numbers(folder: &Path) {
    let log = folder.join("matches/_delta_log/00000000000000000000.json");
    let text = std::fs::read_to_string(&log).unwrap();
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut action: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(schema) = action.pointer_mut("/metaData/schemaString") {
            let mut parsed: serde_json::Value =
                serde_json::from_str(schema.as_str().unwrap()).unwrap();
            let fields = parsed["fields"].as_array_mut().unwrap();
            fields.truncate(8);
            *schema = parsed.to_string().into();
        }
        lines.push(action.to_string());
    }
    std::fs::write(&log, lines.join("\n")).unwrap();
}

#[test]
fn an_archive_without_numbers_stays_readable_and_gets_them_from_now_on() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(64);
    drop(open(folder.path()));
    without_numbers(folder.path());
    let columns = |archive: &Archive| archive.snapshot("matches").unwrap().unwrap().schema;
    let archive = open(folder.path());
    assert_eq!(columns(&archive).fields().len(), 8);
    assert!(numbered(&archive).is_empty());
    ingest(&mut archive.writer().unwrap(), &packets, 16);
    assert_eq!(columns(&archive).fields().len(), 11);
    let rows = rows_of(&archive, "matches", &["alert_id", "lane", "seq"]);
    assert_eq!(rows.len(), numbered(&archive).len());
    prove(&archive);
    drop(archive);
    prove(&open(folder.path()));
}
