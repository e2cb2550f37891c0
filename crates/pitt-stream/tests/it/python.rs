//! Python's two Kafka libraries against the endpoint.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pitt_stream::{Server, StreamConfig};

use crate::client::{config, server};

/// An interpreter with both libraries.
fn python() -> Option<PathBuf> {
    let default = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../.venv/bin/python"
    ));
    let python = std::env::var_os("PITT_PYTHON").map_or(default, PathBuf::from);
    let probe = Command::new(&python)
        .args([
            "-c",
            "import kafka, crc32c, lz4, snappy, zstandard, confluent_kafka",
        ])
        .stderr(Stdio::null())
        .status();
    if probe.is_ok_and(|s| s.success()) {
        return Some(python);
    }
    println!("skipped: no Python with kafka-python and confluent-kafka (run ./dev test)");
    None
}

/// Runs a script of `tests/it/python` to its good end.
pub(crate) fn run(script: &str, address: SocketAddr, more: &[&str]) {
    let Some(python) = python() else { return };
    let path = format!("{}/tests/it/python/{script}.py", env!("CARGO_MANIFEST_DIR"));
    let child = Command::new(python)
        .arg(path)
        .arg(address.to_string())
        .args(more)
        .spawn()
        .unwrap();
    let status = finish(child, Duration::from_secs(90));
    assert!(status, "{script}.py failed: its words are above");
}

fn finish(mut child: Child, limit: Duration) -> bool {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        if begun.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn kafka_python_does_everything() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    run("everything_kafka_python", server.address(), &[]);
}

#[test]
fn confluent_kafka_does_everything() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    run("everything_confluent", server.address(), &[]);
}

#[test]
fn transactions_through_both_libraries() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    for topic in ["by-confluent", "by-kafka-python"] {
        server.handle().create_topic(topic, 1).unwrap();
    }
    run("transactions", server.address(), &[]);
}

#[test]
fn members_of_a_group_share_leave_and_die() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("shared", 4).unwrap();
    run("groups", server.address(), &[]);
}

#[test]
fn groups_go_on_after_a_restart_where_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path());
    let address = first.address();
    first.handle().create_topic("kept", 1).unwrap();
    run("first_half", address, &[]);
    first.shutdown();
    let second = Server::bind(StreamConfig {
        address,
        ..config(folder.path())
    })
    .unwrap();
    run("second_half", second.address(), &[]);
}

#[test]
fn clients_live_through_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path());
    let address = first.address();
    first.handle().create_topic("through", 1).unwrap();
    std::thread::scope(|scope| {
        let script = scope.spawn(|| run("through_restart", address, &[]));
        std::thread::sleep(Duration::from_millis(1_500));
        first.shutdown();
        std::thread::sleep(Duration::from_millis(300));
        let second = Server::bind(StreamConfig {
            address,
            ..config(folder.path())
        })
        .unwrap();
        script.join().unwrap();
        drop(second);
    });
}
