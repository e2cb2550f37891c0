//! Brokers killed while their filters change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{good, json, pitt, simulate, until};

const BOTH: [&str; 4] = ["--filters", "filters", "--archive", "rough"];

/// A run in small steps, so that a kill finds it anywhere between two commits.
fn start(dir: &Path) -> Child {
    pitt(dir)
        .args([&["run", "--from", "night", "--json"], &BOTH[..]].concat())
        .envs([
            ("PITT_COMMIT_EVERY_S", "0.1"),
            ("PITT_PIPELINE_BATCH_ALERTS", "10"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Filter, version and alert of every match.
fn matches(dir: &Path, archive: &str) -> Vec<(String, String, String)> {
    let sql = "SELECT filter, version, CAST(alert_id AS VARCHAR) AS id FROM matches";
    let rows = super::rows(dir, archive, sql);
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (text(row, "filter"), text(row, "version"), text(row, "id")))
        .collect()
}

/// Versions whose verdict is told by the alert alone: whichever judged it, it took a third of the ids, or all.
fn version(dir: &Path, turn: usize) -> String {
    let which = if turn.is_multiple_of(2) {
        "alert_id % 3 = 0"
    } else {
        "alert_id > 0"
    };
    let text = format!("-- title: turn {turn}\n{which}");
    std::fs::write(dir.join("swapped.sql"), text).unwrap();
    let words = ["filter", "add", "swapped.sql"];
    let told = good(dir, &[&words[..], &BOTH[2..]].concat());
    told.split_whitespace().nth(2).unwrap().to_owned()
}

/// A night, one filter that nobody changes, and an archive of them that nobody disturbed.
fn ground(dir: &Path) {
    std::fs::create_dir(dir.join("filters")).unwrap();
    std::fs::write(dir.join("filters/fixed.sql"), "alert_id % 7 < 3").unwrap();
    let shape = "--survey ztf --visits 10 --alerts-per-visit 150 --duplicates-per-million 10000";
    simulate(dir, "night", shape);
    let words = ["run", "--from", "night", "--filters", "filters"];
    good(dir, &[&words[..], &["--archive", "calm"]].concat());
}

/// Swaps the filter eight times, kills the run after each at some moment, and lets the last one end; gives the turn of each version.
fn disturbed(dir: &Path) -> BTreeMap<String, usize> {
    let seed = u64::from(std::process::id());
    let (mut versions, mut killed) = (BTreeMap::new(), 0);
    let mut run = start(dir);
    until("there is an archive", || {
        let listed = pitt(dir).args(["ls", "--archive", "rough"]).output();
        listed.unwrap().status.success().then_some(())
    });
    for turn in 0..8 {
        versions.insert(version(dir, turn), turn);
        let random = (seed + turn as u64).wrapping_mul(6_364_136_223_846_793_005) >> 33;
        std::thread::sleep(Duration::from_millis(100 + random % 500));
        killed += u32::from(run.try_wait().unwrap().is_none());
        run.kill().unwrap();
        run.wait().unwrap();
        run = start(dir);
    }
    assert!(
        run.wait().unwrap().success(),
        "the last one goes to the end"
    );
    eprintln!("{killed} of 8 runs were killed on their way (seed {seed})");
    versions
}

/// Alerts that the swapped filter took: each once, by the verdict of the version that took it.
fn judged(dir: &Path, versions: &BTreeMap<String, usize>) -> BTreeSet<String> {
    let mut judged = BTreeSet::new();
    let all = matches(dir, "rough").into_iter();
    for (_, version, alert) in all.filter(|(filter, ..)| filter != "fixed") {
        let turn = versions.get(&version).expect("a version that was at work");
        let every_third = alert.parse::<i64>().unwrap() % 3 == 0;
        assert!(turn % 2 == 1 || every_third, "turn {turn} took {alert}");
        assert!(judged.insert(alert), "no alert is taken by two versions");
    }
    judged
}

/// From the first alert on that a version judged: those that every version takes and none took.
fn left_out(dir: &Path, judged: &BTreeSet<String>) -> Vec<String> {
    let sql = "SELECT CAST(alert_id AS VARCHAR) AS id FROM packets WHERE outcome = 'stored' ORDER BY \"partition\", \"offset\", record";
    let rows = super::rows(dir, "rough", sql);
    let stored = rows
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned());
    stored
        .skip_while(|id| !judged.contains(id))
        .filter(|id| id.parse::<i64>().unwrap() % 3 == 0 && !judged.contains(id))
        .collect()
}

#[test]
fn kills_between_swaps_leave_each_alert_one_version_and_its_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    ground(dir);
    let versions = disturbed(dir);

    let verified = json(dir, &["verify", "--archive", "rough", "--json"]);
    assert_eq!(verified["ok"], true, "{verified}");
    let fixed = |archive: &str| -> BTreeSet<_> {
        let all = matches(dir, archive).into_iter();
        all.filter(|(filter, ..)| filter == "fixed").collect()
    };
    assert_eq!(
        fixed("rough"),
        fixed("calm"),
        "a filter that nobody changed"
    );
    let judged = judged(dir, &versions);
    assert!(judged.len() > 100, "{} were taken", judged.len());
    let left_out = left_out(dir, &judged);
    assert_eq!(left_out, [""; 0], "of {} that were taken", judged.len());
    let words = ["filter", "versions", "swapped", "--json"];
    let book = json(dir, &[&words[..], &BOTH[2..]].concat());
    assert_eq!(book["versions"].as_array().unwrap().len(), 8);
}
