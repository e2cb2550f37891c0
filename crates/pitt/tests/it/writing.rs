//! Filters written over HTTP: from the first text to the removal, and by whom.

use std::sync::Arc;

use pitt::broker::Broker;
use serde_json::{Value, json};

use super::client::ask;
use super::live::{Stage, file, packets, run, settings, stage};
use super::token;

/// What somebody asks, and what they get.
struct Somebody<'a> {
    stage: &'a Stage,
    token: Option<String>,
}

impl Somebody<'_> {
    fn ask(&self, what: &str, body: &Value) -> (u16, Value) {
        let address = self.stage.port.address();
        ask(address, what, self.token.as_deref(), body).told()
    }

    fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(&format!("POST /api/v1/filters/{path}"), &body)
    }

    fn put(&self, name: &str, text: &str) -> (u16, Value) {
        let body = json!({"text": text, "note": "for a test"});
        self.ask(&format!("PUT /api/v1/filters/{name}"), &body)
    }

    fn remove(&self, name: &str) -> u16 {
        let what = format!("DELETE /api/v1/filters/{name}");
        self.ask(&what, &Value::Null).0
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.ask(&format!("GET /api/v1/{path}"), &Value::Null)
    }
}

#[test]
fn a_filter_goes_from_its_first_text_to_its_removal() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let counters = Arc::default();
    let mut broker = Broker::open(&settings, vec![file("fixed", "alert_id < 0")]).unwrap();
    let archive = broker.archive().folder().to_owned();
    let stage = &stage(&settings, &mut broker, &counters);
    let anna = Somebody {
        stage,
        token: Some(token(&archive, "anna", "write")),
    };

    let (status, made) = anna.put("mine", "-- title: Mine\nalert_id > 0");
    assert_eq!(
        (status, &made["state"], &made["owner"]),
        (201, &json!("draft"), &json!("anna"))
    );
    let first = made["version"].as_str().unwrap().to_owned();
    assert_eq!(
        anna.put("mine", "-- title: Mine\nalert_id > 0").0,
        200,
        "the same text"
    );
    let (status, second) = anna.put("mine", "alert_id % 2 = 0");
    assert_eq!(
        (status, second["versions"].as_array().unwrap().len()),
        (201, 2)
    );
    let (status, active) = anna.post("mine/activate", json!({"version": first}));
    assert_eq!(
        (status, &active["state"], &active["version"]),
        (200, &json!("active"), &json!(first))
    );
    let (status, text) = anna.get(&format!("filters/mine/versions/{first}"));
    assert_eq!(
        (status, &text["text"]),
        (200, &json!("-- title: Mine\nalert_id > 0"))
    );

    run(broker, &packets(100), &counters, |_| {});
    assert_eq!(anna.get("filters/mine").1["matches"], 100);
    let (status, paused) = anna.post("mine/pause", Value::Null);
    assert_eq!((status, &paused["state"]), (200, &json!("paused")));
    assert_eq!(anna.post("mine/activate", Value::Null).1["state"], "active");
    assert_eq!(anna.remove("mine"), 204);
    assert_eq!(anna.remove("mine"), 404);
    let (status, gone) = anna.get("filters/mine");
    assert_eq!((status, &gone["code"]), (404, &json!("unknown_filter")));
    let (_, matches) = anna.get("matches?filter=mine&limit=1000");
    assert_eq!(
        matches["rows"].as_array().unwrap().len(),
        100,
        "past matches stay"
    );
}

