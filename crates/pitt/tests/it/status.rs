//! What a run says of itself while it goes, and afterwards: metrics, the registry, `pitt status`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::port::get;
use super::running::Running;
use super::{examples, good, json, pitt, simulate, text};

/// Longest wait for anything here: only a test that fails takes so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A night of both surveys with bad packets and duplicates, in `night`.
fn night(dir: &Path) {
    let faults = "--duplicates-per-million 30000 --bad-per-million 30000";
    let shape = format!("--visits 2 --alerts-per-visit 100 {faults}");
    simulate(dir, "night", &shape);
}

/// A run that stays.
fn follow(dir: &Path) -> Running {
    let filters = examples();
    let words = ["run", "--from", "night", "--follow", "--filters", &filters];
    Running::start(dir, &words)
}

fn status(dir: &Path) -> (i32, Value) {
    let output = pitt(dir).args(["status", "--json"]).output().unwrap();
    let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), value)
}

/// Waits until something holds of `pitt status --json`, and gives that.
fn when(dir: &Path, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let (_, shown) = status(dir);
        if holds(&shown) {
            return shown;
        }
        assert!(begin.elapsed() < PATIENCE, "never {what}: {shown:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Sum of a metric by the text of a label.
fn metric(page: &str, name: &str, label: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (key, value) = line.rsplit_once(' ').unwrap();
        let (own, labels) = key.split_once('{').unwrap_or((key, ""));
        if own == name {
            let marked = format!("{label}=\"");
            let text = labels
                .split(&marked)
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            *found
                .entry(text.unwrap_or_default().to_owned())
                .or_default() += value.parse::<u64>().unwrap();
        }
    }
    found
}

/// Waits until all of the night is in: a second passes without more, and what came is committed.
fn all_received(dir: &Path) {
    let mut before = 0;
    when(dir, "all received and committed", |shown| {
        let received = shown["runs"][0]["counts"]["received"].as_u64().unwrap_or(0);
        let still = received > 300 && received == before;
        before = received;
        std::thread::sleep(Duration::from_millis(1200));
        still
    });
}

/// What `pitt verify` counted: alerts stored, duplicates, quarantined records by reason, and matches by filter.
struct Ledger {
    stored: u64,
    duplicates: u64,
    reasons: BTreeMap<String, u64>,
    matched: BTreeMap<String, u64>,
}

impl Ledger {
    fn of(verified: &Value) -> Self {
        let lines = verified["ledger"].as_array().unwrap();
        let sum = |what: &str| lines.iter().map(|line| line[what].as_u64().unwrap()).sum();
        let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
        let quarantined = lines.iter().map(|line| &line["quarantined"]);
        for (reason, count) in quarantined.flat_map(|reasons| reasons.as_object().unwrap()) {
            *reasons.entry(reason.clone()).or_default() += count.as_u64().unwrap();
        }
        let matched = |line: &Value| {
            let filter = line["filter"].as_str().unwrap().to_owned();
            (filter, line["matches"].as_u64().unwrap())
        };
        Self {
            stored: sum("stored"),
            duplicates: sum("duplicates"),
            reasons,
            matched: verified["matched"]
                .as_array()
                .unwrap()
                .iter()
                .map(matched)
                .collect(),
        }
    }
}

#[test]
fn metrics_status_and_ledger_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    night(dir);
    let run = follow(dir);
    all_received(dir);
    let at = run.address;
    let (code, page) = get(at, "/metrics");
    assert_eq!(code, 200);
    python_reads(&page);
    let (_, health) = get(at, "/healthz");
    assert!(health.contains("\"status\":\"ok\""), "{health}");
    let live: Value = serde_json::from_str(&get(at, "/status.json").1).unwrap();
    python_asks_the_registry(at);
    let said = run.end();
    assert!(said.contains(&format!("http://{at}")), "{said}");

    let verified = json(dir, &["verify", "--json"]);
    assert_eq!(verified["ok"], true, "{verified}");
    let ledger = Ledger::of(&verified);
    assert!(
        ledger.duplicates > 0 && !ledger.reasons.is_empty(),
        "{verified}"
    );
    assert_metrics_are(&page, &ledger);
    let received = metric(&page, "pitt_received_total", "source")["files"];
    assert_eq!(live["counts"]["received"], received);
    let (code, after) = status(dir);
    assert_eq!(
        (code, &after["runs"][0]["state"]),
        (0, &"ended".into()),
        "{after:#}"
    );
    assert_eq!(
        after["runs"][0]["archive"]["alerts"], ledger.stored,
        "counted a last time"
    );
}

