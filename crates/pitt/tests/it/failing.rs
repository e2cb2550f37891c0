//! A filter that fails while the program runs.

use std::path::Path;

use super::{good, json, matches, pitt, simulate};

/// A sound night of one survey.
fn night(dir: &Path, into: &str, seed: u32) {
    let sound = "--duplicates-per-million 0 --bad-per-million 0";
    let shape = format!("--survey ztf --visits 3 --alerts-per-visit 150 --seed {seed} {sound}");
    simulate(dir, into, &shape);
}

/// Runs with one filter and the pipeline so set; gives what the run says as JSON.
fn run(dir: &Path, from: &str, archive: &str, workers: &str, batch: &str) -> serde_json::Value {
    let output = pitt(dir)
        .args(["run", "--json", "--filters", "filters"])
        .args(["--from", from, "--archive", archive])
        .env("PITT_PIPELINE_WORKERS", workers)
        .env("PITT_PIPELINE_BATCH_ALERTS", batch)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Ids of the alerts of an archive in the order of the source.
fn in_order(dir: &Path, archive: &str) -> Vec<i64> {
    let sql = "SELECT alert_id FROM packets ORDER BY \"partition\", \"offset\"";
    let ids = good(
        dir,
        &["query", sql, "--format", "csv", "--archive", archive],
    );
    ids.lines().skip(1).map(|id| id.parse().unwrap()).collect()
}

#[test]
fn its_matches_end_at_the_first_alert_it_fails_on_whatever_the_workers_and_batches() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    night(dir, "night", 1);
    std::fs::create_dir(dir.join("filters")).unwrap();
    run(dir, "night", "plain", "1", "1000");
    let ids = in_order(dir, "plain");
    let bad = ids.len() * 2 / 3;
    let text = format!("-- survey: ztf\n1 / (alert_id - {}) <= 1", ids[bad]);
    std::fs::write(dir.join("filters/fails.sql"), text).unwrap();
    let mut expected: Vec<i64> = ids[..bad].to_vec();
    expected.sort();

    for (archive, workers, batch) in [("a", "1", "1000"), ("b", "4", "20"), ("c", "3", "7")] {
        let told = run(dir, "night", archive, workers, batch);
        let off = told["disabled_filters"][0].as_str().unwrap();
        assert!(off.contains(&ids[bad].to_string()), "{off}");
        assert_eq!(told["matches"]["fails"], bad);
        let lines = matches(dir, archive);
        let column = |line: &str| line.split(',').nth(1).unwrap().parse::<i64>().unwrap();
        let taken: Vec<i64> = lines.lines().skip(1).map(column).collect();
        assert_eq!(taken, expected, "{workers} workers, batches of {batch}");
    }
    stays_off_until_told(dir, &ids[bad].to_string());
}

fn stays_off_until_told(dir: &Path, alert: &str) {
    let off = json(dir, &["filter", "off", "--json", "--archive", "a"]);
    assert_eq!(
        (&off[0]["filter"], &off[0]["alert_id"]),
        (&"fails".into(), &alert.into())
    );
    let verified = json(dir, &["verify", "--json", "--archive", "a"]);
    assert_eq!(verified["filters_off"], off);
    assert!(good(dir, &["verify", "--archive", "a"]).contains("Divide by zero"));

    night(dir, "later", 2);
    let told = run(dir, "later", "a", "1", "1000");
    assert_eq!(told["matches"]["fails"], 0);
    let why = told["disabled_filters"][0].as_str().unwrap();
    assert!(why.contains("pitt filter on fails"), "{why}");

    good(dir, &["filter", "on", "fails", "--archive", "a"]);
    let (code, error) = super::bad(dir, &["filter", "on", "fails", "--archive", "a"]);
    assert!(code == 1 && error.contains("not switched off"), "{error}");
    night(dir, "last", 3);
    let told = run(dir, "last", "a", "1", "1000");
    assert_eq!(told["matches"]["fails"], told["stored"]);
}
