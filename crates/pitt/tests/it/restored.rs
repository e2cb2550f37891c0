//! An archive that is put back from a backup after it went on and published, and an output that begins late.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use pitt_stream::{Server, StreamConfig};

use super::{good, json, pitt, simulate, text};

fn server(folder: &Path) -> Server {
    let mut config = StreamConfig::new(folder.join("stream"));
    config.address.set_port(0);
    Server::bind(config).unwrap()
}

fn settings(folder: &Path, output: &str) {
    let text = format!(
        "archive = \"archive\"\nfilters = \"filters\"\n[output]\n{output}\nprefix = \"t-\"\npartitions = 1\n\
         transactions = false\n[http]\nlisten = \"\"\n"
    );
    std::fs::write(folder.join("pitt.toml"), text).unwrap();
}

fn ground(folder: &Path) {
    std::fs::create_dir(folder.join("filters")).unwrap();
    std::fs::write(folder.join("filters/bright.sql"), "psf_flux > 2000").unwrap();
    let nights = [
        ("one", 1, 1),
        ("two", 1, 2),
        ("three", 1, 3),
        ("four", 3, 4),
    ];
    for (night, visits, seed) in nights {
        let shape = format!("--survey ztf --visits {visits} --alerts-per-visit 60 --seed {seed}");
        simulate(folder, night, &shape);
    }
}

/// Runs over a folder; gives what it said.
fn run(folder: &Path, night: &str) -> String {
    let output = pitt(folder)
        .args(["run", "--from", night])
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

/// How often each alert stands in a topic.
fn published(server: &Server, topic: &str) -> BTreeMap<i64, usize> {
    let (mut seen, mut offset) = (BTreeMap::new(), 0);
    loop {
        let read = server.handle().read(topic, 0, offset, 1 << 20);
        let (records, next) = read.unwrap();
        if next == offset {
            return seen;
        }
        for (_, record) in records {
            let id = text(record.header("alert_id").unwrap());
            *seen.entry(id.parse().unwrap()).or_default() += 1;
        }
        offset = next;
    }
}

/// Alerts that a query gives.
fn alerts(folder: &Path, sql: &str) -> Vec<i64> {
    let rows = good(folder, &["query", sql, "--format", "csv"]);
    rows.lines().skip(1).map(|id| id.parse().unwrap()).collect()
}

const MATCHED: &str = "SELECT alert_id FROM matches ORDER BY seq";
const STORED: &str = "SELECT alert_id FROM packets WHERE outcome = 'stored'";

fn copy(folder: &Path, from: &str, to: &str) {
    let (from, to) = (folder.join(from), folder.join(to));
    let _ = std::fs::remove_dir_all(&to);
    let done = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(done.unwrap().success());
}

#[test]
fn a_restored_archive_publishes_nothing_until_it_is_told_to_and_then_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ground(folder);
    let server = server(folder);
    let output = format!("servers = \"{}\"\nrelay = \"raw\"", server.address());
    settings(folder, &output);
    run(folder, "one");
    copy(folder, "archive", "backup");
    run(folder, "two");
    let before = published(&server, "t-bright");
    assert!(before.values().all(|times| *times == 1));
    let behind = before.len();

    copy(folder, "backup", "archive");
    // First the numbers do not reach the cursor; then they are beyond it, and other matches'.
    for (night, found) in [
        ("one", "here the last match has number"),
        ("four", "here that is ztf/"),
    ] {
        run(folder, night);
        let said = run(folder, night);
        assert!(
            said.contains("the output has matches up to")
                && said.contains("lane 0")
                && said.contains(found),
            "{said}"
        );
        assert!(said.contains("`output.restored = \"again\"`"), "{said}");
        assert_eq!(published(&server, "t-bright"), before);
    }
    let matched = alerts(folder, MATCHED);
    assert!(matched.len() > behind, "the numbers grew past the cursor");
    let stored = alerts(folder, STORED);
    let relayed = published(&server, "t-alerts-ztf");
    assert!(stored.iter().any(|id| !relayed.contains_key(id)));

    settings(folder, &format!("{output}\nrestored = \"again\""));
    let said = run(folder, "four");
    assert!(said.contains("going on after match"), "{said}");
    let after = published(&server, "t-bright");
    assert!(
        matched.iter().all(|id| after[id] == 1),
        "each is there, and once"
    );
    let relayed = published(&server, "t-alerts-ztf");
    assert!(stored.iter().all(|id| relayed.contains_key(id)));
    let verified = json(folder, &["verify", "--json"]);
    assert_eq!(
        (&verified["ok"], &verified["delivered"][0]["waiting"]),
        (&true.into(), &0.into())
    );

    // From now on it is an archive like any other.
    settings(folder, &output);
    let said = run(folder, "three");
    assert!(!said.contains("restored"), "{said}");
    let after = published(&server, "t-bright");
    assert!(alerts(folder, MATCHED).iter().all(|id| after[id] == 1));
    server.shutdown();
}

#[test]
fn an_output_set_later_begins_with_what_comes_from_then_on_if_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    ground(folder);
    settings(folder, "servers = \"\"");
    run(folder, "one");
    let old = alerts(folder, MATCHED);
    assert!(!old.is_empty());
    // The output is away at first: what comes meanwhile is published later.
    let output = "start = \"now\"\nrelay = \"raw\"\nservers = ";
    let server = server(folder);
    let address = server.address();
    server.shutdown();
    settings(folder, &format!("{output}\"{address}\""));
    run(folder, "two");
    let mut config = StreamConfig::new(folder.join("stream"));
    config.address = address;
    let server = Server::bind(config).unwrap();
    run(folder, "three");
    let matched = alerts(folder, MATCHED);
    let after = published(&server, "t-bright");
    assert!(old.iter().all(|id| !after.contains_key(id)));
    assert!(matched[old.len()..].iter().all(|id| after[id] == 1));
    assert_eq!(after.len(), matched.len() - old.len());
    let relayed = published(&server, "t-alerts-ztf");
    assert!(old.iter().all(|id| !relayed.contains_key(id)));
    assert!(after.keys().all(|id| relayed.contains_key(id)));
    let verified = json(folder, &["verify", "--json"]);
    assert_eq!(verified["ok"], true, "{verified}");
    let delivered = &verified["delivered"][0];
    assert_eq!(
        (&delivered["kept_back"], &delivered["waiting"]),
        (&old.len().into(), &0.into())
    );
    server.shutdown();
}
