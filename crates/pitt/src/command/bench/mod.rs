//! `pitt bench`

mod night;
mod whole;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pitt_alert::{Decoded, Packet};
use pitt_query::Catalogs;
use serde_json::{Value, json};

use self::night::{Night, write_filters};
use crate::broker::{self, DecodeAndFilter};
use crate::cli::Bench;
use crate::filters::{self, Roster, built_in_schemas};
use crate::pipeline::cpu;
use crate::screen::{self, Align, Table, count};

/// Alerts a batch, as the running broker has them.
const BATCH: usize = 1000;
/// Shortest time a stage is measured for.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

pub(super) fn run(args: &Bench) -> Result<ExitCode> {
    if let Some(scratch) = &args.inside {
        return whole::inside(scratch);
    }
    if args.alerts == 0 {
        bail!(super::Misused("--alerts is 0, expected at least 1".into()));
    }
    let root = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = Scratch(root.join(format!("pitt-bench-{}", std::process::id())));
    std::fs::create_dir_all(&scratch.0)
        .with_context(|| format!("cannot make `{}`", scratch.0.display()))?;
    let mut night = Night::new(&scratch.0, args.alerts)?;
    let filters = write_filters(&scratch.0.join("filters"), args.filters)?;
    let whole = whole::measure(&scratch.0, &mut night, args.reclaim)?;
    let set = broker::compile(filters, &filters::known_surveys()?, &Catalogs::new())?;
    let figures = figures(&night.sample, Arc::new(Roster::of(set)), &whole)?;
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

/// Repeats a stage until it has taken long enough; seconds a pass, of processor time where the system tells it.
fn seconds(mut pass: impl FnMut()) -> f64 {
    pass();
    let (begin, spent) = (Instant::now(), cpu::of_thread());
    let mut passes = 0;
    while begin.elapsed() < LONG_ENOUGH {
        pass();
        passes += 1;
    }
    let took = match (spent, cpu::of_thread()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => begin.elapsed(),
    };
    took.as_secs_f64() / f64::from(passes)
}

fn figures(packets: &[Packet], filters: Arc<Roster>, whole: &Value) -> Result<Value> {
    let mut worker = DecodeAndFilter::new(built_in_schemas()?, filters.clone());
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
        "filters": filters.set().filters().len(),
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
            "cpu_us_per_alert": whole["cpu_us_per_alert"],
            "pieces": whole["pieces"],
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
    let cpu = |key: &str| whole["cpu_us_per_alert"][key].as_f64().unwrap_or(f64::NAN);
    format!(
        "{}{} alerts of {} (ZTF, simulated), read from files just written\n\
         receipt to match: p50 {}, p99 {}; peak memory {}\n\
         processor time an alert: {:.0} µs = source {:.0} + decode and filters {:.0} + archive {:.0}; {:.0} µs of it in the kernel\n\n{}",
        table.render(),
        count(figures["alerts"].as_u64().unwrap_or(0)),
        screen::bytes(figures["packet_bytes_mean"].as_f64().unwrap_or(0.0) as u64),
        screen::milliseconds(whole["latency_ms"]["p50"].as_f64()),
        screen::milliseconds(whole["latency_ms"]["p99"].as_f64()),
        screen::bytes(whole["peak_memory_bytes"].as_u64().unwrap_or(0)),
        cpu("all"),
        cpu("source"),
        cpu("decode_and_filter"),
        cpu("archive"),
        cpu("of_it_in_the_kernel"),
        pieces(whole),
    )
}

/// How rate and memory went as the run grew longer.
fn pieces(whole: &Value) -> String {
    let mut table = Table::new([
        ("after alerts", Align::Right),
        ("alerts/s", Align::Right),
        ("memory", Align::Right),
        ("peak so far", Align::Right),
    ]);
    for piece in whole["pieces"].as_array().into_iter().flatten() {
        table.row([
            count(piece["alerts"].as_u64().unwrap_or(0)),
            count(piece["alerts_per_s"].as_f64().unwrap_or(0.0) as u64),
            screen::bytes(piece["memory_bytes"].as_u64().unwrap_or(0)),
            screen::bytes(piece["peak_memory_bytes"].as_u64().unwrap_or(0)),
        ]);
    }
    table.render()
}
