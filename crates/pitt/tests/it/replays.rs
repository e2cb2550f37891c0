//! Bulk replays over HTTP: what they cover, how they go on, and what they refuse.

use std::io::Read;
use std::path::Path;

use pitt_alert::message::{AlertRecord, Annotation, Matched};
use pitt_alert::{Decoder, Packet, SchemaStore, Selection};
use pitt_archive::{Archive, ArchiveOptions, Replayed};
use serde_json::{Value, json};

use super::client::Answer;
use super::running::Running;
use super::{examples, good, json as told, simulate, token, until};

/// An archive of a night of both surveys, with duplicates and bad packets.
fn night(dir: &Path) {
    let faults = "--bad-per-million 20000 --duplicates-per-million 20000";
    let shape = format!("--visits 4 --alerts-per-visit 60 {faults}");
    simulate(dir, "night", &shape);
    good(dir, &["run", "--from", "night", "--filters", &examples()]);
}

fn archive(dir: &Path) -> Archive {
    let options = ArchiveOptions {
        create: false,
        ..ArchiveOptions::default()
    };
    Archive::open(&dir.join("pitt-data").to_string_lossy(), options).unwrap()
}

fn stored(archive: &Archive) -> Vec<Replayed> {
    archive.replay(None).unwrap().map(Result::unwrap).collect()
}

fn make(server: &Running, what: &Value) -> Value {
    let made = server.post("replays", what);
    assert_eq!(made.status, 201, "{}", made.json());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        made.header("location"),
        Some(&*format!("/api/v1/replays/{id}"))
    );
    made.json()
}

fn id(replay: &Value) -> &str {
    replay["id"].as_str().unwrap()
}

fn next(server: &Running, replay: &Value) -> Option<(u64, Answer)> {
    let answer = server.get(&format!("replays/{}/next", id(replay)));
    if answer.status == 204 {
        return None;
    }
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    let chunk = answer.header("x-chunk").unwrap().parse().unwrap();
    Some((chunk, answer))
}

fn acknowledge(server: &Running, replay: &Value, chunk: u64) -> Value {
    let path = format!("replays/{}/ack", id(replay));
    server.post(&path, &json!({ "chunk": chunk })).good()
}

/// All chunks, each acknowledged, in the order in which they came.
fn all(server: &Running, replay: &Value) -> Vec<Vec<u8>> {
    let mut bodies = vec![];
    while let Some((chunk, answer)) = next(server, replay) {
        assert_eq!(chunk, bodies.len() as u64);
        assert_eq!(
            answer.header("x-chunks").unwrap(),
            replay["chunks"].to_string()
        );
        bodies.push(answer.body);
        acknowledge(server, replay, chunk);
    }
    bodies
}

/// Names and contents of a tarball's members.
fn members(tarball: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut tar = tar::Archive::new(tarball);
    let member = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut bytes = vec![];
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), bytes)
    };
    tar.entries().unwrap().map(member).collect()
}

#[test]
fn the_packets_of_all_chunks_are_those_of_the_archive_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    night(dir);
    let server = Running::serve(dir, &[]);
    let replay = make(&server, &json!({"format": "packets", "chunk": 50}));
    let archive = archive(dir);
    let expected: Vec<Vec<u8>> = stored(&archive)
        .into_iter()
        .map(|p| p.packet.bytes.to_vec())
        .collect();
    let nights = told(dir, &["ls", "--json"]);
    let nights = nights.as_array().unwrap().iter();
    let alerts: u64 = nights.map(|one| one["alerts"].as_u64().unwrap()).sum();
    assert_eq!(replay["alerts"], alerts);
    assert_eq!(replay["packets"], expected.len());
    let chunks = all(&server, &replay);
    assert!(chunks.len() > 4 && replay["chunks"] == chunks.len());
    let sent: Vec<_> = chunks.iter().flat_map(|chunk| members(chunk)).collect();
    let bytes: Vec<Vec<u8>> = sent.iter().map(|(_, bytes)| bytes.clone()).collect();
    assert_eq!(bytes, expected);
    assert!(sent.iter().any(|(name, _)| name.starts_with("ztf/")));
    assert!(sent.iter().any(|(name, _)| name.starts_with("lsst/")));
    // What was handed out is what a broker reads.
    std::fs::create_dir(dir.join("again")).unwrap();
    for (number, chunk) in chunks.iter().enumerate() {
        std::fs::write(dir.join(format!("again/{number}.tar")), chunk).unwrap();
    }
    let again = told(
        dir,
        &["run", "--from", "again", "--archive", "other", "--json"],
    );
    assert_eq!(
        (&again["stored"], &again["quarantined"]),
        (&replay["alerts"], &json!(0))
    );
}

