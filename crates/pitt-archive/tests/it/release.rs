//! Letting go of claims that nobody will make good.

use std::collections::BTreeMap;
use std::path::Path;

use pitt_alert::Packet;
use pitt_archive::{AppendReport, Archive, ArchiveError, ClaimBook, Numbered, Writer};

use crate::beside::{beside, in_partition};
use crate::night::{decoder, every_third, night, open, prove};

const LOST: &str = "kafka:c/expired/0";

fn append(writer: &mut Writer, packets: &[Packet]) -> AppendReport {
    let decoded = decoder().decode(packets);
    let matches = every_third(&decoded);
    writer.append(packets, &decoded, &matches).unwrap()
}

fn book(folder: &Path) -> ClaimBook {
    ClaimBook::open(folder.to_str().unwrap()).unwrap()
}

/// Numbers and alerts of lane 0, as a publisher reads them after a number.
fn feed(archive: &Archive, after: u64) -> Vec<(u64, i64)> {
    let matches = archive.matches_after(0, after, 100_000).unwrap();
    matches.iter().map(|m| (m.seq, m.alert_id)).collect()
}

/// A process claims of a partition and dies; then another one of the same lane goes on with other packets.
fn hole(folder: &Path, lost: &[Packet], others: &[Packet]) -> (AppendReport, AppendReport) {
    let claimed = append(&mut beside(folder).writer().unwrap(), lost);
    let archive = beside(folder);
    let mut writer = archive.writer().unwrap();
    let more = append(&mut writer, others);
    writer.commit().unwrap();
    assert_eq!(feed(&archive, 0), [], "the matches behind the hole wait");
    (claimed, more)
}

#[test]
fn claims_of_a_partition_that_is_never_read_again_are_let_go_and_nobody_waits_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(120);
    let lost = in_partition(&packets[..60], LOST);
    let others = in_partition(&packets[60..], "kafka:c/alive/0");
    let (claimed, more) = hole(folder.path(), &lost, &others);
    let found = book(folder.path()).partitions().unwrap();
    let [found] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((&*found.partition, found.from, found.to), (LOST, 0, 60));
    assert_eq!(found.alerts, claimed.stored);
    assert_eq!(found.matches, claimed.matches.len() as u64);
    assert!(found.lanes.iter().eq(&[0]) && found.held.is_empty());
    let report = book(folder.path()).release(LOST, &BTreeMap::new()).unwrap();
    assert_eq!((report.alerts, report.published), (claimed.stored, 0));
    assert_eq!(report.void, claimed.matches.len() as u64);
    assert_eq!(book(folder.path()).partitions().unwrap(), []);

    let archive = beside(folder.path());
    let first = claimed.matches.len() as u64 + 1;
    assert_eq!(feed(&archive, 0)[0].0, first, "stepped over");
    for empty in 1..first {
        assert_eq!(archive.numbered(0, empty).unwrap(), Numbered::Empty);
    }
    // The same alerts come another way: now they are stored from there, with numbers of their own.
    let again = in_partition(&packets[..60], "kafka:c/other/0");
    let mut writer = archive.writer().unwrap();
    let report = append(&mut writer, &again);
    assert_eq!(report.stored, claimed.stored);
    let next = more.matches.last().unwrap().seq + 1;
    assert_eq!(report.matches[0].seq, next);
    assert_eq!(report.matches.len(), claimed.matches.len());
    writer.commit().unwrap();
    drop(writer);
    prove(&archive);
    let again = book(folder.path()).release(LOST, &BTreeMap::new());
    assert!(matches!(again, Err(ArchiveError::NoClaims { .. })));
}

#[test]
fn a_match_that_was_published_keeps_its_number_when_its_alert_comes_another_way() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(120);
    let lost = in_partition(&packets[..60], LOST);
    let others = in_partition(&packets[60..], "kafka:c/alive/0");
    let (claimed, more) = hole(folder.path(), &lost, &others);
    let half = claimed.matches.len() / 2;
    let published = BTreeMap::from([(0, half as u64)]);
    let report = book(folder.path()).release(LOST, &published).unwrap();
    assert_eq!(report.published, half as u64);
    assert_eq!(report.void, (claimed.matches.len() - half) as u64);
    // A publisher goes on behind what it has published, and nothing that is out already comes again.
    let decoded = decoder().decode(&lost);
    let given = every_third(&decoded);
    let ids: Vec<i64> = claimed
        .matches
        .iter()
        .map(|n| given[n.filter].alert_id)
        .collect();
    let again = in_partition(&packets[..60], "kafka:c/other/0");
    // It is claimed by a process that dies, too, and read once more.
    assert_eq!(
        append(&mut beside(folder.path()).writer().unwrap(), &again).stored,
        claimed.stored
    );
    let archive = beside(folder.path());
    let mut writer = archive.writer().unwrap();
    append(&mut writer, &again);
    writer.commit().unwrap();
    drop(writer);
    let fed = feed(&archive, 0);
    let old: Vec<_> = (1..=half as u64).zip(ids[..half].iter().copied()).collect();
    assert_eq!(fed[..half], old, "the published ones, as they were");
    let mut new: Vec<i64> = fed[half + more.matches.len()..]
        .iter()
        .map(|f| f.1)
        .collect();
    new.sort_unstable();
    let mut rest = ids[half..].to_vec();
    rest.sort_unstable();
    assert_eq!(new, rest, "the others, each once, behind everything");
    assert_eq!(feed(&archive, half as u64), fed[half..]);
    prove(&archive);
    // A process without claims keeps to it as well.
    drop(archive);
    prove(&open(folder.path()));
}

