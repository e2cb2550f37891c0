//! TLS on the HTTP port: certificates that are good, and those that are not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pitt::config::HttpSettings;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, Error as TlsError, RootCertStore, StreamOwned,
    crypto::ring::default_provider,
};

use super::port::{PATIENCE, open_as, send};
use super::{bad, simulate};

/// Makes `<name>.pem` and `<name>.key` for localhost. Without an `openssl` it says so, and is false.
fn certificate(folder: &Path, name: &str, time: &[&str]) -> bool {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-batch",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        // By default it is one of an authority, which no server may show.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ])
        .args(time)
        .current_dir(folder)
        .output();
    match made {
        Err(_) => {
            eprintln!("skipped: no openssl to make a certificate with");
            false
        }
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{error}");
            true
        }
    }
}

/// The answer to a request by a client that trusts this certificate alone.
fn get(port: u16, trusted: &Path, path: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(trusted).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name);
    let client = client.map_err(|error: TlsError| std::io::Error::other(error))?;
    let tcp = TcpStream::connect(("127.0.0.1", port))?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(client, tcp);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: broker.example.org\r\nconnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn the_port_speaks_tls_and_takes_a_new_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    if !certificate(at, "first", &["-days", "30"]) {
        return;
    }
    certificate(at, "second", &["-days", "30"]);
    let copy = |name: &str| {
        for ending in ["pem", "key"] {
            let new = at.join(format!("new.{ending}"));
            std::fs::copy(at.join(format!("{name}.{ending}")), &new).unwrap();
            std::fs::rename(new, at.join(format!("used.{ending}"))).unwrap();
        }
    };
    copy("first");
    let settings = HttpSettings {
        tls_cert: at.join("used.pem"),
        tls_key: at.join("used.key"),
        names: vec!["broker.example.org".into()],
        ..HttpSettings::default()
    };
    let archive = tempfile::tempdir().unwrap();
    let port = open_as(archive.path(), settings);
    assert!(port.url().starts_with("https://127.0.0.1:"));
    assert!(port.session_url().unwrap().starts_with("https://"));
    let number = port.address().port();
    let text = get(number, &at.join("first.pem"), "/healthz").unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(
        text.contains("strict-transport-security: max-age="),
        "{text}"
    );
    assert!(get(number, &at.join("second.pem"), "/healthz").is_err());
    let (status, _) = send(
        port.address(),
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    );
    assert_ne!(status, 200, "in the clear");
    // Half a file, as it is while it is being written: the old one is served on.
    std::fs::write(at.join("used.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(get(number, &at.join("first.pem"), "/healthz").is_ok());
    copy("second");
    let begin = Instant::now();
    while get(number, &at.join("second.pem"), "/healthz").is_err() {
        assert!(
            begin.elapsed() < PATIENCE,
            "the new certificate is not served"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    if !certificate(at, "good", &["-days", "30"]) {
        return;
    }
    certificate(at, "other", &["-days", "30"]);
    let past = [
        "-not_before",
        "20200101000000Z",
        "-not_after",
        "20200201000000Z",
    ];
    let is_new = Command::new("openssl")
        .args(["req", "-help"])
        .output()
        .unwrap();
    let can_date = String::from_utf8_lossy(&is_new.stderr).contains("-not_after");
    if can_date {
        certificate(at, "old", &past);
    }
    std::fs::write(at.join("empty.pem"), "").unwrap();
    simulate(at, "night", "--visits 1 --alerts-per-visit 2");
    let said = |cert: &str, key: &str| {
        let text = format!(
            "[http]\nlisten = \"127.0.0.1:0\"\ntls_cert = \"{cert}\"\ntls_key = \"{key}\"\n"
        );
        std::fs::write(at.join("pitt.toml"), text).unwrap();
        bad(at, &["run", "--from", "night"]).1
    };
    let all = [
        said("good.pem", "other.key"),
        said("none.pem", "good.key"),
        said("good.pem", "none.key"),
        said("empty.pem", "good.key"),
        said("good.key", "good.key"),
        said("good.pem", "good.pem"),
    ];
    insta::assert_snapshot!(all.concat(), @"
    error: cannot start the HTTP port: `other.key` is not the key of the certificate in `good.pem`
    error: cannot start the HTTP port: cannot read the certificate for TLS `none.pem`: No such file or directory (os error 2)
    error: cannot start the HTTP port: cannot read the private key for TLS `none.key`: No such file or directory (os error 2)
    error: cannot start the HTTP port: there is no certificate in `empty.pem` (PEM is expected, -----BEGIN ..)
    error: cannot start the HTTP port: there is no certificate in `good.key` (PEM is expected, -----BEGIN ..)
    error: cannot start the HTTP port: there is no private key in `good.pem` (PEM is expected, -----BEGIN ..)
    ");
    if can_date {
        let old = said("old.pem", "old.key");
        assert!(
            old.contains("the certificate in `old.pem` expired "),
            "{old}"
        );
    }
}
