//! `pitt stream`: alerts served as a stream, from where it stood.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pitt_stream::{Record, Server, StreamConfig};
use xxhash_rust::xxh3::xxh3_64;

use super::{bad, good, json, pitt};

const BASE: &[&str] = &[
    "stream",
    "--topic",
    "ztf-stream",
    "--listen",
    "127.0.0.1:0",
    "--json",
];

fn words<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [BASE, more].concat()
}

/// A tarball of made-up packets, some of them sent twice: fingerprints of their contents, sorted.
fn night(dir: &Path) -> Vec<u64> {
    let made = [
        "simulate",
        "--into",
        "night",
        "--survey",
        "ztf",
        "--visits",
        "5",
        "--alerts-per-visit",
        "120",
        "--bad-per-million",
        "0",
    ];
    good(dir, &made);
    let files = std::fs::read_dir(dir.join("night")).unwrap();
    let mut paths = files.map(|f| f.unwrap().path());
    let tarball = paths
        .find(|p| p.to_string_lossy().ends_with(".tar.gz"))
        .unwrap();
    let file = std::fs::File::open(tarball).unwrap();
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
    let mut packets = vec![];
    for entry in archive.entries().unwrap() {
        let mut bytes = vec![];
        let mut entry = entry.unwrap();
        if entry
            .path()
            .unwrap()
            .extension()
            .is_some_and(|e| e == "avro")
        {
            entry.read_to_end(&mut bytes).unwrap();
            packets.push(xxh3_64(&bytes));
        }
    }
    assert!(packets.len() >= 600, "{}", packets.len());
    packets.sort_unstable();
    packets
}

/// Everything a topic holds: partition and record.
fn kept(dir: &Path) -> Vec<(i32, Record)> {
    let mut config = StreamConfig::new(dir.join("pitt-stream"));
    config.address.set_port(0);
    let server = Server::bind(config).unwrap();
    let handle = server.handle();
    let (topic, partitions) = handle.topics().remove(0);
    let mut all = vec![];
    for partition in 0..i32::try_from(partitions).unwrap() {
        let (mut at, next) = handle.offsets(&topic, partition).unwrap();
        while at < next {
            let (records, after) = handle.read(&topic, partition, at, 1 << 20).unwrap();
            all.extend(records.into_iter().map(|(_, record)| (partition, record)));
            at = after;
        }
    }
    all
}

fn values(kept: Vec<(i32, Record)>) -> Vec<u64> {
    let print = |(_, record): (i32, Record)| xxh3_64(&record.value.unwrap());
    let mut values: Vec<_> = kept.into_iter().map(print).collect();
    values.sort_unstable();
    values
}

#[test]
fn a_folder_becomes_a_topic_byte_for_byte_and_is_not_sent_twice() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let packets = night(dir);
    let from = ["--from", "night", "--partitions", "3", "--once"];
    let first = json(dir, &words(&from));
    assert_eq!(first["sent"], packets.len());
    let again = json(dir, &words(&from));
    assert_eq!(
        (&again["sent"], &again["sent_before"]),
        (&0.into(), &packets.len().into())
    );
    // Also without the note of where it stood, from the messages alone.
    std::fs::remove_file(dir.join("pitt-stream/sources/ztf-stream.json")).unwrap();
    let again = json(dir, &words(&from));
    assert_eq!(again["sent"], 0);
    let kept = kept(dir);
    let used: BTreeSet<i32> = kept.iter().map(|(partition, _)| *partition).collect();
    assert_eq!(used.len(), 3);
    assert!(
        kept.iter()
            .all(|(_, r)| r.key.as_ref().is_some_and(|k| k.starts_with(b"ZTF")))
    );
    assert_eq!(values(kept), packets);
}

fn start(dir: &Path, more: &[&str]) -> Child {
    pitt(dir)
        .args(words(more))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_stream_goes_on_without_gap_or_doublet() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let packets = night(dir);
    for _ in 0..4 {
        let mut child = start(dir, &["--from", "night", "--rate", "200"]);
        std::thread::sleep(Duration::from_millis(700));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    json(dir, &words(&["--from", "night", "--once"]));
    assert_eq!(values(kept(dir)), packets);
}

#[test]
fn an_archive_and_the_simulator_can_be_sent_too() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let packets = night(dir);
    good(dir, &["run", "--from", "night", "--archive", "kept"]);
    let sent = json(
        dir,
        &words(&["--archive", "kept", "--from", "archive", "--once"]),
    );
    let distinct: BTreeSet<_> = packets.into_iter().collect();
    assert_eq!(sent["sent"], distinct.len());
    let more = ["--from", "simulator", "--alerts", "120", "--once"];
    assert_eq!(json(dir, &words(&more))["sent"], 120);
    assert_eq!(json(dir, &words(&more))["sent"], 120, "the next night");
    assert_eq!(kept(dir).len(), distinct.len() + 240);
}

