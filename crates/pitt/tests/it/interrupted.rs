//! Runs that end before their time, and the runs that go on after them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{examples, good, json, lsst_visit, matches, pitt, simulate};

/// A night of both surveys with bad packets and duplicates, and an archive of it that nobody disturbed.
fn night(dir: &Path) -> String {
    let faults = "--duplicates-per-million 10000 --bad-per-million 10000";
    let shape = format!("--visits 5 --alerts-per-visit 150 {faults}");
    simulate(dir, "night", &shape);
    good(
        dir,
        &[
            "run",
            "--from",
            "night",
            "--filters",
            &examples(),
            "--archive",
            "calm",
        ],
    );
    matches(dir, "calm")
}

/// A run with small batches and a commit every tenth of a second.
fn start(dir: &Path) -> Child {
    pitt(dir)
        .args([
            "run",
            "--from",
            "night",
            "--filters",
            &examples(),
            "--archive",
            "rough",
            "--json",
        ])
        .envs([
            ("PITT_COMMIT_EVERY_S", "0.1"),
            ("PITT_PIPELINE_BATCH_ALERTS", "20"),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ends_like_the_calm_one(dir: &Path, calm: &str) {
    let last = start(dir).wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&last.stderr);
    assert!(last.status.success(), "{told}");
    assert_eq!(matches(dir, "rough"), calm);
    let verified = json(dir, &["verify", "--archive", "rough", "--json"]);
    assert_eq!(verified["ok"], true, "{verified}");
    let ledger = |archive: &str| {
        let nights = json(dir, &["ls", "--archive", archive, "--json"]);
        nights.as_array().cloned().unwrap_or_default()
    };
    assert_eq!(ledger("rough"), ledger("calm"));
}

#[test]
fn ctrl_c_stops_cleanly_and_the_next_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let calm = night(dir);
    let mut stops = 0;
    for pause_ms in [900, 700, 1100] {
        let run = start(dir);
        std::thread::sleep(Duration::from_millis(pause_ms));
        Command::new("kill")
            .args(["-INT", &run.id().to_string()])
            .status()
            .unwrap();
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{:?}", output.status);
        let counts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let [received, stored, duplicates, quarantined] =
            ["received", "stored", "duplicates", "quarantined"]
                .map(|key| counts[key].as_u64().unwrap());
        assert_eq!(
            received,
            stored + duplicates + quarantined,
            "everything received is accounted for"
        );
        stops += u32::from(counts["stopped"] == true);
    }
    eprintln!("{stops} of 3 runs were stopped on their way");
    ends_like_the_calm_one(dir, &calm);
}

#[test]
fn ten_kills_lose_nothing_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let calm = night(dir);
    let seed = u64::from(std::process::id());
    let mut killed = 0;
    for turn in 0..10u64 {
        let mut run = start(dir);
        let random = (seed + turn).wrapping_mul(6_364_136_223_846_793_005) >> 33;
        std::thread::sleep(Duration::from_millis(150 + random % 900));
        killed += u32::from(run.try_wait().unwrap().is_none());
        run.kill().unwrap();
        run.wait().unwrap();
    }
    eprintln!("{killed} of 10 runs were killed on their way (seed {seed})");
    ends_like_the_calm_one(dir, &calm);
}

#[test]
fn the_demo_goes_on_where_it_was_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let run = pitt(dir)
        .args(["demo", "--alerts", "600", "--speed", "300"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status()
        .unwrap();
    let output = run.wait_with_output().unwrap();
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        told.contains("Stopped; `pitt demo --alerts 600` goes on from here."),
        "{told}"
    );
    let told = good(dir, &["demo", "--alerts", "600", "--speed", "0"]);
    assert!(told.contains("Try next:\n  pitt ls\n"), "{told}");
    let sql = "SELECT count(*) AS n, count(DISTINCT alert_id) AS ids FROM alerts";
    let first = json(dir, &["query", sql, "--json"]);
    assert_eq!(first["n"], first["ids"]);
    assert!(
        (590..=600).contains(&first["n"].as_u64().unwrap()),
        "{first}"
    );
    good(dir, &["demo", "--alerts", "600", "--speed", "0"]);
    let second = json(
        dir,
        &[
            "query",
            "SELECT count(DISTINCT night) AS n FROM alerts",
            "--json",
        ],
    );
    assert!(
        second["n"].as_u64() >= Some(2),
        "the next night follows: {second}"
    );
    assert_eq!(json(dir, &["verify", "--json"])["ok"], true);
}

#[test]
fn a_tarball_cut_in_a_member_is_read_on_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    lsst_visit(dir, 2);
    let mut whole = tar::Builder::new(vec![]);
    whole.append_dir_all("night", dir.join("night")).unwrap();
    let whole = whole.into_inner().unwrap();
    std::fs::create_dir(dir.join("in")).unwrap();
    // Far enough from the end to be in the last message, whatever stands after it.
    let cut = whole.len() / 2 + 40_000;
    std::fs::write(dir.join("in/night.tar"), &whole[..cut]).unwrap();
    let (code, error) = super::bad(dir, &["run", "--from", "in", "--json"]);
    assert_eq!(code, 1, "{error}");
    std::fs::write(dir.join("in/night.tar"), &whole).unwrap();
    let run = json(dir, &["run", "--from", "in", "--json"]);
    assert_eq!(run["quarantined"], 0, "{run}");
    assert_eq!(json(dir, &["ls", "--json"])[0]["alerts"], 2);
    good(dir, &["verify"]);
}

#[test]
fn a_lost_list_of_files_is_told_and_not_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    lsst_visit(dir, 3);
    good(dir, &["run", "--from", "night"]);
    std::fs::remove_dir_all(dir.join("pitt-data/sources")).unwrap();
    for _ in 0..2 {
        let (code, error) = super::bad(dir, &["run", "--from", "night"]);
        assert_eq!(code, 1);
        assert!(error.contains("of which the archive has read"), "{error}");
    }
}
