//! Signing in.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{MetadataRequest, SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use pitt_stream::{Server, StreamConfig, Tls, User};

use crate::client::{Client, config};
use crate::python;

fn users() -> Vec<User> {
    let user = |name: &str, password: &str, may_write| User {
        name: name.into(),
        password: password.into(),
        may_write,
    };
    vec![user("ann", "pencil, no.2", true), user("bob", "b", false)]
}

#[test]
fn strangers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::bind(StreamConfig {
        users: users(),
        ..config(folder.path())
    })
    .unwrap();
    let mut stranger = Client::connect(server.address());
    assert!(stranger.try_call(9, &MetadataRequest::default()).is_err());
    let mut wrong = Client::connect(server.address());
    let handshake =
        SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str("PLAIN"));
    assert_eq!(wrong.call(1, &handshake).error_code, 0);
    let token = SaslAuthenticateRequest::default().with_auth_bytes(b"\0ann\0pen"[..].into());
    assert_eq!(
        wrong.call(2, &token).error_code,
        ResponseError::SaslAuthenticationFailed.code()
    );
    assert!(wrong.try_call(9, &MetadataRequest::default()).is_err());
    let mut large = Client::connect(server.address());
    large.send_raw(&[0, 2, 0, 0, 0, 0, 0, 9]).unwrap();
    assert!(large.is_closed(), "strangers' requests are small");
}

#[test]
fn both_libraries_sign_in_by_every_mechanism() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::bind(StreamConfig {
        users: users(),
        ..config(folder.path())
    })
    .unwrap();
    server.handle().create_topic("secret", 1).unwrap();
    python::run("signing", server.address(), &["none"]);
}

#[test]
fn the_same_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output();
    if !made.is_ok_and(|o| o.status.success()) {
        println!("skipped: no openssl to make a certificate with");
        return;
    }
    let tls = Some(Tls {
        certificates: cert.clone(),
        key,
    });
    let server = Server::bind(StreamConfig {
        users: users(),
        tls,
        ..config(folder.path())
    })
    .unwrap();
    server.handle().create_topic("secret", 1).unwrap();
    python::run("signing", server.address(), &[cert.to_str().unwrap()]);
}
