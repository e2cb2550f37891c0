//! The program itself, killed while it delivers.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::ask_at;
use super::receiver::{Receiver, until};
use crate::{good, json as told, pitt};

/// A run that stays for files that might come; ended when dropped.
struct Run(Child);

impl Run {
    fn start(dir: &Path) -> Self {
        let words = ["run", "--from", "night", "--filters", "filters", "--follow"];
        let environment = [
            ("PITT_HTTP_LISTEN", "127.0.0.1:0"),
            ("PITT_PUSH_ALLOW_PRIVATE", "true"),
            ("PITT_COMMIT_EVERY_S", "0.2"),
            ("PITT_PIPELINE_BATCH_ALERTS", "50"),
        ];
        let mut command = pitt(dir);
        command.args(words).envs(environment);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(quiet.spawn().unwrap())
    }

    /// Ends it in order: what it has is committed.
    fn end(mut self) {
        let id = self.0.id().to_string();
        let told = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(told.success() && self.0.wait().unwrap().success());
    }

    /// Where its port is.
    fn address(&self, dir: &Path) -> SocketAddr {
        let found = || -> Option<SocketAddr> {
            let text = std::fs::read(dir.join("pitt-data/status/0.json")).ok()?;
            let status: Value = serde_json::from_slice(&text).ok()?;
            let own = status["pid"] == self.0.id();
            let url = status["url"].as_str().filter(|_| own)?;
            url.strip_prefix("http://")?.parse().ok()
        };
        until("the port is open", || found().is_some());
        found().unwrap()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_broker_that_is_killed_while_it_delivers_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let made = [
        "--visits",
        "1",
        "--alerts-per-visit",
        "400",
        "--survey",
        "ztf",
    ];
    good(dir, &[&["simulate", "--into", "night"], &made[..]].concat());
    std::fs::create_dir(dir.join("filters")).unwrap();
    std::fs::write(dir.join("filters/all.sql"), "alert_id > 0").unwrap();
    let token = told(
        dir,
        &["token", "create", "ann", "--scope", "write", "--json"],
    );
    let token = token["token"].as_str().unwrap();
    // Slow enough to be killed in the middle of it.
    let receiver = Receiver::answering(|_| {
        std::thread::sleep(Duration::from_millis(150));
        (200, String::new())
    });

    let first = Run::start(dir);
    let at = first.address(dir);
    let wanted = json!({"url": receiver.url(), "after": "0"});
    let (status, hook) = ask_at(at, token, "POST filters/all/webhooks", &wanted);
    assert_eq!(status, 201, "{hook}");
    until("it delivers", || receiver.parcels().len() >= 2);
    drop(first);
    assert!(receiver.taken().len() < 400, "it was killed too late");

    let second = Run::start(dir);
    let at = second.address(dir);
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
