//! Times the archive: writing, opening, one alert with its stamps, a light curve, a cone.
//!
//! `PITT_BENCH_ALERTS` (200000) simulated alerts of both surveys go into an archive in `PITT_BENCH_FOLDER` (a temporary
//! folder; an archive that is there already is used as it is). To keep the time for simulating down, the packets of
//! a few visits are made once and stored again and again under new alert and object ids, at new positions on the sky.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use pitt_alert::{Decoded, Decoder, Packet, Position, SchemaStore};
use pitt_archive::{Archive, ArchiveOptions};
use pitt_simulate::{SimulationConfig, Simulator, lsst_schema};

/// Looks of each kind that are timed.
const LOOKS: usize = 2000;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // `cargo test` runs benches too: there only in small.
    let small = std::env::args().any(|a| a == "--test");
    let alerts = std::env::var("PITT_BENCH_ALERTS").map_or(Ok(200_000), |n| n.parse())?;
    let alerts = if small { 400 } else { alerts };
    let temporary = tempfile::tempdir()?;
    let folder =
        std::env::var_os("PITT_BENCH_FOLDER").map_or(temporary.path().to_owned(), PathBuf::from);
    let location = folder.to_str().ok_or("the folder's name is not UTF-8")?;
    if !folder.join("packets").is_dir() {
        fill(&Archive::open(location, ArchiveOptions::default())?, alerts)?;
    }
    let started = Instant::now();
    let archive = Archive::open(location, ArchiveOptions::default())?;
    println!(
        "open                      {:>9.1} ms",
        started.elapsed().as_secs_f64() * 1e3
    );
    let targets = targets(&archive)?;
    let looks = if small { 20 } else { LOOKS };
    measure("alert by id, with stamps", looks, |i| {
        let (survey, alert_id, ..) = pick(&targets, i);
        let packet = archive.packet(survey, *alert_id)?.ok_or("not stored")?;
        Ok(packet.bytes.len())
    })?;
    measure("light curve", looks, |i| {
        Ok(archive.light_curve(&pick(&targets, i).2)?.len())
    })?;
    measure("cone of 30 arcsec", looks, |i| {
        let (.., ra, dec) = pick(&targets, i);
        Ok(archive.cone(*ra, *dec, 30.0)?.len())
    })?;
    Ok(())
}

type Target = (String, i64, String, f64, f64);

/// Spreads the looks over all targets, in no order of theirs.
fn pick(targets: &[Target], i: usize) -> &Target {
    &targets[i.wrapping_mul(2_654_435_761) % targets.len()]
}

fn measure(what: &str, looks: usize, mut look: impl FnMut(usize) -> Outcome<usize>) -> Outcome<()> {
    let mut times: Vec<Duration> = Vec::with_capacity(looks);
    let mut found = 0;
    for i in 0..2 * looks {
        let started = Instant::now();
        found += look(i % looks)?;
        // The first round warms the caches.
        if i >= looks {
            times.push(started.elapsed());
        }
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{what:<25} {:>9.3} ms p50 {:>9.3} ms p99   ({} found on average)",
        at(0.5),
        at(0.99),
        found / (2 * looks)
    );
    Ok(())
}

/// Every alert that has an object and a position.
fn targets(archive: &Archive) -> Outcome<Vec<Target>> {
    let mut targets = Vec::new();
    for survey in archive.surveys() {
        let snapshot = archive
            .snapshot(&format!("alerts/{survey}"))?
            .ok_or("no table")?;
        for file in snapshot.files {
            let file = std::fs::File::open(&file.path)?;
            let builder =
                parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)?;
            let names = ["alert_id", "object_id", "ra", "dec"];
            let mask = parquet::arrow::ProjectionMask::columns(builder.parquet_schema(), names);
            for rows in builder.with_projection(mask).build()? {
                take_targets(&survey, &rows?, &mut targets)?;
            }
        }
    }
    Ok(targets)
}

fn take_targets(survey: &str, rows: &RecordBatch, targets: &mut Vec<Target>) -> Outcome<()> {
    let column = |name: &str| rows.column_by_name(name).ok_or("a column is missing");
    let ids = column("alert_id")?.as_primitive::<Int64Type>();
    let objects = column("object_id")?.as_string::<i32>();
    let (ra, dec) = (
        column("ra")?.as_primitive::<Float64Type>(),
        column("dec")?.as_primitive::<Float64Type>(),
    );
    for i in (0..rows.num_rows()).filter(|i| objects.is_valid(*i) && ra.is_valid(*i)) {
        targets.push((
            survey.to_owned(),
            ids.value(i),
            objects.value(i).to_owned(),
            ra.value(i),
            dec.value(i),
        ));
    }
    Ok(())
}

