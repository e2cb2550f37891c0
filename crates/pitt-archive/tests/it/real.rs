//! All real packets of ZTF and LSST, byte for byte.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use pitt_alert::{Decoder, Packet, Position, SchemaStore};
use pitt_archive::Archive;

use crate::night::{open, prove};

fn data() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder =
        std::env::var_os("PITT_TEST_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if !folder.join("ztf").is_dir() {
        println!(
            "skipped: no real packets in {} (set PITT_TEST_DATA)",
            folder.display()
        );
        return None;
    }
    Some(folder)
}

/// Every packet in a folder's files and tar balls: name and bytes.
fn packets_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut files: Vec<_> = walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .map(|e| e.into_path())
        .collect();
    files.sort();
    for path in files {
        let name = path.strip_prefix(folder).unwrap().display().to_string();
        if name.ends_with(".avro") {
            found.push((name, std::fs::read(&path).unwrap()));
        } else if let Some(bytes) = unpacked(&path) {
            let mut tar = tar::Archive::new(bytes);
            for entry in tar.entries().unwrap().flatten() {
                let mut entry = entry;
                let member = entry.path().unwrap().display().to_string();
                let mut bytes = Vec::new();
                if member.ends_with(".avro") && entry.read_to_end(&mut bytes).is_ok() {
                    found.push((format!("{name}/{member}"), bytes));
                }
            }
        }
    }
    found
}

/// A tarball's bytes; `None` for other files, and for `.tar.xz` on a machine without `xz`.
fn unpacked(path: &Path) -> Option<Box<dyn Read>> {
    let file = std::fs::File::open(path).unwrap();
    if path.to_string_lossy().ends_with(".tar.gz") {
        return Some(Box::new(flate2::read::GzDecoder::new(file)));
    }
    if !path.to_string_lossy().ends_with(".tar.xz") {
        return None;
    }
    let output = std::process::Command::new("xz")
        .arg("-dc")
        .stdin(file)
        .output();
    let Ok(output) =
        output.inspect_err(|error| println!("skipped: {}: xz: {error}", path.display()))
    else {
        return None;
    };
    assert!(output.status.success(), "{}", path.display());
    Some(Box::new(std::io::Cursor::new(output.stdout)))
}

fn store_all(folder: &Path, survey: &str, data: &Path) -> (Archive, Vec<Packet>) {
    let packets: Vec<Packet> = packets_in(&data.join(survey))
        .into_iter()
        .enumerate()
        .map(|(i, (name, bytes))| Packet {
            position: Position {
                partition: survey.into(),
                offset: i as i64,
            },
            name: name.into(),
            received_us: i as i64,
            bytes: bytes.into(),
        })
        .collect();
    let schemas = SchemaStore::new()
        .with_folder(data.join("lsst/schemas"))
        .unwrap();
    let mut decoder = Decoder::new(schemas);
    let archive = open(folder);
    let mut writer = archive.writer().unwrap();
    for packets in packets.chunks(500) {
        let decoded = decoder.decode(packets);
        writer.append(packets, &decoded, &[]).unwrap();
        writer.commit().unwrap();
    }
    drop(writer);
    (archive, packets)
}

/// The bytes of everything in quarantine, by position.
fn quarantined(archive: &Archive) -> HashMap<i64, Vec<u8>> {
    let mut found = HashMap::new();
    for file in archive.snapshot("quarantine").unwrap().unwrap().files {
        let file = std::fs::File::open(&file.path).unwrap();
        let builder =
            parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        for batch in builder.build().unwrap() {
            let batch = batch.unwrap();
            let offsets = batch
                .column_by_name("offset")
                .unwrap()
                .as_primitive::<Int64Type>();
            let packets = batch.column_by_name("packet").unwrap().as_binary::<i32>();
            for i in 0..batch.num_rows() {
                found.insert(offsets.value(i), packets.value(i).to_vec());
            }
        }
    }
    found
}

fn check_survey(survey: &str) {
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (archive, packets) = store_all(folder.path(), survey, &data);
    let (mut stored, mut alerts) = (0, 0);
    for replayed in archive.replay(None).unwrap() {
        let replayed = replayed.unwrap();
        let original = &packets[replayed.packet.position.offset as usize];
        assert_eq!(replayed.packet.bytes, original.bytes, "{}", original.name);
        assert_eq!(replayed.packet.name, original.name);
        stored += 1;
        alerts += replayed.stored.len();
    }
    let bad = quarantined(&archive);
    for (offset, bytes) in &bad {
        assert_eq!(*bytes, packets[*offset as usize].bytes);
    }
    prove(&archive);
    let line = archive.ledger().unwrap().total();
    assert_eq!(line.stored, alerts as u64);
    let written: u64 = archive.snapshot("packets").unwrap().unwrap().bytes();
    let received: u64 = packets.iter().map(|p| p.bytes.len() as u64).sum();
    println!(
        "{survey}: {} packets, {stored} with {alerts} alerts stored, {} duplicates, {} in quarantine; {received} bytes in {written}",
        packets.len(),
        line.duplicates,
        bad.len(),
    );
    assert!(stored > 10);
    look_up_each(&archive, survey, &packets);
    decode_again(&archive);
}

fn look_up_each(archive: &Archive, survey: &str, packets: &[Packet]) {
    for id in crate::night::rows_of(archive, &format!("alerts/{survey}"), &["alert_id"]) {
        let stored = archive
            .packet(survey, id.parse().unwrap())
            .unwrap()
            .expect("stored");
        assert_eq!(stored.bytes, packets[stored.position.offset as usize].bytes);
    }
}

/// What was stored decodes again with nothing but the archive's own schemas.
fn decode_again(archive: &Archive) {
    let mut decoder = Decoder::new(archive.schema_store().unwrap());
    for replayed in archive.replay(None).unwrap() {
        let replayed = replayed.unwrap();
        let decoded = decoder.decode(std::slice::from_ref(&replayed.packet));
        assert!(
            decoded.rows() >= replayed.stored.len(),
            "{}",
            replayed.packet.name
        );
    }
}

#[test]
fn every_packet_of_ztf_comes_back_byte_for_byte() {
    check_survey("ztf");
}

#[test]
fn every_packet_of_lsst_comes_back_byte_for_byte() {
    check_survey("lsst");
}
