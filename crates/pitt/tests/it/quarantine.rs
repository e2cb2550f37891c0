//! What could not be read is kept, and read when its schema is there.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::running::Running;
use super::{bad, examples, good, json, lsst_visit, simulate, token, until};

/// Six simulated messages of LSST, in order, and what lies beside them.
fn night(dir: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    lsst_visit(dir, 6);
    let of_night = |entry: fs::DirEntry| entry.path();
    let folder = fs::read_dir(dir.join("night"))
        .unwrap()
        .map(|entry| of_night(entry.unwrap()))
        .find(|path| path.is_dir())
        .unwrap();
    let files = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (mut messages, others): (Vec<_>, Vec<_>) =
        files.partition(|file| file.extension() == Some("avro".as_ref()));
    messages.sort();
    (messages, others)
}

/// Simulated messages of LSST; the first two claim a schema id that nobody knows.
fn night_with_an_unknown_schema(dir: &Path) -> PathBuf {
    let (messages, mut schemas) = night(dir);
    schemas.retain(|file| file.extension() == Some("avsc".as_ref()));
    for message in &messages[..2] {
        let mut bytes = fs::read(message).unwrap();
        bytes[1..5].copy_from_slice(&4200u32.to_be_bytes());
        fs::write(message, bytes).unwrap();
    }
    schemas.pop().unwrap()
}

#[test]
fn packets_of_an_unknown_schema_are_read_when_the_schema_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let schema = night_with_an_unknown_schema(dir);
    let run = json(
        dir,
        &["run", "--from", "night", "--filters", &examples(), "--json"],
    );
    assert_eq!(
        (&run["stored"], &run["quarantined"]),
        (&4.into(), &2.into())
    );
    let listed = json(dir, &["quarantine", "list", "--json"]);
    assert_eq!(listed[0]["reason"], "unknown_schema");
    assert_eq!(listed[0]["packets"], 2);
    assert!(good(dir, &["quarantine", "list"]).contains("4200"));

    let too_early = json(dir, &["quarantine", "retry", "--json"]);
    assert_eq!(too_early["stored"], 0);
    assert_eq!(too_early["still_unread"]["unknown_schema"], 2);

    fs::create_dir(dir.join("avsc")).unwrap();
    fs::copy(schema, dir.join("avsc/4200.avsc")).unwrap();
    let retried = json(dir, &["quarantine", "retry", "--schemas", "avsc", "--json"]);
    assert_eq!(
        (&retried["stored"], &retried["quarantined"]),
        (&2.into(), &0.into())
    );
    let again = json(dir, &["quarantine", "retry", "--schemas", "avsc", "--json"]);
    assert_eq!(
        (&again["stored"], &again["passed_over"]),
        (&0.into(), &2.into())
    );
    assert_eq!(json(dir, &["ls", "--json"])[0]["alerts"], 6);
    good(dir, &["verify"]);
}

#[test]
fn an_archive_that_is_not_there_has_no_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let (code, error) = bad(folder.path(), &["quarantine", "retry"]);
    assert_eq!(code, 1);
    assert!(error.contains("there is no archive at"), "{error}");
}

/// A schema registry that knows id 4200, and counts the questions. Its thread ends with the test binary.
fn registry(schema: &Path) -> (String, Arc<AtomicUsize>) {
    let body = serde_json::json!({ "schema": fs::read_to_string(schema).unwrap() }).to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::Relaxed);
            answer(stream.unwrap(), &body);
        }
    });
    (url, asked)
}

