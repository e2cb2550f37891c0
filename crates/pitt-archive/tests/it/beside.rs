//! Several writers on one archive: claims, takeovers, fencing, in one process.

use std::path::Path;

use pitt_alert::Packet;
use pitt_archive::{AppendReport, Archive, ArchiveError, ArchiveOptions, Writer};

use crate::night::{decoder, every_third, night, prove, rows_of};

pub(crate) fn beside(folder: &Path) -> Archive {
    let options = ArchiveOptions {
        claims: true,
        ..Default::default()
    };
    Archive::open(folder.to_str().unwrap(), options).unwrap()
}

/// The packets in one partition, from offset 0.
pub(crate) fn in_partition(packets: &[Packet], partition: &str) -> Vec<Packet> {
    let place = |(i, packet): (usize, &Packet)| {
        let mut packet = packet.clone();
        packet.position.partition = partition.into();
        packet.position.offset = i as i64;
        packet
    };
    packets.iter().enumerate().map(place).collect()
}

fn append(writer: &mut Writer, packets: &[Packet]) -> Result<AppendReport, ArchiveError> {
    let decoded = decoder().decode(packets);
    writer.append(packets, &decoded, &every_third(&decoded))
}

fn fenced<T: std::fmt::Debug>(result: Result<T, ArchiveError>) {
    assert!(
        matches!(result, Err(ArchiveError::Fenced { .. })),
        "{result:?}"
    );
}

fn numbers(archive: &Archive) -> Vec<(u32, u64, i64)> {
    let of = |lane| {
        let matches = archive.matches_after(lane, 0, 100_000).unwrap();
        matches.into_iter().map(move |m| (lane, m.seq, m.alert_id))
    };
    archive.lanes().into_iter().flat_map(of).collect()
}

#[test]
fn two_writers_commit_in_turn_and_an_alert_that_came_through_both_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(160);
    let (a, b) = (beside(folder.path()), beside(folder.path()));
    assert_eq!((a.lane(), b.lane()), (Some(0), Some(1)));
    let (mut first, mut second) = (a.writer().unwrap(), b.writer().unwrap());
    let (one, two) = (in_partition(&packets, "one"), in_partition(&packets, "two"));
    let mut stored = 0;
    for i in 0..10 {
        let range = 16 * i..16 * (i + 1);
        stored += append(&mut first, &one[range.clone()]).unwrap().stored;
        stored += append(&mut second, &two[range]).unwrap().stored;
        if i % 3 == 0 {
            first.commit().unwrap();
        }
        if i % 2 == 0 {
            second.commit().unwrap();
        }
    }
    second.commit().unwrap();
    first.commit().unwrap();
    drop((first, second));
    a.refresh().unwrap();
    b.refresh().unwrap();
    prove(&a);
    prove(&b);
    let total = a.ledger().unwrap().total();
    assert_eq!((total.received, total.stored), (320, stored));
    assert!(total.duplicates >= 150, "{total:?}");
    let ids = rows_of(&a, "packets", &["outcome", "survey", "alert_id"]);
    let ids: Vec<_> = ids.iter().filter(|r| r.starts_with("stored")).collect();
    assert!(ids.windows(2).all(|w| w[0] != w[1]));
    // Both indexes know everything, also what the other committed.
    for row in ids {
        let words: Vec<&str> = row.split(' ').collect();
        let alert_id = words[2].parse().unwrap();
        let (x, y) = (
            a.packet(words[1], alert_id).unwrap().unwrap(),
            b.packet(words[1], alert_id).unwrap().unwrap(),
        );
        assert_eq!((x.bytes, x.position), (y.bytes, y.position));
    }
}

