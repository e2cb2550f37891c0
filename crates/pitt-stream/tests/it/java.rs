//! Apache Kafka's own Java client against the endpoint.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::client::server;

/// A folder with the client's jars, fetched once; `None` when Java or Maven are not there.
fn jars() -> Option<PathBuf> {
    let has = |program: &str| {
        let probe = Command::new(program).arg("-version").output();
        probe.is_ok_and(|o| o.status.success())
    };
    if !has("javac") || !has("mvn") {
        println!("skipped: no JDK or no Maven (Debian: openjdk-17-jdk-headless, maven)");
        return None;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("java-client");
    if folder.join("complete").exists() {
        return Some(folder);
    }
    let pom = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/java/pom.xml");
    let fetched = Command::new("mvn")
        .args(["-q", "-B", "-f", pom, "dependency:copy-dependencies"])
        .arg(format!("-DoutputDirectory={}", folder.display()))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    if !fetched.success() {
        println!("skipped: Maven could not fetch the client (is there a network?)");
        return None;
    }
    std::fs::write(folder.join("complete"), "").unwrap();
    Some(folder)
}

#[test]
fn the_java_client_does_everything() {
    let Some(jars) = jars() else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/java/Everything.java");
    let done = Command::new("java")
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-cp"])
        .arg(format!("{}/*", jars.display()))
        .args([program, &server.address().to_string()])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success() && words.contains("all good"),
        "{words}\n{errors}"
    );
}
