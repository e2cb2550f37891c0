//! The broker's own decoder reads what is sent, and refuses what is damaged.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use pitt_alert::{Decoder, Packet, SchemaStore};
use pitt_simulate::{SimPacket, SimulationConfig, Simulator, lsst_schema};

fn decoder() -> Decoder {
    let store = SchemaStore::new();
    let (id, json) = lsst_schema();
    store.insert(id, json).unwrap();
    Decoder::new(store)
}

fn packets(sent: &[SimPacket]) -> Vec<Packet> {
    sent.iter()
        .map(|packet| Packet::unplaced(&packet.truth.alert_id.to_string(), packet.bytes.clone()))
        .collect()
}

fn config(bad_packets_per_million: u32) -> SimulationConfig {
    SimulationConfig {
        visits_per_night: 4,
        alerts_per_visit: 100,
        bad_packets_per_million,
        duplicates_per_million: 0,
        ..SimulationConfig::default()
    }
}

#[test]
fn a_night_decodes_with_nothing_rejected_and_the_truth_in_the_common_columns() {
    let mut decoder = decoder();
    let mut rows = 0;
    for visit in Simulator::new(config(0)) {
        let decoded = decoder.decode(&packets(&visit.packets));
        assert!(
            decoded.rejected.is_empty(),
            "{:?}",
            decoded.rejected.first()
        );
        for batch in &decoded.batches {
            let column = |name: &str| batch.records.column_by_name(name).unwrap();
            let (ids, times) = (column("alert_id"), column("mjd_tai"));
            let objects = column("object_id").as_string::<i32>();
            for (row, origin) in batch.origins.iter().enumerate() {
                let truth = &visit.packets[origin.packet].truth;
                assert_eq!(ids.as_primitive::<Int64Type>().value(row), truth.alert_id);
                assert_eq!(objects.value(row), truth.object_id);
                assert!(
                    (times.as_primitive::<Float64Type>().value(row) - truth.mjd_tai).abs() < 2e-8
                );
                rows += 1;
            }
        }
    }
    assert_eq!(rows, 2 * 4 * 100);
}

#[test]
fn every_damaged_packet_is_rejected_and_no_other() {
    let mut decoder = decoder();
    for visit in Simulator::new(config(200_000)) {
        let decoded = decoder.decode(&packets(&visit.packets));
        let rejected: std::collections::BTreeSet<usize> =
            decoded.rejected.iter().map(|one| one.packet).collect();
        for (at, packet) in visit.packets.iter().enumerate() {
            assert_eq!(
                packet.fault.is_some(),
                rejected.contains(&at),
                "{:?}",
                packet.fault
            );
        }
    }
}