fn answer(mut stream: TcpStream, schema: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let (status, body) = match request.split(' ').nth(1) {
        Some("/schemas/ids/4200") => ("200 OK", schema),
        _ => ("404 Not Found", r#"{"error_code": 40403}"#),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
}

#[test]
fn the_registry_is_asked_once_for_a_schema_that_is_not_at_hand() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let schema = night_with_an_unknown_schema(dir);
    let (url, asked) = registry(&schema);
    fs::write(dir.join("pitt.toml"), format!("registry = \"{url}\"\n")).unwrap();
    let shown = json(dir, &["config", "show", "--json"]);
    assert_eq!(shown["registry"]["value"], url);
    assert_eq!(asked.load(Ordering::Relaxed), 0, "settings open nothing");

    let filters = examples();
    let run = ["run", "--from", "night", "--filters", &filters, "--json"];
    let first = json(dir, &run);
    assert_eq!(
        (&first["stored"], &first["quarantined"]),
        (&6.into(), &0.into())
    );
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let kept = dir.join("pitt-data/schemas-cache/4200.avsc");
    assert_eq!(fs::read(kept).unwrap(), fs::read(schema).unwrap());
    let other_archive = [&run[..], &["--archive", "other"]].concat();
    assert_eq!(json(dir, &other_archive)["stored"], 6);
    assert_eq!(asked.load(Ordering::Relaxed), 2, "each archive asks once");
    good(dir, &["verify"]);
}

#[test]
fn what_a_silent_registry_left_unread_is_read_when_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let schema = night_with_an_unknown_schema(dir);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    fs::write(dir.join("pitt.toml"), format!("registry = \"{nobody}\"\n")).unwrap();
    let filters = examples();
    let run = ["run", "--from", "night", "--filters", &filters, "--json"];
    assert_eq!(json(dir, &run)["quarantined"], 2);
    assert!(good(dir, &["quarantine", "list"]).contains("does not answer"));

    let (url, asked) = registry(&schema);
    fs::write(dir.join("pitt.toml"), format!("registry = \"{url}\"\n")).unwrap();
    let retry = ["quarantine", "retry", "--json"];
    assert_eq!(json(dir, &retry)["stored"], 2);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(json(dir, &retry)["passed_over"], 2);
    assert_eq!(asked.load(Ordering::Relaxed), 1, "kept in the archive");
}

/// Asks for the quarantine to be read again, waits until that is over, and gives what came of it.
fn retry(broker: &Running, of: &Value) -> Value {
    let asked = broker.post("quarantine/retry", of);
    assert_eq!(asked.status, 202, "{}", asked.json());
    until("reading again is over", || {
        let state = broker.get("quarantine/retry").good();
        (state["state"] != "running").then_some(state)
    })
}

/// Waits until the broker shows so many alerts.
fn shows(broker: &Running, alerts: usize) {
    let sql = json!({"query": "SELECT count(*) AS n FROM alerts"});
    until(&format!("{alerts} alerts are shown"), || {
        let answer = broker.post("sql", &sql);
        let shown = answer.status == 200
            && answer.json()["rows"][0]["n"].to_string().trim_matches('"') == alerts.to_string();
        shown.then_some(())
    });
}

/// Puts the missing schema where the settings look for it.
fn bring_schema(dir: &Path, schema: &Path) {
    fs::copy(schema, dir.join("avsc/4200.avsc")).unwrap();
}

/// A broker over messages of which two cannot be read yet, in a folder of its own; also the schema that they lack.
fn broker_without_a_schema(dir: &Path) -> (Running, PathBuf) {
    let schema = night_with_an_unknown_schema(dir);
    fs::create_dir(dir.join("avsc")).unwrap();
    fs::write(dir.join("pitt.toml"), "schema_dir = \"avsc\"\n").unwrap();
    fs::create_dir(dir.join("filters")).unwrap();
    fs::write(dir.join("filters/all.sql"), "alert_id > 0").unwrap();
    let broker = Running::run(dir, "pitt-data", &["--from", "night", "--follow"]);
    shows(&broker, 4);
    // Alerts are shown before their commit; what could not be read is read again after it alone.
    until("two are in quarantine", || {
        let listed = broker.get("quarantine").good();
        (listed["rows"].as_array()?.len() == 2).then_some(())
    });
    (broker, schema)
}