#[test]
fn claims_of_a_dead_writer_come_out_the_same_whoever_reads_its_source_again() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(96);
    let (one, two) = (
        in_partition(&packets, "kafka:c/t/0"),
        in_partition(&packets, "kafka:c/t/1"),
    );
    let b = beside(folder.path());
    let mut other = b.writer().unwrap();
    let (mut claimed, mut stored) = (Vec::new(), 0);
    {
        let a = beside(folder.path());
        let mut dead = a.writer().unwrap();
        for chunk in one.chunks(20) {
            let report = append(&mut dead, chunk).unwrap();
            stored += report.stored;
            let decoded = decoder().decode(chunk);
            let matches = every_third(&decoded);
            let ids = report.matches.iter();
            claimed.extend(ids.map(|n| (n.lane, n.seq, matches[n.filter].alert_id)));
        }
    }
    assert!(claimed.len() > 10 && claimed[0].0 == 1);
    // The same alerts come another way: they are duplicates, though nothing of them is committed yet.
    let report = append(&mut other, &two).unwrap();
    assert_eq!((report.stored, report.matches.len()), (0, 0));
    other.commit().unwrap();
    assert_eq!(numbers(&b), []);
    prove(&b);
    // The dead one's source is read again by the other, in other batches and with filters that take nothing.
    let mut again = 0;
    for chunk in one.chunks(7) {
        let report = other.append(chunk, &decoder().decode(chunk), &[]).unwrap();
        assert!(report.matches.is_empty());
        again += report.stored;
        other.commit().unwrap();
    }
    assert_eq!(again, stored);
    assert_eq!(numbers(&b), claimed);
    drop(other);
    prove(&b);
    // The lane goes on after the numbers it had.
    let a = beside(folder.path());
    assert_eq!(a.lane(), Some(1));
    let more = in_partition(&night(120)[96..], "more");
    let report = append(&mut a.writer().unwrap(), &more).unwrap();
    let next = report.matches.first().map(|n| (n.lane, n.seq));
    assert!(next.is_none_or(|n| n == (1, claimed.len() as u64 + 1)));
}

#[test]
fn a_writer_that_lost_its_partition_is_fenced_at_its_next_append_and_at_its_commit() {
    let folder = tempfile::tempdir().unwrap();
    let packets = in_partition(&night(64), "kafka:c/t/0");
    let (a, b) = (beside(folder.path()), beside(folder.path()));
    let (mut zombie, mut other) = (a.writer().unwrap(), b.writer().unwrap());
    append(&mut zombie, &packets[..10]).unwrap();
    append(&mut other, &packets[..20]).unwrap();
    fenced(append(&mut zombie, &packets[10..20]));
    assert!(matches!(zombie.commit(), Err(ArchiveError::Poisoned)));
    drop(zombie);
    let mut zombie = a.writer().unwrap();
    assert_eq!(zombie.next_offset("kafka:c/t/0").unwrap(), 0);
    append(&mut zombie, &packets[..30]).unwrap();
    // It has taken the partition back: now the other one is the zombie.
    fenced(other.commit());
    drop(other);
    zombie.commit().unwrap();
    let mut other = b.writer().unwrap();
    assert_eq!(other.next_offset("kafka:c/t/0").unwrap(), 30);
    append(&mut other, &packets[30..40]).unwrap();
    other.commit().unwrap();
    // Slept while the other went on and committed.
    fenced(append(&mut zombie, &packets[30..35]));
    drop((zombie, other));
    prove(&b);
    assert_eq!(b.snapshot("packets").unwrap().unwrap().rows(), 40);
}

#[test]
fn a_partition_that_comes_back_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let packets = in_partition(&night(64), "kafka:c/t/0");
    let (a, b) = (beside(folder.path()), beside(folder.path()));
    let mut writers = [a.writer().unwrap(), b.writer().unwrap()];
    for (i, chunk) in packets.chunks(8).enumerate() {
        let writer = &mut writers[i % 2];
        append(writer, chunk).unwrap();
        writer.commit().unwrap();
    }
    drop(writers);
    a.refresh().unwrap();
    prove(&a);
}

