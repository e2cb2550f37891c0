//! `pitt bench`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use pitt_alert::{Decoded, Packet};
use pitt_query::{Catalogs, Filter, FilterSet};
use pitt_simulate::{SimSurvey, SimulationConfig, Simulator};
use serde_json::{Value, json};

use super::simulate::progress_bar;
use crate::broker::{self, DecodeAndFilter};
use crate::cli::Bench;
use crate::filters;
use crate::screen::{self, Align, Table, count};

/// Alerts a batch, as the running broker has them.
const BATCH: usize = 1000;
/// Alerts kept in memory for the stages measured one by one.
const SAMPLE: usize = 4000;
/// Alerts a simulated visit.
const PER_VISIT: u32 = 500;
/// Shortest time a stage is measured for.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

pub(super) fn run(args: &Bench) -> Result<ExitCode> {
    if args.alerts == 0 {
        bail!(super::Misused("--alerts is 0, expected at least 1".into()));
    }
    let root = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = Scratch(root.join(format!("pitt-bench-{}", std::process::id())));
    std::fs::create_dir_all(&scratch.0)
        .with_context(|| format!("cannot make `{}`", scratch.0.display()))?;
    let packets = write_night(&scratch.0.join("night.tar"), args.alerts)?;
    let filters = write_filters(&scratch.0.join("filters"), args.filters)?;
    let whole = end_to_end(&scratch.0)?;
    let set = broker::compile(filters, &filters::known_surveys()?, &Catalogs::new())?;
    let figures = figures(&packets, Arc::new(set), &whole)?;
    if args.json {
        screen::print_json(&figures)?;
    } else {
        screen::print(&text(&figures))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A folder that goes when the measurement is over.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Writes a night of ZTF as a plain tarball, and gives back its first packets.
fn write_night(path: &Path, alerts: u64) -> Result<Vec<Packet>> {
    let config = SimulationConfig {
        surveys: vec![SimSurvey::Ztf],
        visits_per_night: u32::try_from(alerts.div_ceil(u64::from(PER_VISIT)))?,
        alerts_per_visit: PER_VISIT,
        ..SimulationConfig::default()
    };
    let failed = || format!("cannot write `{}`", path.display());
    let mut tar = tar::Builder::new(BufWriter::new(File::create(path).with_context(failed)?));
    let bar = progress_bar("alerts simulated");
    bar.set_length(alerts);
    let mut sample = vec![];
    let packets = Simulator::new(config).flat_map(|visit| visit.packets);
    for (packet, number) in packets.zip(0..alerts) {
        let mut header = tar::Header::new_ustar();
        header.set_size(packet.bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("{number}.avro"), &packet.bytes[..])
            .with_context(failed)?;
        if sample.len() < SAMPLE {
            sample.push(Packet::unplaced(
                "bench",
                Bytes::copy_from_slice(&packet.bytes),
            ));
        }
        bar.set_position(number + 1);
    }
    tar.into_inner()
        .and_then(|mut file| file.flush())
        .with_context(failed)?;
    bar.finish_and_clear();
    Ok(sample)
}

/// Filters that differ in what they ask and in their numbers, a third of them over the history; each takes a few alerts in
/// a hundred, as people's filters do.
fn filter_text(number: usize) -> String {
    let (step, band) = (number / 8, ["g", "r", "i"][number % 3]);
    let level = 18.0 + 0.05 * step as f64;
    match number % 8 {
        0 => format!(
            "mag(psf_flux) < {level} - 1.0 AND reliability > 0.{}",
            50 + step % 50
        ),
        1 => format!(
            "detections('{band}', {}) >= {} AND reliability > 0.9 AND mag(psf_flux) < {level}",
            10 + step,
            6 + step % 9
        ),
        2 => format!(
            "rise_rate('{band}') > {} AND psf_flux > 0",
            0.05 + 0.01 * step as f64
        ),
        3 => format!(
            "candidate.magpsf < {level} AND candidate.sgscore1 < 0.{} AND candidate.distpsnr1 > 1.5",
            10 + step % 80
        ),
        4 => format!(
            "abs(galactic_latitude()) BETWEEN {} AND {} AND candidate.drb > 0.{}",
            5 + 5 * (step % 16),
            6 + 5 * (step % 16),
            50 + step % 50
        ),
        5 => format!(
            "cone(ra, dec, {}, {}, {})",
            (number * 37) % 360,
            (number * 7) % 60,
            600 + step
        ),
        6 => format!(
            "age_days() BETWEEN 1 AND {} AND band = '{band}' AND mag(psf_flux) < {level}",
            2 + step
        ),
        _ => format!(
            "candidate.ssdistnr BETWEEN 0 AND {} AND candidate.nbad = 0",
            5 + step
        ),
    }
}

fn write_filters(folder: &Path, number: usize) -> Result<Vec<Filter>> {
    std::fs::create_dir_all(folder)?;
    (0..number)
        .map(|number| {
            let (name, text) = (
                format!("bench_{number:04}"),
                format!("-- survey: ztf\n{}\n", filter_text(number)),
            );
            std::fs::write(folder.join(format!("{name}.sql")), &text)?;
            Ok(Filter::parse(&name, &text).map_err(filters::Refused)?)
        })
        .collect()
}

/// Sends the files through a broker of its own, in a process of its own, so that its memory is its own too.
fn end_to_end(scratch: &Path) -> Result<Value> {
    let child = Command::new(std::env::current_exe()?)
        .args(["run", "--json", "--from"])
        .arg(scratch.join("night.tar"))
        .arg("--filters")
        .arg(scratch.join("filters"))
        .arg("--archive")
        .arg(scratch.join("archive"))
        .stderr(Stdio::inherit())
        .output()?;
    if !child.status.success() {
        bail!("the run from files to archive failed ({})", child.status);
    }
    Ok(serde_json::from_slice(&child.stdout)?)
}

/// Repeats a stage until it has taken long enough; seconds a pass.
fn seconds(mut pass: impl FnMut()) -> f64 {
    pass();
    let (begin, mut passes) = (Instant::now(), 0);
    while begin.elapsed() < LONG_ENOUGH {
        pass();
        passes += 1;
    }
    begin.elapsed().as_secs_f64() / f64::from(passes)
}

fn figures(packets: &[Packet], set: Arc<FilterSet>, whole: &Value) -> Result<Value> {
    let mut worker = DecodeAndFilter::new(filters::built_in_schemas()?, set.clone());
    let mut batches: Vec<Decoded> = vec![];
    let decode = seconds(|| {
        batches = packets
            .chunks(BATCH)
            .map(|batch| worker.decode(batch))
            .collect()
    });
    let alerts: usize = batches.iter().map(Decoded::rows).sum();
    let bytes: usize = packets.iter().map(|packet| packet.bytes.len()).sum();
    let filter = seconds(|| batches.iter().for_each(|batch| drop(worker.filter(batch))));
    let rate = |seconds: f64| alerts as f64 / seconds;
    let flow = |seconds: f64| bytes as f64 / 1e6 / seconds;
    let number = |key: &str| whole[key].as_f64().unwrap_or(0.0);
    let whole_seconds = number("seconds");
    Ok(json!({
        "alerts": whole["received"],
        "packet_bytes_mean": number("bytes") / number("received").max(1.0),
        "filters": set.filters().len(),
        "disabled_filters": whole["disabled_filters"],
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "decode": {"alerts_per_s": rate(decode), "mb_per_s": flow(decode), "us_per_alert": decode * 1e6 / alerts.max(1) as f64},
        "filter": {"alerts_per_s": rate(filter), "mb_per_s": flow(filter), "us_per_alert": filter * 1e6 / alerts.max(1) as f64},
        "end_to_end": {
            "seconds": whole_seconds,
            "alerts_per_s": number("received") / whole_seconds,
            "mb_per_s": number("bytes") / 1e6 / whole_seconds,
            "stored": whole["stored"],
            "latency_ms": whole["latency_ms"],
            "peak_memory_bytes": whole["peak_memory_bytes"],
        },
    }))
}

fn text(figures: &Value) -> String {
    let number = |stage: &str, key: &str| figures[stage][key].as_f64().unwrap_or(f64::NAN);
    let mut table = Table::new([
        ("stage", Align::Left),
        ("cores", Align::Right),
        ("alerts/s", Align::Right),
        ("MB/s", Align::Right),
        ("µs an alert", Align::Right),
    ]);
    let cores = figures["cores"].to_string();
    let filters = format!("filter, {} filters", figures["filters"]);
    let stages = [
        ("decode", "decode", "1"),
        ("filter", filters.as_str(), "1"),
        ("end_to_end", "files to archive and matches", cores.as_str()),
    ];
    for (key, name, cores) in stages {
        let rate = number(key, "alerts_per_s");
        table.row([
            name.to_owned(),
            cores.to_owned(),
            count(rate as u64),
            format!("{:.0}", number(key, "mb_per_s")),
            format!("{:.1}", 1e6 / rate),
        ]);
    }
    let whole = &figures["end_to_end"];
    format!(
        "{}{} alerts of {} (ZTF, simulated)\nreceipt to match: p50 {}, p99 {}; peak memory {}\n",
        table.render(),
        count(figures["alerts"].as_u64().unwrap_or(0)),
        screen::bytes(figures["packet_bytes_mean"].as_f64().unwrap_or(0.0) as u64),
        screen::milliseconds(whole["latency_ms"]["p50"].as_f64()),
        screen::milliseconds(whole["latency_ms"]["p99"].as_f64()),
        screen::bytes(whole["peak_memory_bytes"].as_u64().unwrap_or(0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_filters_differ_and_fit_the_schemas() {
        let folder = tempfile::tempdir().unwrap();
        let filters = write_filters(folder.path(), 100).unwrap();
        let texts: std::collections::BTreeSet<&str> = filters.iter().map(Filter::text).collect();
        assert_eq!(texts.len(), 100);
        broker::compile(
            filters,
            &filters::known_surveys().unwrap(),
            &Catalogs::new(),
        )
        .unwrap();
    }
}