#[test]
fn claims_of_the_living_are_not_let_go_and_a_new_process_of_the_lane_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let lost = in_partition(&night(30), LOST);
    let living = beside(folder.path());
    let mut writer = living.writer().unwrap();
    append(&mut writer, &lost);
    let found = book(folder.path()).partitions().unwrap();
    assert!(found[0].held.iter().eq(&[0]));
    let refused = book(folder.path()).release(LOST, &BTreeMap::new());
    let Err(ArchiveError::ClaimsHeld { lanes, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(lanes, [0]);
    drop((writer, living));
    let next = beside(folder.path());
    assert_eq!(next.lane(), Some(0));
    let mut writer = next.writer().unwrap();
    book(folder.path()).release(LOST, &BTreeMap::new()).unwrap();
    // The partition is read again after all, by a writer that had begun before.
    let report = append(&mut writer, &lost);
    assert!(report.stored > 0 && !report.matches.is_empty());
    writer.commit().unwrap();
    drop(writer);
    prove(&next);
}

#[test]
fn a_writer_that_had_read_the_claims_stores_what_was_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(90);
    let lost = in_partition(&packets[..60], LOST);
    let first = beside(folder.path());
    let mut writer = first.writer().unwrap();
    {
        let second = beside(folder.path());
        append(&mut second.writer().unwrap(), &lost);
    }
    let again = in_partition(&packets, "kafka:c/other/0");
    assert_eq!(
        append(&mut writer, &again[..20]).stored,
        0,
        "claimed elsewhere"
    );
    let report = book(folder.path()).release(LOST, &BTreeMap::new()).unwrap();
    assert!(report.alerts > 0);
    let stored = append(&mut writer, &again[20..]).stored;
    assert!(stored > 40, "{stored}");
    writer.commit().unwrap();
    drop(writer);
    prove(&first);
    assert_eq!(first.matches_after(1, 0, 10).unwrap(), []);
}

/// Not a test of its own: the process that the test below starts and that dies while it lets go.
#[test]
fn release_for_the_parent() {
    if let Ok(folder) = std::env::var("PITT_TEST_RELEASE") {
        book(Path::new(&folder))
            .release(LOST, &BTreeMap::from([(0, 3)]))
            .unwrap();
    }
}

#[test]
fn letting_go_that_was_killed_on_the_way_is_finished_by_the_next_writer() {
    let packets = night(120);
    let lost = in_partition(&packets[..60], LOST);
    let others = in_partition(&packets[60..], "kafka:c/alive/0");
    for point in ["claims-before-name", "claims-let-go", "numbers-void"] {
        let folder = tempfile::tempdir().unwrap();
        let (claimed, more) = hole(folder.path(), &lost, &others);
        let died = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "release::release_for_the_parent"])
            .env("PITT_TEST_RELEASE", folder.path())
            .env("PITT_CRASH_AT", point)
            .output()
            .unwrap();
        assert!(!died.status.success(), "{point}");
        let archive = beside(folder.path());
        drop(archive.writer().unwrap());
        if point == "claims-before-name" {
            assert_eq!(feed(&archive, 0), [], "nothing has happened");
            book(folder.path())
                .release(LOST, &BTreeMap::from([(0, 3)]))
                .unwrap();
        }
        let fed = feed(&archive, 0);
        assert_eq!(fed.len(), more.matches.len(), "{point}");
        assert_eq!(fed[0].0, claimed.matches.len() as u64 + 1, "{point}");
        assert_eq!(book(folder.path()).partitions().unwrap(), []);
        let again = in_partition(&packets[..60], "kafka:c/other/0");
        let mut writer = archive.writer().unwrap();
        append(&mut writer, &again);
        writer.commit().unwrap();
        drop(writer);
        assert!(
            feed(&archive, 0).iter().take(3).map(|f| f.0).eq(1..=3),
            "{point}"
        );
        prove(&archive);
    }
}