#[test]
fn a_running_broker_reads_its_quarantine_again_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let (broker, schema) = broker_without_a_schema(dir);
    let early = retry(&broker, &json!({}));
    assert_eq!(figures(&early, ["state", "stored"]), json!(["done", 0]));
    assert_eq!(early["still_unread"], json!({"unknown_schema": 2}));

    bring_schema(dir, &schema);
    assert_eq!(retry(&broker, &json!({"reason": "bad_data"}))["read"], 0);
    let done = retry(&broker, &json!({"reason": "unknown_schema"}));
    assert_eq!(
        figures(&done, ["read", "stored", "matches"]),
        json!([2, 2, 2])
    );
    assert_eq!(
        figures(&done, ["by", "reason"]),
        json!(["anna", "unknown_schema"])
    );
    // The broker learns of it like of any other writer's commits, and goes on.
    shows(&broker, 6);
    let ledger = broker.get("ledger").good();
    assert_eq!(ledger["balances"], true, "{ledger}");
    let again = retry(&broker, &json!({}));
    assert_eq!(figures(&again, ["stored", "read_before"]), json!([0, 2]));
    ztf_visit(dir);
    shows(&broker, 9);
    broker.kill();
    good(dir, &["run", "--from", "night"]);
    assert_eq!(json(dir, &["verify", "--json"])["ok"], true);
    let matched = super::matches(dir, "pitt-data");
    assert_eq!(matched.lines().count(), 1 + 9, "{matched}");
}

#[test]
fn asking_a_broker_to_read_again_says_where_to_look_and_what_was_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, _) = broker_without_a_schema(folder.path());
    assert_eq!(broker.get("quarantine/retry").good()["state"], "never");
    let begun = broker.post("quarantine/retry", &json!({}));
    assert_eq!(
        (begun.status, begun.header("location")),
        (202, Some("/api/v1/quarantine/retry"))
    );
    assert_eq!(begun.json()["state"], "running");
    let wrong = broker.post("quarantine/retry", &json!({"reason": "unknown_shema"}));
    let wrong = wrong.json();
    assert_eq!(
        figures(&wrong, ["code", "where"]),
        json!(["bad_parameter", "reason"])
    );
    let detail = wrong["detail"].as_str().unwrap();
    assert!(detail.contains("unknown_schema"), "{detail}");
}

/// Some values of an answer, in this order.
fn figures<const N: usize>(of: &Value, keys: [&str; N]) -> Value {
    keys.iter().map(|key| of[key].clone()).collect()
}

/// Three more alerts for a run that follows.
fn ztf_visit(dir: &Path) {
    let shape = "--survey ztf --visits 1 --alerts-per-visit 3 --bad-per-million 0";
    simulate(dir, "night/more", shape);
}

#[test]
fn an_archive_that_is_served_is_written_only_by_who_may() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let schema = night_with_an_unknown_schema(dir);
    good(dir, &["run", "--from", "night"]);
    fs::create_dir(dir.join("avsc")).unwrap();
    bring_schema(dir, &schema);
    fs::write(dir.join("pitt.toml"), "schema_dir = \"avsc\"\n").unwrap();
    let mut server = Running::serve(dir, &[]);
    let session = server.token.take();
    let status = |server: &Running| server.post("quarantine/retry", &json!({})).status;
    assert_eq!(status(&server), 401);
    server.token = Some(token(&dir.join("pitt-data"), "ben", "read"));
    assert_eq!(status(&server), 403);
    server.token = session;
    let done = retry(&server, &json!({}));
    assert_eq!(figures(&done, ["state", "stored"]), json!(["done", 2]));
    shows(&server, 6);
    assert_eq!(json(dir, &["verify", "--json"])["ok"], true);
}

#[test]
fn the_list_of_what_could_not_be_read_has_the_size_of_each_packet_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let cut = |(n, path): (usize, &PathBuf)| {
        let mut bytes = fs::read(path).unwrap();
        bytes.truncate(100 * (n + 1));
        fs::write(path, &bytes).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, bytes.len().to_string())
    };
    let sizes: Vec<(String, String)> = night(dir).0.iter().enumerate().map(cut).collect();
    assert_eq!(sizes.len(), 6);
    good(dir, &["run", "--from", "night"]);
    let broker = Running::serve(dir, &[]);
    for order in ["newest", "oldest"] {
        let (mut listed, mut cursor) = (vec![], String::new());
        loop {
            let page = format!("quarantine?limit=4&order={order}{cursor}");
            let page = broker.get(&page).good();
            listed.extend(page["rows"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(listed.len(), 6, "{listed:?}");
        for row in &listed {
            let name = row["name"].as_str().unwrap();
            let (_, size) = sizes.iter().find(|(file, _)| name.contains(file)).unwrap();
            assert_eq!(row["bytes"].to_string().trim_matches('"'), size, "{row}");
        }
    }
}
