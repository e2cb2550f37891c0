//! What could not be read is kept, and read when its schema is there.

use std::fs;
use std::path::{Path, PathBuf};

use super::{bad, examples, good, json};

/// Simulated messages of LSST; the first two claim a schema id that nobody knows.
fn night_with_an_unknown_schema(dir: &Path) -> PathBuf {
    good(
        dir,
        &[
            "simulate",
            "--into",
            "night",
            "--survey",
            "lsst",
            "--visits",
            "1",
            "--alerts-per-visit",
            "6",
        ],
    );
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