#[test]
fn an_archive_is_replayed_into_a_stream_and_a_filters_matches_too() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let packets: BTreeSet<_> = night(dir).into_iter().collect();
    std::fs::create_dir(dir.join("half")).unwrap();
    std::fs::write(dir.join("half/even.sql"), "alert_id % 2 = 0").unwrap();
    let into = ["--filters", "half", "--archive", "kept"];
    good(dir, &[&["run", "--from", "night"], &into[..]].concat());
    let sql = "SELECT alert_id FROM matches";
    let matches = good(dir, &["query", sql, "--archive", "kept", "--format", "csv"]);
    let matches = matches.lines().count() - 1;
    assert!(matches > 0 && matches < packets.len());
    let mut config = StreamConfig::new(dir.join("pitt-stream"));
    config.address.set_port(0);
    let server = Server::bind(config).unwrap();
    let address = server.address().to_string();
    let to = [
        "replay",
        "--archive",
        "kept",
        "--servers",
        &address,
        "--json",
    ];
    let all = json(dir, &[&to[..], &["--topic", "again"]].concat());
    assert_eq!(all["sent"], packets.len());
    let some = ["--topic", "even", "--filter", "even"];
    assert_eq!(json(dir, &[&to[..], &some].concat())["sent"], matches);
    let (start, next) = server.handle().offsets("even", 0).unwrap();
    assert_eq!((start, next), (0, i64::try_from(matches).unwrap()));
    server.shutdown();
    let again: BTreeSet<_> = values(kept(dir)).into_iter().collect();
    assert_eq!(again, packets);
}

#[test]
fn what_is_in_the_way_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, error) = bad(dir, &["stream", "--topic", "t", "--listen", &address]);
    assert!(
        code == 1 && error.contains("--listen") && error.contains(&address),
        "{error}"
    );
    let (code, error) = bad(dir, &words(&["--rate", "0", "--once", "--from", "x"]));
    assert!(code == 2 && error.contains("--rate is 0"), "{error}");
    let (code, error) = bad(dir, &words(&["--retention", "3 parsecs"]));
    assert!(code == 2 && error.contains("3 parsecs"), "{error}");
    let (code, error) = bad(dir, &words(&["--from", "nowhere", "--once"]));
    assert!(code == 2 && error.contains("nowhere"), "{error}");
}

/// Python's two Kafka libraries, if they are at hand.
fn python() -> Option<String> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.venv/bin/python").to_owned();
    let python = std::env::var("PITT_PYTHON").unwrap_or(usual);
    let probe = Command::new(&python)
        .args(["-c", "import kafka, crc32c"])
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|s| s.success()).then_some(python)
}

const READER: &str = "
import sys
from kafka import KafkaConsumer, KafkaProducer
address, expected = sys.argv[1], int(sys.argv[2])
producer = KafkaProducer(bootstrap_servers=[address])
producer.send('ztf-stream', b'written by a client').get(timeout=20)
consumer = KafkaConsumer('ztf-stream', bootstrap_servers=[address], auto_offset_reset='earliest', consumer_timeout_ms=20000)
seen = []
for message in consumer:
    seen.append(message.value)
    if len(seen) == expected + 1:
        break
assert len(seen) == expected + 1, len(seen)
assert b'written by a client' in seen
";

#[test]
fn a_consumer_in_python_reads_it_and_a_local_program_may_write() {
    let Some(python) = python() else {
        eprintln!("skipped: no Python with kafka-python (run ./dev test)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let packets = night(dir);
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let listen = format!("127.0.0.1:{port}");
    let args = [
        "stream",
        "--topic",
        "ztf-stream",
        "--from",
        "night",
        "--listen",
        &listen,
    ];
    let mut child = pitt(dir)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let reader = Command::new(python)
        .args([
            "-c",
            READER,
            &format!("localhost:{port}"),
            &packets.len().to_string(),
        ])
        .output()
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        reader.status.success(),
        "{}",
        String::from_utf8_lossy(&reader.stderr)
    );
}
