//! `pitt serve` beside a broker: without the index, and over what that one commits meanwhile.

use serde_json::Value;

use super::port::{get, get_json};
use super::running::Running;
use super::{good, pitt, simulate, until};

#[test]
fn serve_tells_what_a_broker_tells_as_it_commits() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    std::fs::create_dir(dir.join("filters")).unwrap();
    std::fs::write(dir.join("filters/all.sql"), "alert_id > 0").unwrap();
    let shape = "--survey ztf --visits 2 --alerts-per-visit 30 --seed";
    simulate(dir, "night", &format!("{shape} 1"));
    let words = ["--archive", "archive", "--filters", "filters"];
    let run = [&["run", "--from", "night", "--follow"], &words[..]].concat();
    let broker = Running::start(dir, &run);
    let matches = |of: &Running| {
        let all = get_json(of.address, "/api/v1/filters/all");
        all["matches"].as_u64().unwrap()
    };
    until("the first alerts are matched", || {
        (matches(&broker) == 60).then_some(())
    });
    until("they are committed", || {
        let nights = get_json(broker.address, "/api/v1/nights");
        (nights["nights"][0]["stored"] == 60).then_some(())
    });
    let serve = Running::start(dir, &["serve", "--archive", "archive"]);
    assert_eq!(matches_of_log(&serve), 60);

    // More comes while it serves.
    simulate(dir, "later", &format!("{shape} 2"));
    for entry in std::fs::read_dir(dir.join("later")).unwrap().flatten() {
        let name = format!("later-{}", entry.file_name().to_string_lossy());
        std::fs::rename(entry.path(), dir.join("night").join(name)).unwrap();
    }
    let newest = until("what the broker commits is seen", || {
        let rows = get_json(serve.address, "/api/v1/matches?limit=200")["rows"].take();
        (rows.as_array().unwrap().len() == 120).then(|| rows[0].clone())
    });
    until("the broker has committed all", || {
        let rows = get_json(broker.address, "/api/v1/ledger")["total"]["stored"].take();
        (rows == 120).then_some(())
    });
    let alert = newest["alert_id"].as_str().unwrap();
    let object = newest["object_id"].as_str().unwrap();
    let cone = format!(
        "/api/v1/conesearch?ra={}&dec={}&radius=1800",
        newest["ra"], newest["dec"]
    );
    let paths = [
        format!("/api/v1/alerts/{alert}"),
        format!("/api/v1/objects/{object}"),
        format!("/api/v1/objects/{object}/lightcurve"),
        "/api/v1/alerts?limit=200".to_owned(),
        "/api/v1/nights".to_owned(),
        "/api/v1/ledger".to_owned(),
        cone,
    ];
    for path in paths {
        let told = |of: &Running| get_json(of.address, &path);
        assert_eq!(told(&serve), told(&broker), "{path}");
    }
    let packet = format!("/api/v1/alerts/{alert}/packet");
    assert_eq!(get(serve.address, &packet), get(broker.address, &packet));
    serve.end();
    broker.end();
}

/// Matches of the one filter by the ledger.
fn matches_of_log(of: &Running) -> u64 {
    let ledger: Value = get_json(of.address, "/api/v1/ledger");
    ledger["matched"][0]["n"].as_u64().unwrap()
}

#[test]
fn serve_counts_the_filters_of_an_archive_that_nobody_writes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    std::fs::write(dir.join("third.sql"), "alert_id % 3 = 0").unwrap();
    let shape = "--survey ztf --visits 1 --alerts-per-visit 40";
    simulate(dir, "night", shape);
    good(dir, &["run", "--from", "night", "--archive", "archive"]);
    let added = pitt(dir)
        .args(["filter", "add", "third.sql", "--archive", "archive"])
        .env("USER", "ann")
        .output();
    assert!(added.unwrap().status.success());
    simulate(dir, "more", &format!("{shape} --seed 7"));
    good(dir, &["run", "--from", "more", "--archive", "archive"]);
    let sql = "SELECT count(*) AS n, max(matched_us) AS last FROM matches WHERE filter = 'third'";
    let counted = &super::rows(dir, "archive", sql)[0];
    let serve = Running::start(dir, &["serve", "--archive", "archive"]);
    let third = get_json(serve.address, "/api/v1/filters/third");
    assert!(third["matches"].as_u64().unwrap() > 0, "{third}");
    assert_eq!(third["matches"], counted["n"]);
    assert_eq!(third["matches_tonight"], counted["n"]);
    let last = counted["last"].to_string().replace('"', "");
    assert_eq!(third["last_match_us"].to_string(), last);
    assert_eq!(
        (&third["cost_us"], &third["owner"]),
        (&Value::Null, &"ann".into())
    );
    serve.end();
}
