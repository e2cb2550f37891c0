//! How fast packets become Arrow, beside fastavro on the same packets in the same run.
//!
//! `cargo bench -p pitt-alert`; needs `PITT_TEST_DATA` and `PITT_PYTHON` (or the workspace's `.venv`). CPU time of one
//! thread, the best of several rounds, batches of 1,000.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pitt_alert::message::AlertRecord;
use pitt_alert::{Decoder, Packet, SchemaStore, Selection, SurveyColumns};

const BATCH: usize = 1_000;
const ROUNDS: usize = 6;
/// Batches in a round: the system counts CPU time in steps of 4 ms.
const BATCHES: usize = 8;

/// A set of packets, and fastavro's time for one.
struct Set {
    name: String,
    schema: String,
    whole_us: f64,
    bare_us: f64,
    points: f64,
    packets: Vec<Bytes>,
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let from_env =
        |name: &str, default: PathBuf| std::env::var_os(name).map_or(default, PathBuf::from);
    let data = from_env("PITT_TEST_DATA", root.join("../../../shared/data"));
    let python = from_env("PITT_PYTHON", root.join("../../.venv/bin/python"));
    let run = Command::new(&python)
        .arg(root.join("benches/reference.py"))
        .arg(&data)
        .output();
    let output = match run {
        Ok(output) if output.status.success() => output.stdout,
        Ok(output) => {
            return println!(
                "fastavro did not run: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Err(error) => {
            return println!(
                "{}: {error} (run ./dev test, or set PITT_PYTHON)",
                python.display()
            );
        }
    };
    println!(
        "| packets | history points | what | us each | packets/s | fastavro us | times fastavro | times, its header skipped |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for set in read_sets(&output) {
        for (what, selection) in selections(&set) {
            print_row(&set, what, measure_columns(&set, selection));
        }
        for (what, stamps) in [
            ("as JSON, no stamps", false),
            ("as JSON, with stamps", true),
        ] {
            print_row(&set, what, measure_json(&set, stamps));
        }
    }
}

fn print_row(set: &Set, what: &str, us: f64) {
    println!(
        "| {} | {:.0} | {what} | {us:.1} | {:.0} | {:.0} | {:.0} | {:.0} |",
        set.name,
        set.points,
        1e6 / us,
        set.whole_us,
        set.whole_us / us,
        set.bare_us / us
    );
}

fn selections(set: &Set) -> Vec<(&'static str, Selection)> {
    let records = if set.schema.is_empty() {
        ["candidate", "objectId"]
    } else {
        ["diaSource", "diaObject"]
    };
    let few = SurveyColumns::Only(BTreeSet::from(records.map(str::to_owned)));
    let without_lists = |survey| Selection {
        survey,
        detections: false,
        forced: false,
        nondetections: false,
    };
    vec![
        ("all but stamps", without_lists(SurveyColumns::AllButStamps)),
        (
            "all but stamps, with the common lists",
            Selection::default(),
        ),
        ("everything, stamps as views", Selection::everything()),
        (
            "alert and object record, with the common lists",
            Selection {
                survey: few.clone(),
                ..Selection::default()
            },
        ),
        ("alert and object record", without_lists(few)),
        ("common columns without lists", Selection::common_only()),
    ]
}

/// Microseconds a packet, of a batch as columns.
fn measure_columns(set: &Set, selection: Selection) -> f64 {
    let schemas = SchemaStore::new();
    let schema = (!set.schema.is_empty()).then(|| schemas.intern(&set.schema).expect("a schema"));
    let mut decoder = Decoder::new(schemas);
    decoder.select(selection);
    let packets: Vec<Packet> = copies(set)
        .map(|bytes| Packet::unplaced("bench", bytes))
        .collect();
    measure(|| {
        let decoded = match &schema {
            Some(schema) => decoder.decode_datum(schema, &packets),
            None => decoder.decode(&packets),
        };
        assert_eq!((decoded.rows(), decoded.rejected.len()), (BATCH, 0));
    })
}

/// Microseconds a packet, found and written as the JSON that streams carry.
fn measure_json(set: &Set, stamps: bool) -> f64 {
    let schemas = SchemaStore::new();
    let schema = (!set.schema.is_empty()).then(|| schemas.intern(&set.schema).expect("a schema"));
    let packets: Vec<Bytes> = copies(set).collect();
    measure(|| {
        for packet in &packets {
            let record = match &schema {
                Some(schema) => AlertRecord::of_datum(schema.clone(), packet.clone()),
                None => AlertRecord::find(packet, 0, &schemas).expect("a record"),
            };
            let json = record.json(stamps).expect("JSON");
            assert!(json.len() > 1_000);
        }
    })
}

/// A batch of packets, each with memory of its own, as packets from a stream have.
fn copies(set: &Set) -> impl Iterator<Item = Bytes> {
    let packets = set.packets.iter().cycle().take(BATCH);
    packets.map(|bytes| Bytes::copy_from_slice(bytes))
}

/// Microseconds a packet of what goes through a batch, in the best of several rounds.
fn measure(mut batch: impl FnMut()) -> f64 {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let clock = Clock::start();
        for _ in 0..BATCHES {
            batch();
        }
        best = best.min(clock.elapsed());
    }
    best.as_secs_f64() * 1e6 / (BATCH * BATCHES) as f64
}

/// CPU time of this thread where the system tells it, or else the time on the wall.
struct Clock(Option<u64>, Instant);

impl Clock {
    fn start() -> Clock {
        Clock(cpu_ns(), Instant::now())
    }

    fn elapsed(&self) -> Duration {
        match (self.0, cpu_ns()) {
            (Some(before), Some(now)) if now > before => Duration::from_nanos(now - before),
            _ => self.1.elapsed(),
        }
    }
}

fn cpu_ns() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse().ok()
}

fn read_sets(mut input: &[u8]) -> Vec<Set> {
    fn take<'a>(input: &mut &'a [u8], n: usize) -> &'a [u8] {
        let (taken, rest) = input.split_at(n);
        *input = rest;
        taken
    }
    fn count(input: &mut &[u8]) -> usize {
        u32::from_le_bytes(take(input, 4).try_into().expect("four bytes")) as usize
    }
    fn text(input: &mut &[u8]) -> String {
        let length = count(input);
        String::from_utf8_lossy(take(input, length)).into_owned()
    }
    fn double(input: &mut &[u8]) -> f64 {
        f64::from_le_bytes(take(input, 8).try_into().expect("eight bytes"))
    }
    let mut sets = Vec::new();
    while !input.is_empty() {
        let (name, schema) = (text(&mut input), text(&mut input));
        let (whole, bare, points) = (double(&mut input), double(&mut input), double(&mut input));
        let packets = (0..count(&mut input)).map(|_| {
            let length = count(&mut input);
            Bytes::copy_from_slice(take(&mut input, length))
        });
        let packets = packets.collect();
        sets.push(Set {
            name,
            schema,
            whole_us: whole / 1e3,
            bare_us: bare / 1e3,
            points,
            packets,
        });
    }
    sets
}