/// What a line should be, by the packet alone.
fn line(packet: &Packet, schemas: &SchemaStore, matched: Option<Matched>) -> (i64, Vec<u8>) {
    let mut decoder = Decoder::new(schemas.clone());
    decoder.select(Selection::common_only());
    let decoded = decoder.decode(std::slice::from_ref(packet));
    let mut annotation = Annotation::of(&decoded.batches[0], 0, packet.received_us).unwrap();
    annotation.matched = matched;
    let record = AlertRecord::find(&packet.bytes, 0, schemas).unwrap();
    let json = record.json(false).unwrap();
    (
        annotation.alert_id,
        record.annotated_json(&json, &annotation),
    )
}

#[test]
fn the_matches_of_a_filter_come_as_streams_publish_them() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    night(dir);
    let server = Running::serve(dir, &[]);
    let (archive, filter) = (archive(dir), busiest(dir));
    let taken: Vec<_> = archive
        .matches_after(0, 0, 100_000)
        .unwrap()
        .into_iter()
        .filter(|m| *m.filter == *filter)
        .collect();
    let replay = make(&server, &json!({"filter": filter, "chunk": 7}));
    assert_eq!(replay["alerts"], taken.len());
    let schemas = archive.schema_store().unwrap();
    let mut expected = vec![];
    for replayed in stored(&archive) {
        let (alert_id, _) = line(&replayed.packet, &schemas, None);
        if let Some(of) = taken.iter().find(|of| of.alert_id == alert_id) {
            let matched = Matched {
                filter: of.filter.clone(),
                version: of.version.clone(),
                at_us: of.matched_us,
            };
            expected.push(line(&replayed.packet, &schemas, Some(matched)).1);
        }
    }
    let chunks = all(&server, &replay);
    let lines = chunks
        .iter()
        .flat_map(|chunk| chunk.split_inclusive(|byte| *byte == b'\n'));
    let lines: Vec<Vec<u8>> = lines
        .map(|line| line.strip_suffix(b"\n").unwrap().to_vec())
        .collect();
    assert_eq!(lines, expected);
    let first: Value = serde_json::from_slice(&lines[0]).unwrap();
    assert_eq!(first["pitt"]["filter"], filter);
    assert!(first["pitt"]["matched"].is_string());
    // The same alerts by a query, and those of one night of it.
    let sql = format!("SELECT alert_id, survey FROM matches WHERE filter = '{filter}'");
    let by_sql = make(&server, &json!({"sql": sql, "survey": "ztf"}));
    let ztf = taken.iter().filter(|of| &*of.survey == "ztf").count();
    assert_eq!(by_sql["alerts"], ztf);
    let nowhen = make(&server, &json!({"filter": filter, "night": 19990101}));
    assert_eq!(
        (&nowhen["alerts"], &nowhen["chunks"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(
        server.get(&format!("replays/{}/next", id(&nowhen))).status,
        204
    );
}

/// The filter with the most matches.
fn busiest(dir: &Path) -> String {
    let sql =
        "SELECT filter, count(*) AS n FROM matches GROUP BY filter ORDER BY n DESC, filter LIMIT 1";
    let rows = good(dir, &["query", sql, "--format", "json"]);
    let row: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    row["filter"].as_str().unwrap().to_owned()
}

#[test]
fn avro_chunks_have_one_schema_each_and_every_alert_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    night(dir);
    let server = Running::serve(dir, &[]);
    let replay = make(
        &server,
        &json!({"format": "avro", "chunk": 30, "stamps": true}),
    );
    let mut ids = vec![];
    for chunk in all(&server, &replay) {
        let mut decoder = Decoder::new(SchemaStore::new());
        decoder.select(Selection::common_only());
        let decoded = decoder.decode(&[Packet::unplaced("chunk", chunk)]);
        assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
        assert_eq!(decoded.batches.len(), 1);
        let batch = &decoded.batches[0];
        assert!(batch.schema.json().contains("What Pitt Broker knows"));
        let rows = 0..batch.records.num_rows();
        ids.extend(rows.map(|row| Annotation::of(batch, row, 0).unwrap().alert_id));
    }
    assert_eq!(replay["alerts"], ids.len());
    let archive = archive(dir);
    let schemas = archive.schema_store().unwrap();
    let stored = stored(&archive).into_iter();
    let mut expected: Vec<i64> = stored
        .map(|it| line(&it.packet, &schemas, None).0)
        .collect();
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

#[test]
fn a_replay_goes_on_after_a_restart_and_new_alerts_do_not_change_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    night(dir);
    let server = Running::serve(dir, &[]);
    let replay = make(&server, &json!({"survey": "lsst", "chunk": 25}));
    let (first, answer) = next(&server, &replay).unwrap();
    assert_eq!(first, 0);
    // Not acknowledged: the same again.
    assert_eq!(next(&server, &replay).unwrap().1.body, answer.body);
    acknowledge(&server, &replay, 2);
    let told_twice = acknowledge(&server, &replay, 2);
    assert_eq!(
        (&told_twice["acknowledged"], &told_twice["next"]),
        (&json!(1), &json!(0))
    );
    let whole = |server: &Running| -> Vec<Vec<u8>> {
        let chunks = 0..replay["chunks"].as_u64().unwrap();
        let chunk = |n| server.get(&format!("replays/{}/chunks/{n}", id(&replay)));
        chunks.map(|n| chunk(n).body).collect()
    };
    let before = whole(&server);
    drop(server);

    simulate(dir, "more", "--visits 2 --alerts-per-visit 60 --seed 7");
    good(dir, &["run", "--from", "more", "--filters", &examples()]);
    let server = Running::serve(dir, &[]);
    let state = server.get(&format!("replays/{}", id(&replay))).good();
    assert_eq!(
        (&state["alerts"], &state["acknowledged"]),
        (&replay["alerts"], &json!(1))
    );
    assert_eq!(whole(&server), before);
    acknowledge(&server, &replay, 0);
    assert_eq!(next(&server, &replay).unwrap().0, 1);
    acknowledge(&server, &replay, 1);
    assert_eq!(
        next(&server, &replay).unwrap().0,
        3,
        "2 was acknowledged before"
    );
    let larger = make(&server, &json!({"survey": "lsst", "chunk": 25}));
    assert!(larger["alerts"].as_u64() > replay["alerts"].as_u64());
    let listed = server.get("replays").good();
    let ids: Vec<&Value> = listed["replays"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, [&replay["id"], &larger["id"]]);
    good(dir, &["verify"]);
}

/// Status and code of a problem.
fn codes(answer: Answer) -> (u16, String) {
    let code = answer.json()["code"].as_str().unwrap().to_owned();
    (answer.status, code)
}

#[test]
fn what_cannot_be_replayed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    night(dir);
    let server = Running::serve(dir, &[]);
    let no_id = "SELECT survey, band AS alert_id FROM alerts";
    let cases = [
        (json!({"chunk": 0}), "400 bad_parameter chunk"),
        (json!({"chunk": 10001}), "400 bad_parameter chunk"),
        (json!({"format": "csv"}), "400 bad_parameter format"),
        (json!({"nite": 1}), "400 unknown_parameter nite"),
        (json!({"filter": "no such"}), "404 unknown_filter filter"),
        (json!({"survey": "sdss"}), "404 unknown_survey survey"),
        (
            json!({"filter": "a", "sql": "SELECT 1"}),
            "400 bad_parameter sql",
        ),
        (
            json!({"sql": "SELECT 1 AS alert_id"}),
            "400 bad_parameter sql",
        ),
        (json!({ "sql": no_id }), "400 bad_parameter sql"),
        (json!({"sql": "SELEC"}), "400 bad_sql sql"),
        (json!({"sql": "DROP TABLE alerts"}), "403 read_only "),
    ];
    for (body, expected) in cases {
        let answer = server.post("replays", &body);
        let problem = answer.json();
        let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
        let told = format!("{} {} {}", answer.status, text("code"), text("where"));
        assert_eq!(told, expected, "{body}");
    }
    for _ in 0..10 {
        make(&server, &json!({"night": 1}));
    }
    let eleventh = server.post("replays", &json!({"night": 1}));
    assert_eq!(codes(eleventh).1, "too_many_replays");
}

