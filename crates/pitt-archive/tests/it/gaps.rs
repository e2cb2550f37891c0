//! Kafka's partitions skip offsets; all others do not.

use pitt_alert::Packet;
use pitt_archive::ArchiveError;

use crate::night::{decoder, night, open, prove};

/// The packets of a night as one Kafka partition, whose offsets begin at 1,000 and skip every third.
fn with_gaps(packets: &[Packet]) -> Vec<Packet> {
    let place = |(i, packet): (usize, &Packet)| {
        let mut packet = packet.clone();
        packet.position.partition = "kafka:sim/alerts/0".into();
        packet.position.offset = 1000 + i as i64 + i as i64 / 2;
        packet
    };
    packets.iter().enumerate().map(place).collect()
}

#[test]
fn skipped_offsets_of_kafka_are_counted_and_the_ledger_balances() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path());
    let packets = with_gaps(&night(64));
    let mut writer = archive.writer().unwrap();
    let mut decoder = decoder();
    for chunk in packets.chunks(10) {
        writer.append(chunk, &decoder.decode(chunk), &[]).unwrap();
        let repeated = &chunk[chunk.len() - 1..];
        let back = writer.append(repeated, &decoder.decode(repeated), &[]);
        assert!(matches!(back, Err(ArchiveError::Gap { .. })));
        if chunk[0].position.offset % 2 == 0 {
            writer.commit().unwrap();
        }
    }
    writer.commit().unwrap();
    let last = packets[packets.len() - 1].position.offset;
    assert_eq!(writer.next_offset("kafka:sim/alerts/0").unwrap(), last + 1);
    drop(writer);
    prove(&archive);
    let ledger = archive.ledger().unwrap();
    let skipped = last as u64 + 1 - packets.len() as u64;
    assert_eq!(ledger.skipped["kafka:sim/alerts/0"], skipped);
    assert_eq!(ledger, archive.verify(&mut |_, _| {}).unwrap().ledger);
    assert!(ledger.to_string().contains(&format!("skipped {skipped} ")));
}

#[test]
fn other_partitions_skip_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let archive = open(folder.path());
    let mut packets = with_gaps(&night(16));
    for packet in &mut packets {
        packet.position.partition = "folder".into();
    }
    let mut writer = archive.writer().unwrap();
    let refused = writer.append(&packets, &decoder().decode(&packets), &[]);
    assert!(matches!(
        refused,
        Err(ArchiveError::Gap { expected: 0, .. })
    ));
}
