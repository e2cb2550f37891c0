//! Matches through `pitt run` into a stream in this process, and what `pitt verify` says of them.

use std::collections::BTreeMap;

use pitt_stream::{Server, StreamConfig};

use super::{bad, good as run, json, simulate};

/// Records of a topic of two partitions.
fn records(server: &Server, topic: &str) -> i64 {
    let handle = server.handle();
    let ends = (0..2).map(|partition| handle.offsets(topic, partition).unwrap().1);
    ends.sum()
}

#[test]
fn matches_are_published_once_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut config = StreamConfig::new(folder.join("stream"));
    config.address.set_port(0);
    let server = Server::bind(config).unwrap();
    std::fs::create_dir(folder.join("filters")).unwrap();
    let filter = |name: &str, sql: &str| {
        std::fs::write(folder.join(format!("filters/{name}.sql")), sql).unwrap();
    };
    filter("bright", "-- output: shared\npsf_flux > 2000");
    filter(
        "faint",
        "-- topic: own.topic\n-- format: avro\npsf_flux < 500",
    );
    filter("quiet", "-- output: none\npsf_flux > 0");
    let settings = format!(
        "archive = \"archive\"\nfilters = \"filters\"\n[output]\nservers = \"{}\"\nprefix = \"t-\"\n\
         partitions = 2\ntransactions = false\n[http]\nlisten = \"\"\n",
        server.address()
    );
    std::fs::write(folder.join("pitt.toml"), settings).unwrap();
    simulate(folder, "night", "--visits 2 --alerts-per-visit 50");
    run(folder, &["run", "--from", "night"]);
    // What is there already is not published again.
    run(folder, &["run", "--from", "night"]);

    let verified = json(folder, &["verify", "--json"]);
    let matched: BTreeMap<&str, i64> = verified["matched"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let name = one["filter"].as_str().unwrap();
            (name, one["matches"].as_i64().unwrap())
        })
        .collect();
    assert!(matched["bright"] > 0 && matched["faint"] > 0 && matched["quiet"] > 0);
    assert_eq!(records(&server, "t-shared"), matched["bright"]);
    assert_eq!(records(&server, "own.topic"), matched["faint"]);
    let delivered = &verified["delivered"][0];
    assert_eq!(delivered["published"], matched["bright"] + matched["faint"]);
    assert_eq!(delivered["kept_back"], matched["quiet"]);
    assert_eq!(delivered["waiting"], 0);
    assert_eq!(verified["ok"], true);
    server.shutdown();
}

#[test]
fn a_filter_without_a_topic_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("filters")).unwrap();
    std::fs::write(folder.join("filters/blue stars.sql"), "psf_flux > 2000").unwrap();
    let settings =
        "filters = \"filters\"\n[output]\nservers = \"127.0.0.1:1\"\n[http]\nlisten = \"\"\n";
    std::fs::write(folder.join("pitt.toml"), settings).unwrap();
    std::fs::create_dir(folder.join("night")).unwrap();
    let (_, said) = bad(folder, &["run", "--from", "night"]);
    assert!(
        said.contains("filter `blue stars` has no stream to publish to")
            && said.contains("topic `pitt-blue stars`: ` ` cannot be in it"),
        "{said}"
    );
}
