//! What could not be read is kept, and read when its schema is there.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{bad, examples, good, json, lsst_visit};

/// Simulated messages of LSST; the first two claim a schema id that nobody knows.
fn night_with_an_unknown_schema(dir: &Path) -> PathBuf {
    lsst_visit(dir, "6");
    let of_night = |entry: fs::DirEntry| entry.path();
    let folder = fs::read_dir(dir.join("night"))
        .unwrap()
        .map(|entry| of_night(entry.unwrap()))
        .find(|path| path.is_dir())
        .unwrap();
    let files = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (mut messages, mut schemas): (Vec<_>, Vec<_>) =
        files.partition(|file| file.extension() == Some("avro".as_ref()));
    messages.sort();
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
