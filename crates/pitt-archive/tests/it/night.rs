//! Made-up packets for the tests, and getting them into an archive.

use std::path::Path;
use std::sync::Arc;

use pitt_alert::{Decoded, Decoder, Packet, Position, SchemaStore};
use pitt_archive::{Archive, ArchiveOptions, Match, Writer};
use pitt_simulate::{SimulationConfig, Simulator, lsst_schema};

/// A simulated night of both surveys: `alerts` packets, one partition a survey, some bad, some twice.
pub(crate) fn night(alerts: u32) -> Vec<Packet> {
    let config = SimulationConfig {
        visits_per_night: 4,
        alerts_per_visit: alerts.div_ceil(8),
        bad_packets_per_million: 20_000,
        duplicates_per_million: 20_000,
        ..Default::default()
    };
    simulate(config)
}

/// All packets of a simulation.
pub(crate) fn simulate(config: SimulationConfig) -> Vec<Packet> {
    let mut simulator = Simulator::new(config);
    let mut offsets = std::collections::HashMap::new();
    let mut packets = Vec::new();
    while let Some(visit) = simulator.next_visit() {
        let partition: Arc<str> = format!("sim_{}", visit.survey).into();
        for packet in visit.packets {
            let offset = offsets.entry(partition.clone()).or_insert(0);
            packets.push(Packet {
                position: Position {
                    partition: partition.clone(),
                    offset: *offset,
                },
                name: format!("{partition}@{offset}").into(),
                received_us: 1_700_000_000_000_000 + packets.len() as i64,
                bytes: packet.bytes,
            });
            *offset += 1;
        }
    }
    packets
}

/// A decoder that knows the simulator's schemas.
pub(crate) fn decoder() -> Decoder {
    let store = SchemaStore::new();
    let (id, json) = lsst_schema();
    store.insert(id, json).unwrap();
    Decoder::new(store)
}

/// A filter that takes every third alert, by its id alone.
pub(crate) fn every_third(decoded: &Decoded) -> Vec<Match> {
    let mut matches = Vec::new();
    for batch in &decoded.batches {
        let Some(ids) = batch.records.column_by_name("alert_id") else {
            continue;
        };
        let ids: &arrow_array::Int64Array = ids.as_any().downcast_ref().unwrap();
        for alert_id in ids.values().iter().filter(|id| *id % 3 == 0) {
            matches.push(Match {
                survey: batch.survey.clone(),
                alert_id: *alert_id,
                filter: "every_third".into(),
                version: "1".into(),
            });
        }
    }
    matches
}

pub(crate) fn open(folder: &Path) -> Archive {
    Archive::open(folder.to_str().unwrap(), ArchiveOptions::default()).unwrap()
}

/// Appends what the writer does not have yet, in chunks, with a commit after each.
pub(crate) fn ingest(writer: &mut Writer, packets: &[Packet], chunk: usize) {
    let mut decoder = decoder();
    for packets in packets.chunks(chunk) {
        let mut fresh = Vec::new();
        for packet in packets {
            if packet.position.offset >= writer.next_offset(&packet.position.partition).unwrap() {
                fresh.push(packet.clone());
            }
        }
        let decoded = decoder.decode(&fresh);
        let matches = every_third(&decoded);
        writer.append(&fresh, &decoded, &matches).unwrap();
        writer.commit().unwrap();
    }
}

/// An archive of these packets.
pub(crate) fn archive_of(folder: &Path, packets: &[Packet], chunk: usize) -> Archive {
    let archive = open(folder);
    let mut writer = archive.writer().unwrap();
    ingest(&mut writer, packets, chunk);
    drop(writer);
    archive
}

/// Some columns of a table's rows as text, sorted.
pub(crate) fn rows_of(archive: &Archive, table: &str, columns: &[&str]) -> Vec<String> {
    let mut rows = Vec::new();
    for file in archive.snapshot(table).unwrap().unwrap().files {
        let file = std::fs::File::open(&file.path).unwrap();
        let builder =
            parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        for batch in builder.build().unwrap() {
            let batch = batch.unwrap();
            let formats: Vec<_> = columns
                .iter()
                .map(|c| {
                    let column = batch.column_by_name(c).unwrap();
                    arrow_cast::display::ArrayFormatter::try_new(column, &Default::default())
                        .unwrap()
                })
                .collect();
            for i in 0..batch.num_rows() {
                rows.push(
                    formats
                        .iter()
                        .map(|f| f.value(i).to_string())
                        .collect::<Vec<_>>()
                        .join(" "),
                );
            }
        }
    }
    rows.sort();
    rows
}

/// Proves the archive, or says what is wrong with it.
pub(crate) fn prove(archive: &Archive) {
    let report = archive.verify(&mut |_, _| {}).unwrap();
    assert!(report.ok(), "{report}");
}
