//! A filter takes the same alerts live and over the archive.

use std::collections::BTreeSet;

use super::{examples, good, json};

#[test]
fn same_verdicts_live_and_over_the_archive_on_20_000_alerts() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let run = json(
        dir,
        &[
            "simulate",
            "--into",
            "night",
            "--visits",
            "20",
            "--alerts-per-visit",
            "500",
            "--json",
        ],
    );
    assert!(run["packets"].as_u64() >= Some(20_000));
    let live = json(
        dir,
        &["run", "--from", "night", "--filters", &examples(), "--json"],
    );
    std::fs::remove_dir_all(dir.join("night")).unwrap();
    let mut compared = 0;
    for filter in ["fast_risers", "young_supernova_candidates", "hostless_lsst"] {
        let file = format!("{}/{filter}.sql", examples());
        let sql = format!("SELECT alert_id FROM matches WHERE filter = '{filter}'");
        let stored = ids(&good(dir, &["query", &sql, "--json"]));
        let again = ids(&good(
            dir,
            &["filter", "run", &file, "--from", "archive", "--json"],
        ));
        assert_eq!(stored, again, "{filter}");
        assert_eq!(
            Some(stored.len() as u64),
            live["matches"][filter].as_u64(),
            "{filter}"
        );
        compared += stored.len();
    }
    eprintln!(
        "{compared} matches of 3 filters over {} alerts are the same",
        live["stored"]
    );
    assert!(compared > 0);
}

fn ids(lines: &str) -> BTreeSet<String> {
    let id = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let names = ["alert_id", "candid", "diaSourceId"];
        let id = names.into_iter().find_map(|name| row[name].as_str());
        id.unwrap().to_owned()
    };
    let ids: Vec<String> = lines.lines().map(id).collect();
    let set: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(set.len(), ids.len(), "an alert came twice");
    set
}
