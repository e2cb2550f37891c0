//! Many commits, small files, checkpoints of the log, schemas that change.

use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;
use pitt_archive::{Archive, ArchiveOptions};

use crate::night::{archive_of, decoder, every_third, ingest, night, open, prove, rows_of};

#[test]
fn goes_on_over_checkpoints_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(208);
    let options = ArchiveOptions {
        file_bytes: 60_000,
        commit_every: Duration::ZERO,
        ..Default::default()
    };
    let archive = Archive::open(folder.path().to_str().unwrap(), options).unwrap();
    let mut writer = archive.writer().unwrap();
    ingest(&mut writer, &packets, 2);
    drop(writer);
    assert!(
        folder
            .path()
            .join("packets/_delta_log/_last_checkpoint")
            .exists()
    );
    prove(&archive);
    drop(archive);
    let archive = open(folder.path());
    prove(&archive);
    let mut writer = archive.writer().unwrap();
    for partition in ["sim_ztf", "sim_lsst"] {
        let own = packets
            .iter()
            .filter(|p| &*p.position.partition == partition);
        assert_eq!(writer.next_offset(partition).unwrap(), own.count() as i64);
    }
    let replayed: Vec<_> = archive.replay(None).unwrap().map(Result::unwrap).collect();
    let place = replayed[replayed.len() / 2].place;
    let rest = archive.replay(Some(place)).unwrap().count();
    assert_eq!(rest, replayed.len() - replayed.len() / 2 - 1);
}

#[test]
fn packets_do_not_share_pages() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive_of(folder.path(), &night(128), 128);
    let snapshot = archive.snapshot("packets").unwrap().unwrap();
    let file = std::fs::File::open(&snapshot.files[0].path).unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = ArrowReaderMetadata::load(&file, options).unwrap();
    let column = snapshot.schema.index_of("packet").unwrap();
    let pages = &metadata.metadata().offset_index().unwrap()[0][column].page_locations;
    // A row without bytes shares its neighbour's page.
    let rows = rows_of(&archive, "packets", &["size", "frame"]);
    let carried = rows
        .iter()
        .filter(|r| !r.starts_with("0 ") && !r.ends_with(' '))
        .count();
    assert!(
        pages.len() * 100 >= carried * 98,
        "{} pages for {carried} packets",
        pages.len()
    );
}

#[test]
fn forced_photometry_is_stored_once_though_every_packet_repeats_it() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive_of(folder.path(), &night(400), 50);
    let mut points = rows_of(
        &archive,
        "forced",
        &["survey", "object_id", "mjd_tai", "band"],
    );
    let all = points.len();
    points.dedup();
    assert!(all > 0);
    assert_eq!(all, points.len());
}

#[test]
fn an_append_without_a_commit_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(32);
    let archive = open(folder.path());
    let mut writer = archive.writer().unwrap();
    let decoded = decoder().decode(&packets);
    writer
        .append(&packets, &decoded, &every_third(&decoded))
        .unwrap();
    drop(writer);
    assert_eq!(archive.snapshot("packets").unwrap().unwrap().rows(), 0);
    let mut writer = archive.writer().unwrap();
    assert_eq!(writer.next_offset("sim_ztf").unwrap(), 0);
    ingest(&mut writer, &packets, 32);
    prove(&archive);
}

#[test]
fn the_log_prunes_by_ids_and_cells() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive_of(folder.path(), &night(64), 64);
    let file = &archive.snapshot("alerts/ztf").unwrap().unwrap().files[0];
    let (low, high) = file.range_i64("alert_id").unwrap();
    let reader = std::fs::File::open(&file.path).unwrap();
    let builder =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(reader).unwrap();
    let batch = builder.build().unwrap().next().unwrap().unwrap();
    let ids = batch
        .column_by_name("alert_id")
        .unwrap()
        .as_primitive::<Int64Type>();
    assert_eq!(ids.values().iter().min(), Some(&low));
    assert_eq!(ids.values().iter().max(), Some(&high));
    assert!(file.range_i64("_healpix_29").is_some() && file.range_text("object_id").is_some());
}