/// Counters are those of the ledger, and each stage was passed by everything that was received.
fn assert_metrics_are(page: &str, ledger: &Ledger) {
    let only = |name: &str| metric(page, name, "none")[""];
    assert_eq!(only("pitt_stored_total"), ledger.stored);
    assert_eq!(only("pitt_duplicates_total"), ledger.duplicates);
    let reasons = metric(page, "pitt_quarantined_total", "reason");
    assert_eq!(reasons, ledger.reasons);
    let mut matched = metric(page, "pitt_matches_total", "filter");
    matched.retain(|_, count| *count > 0);
    assert_eq!(matched, ledger.matched);
    let received = metric(page, "pitt_received_total", "source")["files"];
    let stages = metric_counts(page);
    assert_eq!((stages["wait"], stages["match"]), (received, received));
    let passed = |stage: &&str| stages[*stage] > 0;
    assert!(
        ["decode", "filter", "append", "commit"].iter().all(passed),
        "{stages:?}"
    );
}

fn metric_counts(page: &str) -> BTreeMap<String, u64> {
    metric(page, "pitt_stage_seconds_count", "stage")
}

fn python() -> Option<PathBuf> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    let python = std::env::var_os("PITT_PYTHON").map_or(usual, PathBuf::from);
    if python.exists() {
        return Some(python);
    }
    eprintln!("skipped: no Python with the clients (run ./dev test)");
    None
}

/// Runs a script with arguments; gives what it prints.
fn script(code: &str, args: &[&str], input: &str) -> Option<String> {
    use std::io::Write;
    let mut child = Command::new(python()?)
        .args(["-W", "ignore", "-c", code])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    Some(text(&output.stdout))
}

/// Prometheus' own parser takes the page: every line belongs to a family of its type, and histograms add up.
fn python_reads(page: &str) {
    let code = r#"
import sys
from prometheus_client.parser import text_string_to_metric_families
families = {f.name: f for f in text_string_to_metric_families(sys.stdin.read())}
for name, kind in [("pitt_received", "counter"), ("pitt_stage_seconds", "histogram"), ("pitt_source_up", "gauge"), ("pitt_build_info", "gauge")]:
    assert families[name].type == kind, (name, families[name].type)
stages = {}
for s in families["pitt_stage_seconds"].samples:
    stages.setdefault(s.labels["stage"], []).append(s)
for stage, samples in stages.items():
    buckets = [(float(s.labels["le"]), s.value) for s in samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets) and [b for _, b in buckets] == sorted(b for _, b in buckets), stage
    count = [s.value for s in samples if s.name.endswith("_count")]
    assert buckets[-1] == (float("inf"), count[0]), stage
assert all(f.documentation and f.type != "unknown" for f in families.values())
print(len(families))
"#;
    if let Some(said) = script(code, &[], page) {
        eprintln!("Prometheus' parser read {} families", said.trim());
    }
}

/// Confluent's own client finds the schemas of the alerts that came.
fn python_asks_the_registry(at: SocketAddr) {
    let code = r#"
import json, sys
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
client = SchemaRegistryClient({"url": sys.argv[1]})
assert {"lsst-value", "ztf-value"} <= set(client.get_subjects()), client.get_subjects()
lsst = client.get_latest_version("lsst-value")
assert lsst.schema_id == lsst.version == 1100, lsst
assert json.loads(client.get_schema(1100).schema_str)["name"] == "alert"
ztf = client.get_latest_version("ztf-value")
assert client.get_versions("ztf-value")[-1] == ztf.version
assert client.get_version("ztf-value", ztf.version).schema.schema_str == client.get_schema(ztf.schema_id).schema_str
assert ztf.schema_id >= 2**30, ztf
for ask, code in [(lambda: client.get_schema(7), 40403), (lambda: client.get_versions("no-value"), 40401), (lambda: client.get_version("ztf-value", 7), 40402)]:
    try:
        ask()
        raise AssertionError("found what is not there")
    except SchemaRegistryError as error:
        assert error.error_code == code and error.http_status_code == 404, error
print(ztf.schema_id)
"#;
    let said = script(code, &[&format!("http://{at}")], "");
    if let Some(said) = said {
        eprintln!("Confluent's client read ZTF's schema, id {}", said.trim());
    }
}

#[test]
fn a_killed_run_is_told_until_another_has_taken_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    night(dir);
    let (code, shown) = status(dir);
    assert_eq!((code, shown), (1, Value::Null), "there is no archive yet");
    let run = follow(dir);
    when(dir, "running", |shown| {
        shown["runs"][0]["state"] == "running"
    });
    run.kill();
    let shown = when(dir, "noticed", |shown| shown["runs"][0]["stale"] == true);
    assert_eq!(shown["ok"], false);
    let output = pitt(dir).arg("status").output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it died, hangs or was paused"), "{said}");
    assert!(
        said.lines().all(|line| line.chars().count() <= 80),
        "{said}"
    );
    good(dir, &["run", "--from", "night"]);
    let (code, shown) = status(dir);
    assert_eq!((code, &shown["ok"]), (0, &true.into()), "{shown:#}");
}

#[test]
fn without_a_port_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    night(dir);
    std::fs::write(dir.join("pitt.toml"), "[http]\nlisten = \"\"\n").unwrap();
    good(dir, &["run", "--from", "night"]);
    let (code, shown) = status(dir);
    assert_eq!(
        (code, &shown["runs"][0]["url"]),
        (0, &Value::Null),
        "{shown:#}"
    );
}
