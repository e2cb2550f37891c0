//! What was received where.

use pitt_alert::Position;
use pitt_archive::Fingerprint;

use crate::night::{archive_of, night, open};

#[test]
fn packets_are_known_again_by_their_positions_whatever_became_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(160);
    let archive = archive_of(folder.path(), &packets, 25);
    let mut positions: Vec<Position> = packets.iter().map(|p| p.position.clone()).collect();
    positions.push(Position {
        partition: "sim_ztf".into(),
        offset: 1_000_000,
    });
    let found = archive.fingerprints(&positions).unwrap();
    let expected = packets.iter().map(|packet| {
        Some(Fingerprint {
            size: packet.bytes.len() as u64,
            crc32: crc32fast::hash(&packet.bytes),
        })
    });
    assert_eq!(found, expected.chain([None]).collect::<Vec<_>>());
    assert_eq!(archive.fingerprints(&[]).unwrap(), []);
}

#[test]
fn a_place_in_the_journal_tells_its_packet_and_times_find_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(160);
    let archive = archive_of(folder.path(), &packets, 25);
    let replayed: Vec<_> = archive
        .replay(None)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(replayed.len() > 100);
    for one in &replayed {
        let (position, received_us) = archive.received_at(one.place).unwrap().unwrap();
        assert_eq!(position, one.packet.position);
        assert_eq!(received_us, one.packet.received_us);
    }
    // Behind every file's beginning, middle and end.
    for at in [0, 1, 24, 25, 26, replayed.len() / 2, replayed.len() - 1] {
        let time_us = replayed[at].packet.received_us;
        let place = archive.place_before(time_us).unwrap();
        let next = archive.replay(place).unwrap().next().transpose().unwrap();
        assert_eq!(
            next.map(|next| next.place),
            replayed.get(at + 1).map(|next| next.place),
            "after {at}"
        );
    }
    assert_eq!(archive.place_before(0).unwrap(), None);
    let end = archive.place_before(i64::MAX).unwrap().unwrap();
    assert!(archive.replay(Some(end)).unwrap().next().is_none());

    // Another archive, with fewer commits, has no such place.
    let other = tempfile::tempdir().unwrap();
    archive_of(other.path(), &packets[..50], 25);
    assert_eq!(open(other.path()).received_at(end).unwrap(), None);
}
