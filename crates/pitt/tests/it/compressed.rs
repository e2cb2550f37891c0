//! Long answers come gzipped to other machines, and are whole.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::client::{Answer, ask_with};
use super::running::Running;
use super::{good, lsst_visit};

fn ask(broker: &Running, from: &str, what: &str, body: &Value) -> Answer {
    let headers = format!("x-forwarded-for: {from}\r\naccept-encoding: gzip\r\n");
    ask_with(broker.address, what, &headers, body)
}

#[test]
fn answers_to_other_machines_are_gzipped_and_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    lsst_visit(dir, 200);
    good(dir, &["run", "--from", "night"]);
    // The proxy is this machine; whom it speaks for may be another.
    let broker = Running::start_with(dir, &["serve"], &[("PITT_HTTP_BEHIND_PROXY", "true")]);
    let sql = json!({"query": "SELECT * FROM lsst ORDER BY alert_id"});
    for (what, body) in [
        ("POST /api/v1/sql", &sql),
        ("POST /api/v1/sql?output-format=csv", &sql),
        ("GET /api/v1/alerts?limit=200", &Value::Null),
        ("GET /api/v1/openapi.json", &Value::Null),
    ] {
        let near = ask(&broker, "127.0.0.1", what, body);
        assert_eq!(near.header("content-encoding"), None, "{what}");
        let far = ask(&broker, "192.0.2.7", what, body);
        assert_eq!(
            (far.status, far.header("content-encoding")),
            (200, Some("gzip")),
            "{what}"
        );
        assert!(3 * far.body.len() < 2 * near.body.len(), "{what}");
        let mut whole = vec![];
        GzDecoder::new(far.body.as_slice())
            .read_to_end(&mut whole)
            .unwrap();
        assert!(whole == near.body, "{what}");
    }
    let short = ask(&broker, "192.0.2.7", "GET /api/v1/statistics", &Value::Null);
    assert_eq!(
        (short.status, short.header("content-encoding")),
        (200, None)
    );
}
