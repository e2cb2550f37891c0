//! Where schemas are found.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pitt_alert::{Decoder, Packet, Reason, SchemaLookupError, SchemaStore};
use tempfile::tempdir;

use crate::packets::{LSST, lsst_datum, wire};
use crate::real;

/// A registry that answers from a list, and counts the questions.
struct Registry {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Registry {
    fn start(answers: Vec<(&'static str, String)>) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        // The thread ends with the test binary.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::Relaxed);
                answer(stream.unwrap(), &answers);
            }
        });
        Registry { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(mut stream: TcpStream, answers: &[(&str, String)]) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match answers.iter().find(|(known, _)| *known == path) {
        Some((_, body)) => ("200 OK", body.as_str()),
        None => (
            "404 Not Found",
            r#"{"error_code": 40403, "message": "Schema not found"}"#,
        ),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .unwrap();
}

fn quoted(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    )
}

fn message() -> Packet {
    Packet::unplaced("lsst", wire(1_100, &lsst_datum(10, Some(3), None)))
}

#[test]
fn an_id_is_fetched_once_and_kept_on_disk() {
    let registry = Registry::start(vec![(
        "/schemas/ids/1100",
        format!("{{\"schema\": {}}}", quoted(LSST)),
    )]);
    let folder = tempdir().unwrap();
    let cache = folder.path().join("deep/schemas");
    let store = SchemaStore::new()
        .with_cache(&cache)
        .with_registry(&registry.url);
    let decoded = Decoder::new(store.clone()).decode(&[message(), message()]);
    assert_eq!(
        (decoded.rows(), registry.asked()),
        (2, 1),
        "{:?}",
        decoded.rejected
    );
    assert_eq!(fs::read_to_string(cache.join("1100.avsc")).unwrap(), LSST);
    assert_eq!(Decoder::new(store).decode(&[message()]).rows(), 1);
    assert_eq!(
        Decoder::new(SchemaStore::new().with_cache(&cache))
            .decode(&[message()])
            .rows(),
        1
    );
    assert_eq!(registry.asked(), 1);
}

#[test]
fn an_unknown_id_is_asked_for_once_until_patience_ends() {
    let registry = Registry::start(Vec::new());
    let patience = Duration::from_millis(200);
    let store = SchemaStore::new()
        .with_patience(patience)
        .with_registry(&registry.url);
    for _ in 0..5 {
        assert!(matches!(
            store.get(7),
            Err(SchemaLookupError::Unknown { id: 7, .. })
        ));
    }
    assert_eq!(registry.asked(), 1);
    std::thread::sleep(patience);
    let error = store.get(7).unwrap_err();
    assert_eq!(registry.asked(), 2);
    assert!(
        error.to_string().contains(&registry.url) && error.to_string().contains("schema id 7"),
        "{error}"
    );
}

#[test]
fn types_in_other_subjects_are_written_out() {
    let (source, alert) = split(LSST);
    let registry = Registry::start(vec![
        (
            "/schemas/ids/1100",
            format!(
                r#"{{"schema": {}, "references": [{{"name": "lsst.v11_0.diaSource", "subject": "source", "version": 2}}]}}"#,
                quoted(&alert)
            ),
        ),
        (
            "/subjects/source/versions/2",
            format!("{{\"schema\": {}}}", quoted(&source)),
        ),
    ]);
    let decoded =
        Decoder::new(SchemaStore::new().with_registry(&registry.url)).decode(&[message()]);
    assert_eq!(
        (decoded.rows(), registry.asked()),
        (1, 2),
        "{:?}",
        decoded.rejected
    );
}

/// The source's definition, and the alert that only names it.
fn split(schema: &str) -> (String, String) {
    let start = schema
        .find(r#"{"type": "record", "name": "diaSource""#)
        .unwrap();
    let end = start + schema[start..].find("]}},").unwrap() + 2;
    let source = schema[start..end].replacen(
        r#""name": "diaSource""#,
        r#""name": "lsst.v11_0.diaSource""#,
        1,
    );
    (
        source,
        format!(
            "{}\"lsst.v11_0.diaSource\"{}",
            &schema[..start],
            &schema[end..]
        ),
    )
}

#[test]
fn a_silent_registry_is_an_error_that_says_so() {
    let store = SchemaStore::new().with_registry("http://127.0.0.1:9");
    let decoded = Decoder::new(store).decode(&[message()]);
    let rejected = &decoded.rejected[0];
    assert_eq!(rejected.reason, Reason::UnknownSchema);
    assert!(
        rejected.detail.contains("does not answer"),
        "{}",
        rejected.detail
    );
}

#[test]
fn a_schema_added_to_the_folder_later_is_found() {
    let folder = tempdir().unwrap();
    let store = SchemaStore::new()
        .with_patience(Duration::ZERO)
        .with_folder(folder.path())
        .unwrap();
    let mut decoder = Decoder::new(store);
    assert_eq!(
        decoder.decode(&[message()]).rejected[0].reason,
        Reason::UnknownSchema
    );
    // The survey's layout: one file a named type.
    let (source, alert) = split(LSST);
    fs::create_dir(folder.path().join("11")).unwrap();
    fs::write(folder.path().join("11/lsst.v11_0.diaSource.avsc"), source).unwrap();
    fs::write(folder.path().join("11/lsst.v11_0.alert.avsc"), alert).unwrap();
    assert_eq!(decoder.decode(&[message()]).rows(), 1);
}

#[test]
fn messages_of_an_unknown_id_decode_with_the_schema_beside() {
    let Some(data) = real::data() else { return };
    let store = real::lsst_schemas(&data);
    assert!(store.known().len() >= 15, "{:?}", store.known());
    let mut decoder = Decoder::new(store.clone());
    for (file, id) in [
        ("v7_0.32dfe451", 700),
        ("v7_2.4111239f", 702),
        ("v7_3.6ebaa985", 703),
        ("v7_4.0ba86df2", 704),
    ] {
        let bytes = fs::read(data.join(format!("lsst/wire/pittgoogle_lsst.{file}.avro"))).unwrap();
        let rejected = decoder
            .decode(&[Packet::unplaced(file, bytes.clone())])
            .rejected;
        assert_eq!(rejected[0].reason, Reason::UnknownSchema);
        assert!(
            rejected[0].detail.contains("12345"),
            "{}",
            rejected[0].detail
        );
        let schema = store.get(id).unwrap();
        let decoded = decoder.decode_datum(&schema, &[Packet::unplaced(file, bytes[5..].to_vec())]);
        assert_eq!(decoded.rows(), 1, "{file}: {:?}", decoded.rejected);
    }
}