/// Stores `alerts` alerts and prints how fast the archive took them.
fn fill(archive: &Archive, alerts: usize) -> Outcome<()> {
    let (id, json) = lsst_schema();
    let store = SchemaStore::new();
    store.insert(id, json)?;
    let mut decoder = Decoder::new(store);
    let made = simulate(alerts.min(8000));
    let mut batches = Vec::new();
    for packets in made.chunks(1000) {
        batches.push((packets.to_vec(), decoder.decode(packets)));
    }
    let mut writer = archive.writer()?;
    let (mut spent, mut bytes, mut stored, mut offset, mut round) = (Duration::ZERO, 0, 0, 0, 0);
    while stored < alerts {
        for (packets, decoded) in &batches {
            let packets = moved(packets, &mut offset);
            let decoded = renumbered(decoded, round)?;
            bytes += packets.iter().map(|p| p.bytes.len()).sum::<usize>();
            let started = Instant::now();
            stored += writer.append(&packets, &decoded, &[])?.stored as usize;
            if writer.commit_due() {
                writer.commit()?;
            }
            spent += started.elapsed();
        }
        round += 1;
    }
    let started = Instant::now();
    writer.commit()?;
    spent += started.elapsed();
    let seconds = spent.as_secs_f64();
    let on_disk: u64 = archive.snapshot("packets")?.map_or(0, |s| s.bytes());
    println!(
        "stored {stored} alerts, {:.0} MB in, {:.0} MB of packets on disk: {:.0} alerts/s, {:.0} MB/s",
        bytes as f64 / 1e6,
        on_disk as f64 / 1e6,
        stored as f64 / seconds,
        bytes as f64 / 1e6 / seconds
    );
    Ok(())
}

fn simulate(alerts: usize) -> Vec<Packet> {
    let config = SimulationConfig {
        visits_per_night: 4,
        nights: 2,
        alerts_per_visit: u32::try_from(alerts.div_ceil(16)).unwrap_or(u32::MAX),
        ..Default::default()
    };
    let mut simulator = Simulator::new(config);
    let mut packets = Vec::new();
    while let Some(visit) = simulator.next_visit() {
        packets.extend(
            visit
                .packets
                .into_iter()
                .map(|p| Packet::unplaced("simulated", p.bytes)),
        );
    }
    packets
}

/// The same packets at the next offsets.
fn moved(packets: &[Packet], offset: &mut i64) -> Vec<Packet> {
    let partition: Arc<str> = "simulated".into();
    let mut moved = packets.to_vec();
    for packet in &mut moved {
        packet.position = Position {
            partition: partition.clone(),
            offset: *offset,
        };
        *offset += 1;
    }
    moved
}

/// The same alerts under other ids, 0.7 degrees further on; every fourth round brings new objects.
fn renumbered(decoded: &Decoded, round: i64) -> Outcome<Decoded> {
    let mut copy = Decoded {
        batches: decoded.batches.clone(),
        rejected: decoded.rejected.clone(),
    };
    let sky = round / 4;
    for batch in &mut copy.batches {
        let schema = batch.records.schema();
        let mut columns = batch.records.columns().to_vec();
        for (column, field) in columns.iter_mut().zip(schema.fields()) {
            let changed: Option<ArrayRef> = match field.name().as_str() {
                "alert_id" => {
                    let ids = column.as_primitive::<Int64Type>();
                    Some(Arc::new(
                        ids.iter()
                            .map(|id| Some(id? + (round << 40)))
                            .collect::<Int64Array>(),
                    ))
                }
                "object_id" => {
                    let ids = column.as_string::<i32>();
                    Some(Arc::new(
                        ids.iter()
                            .map(|id| Some(format!("{}x{sky}", id?)))
                            .collect::<StringArray>(),
                    ))
                }
                "ra" => {
                    let ra = column.as_primitive::<Float64Type>();
                    let turned = ra
                        .iter()
                        .map(|ra| Some((ra? + 0.7 * sky as f64).rem_euclid(360.0)));
                    Some(Arc::new(turned.collect::<Float64Array>()))
                }
                _ => None,
            };
            *column = changed.unwrap_or_else(|| column.clone());
        }
        batch.records = RecordBatch::try_new(schema, columns)?;
    }
    Ok(copy)
}
