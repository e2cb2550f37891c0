//! TLS and signing in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pitt_kafka::SignIn;
use pitt_kafka::consume::{InputSettings, TroubleKind};
use pitt_stream::{Server, StreamConfig, Tls, User};

use crate::ground::{Member, Store, config, input, send, wait_for};

fn user() -> User {
    User {
        name: "ann".into(),
        password: "pencil, no.2".into(),
        may_write: false,
    }
}

/// A certificate and its key, if there is an `openssl`.
fn certificate(folder: &Path, name: &str) -> Option<(PathBuf, PathBuf)> {
    let (cert, key) = (
        folder.join(format!("{name}.pem")),
        folder.join(format!("{name}.key")),
    );
    let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext \
                 subjectAltName=IP:127.0.0.1,DNS:localhost";
    let made = std::process::Command::new("openssl")
        .args(words.split(' ').filter(|word| !word.is_empty()))
        .args([
            "-keyout".as_ref(),
            key.as_os_str(),
            "-out".as_ref(),
            cert.as_os_str(),
        ])
        .output();
    made.is_ok_and(|made| made.status.success())
        .then_some((cert, key))
}

fn signed(server: &Server, sign_in: SignIn) -> InputSettings {
    let mut settings = input(&server.address().to_string(), &["a"]);
    settings.access.sign_in = sign_in;
    settings.access.user = "ann".into();
    settings.access.password = user().password;
    settings
}

fn fill(server: &Server) {
    server.handle().create_topic("a", 1).unwrap();
    send(&server.handle(), "a", 0, 0..10);
}

/// A stream with a user and ten messages.
fn filled(folder: &Path) -> Server {
    let server = Server::bind(StreamConfig {
        users: vec![user()],
        ..config(folder)
    })
    .unwrap();
    fill(&server);
    server
}

#[test]
fn every_mechanism_signs_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    for sign_in in [SignIn::Plain, SignIn::ScramSha256, SignIn::ScramSha512] {
        let store = Arc::<Store>::default();
        let member = Member::start(signed(&server, sign_in), &store);
        wait_for("messages", || store.len() == 10);
        member.stop();
    }
    server.shutdown();
}

#[test]
fn a_wrong_password_is_a_trouble_that_names_the_user_and_not_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let server = filled(folder.path());
    let mut settings = signed(&server, SignIn::ScramSha512);
    settings.access.password = "guess".into();
    let store = Arc::<Store>::default();
    let member = Member::start(settings, &store);
    wait_for("a trouble", || !member.health().troubles.is_empty());
    let trouble = member.health().troubles.remove(0);
    assert_eq!(trouble.kind, TroubleKind::Connection);
    assert!(
        trouble.text.contains("does not let `ann` in"),
        "{}",
        trouble.text
    );
    assert!(!trouble.text.contains("guess"), "{}", trouble.text);
    member.stop();
    assert_eq!(store.len(), 0);
    server.shutdown();
}

#[test]
fn tls_takes_the_certificates_it_is_told_to_trust_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let made = certificate(folder.path(), "own").zip(certificate(folder.path(), "other"));
    let Some(((cert, key), (other, _))) = made else {
        println!("skipped: no openssl to make a certificate with");
        return;
    };
    let server = Server::bind(StreamConfig {
        users: vec![user()],
        tls: Some(Tls {
            certificates: cert.clone(),
            key,
        }),
        ..config(folder.path())
    })
    .unwrap();
    fill(&server);
    let mut settings = signed(&server, SignIn::ScramSha256);
    settings.access.tls = true;
    settings.access.ca = Some(cert);
    let store = Arc::<Store>::default();
    let member = Member::start(settings.clone(), &store);
    wait_for("messages", || store.len() == 10);
    member.stop();
    settings.access.ca = Some(other);
    let store = Arc::<Store>::default();
    let member = Member::start(settings, &store);
    wait_for("a trouble", || !member.health().troubles.is_empty());
    let trouble = member.health().troubles.remove(0);
    assert!(
        trouble.text.contains("no TLS with") && trouble.text.contains("`ca`"),
        "{}",
        trouble.text
    );
    member.stop();
    server.shutdown();
}
