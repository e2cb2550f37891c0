//! What many filters cost over batches of 1,000 alerts with history, on one core: `cargo bench -p pitt-query`.
//!
//! Prints processor time an alert for all filters together, the best of several runs, so that other work on the machine
//! matters little.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints and may fail"
)]

#[path = "../tests/it/fixture.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod fixture;

use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use fixture::{Alert, surveys, ztf};
use pitt_query::{Catalog, Catalogs, Filter, FilterSet};

const ALERTS: usize = 1_000;
const RUNS: usize = 7;

/// Twenty shapes of filters; `{}` is a number that makes each copy another filter.
const SHAPES: [&str; 20] = [
    "candidate.magpsf < {} AND reliability > 0.8",
    "mag(psf_flux) < {} AND band = 'r'",
    "detections('g') >= 3 AND rise_rate('g') > {} / 100.0",
    "detections(7) >= 2 AND age_days() < {}",
    "abs(galactic_latitude()) > {} AND psf_flux > 500",
    "cone(ra, dec, {}, 5.0, 3600)",
    "match('bright', {}.5)",
    "color('g', 'r') < {} / 100.0 AND reliability > 0.5",
    "decline_rate('r') > {} / 100.0",
    "peak_mag() < {} AND duration_days() > 5",
    "amplitude('r') > {} / 50.0",
    "n_nondetections('r', 20) > {}",
    "nondetection_gap_days() < {} AND detections() < 30",
    "forced_snr('g') > {}",
    "objectId LIKE 'ZTF26%{}'",
    "candidate.ndethist > {} AND candidate.isdiffpos = 't'",
    "last_mag('r') - mean_mag('r') > {} / 100.0",
    "snr() > {} AND NOT match('bright', 5)",
    "psf_flux BETWEEN {} AND 5000 AND (band = 'g' OR band = 'i')",
    "days_since_peak('g') BETWEEN 1 AND {} AND ecliptic_latitude() > 10",
];

/// A repeatable uniform number from 0 to 1.
fn random(state: &mut u64) -> f64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 11) as f64 / (1_u64 << 53) as f64
}

/// Alerts with 30 detections, 30 forced points and 20 non-detections on average.
fn batch() -> RecordBatch {
    let mut state = 7;
    let state = &mut state;
    let bands = ["g", "r", "i"];
    let mut alerts = Vec::with_capacity(ALERTS);
    for id in 0..ALERTS {
        let mut times: Vec<f64> = (0..(random(state) * 60.0) as usize)
            .map(|_| random(state) * 30.0)
            .collect();
        times.sort_by(|a, b| b.total_cmp(a));
        times.push(0.0);
        let base = 200.0 + 3000.0 * random(state);
        let mut points: Vec<fixture::Point> = Vec::new();
        for time in times {
            let band = bands[(random(state) * 3.0) as usize % 3];
            points.push((time, band, (base * (0.5 + random(state))) as f32, 30.0));
        }
        alerts.push(Alert {
            id: id as i64,
            ra: random(state) * 360.0,
            dec: (2.0 * random(state) - 1.0).asin().to_degrees(),
            magpsf: Some(16.0 + 5.0 * random(state) as f32),
            ndethist: (random(state) * 100.0) as i32,
            ncovhist: 100,
            band: bands[(random(state) * 3.0) as usize % 3],
            flux: base as f32,
            forced: points.clone(),
            nondetections: points.iter().take(20).map(|p| (p.0, p.1, 100.0)).collect(),
            detections: points,
        });
    }
    ztf(&alerts)
}

fn catalogs() -> Catalogs {
    use datafusion::arrow::array::{ArrayRef, Float64Array};
    let mut state = 11;
    let positions: Vec<(f64, f64)> = (0..100_000)
        .map(|_| {
            (
                random(&mut state) * 360.0,
                (2.0 * random(&mut state) - 1.0).asin().to_degrees(),
            )
        })
        .collect();
    let column = |of: &dyn Fn(&(f64, f64)) -> f64| -> ArrayRef {
        std::sync::Arc::new(
            positions
                .iter()
                .map(|p| Some(of(p)))
                .collect::<Float64Array>(),
        )
    };
    let table =
        RecordBatch::try_from_iter(vec![("ra", column(&|p| p.0)), ("dec", column(&|p| p.1))])
            .unwrap();
    let mut catalogs = Catalogs::new();
    catalogs.insert(Catalog::new("bright", table, None).unwrap());
    catalogs
}

fn filters(count: usize) -> Vec<Filter> {
    (0..count)
        .map(|i| {
            let text = SHAPES[i % SHAPES.len()].replace("{}", &(2 + i / SHAPES.len()).to_string());
            Filter::parse(&format!("f{i}"), &format!("-- survey: ztf\n{text}")).unwrap()
        })
        .collect()
}

/// Processor time of this thread [ns]; wall time where the system does not tell.
fn processor_ns(started: Instant) -> u128 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let ns = stat
        .as_deref()
        .and_then(|text| text.split_whitespace().next())
        .and_then(|ns| ns.parse().ok());
    ns.unwrap_or_else(|| started.elapsed().as_nanos())
}

fn main() {
    let (records, catalogs, started) = (batch(), catalogs(), Instant::now());
    println!("batches of {ALERTS} alerts; processor time of one core, best of {RUNS} runs");
    println!(
        "{:>8} {:>14} {:>14} {:>12} {:>10}",
        "filters", "us per alert", "ns per filter", "compile ms", "matches"
    );
    for count in [1, 3, 10, 20, 30, 100, 300, 1_000] {
        let begin = processor_ns(started);
        let set = FilterSet::compile(filters(count), &surveys(), &catalogs).unwrap();
        let mut matches: usize = set
            .evaluate("ztf", &records)
            .iter()
            .map(|v| v.rows.len())
            .sum();
        let compiled = processor_ns(started) - begin;
        assert!(set.disabled().is_empty(), "{:?}", set.disabled());
        let mut best = f64::MAX;
        for _ in 0..RUNS {
            let (begin, mut times) = (processor_ns(started), 0);
            // Long enough for a clock that ticks every few milliseconds.
            while processor_ns(started) - begin < 60_000_000 {
                matches = set
                    .evaluate("ztf", &records)
                    .iter()
                    .map(|v| v.rows.len())
                    .sum();
                times += 1;
            }
            best = best.min((processor_ns(started) - begin) as f64 / f64::from(times));
        }
        let us = best / 1e3 / ALERTS as f64;
        println!(
            "{count:>8} {us:>14.3} {:>14.1} {:>12.1} {matches:>10}",
            us * 1e3 / count as f64,
            compiled as f64 / 1e6
        );
    }
}
