//! The program as people run it: the built binary, its files, its words.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what it expects by unwrapping"
)]

mod client;
mod compressed;
mod download;
mod examples;
mod failing;
mod figures;
mod fresh;
mod guarded;
mod help;
mod hostile;
mod interrupted;
mod journey;
mod kafka;
mod killed;
mod live;
#[path = "../../../pitt-nights/tests/it/server.rs"]
mod nights_server;
mod openapi;
mod port;
mod publish;
mod quarantine;
mod readers;
mod replays;
mod restored;
mod running;
mod serve;
mod settings;
mod status;
mod stream;
mod tls;
mod uncommitted;
mod verdicts;
mod webhooks;
mod writing;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use port::PATIENCE;

/// The binary in a folder of the test's own.
fn pitt(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pitt"));
    command.current_dir(folder).env_remove("PITT_LOG");
    command
}

/// What a run wrote to standard output; panics when it did not end well.
fn good(folder: &Path, args: &[&str]) -> String {
    let output = pitt(folder).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "pitt {args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The same as JSON.
fn json(folder: &Path, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&good(folder, args)).unwrap()
}

/// Rows of a query over an archive.
fn rows(folder: &Path, archive: &str, sql: &str) -> Vec<serde_json::Value> {
    let told = good(folder, &["query", sql, "--json", "--archive", archive]);
    let row = |line: &str| serde_json::from_str(line).unwrap();
    told.lines().map(row).collect()
}

/// Exit code and standard error of a run that must not end well.
fn bad(folder: &Path, args: &[&str]) -> (i32, String) {
    let output: Output = pitt(folder).args(args).output().unwrap();
    assert!(!output.status.success(), "pitt {args:?} ended well");
    (output.status.code().unwrap(), text(&output.stderr))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Simulates packets into a folder below `folder`; `shape` is further words of `pitt simulate`, as one types them. Gives what
/// the command prints.
fn simulate(folder: &Path, into: &str, shape: &str) -> String {
    let mut words = vec!["simulate", "--into", into];
    words.extend(shape.split_whitespace());
    good(folder, &words)
}

/// Simulates one visit of LSST into `night`.
fn lsst_visit(folder: &Path, alerts: u32) {
    let shape = format!("--survey lsst --visits 1 --alerts-per-visit {alerts}");
    simulate(folder, "night", &shape);
}

/// The text of a new token of an archive.
fn token(archive: &Path, name: &str, scope: &str) -> String {
    let archive = archive.to_string_lossy();
    let words = ["token", "create", name, "--scope", scope, "--json"];
    let of = ["--archive", &archive];
    let made = json(Path::new("."), &[&words[..], &of].concat());
    made["token"].as_str().unwrap().to_owned()
}

/// Waits until something is so, and gives it.
fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The filters under `examples/filters`.
fn examples() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/filters").to_owned()
}

/// Real alerts, if they are at hand.
fn real_data() -> Option<PathBuf> {
    let usual = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into();
    let folder = std::env::var_os("PITT_TEST_DATA").map_or_else(usual, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// Matches of an archive, one line each, sorted.
fn matches(folder: &Path, archive: &str) -> String {
    let sql = "SELECT survey, alert_id, filter, version FROM matches ORDER BY 1, 2, 3, 4";
    good(
        folder,
        &["query", sql, "--format", "csv", "--archive", archive],
    )
}