#[test]
fn numbers_of_packets_that_the_source_has_lost_stay_empty_and_the_feed_steps_over_them() {
    let folder = tempfile::tempdir().unwrap();
    let packets = in_partition(&night(96), "kafka:c/t/0");
    let a = beside(folder.path());
    let report = append(&mut a.writer().unwrap(), &packets[..60]).unwrap();
    let lost: Vec<u64> = report
        .matches
        .iter()
        .filter(|n| (20..40).contains(&n.packet))
        .map(|n| n.seq)
        .collect();
    assert!(!lost.is_empty());
    let mut writer = a.writer().unwrap();
    append(&mut writer, &packets[..20]).unwrap();
    append(&mut writer, &packets[40..]).unwrap();
    writer.commit().unwrap();
    drop(writer);
    let seqs: Vec<u64> = numbers(&a).iter().map(|n| n.1).collect();
    let last = *seqs.last().unwrap();
    assert!(
        seqs.iter()
            .copied()
            .eq((1..=last).filter(|s| !lost.contains(s)))
    );
    let after = seqs.iter().find(|s| **s > lost[0]);
    let next = a.matches_after(0, lost[0] - 1, 1).unwrap();
    assert_eq!(Some(&next[0].seq), after);
    prove(&a);
}

#[test]
fn a_writer_that_waits_learns_what_others_committed_and_dropped_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(3000);
    let one = in_partition(&packets[..2900], "kafka:c/t/0");
    let (dead, b) = (beside(folder.path()), beside(folder.path()));
    let mut other = b.writer().unwrap();
    let mut numbered = 0;
    {
        let mut writer = dead.writer().unwrap();
        for chunk in one[..600].chunks(100) {
            numbered += append(&mut writer, chunk).unwrap().matches.len() as u64;
        }
    }
    drop(dead);
    // The lane is taken again at once; its writer has nothing to do for the moment.
    let again = beside(folder.path());
    assert_eq!(again.lane(), Some(0));
    let mut waiting = again.writer().unwrap();
    for chunk in one.chunks(100) {
        append(&mut other, chunk).unwrap();
        other.commit().unwrap();
    }
    let log = folder.path().join("claims/log");
    assert!(std::fs::metadata(log).unwrap().len() < 100 << 10);
    let more = [
        &in_partition(&packets[2900..], "two")[..],
        &in_partition(&packets[..9], "three")[..],
    ]
    .concat();
    let report = append(&mut waiting, &more).unwrap();
    let numbers: Vec<u64> = report.matches.iter().map(|n| n.seq).collect();
    let expected: Vec<u64> = (numbered + 1..=numbered + numbers.len() as u64).collect();
    assert!(numbered > 20 && numbers.len() > 10);
    assert_eq!(numbers, expected);
    assert!(report.duplicates >= 9, "{report:?}");
    waiting.commit().unwrap();
    drop((waiting, other));
    again.refresh().unwrap();
    prove(&again);
}

#[test]
fn the_claim_log_stays_short() {
    let folder = tempfile::tempdir().unwrap();
    let packets = in_partition(&night(3000), "one");
    let (a, b) = (beside(folder.path()), beside(folder.path()));
    let (mut first, mut second) = (a.writer().unwrap(), b.writer().unwrap());
    append(&mut second, &in_partition(&packets[2990..], "two")).unwrap();
    for chunk in packets[..2900].chunks(100) {
        append(&mut first, chunk).unwrap();
        first.commit().unwrap();
    }
    let log = folder.path().join("claims/log");
    assert!(std::fs::metadata(log).unwrap().len() < 100 << 10);
    let known = append(&mut second, &in_partition(&packets[..20], "three")).unwrap();
    assert_eq!(known.stored, 0);
    let other = append(&mut first, &packets[2900..]).unwrap();
    assert!((80..=90).contains(&other.stored), "{other:?}");
    first.commit().unwrap();
    second.commit().unwrap();
    drop((first, second));
    a.refresh().unwrap();
    prove(&a);
}

#[test]
fn claims_left_by_a_run_with_them_hold_for_a_run_without() {
    let folder = tempfile::tempdir().unwrap();
    let packets = in_partition(&night(48), "one");
    let claimed = {
        let a = beside(folder.path());
        append(&mut a.writer().unwrap(), &packets).unwrap()
    };
    let alone = crate::night::open(folder.path());
    let mut writer = alone.writer().unwrap();
    let report = writer
        .append(&packets, &decoder().decode(&packets), &[])
        .unwrap();
    assert_eq!((report.stored, report.matches.len()), (claimed.stored, 0));
    writer.commit().unwrap();
    assert_eq!(numbers(&alone).len(), claimed.matches.len());
    drop(writer);
    prove(&alone);
}
