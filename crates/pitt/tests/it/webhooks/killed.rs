//! The program itself, killed while it delivers.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::ask_at;
use super::receiver::{Receiver, until};
use crate::running::Running;
use crate::{json as told, simulate, token};

/// A run that stays for files that might come.
fn start(dir: &Path) -> Running {
    let words = ["run", "--from", "night", "--filters", "filters", "--follow"];
    let settings = [
        ("PITT_PUSH_ALLOW_PRIVATE", "true"),
        ("PITT_COMMIT_EVERY_S", "0.2"),
        ("PITT_PIPELINE_BATCH_ALERTS", "50"),
    ];
    Running::start_with(dir, &words, &settings)
}

#[test]
fn a_broker_that_is_killed_while_it_delivers_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    simulate(
        dir,
        "night",
        "--survey ztf --visits 1 --alerts-per-visit 400",
    );
    std::fs::create_dir(dir.join("filters")).unwrap();
    std::fs::write(dir.join("filters/all.sql"), "alert_id > 0").unwrap();
    let token = &token(&dir.join("pitt-data"), "ann", "write");
    // Slow enough to be killed in the middle of it.
    let receiver = Receiver::answering(|_| {
        std::thread::sleep(Duration::from_millis(150));
        (200, String::new())
    });

    let first = start(dir);
    let at = first.address;
    let wanted = json!({"url": receiver.url(), "after": "0"});
    let (status, hook) = ask_at(at, token, "POST filters/all/webhooks", &wanted);
    assert_eq!(status, 201, "{hook}");
    until("it delivers", || receiver.parcels().len() >= 2);
    first.kill();
    assert!(receiver.taken().len() < 400, "it was killed too late");

    let second = start(dir);
    let at = second.address;
    receiver.wait(400);
    let all_taken = || {
        let (_, list) = ask_at(at, token, "GET filters/all/webhooks", &Value::Null);
        let hook = &list["webhooks"][0];
        hook["pending"] == 0 && hook["last_error"].is_null()
    };
    until("nothing waits", all_taken);
    second.end();
    receiver.assert_signed(hook["secret"].as_str().unwrap());
    let numbers = told(
        dir,
        &["query", "SELECT max(seq) AS last FROM matches", "--json"],
    );
    assert_eq!(numbers["last"], 400);
    let expected: Vec<String> = (1..=400).map(|seq| format!("0:{seq}")).collect();
    assert_eq!(receiver.taken(), expected);
}