#[test]
fn what_cannot_be_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let mut broker = Broker::open(&settings, vec![file("fixed", "alert_id < 0")]).unwrap();
    let archive = broker.archive().folder().to_owned();
    let stage = &stage(&settings, &mut broker, &Arc::default());
    let anna = Somebody {
        stage,
        token: Some(token(&archive, "anna", "write")),
    };
    let nobody = Somebody { stage, token: None };

    let (status, checked) = nobody.post("check", json!({"text": "\nrelability > 0.5"}));
    let problem = &checked["problems"][0];
    assert_eq!(
        (status, &checked["ok"], &problem["line"]),
        (200, &json!(false), &json!(2))
    );
    assert_eq!(
        (&problem["column"], &problem["suggestion"]),
        (&json!(1), &json!("reliability"))
    );
    let bad_topic = "-- title: Bright\n-- topic: a b\npsf_flux > 1";
    let (_, checked) = nobody.post("check", json!({"text": bad_topic}));
    let problem = &checked["problems"][0];
    assert_eq!(
        (&checked["ok"], &problem["line"]),
        (&json!(false), &json!(2)),
        "{checked}"
    );
    assert!(
        problem["message"].as_str().unwrap().contains("a b"),
        "{checked}"
    );
    let (status, refused) = anna.put("mine", bad_topic);
    assert_eq!(
        (status, &refused["code"]),
        (422, &json!("bad_filter")),
        "{refused}"
    );
    assert!(
        refused["where"].as_str().unwrap().starts_with("line 2"),
        "{refused}"
    );

    let code =
        |(status, problem): (u16, Value)| (status, problem["code"].as_str().unwrap().to_owned());
    let good = "psf_flux > 1";
    assert_eq!(code(anna.put("a.b", good)), (400, "bad_parameter".into()));
    assert_eq!(code(anna.put("fixed", good)), (409, "conflict".into()));
    assert_eq!(
        code(anna.post("fixed/pause", Value::Null)),
        (409, "conflict".into())
    );
    assert_eq!(
        code(anna.post("none/activate", Value::Null)),
        (404, "unknown_filter".into())
    );
    assert_eq!(anna.put("mine", good).0, 201);
    let unknown = json!({"version": "00000000"});
    assert_eq!(
        code(anna.post("mine/activate", unknown)),
        (404, "unknown_version".into())
    );
    assert_eq!(code(nobody.put("mine", good)), (401, "needs_token".into()));
    let (status, listed) = nobody.get("filters");
    let names: Vec<&str> = listed["filters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!((status, names), (200, vec!["fixed", "mine"]));
}

#[test]
fn a_filter_is_changed_by_its_owner_and_by_an_admin_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let mut broker = Broker::open(&settings, vec![file("fixed", "alert_id < 0")]).unwrap();
    let archive = broker.archive().folder().to_owned();
    let stage = &stage(&settings, &mut broker, &Arc::default());
    let with = |name: &str, scope: &str| Somebody {
        stage,
        token: Some(token(&archive, name, scope)),
    };
    let (anna, ben, eve) = (
        with("anna", "write"),
        with("ben", "write"),
        with("eve", "admin"),
    );
    let session = stage.port.session_url().unwrap();
    let session = session.split_once("#token=").unwrap().1.to_owned();
    let sits_here = Somebody {
        stage,
        token: Some(session),
    };

    assert_eq!(anna.put("mine", "psf_flux > 1").0, 201);
    let before = anna.get("filters/mine").1;
    for (status, problem) in [
        ben.put("mine", "psf_flux > 2"),
        ben.put("mine", "psf_flux > 1"),
        ben.post("mine/activate", Value::Null),
        ben.post("mine/pause", Value::Null),
        ben.ask("DELETE /api/v1/filters/mine", &Value::Null),
    ] {
        assert_eq!(
            (status, &problem["code"]),
            (403, &json!("forbidden")),
            "{problem}"
        );
        assert!(
            problem["detail"].as_str().unwrap().contains("`anna`"),
            "{problem}"
        );
    }
    assert_eq!(anna.get("filters/mine").1, before, "nothing has changed");
    assert_eq!(
        with("anna", "write").post("mine/activate", Value::Null).0,
        200,
        "another token of hers"
    );
    assert_eq!(eve.put("mine", "psf_flux > 3").0, 201);
    assert_eq!(anna.get("filters/mine").1["owner"], "anna", "it stays hers");
    assert_eq!(sits_here.post("mine/pause", Value::Null).0, 200);
    assert_eq!(
        ben.post("fixed/activate", Value::Null).0,
        403,
        "a file is the broker's own"
    );
    assert_eq!(eve.remove("mine"), 204);
    assert_eq!(
        ben.put("mine", "psf_flux > 2").0,
        201,
        "the name is free again"
    );
    assert_eq!(anna.put("mine", "psf_flux > 1").0, 403);
    let (code, error) = super::bad(
        folder.path(),
        &["token", "create", "session", "--archive", "archive"],
    );
    assert_eq!(code, 2, "{error}");
}