#[test]
fn what_a_replay_does_not_have_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    night(dir);
    let server = Running::serve(dir, &[]);
    let path = format!("replays/{}", id(&make(&server, &json!({"chunk": 100}))));
    let get = |path: &str| codes(server.get(path));
    let post = |path: &str, body: Value| codes(server.post(path, &body));
    let unknown = (404, "unknown_replay".to_owned());
    assert_eq!(get("replays/0000"), unknown);
    assert_eq!(get("replays/..%2F..%2Ftokens.json"), unknown);
    assert_eq!(post("replays/0000/ack", json!({"chunk": 0})), unknown);
    let no_chunk = (404, "unknown_chunk".to_owned());
    assert_eq!(get(&format!("{path}/chunks/99")), no_chunk);
    let acknowledge = format!("{path}/ack");
    assert_eq!(post(&acknowledge, json!({"chunk": 99})), no_chunk);
    assert_eq!(post(&acknowledge, json!({})).1, "missing_parameter");
    assert_eq!(get(&format!("{path}/chunks/one")).0, 400);
}

#[test]
fn a_replay_of_anothers_is_read_by_who_knows_its_id_and_changed_by_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    night(dir);
    let mut server = Running::serve(dir, &[]);
    let replay = make(&server, &json!({"chunk": 100}));
    let path = format!("replays/{}", id(&replay));
    let acknowledge = format!("{path}/ack");
    let chunk = json!({"chunk": 0});

    let session = server.token.take();
    for (method, path) in [
        ("POST", "replays"),
        ("DELETE", &path),
        ("POST", &acknowledge),
    ] {
        let nobody = codes(server.ask(method, path, &chunk));
        assert_eq!(nobody, (401, "needs_token".to_owned()), "{method} {path}");
    }
    assert_eq!(server.get("replays").good(), json!({"replays": []}));

    server.token = Some(token(&dir.join("pitt-data"), "ben", "read"));
    let own = make(&server, &json!({"night": 1}));
    assert_eq!(own["owner"], "ben");
    assert_eq!(server.get(&path).good()["id"], replay["id"]);
    let forbidden = (403, "forbidden".to_owned());
    assert_eq!(codes(server.post(&acknowledge, &chunk)), forbidden);
    let removed = server.ask("DELETE", &path, &Value::Null);
    assert_eq!(codes(removed), forbidden);
    let listed = server.get("replays").good();
    assert_eq!(listed["replays"].as_array().unwrap().len(), 1);

    server.token = session;
    let removed = server.ask("DELETE", &path, &Value::Null);
    assert_eq!(removed.status, 204);
    assert_eq!(codes(server.get(&path)).1, "unknown_replay");
}

#[test]
fn a_broker_that_runs_replays_what_it_has_committed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    simulate(
        dir,
        "night",
        "--visits 2 --alerts-per-visit 40 --bad-per-million 0",
    );
    let broker = Running::run(dir, "live", &["--from", "night", "--follow"]);
    let total = 2 * 2 * 40_u64;
    // What it has committed when asked, and in the end all of it.
    let replay = until("all is committed", || {
        let replay = make(&broker, &json!({"chunk": 33}));
        if replay["alerts"] == total {
            return Some(replay);
        }
        let path = format!("replays/{}", id(&replay));
        assert_eq!(broker.ask("DELETE", &path, &Value::Null).status, 204);
        None
    });
    let lines: usize = all(&broker, &replay)
        .iter()
        .map(|chunk| chunk.iter().filter(|b| **b == b'\n').count())
        .sum();
    assert_eq!(lines as u64, total);
}
