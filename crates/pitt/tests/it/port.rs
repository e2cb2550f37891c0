//! The HTTP port: what it answers to those who mean well, and what it stands from those who do not.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pitt::config::{Config, HttpSettings};
use pitt::filters::FilterDesk;
use pitt::http::api::Api;
use pitt::http::registry::{Catalogue, Surveys};
use pitt::http::{Port, Site};
use pitt::telemetry::Telemetry;
use pitt_alert::{SchemaStore, WriterSchema};
use pitt_archive::{Archive, ArchiveOptions, StoredSchema};

/// Longest wait for anything here: only a test that fails takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

const WIRE: &str = r#"{"type":"record","name":"alert","namespace":"lsst.v12_0","fields":[{"name":"a","type":"long"}]}"#;
const CONTAINED: [&str; 2] = [
    r#"{"type":"record","name":"alert","namespace":"ztf","version":"4.02","fields":[{"name":"a","type":"long"}]}"#,
    r#"{"type":"record","name":"alert","namespace":"ztf","version":"3.3","fields":[{"name":"a","type":"long"}]}"#,
];

fn stored(json: &str, wire_id: Option<u32>) -> StoredSchema {
    StoredSchema {
        fingerprint: WriterSchema::parse(json).unwrap().fingerprint_hex(),
        wire_id,
        json: json.into(),
    }
}

/// A port with three schemas, on a free port of this machine.
fn open(folder: &std::path::Path, connections: usize) -> Port {
    let settings = HttpSettings {
        connections,
        // Limits have tests of their own.
        requests_per_s: 1e6,
        burst: 1e6,
        ..HttpSettings::default()
    };
    open_as(folder, settings)
}

/// The same with other settings.
pub(crate) fn open_as(folder: &std::path::Path, settings: HttpSettings) -> Port {
    let archive = Archive::open(&folder.to_string_lossy(), ArchiveOptions::default()).unwrap();
    let filters = FilterDesk::open(archive.folder(), vec![], SchemaStore::new(), &[]).unwrap();
    let counters = Arc::default();
    let telemetry = Telemetry::new(&archive, &Arc::new(filters), &counters);
    let schemas = || {
        vec![
            stored(WIRE, Some(1200)),
            stored(CONTAINED[0], None),
            stored(CONTAINED[1], None),
        ]
    };
    let topics = BTreeMap::from([("all.alerts".to_owned(), Surveys::All)]);
    let telemetry = Arc::new(telemetry);
    let mut whole = Config::load(None, |_| None, vec![]).unwrap().settings;
    whole.http = settings.clone();
    let site = Site {
        api: Api::new(telemetry.clone(), &whole).unwrap(),
        telemetry,
        schemas: Arc::new(Catalogue::new(schemas, SchemaStore::new(), move || {
            topics.clone()
        })),
    };
    let settings = HttpSettings {
        listen: "127.0.0.1:0".into(),
        ..settings
    };
    Port::open(&settings, true, site).unwrap().unwrap()
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Status and everything that came, of one request on a connection of its own.
pub(crate) fn send(address: SocketAddr, request: &[u8]) -> (u16, String) {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    let mut bytes = vec![];
    // A connection that is closed on us is an answer too.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.unwrap_or(0), text)
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let (status, text) = send(address, request.as_bytes());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

pub(crate) fn get_json(address: SocketAddr, path: &str) -> serde_json::Value {
    let (status, body) = get(address, path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn our_own_client_reads_a_schema_from_the_registry() {
    let folder = tempfile::tempdir().unwrap();
    let port = open(folder.path(), 16);
    let store = SchemaStore::new().with_registry(&port.url());
    assert_eq!(store.get(1200).unwrap().json(), WIRE);
    for json in CONTAINED {
        let id = WriterSchema::parse(json).unwrap().derived_id();
        assert_eq!(store.get(id).unwrap().json(), json);
    }
    let unknown = store.get(7).unwrap_err().to_string();
    assert!(unknown.contains("schema id 7 is unknown"), "{unknown}");
}

#[test]
fn subjects_versions_and_latest_are_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let port = open(folder.path(), 16);
    let at = port.address();
    let ztf: Vec<u32> = CONTAINED
        .iter()
        .rev()
        .map(|json| WriterSchema::parse(json).unwrap().derived_id())
        .collect();
    assert_eq!(
        get_json(at, "/subjects"),
        serde_json::json!(["all.alerts-value", "lsst-value", "ztf-value"])
    );
    assert_eq!(
        get_json(at, "/subjects?subjectPrefix=ztf"),
        serde_json::json!(["ztf-value"])
    );
    assert_eq!(
        get_json(at, "/subjects/ztf-value/versions"),
        serde_json::json!(ztf),
        "3.3 before 4.02"
    );
    let latest = get_json(at, "/subjects/ztf-value/versions/latest");
    assert_eq!(latest["schema"], CONTAINED[0]);
    assert_eq!(
        (&latest["id"], &latest["version"]),
        (&ztf[1].into(), &ztf[1].into())
    );
    let everywhere = get_json(at, "/schemas/ids/1200/versions");
    assert_eq!(everywhere[0]["subject"], "all.alerts-value");
    assert_eq!(
        everywhere[1],
        serde_json::json!({"subject": "lsst-value", "version": 1200})
    );
    assert_eq!(
        get(at, "/subjects/lsst-value/versions/1200/schema"),
        (200, WIRE.into())
    );
}

#[test]
fn what_is_not_there_is_said_as_confluent_says_it() {
    let folder = tempfile::tempdir().unwrap();
    let port = open(folder.path(), 16);
    let cases = [
        ("/schemas/ids/7", 404, 40403),
        ("/schemas/ids/99999999999999999999", 404, 40403),
        ("/schemas/ids/-1", 404, 40403),
        ("/subjects/nobody-value/versions", 404, 40401),
        ("/subjects/ztf-value/versions/7", 404, 40402),
        ("/subjects/ztf-value/versions/0", 422, 42202),
        ("/subjects/ztf-value/versions/newest", 422, 42202),
        ("/subjects/..%2F..%2F..%2Fetc%2Fpasswd/versions", 404, 40401),
        ("/subjects/%00/versions/latest", 404, 40401),
        ("/subjects/%ff%fe/versions", 400, 400),
        ("/schemas/ids/%zz", 404, 40403),
    ];
    for (path, status, code) in cases {
        let (found, body) = get(port.address(), path);
        let error: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (found, error["error_code"].as_u64()),
            (status, Some(code)),
            "{path}: {body}"
        );
        assert!(error["message"].is_string(), "{path}: {body}");
    }
    for path in [
        "/subjects/../../etc/passwd",
        "/../../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/nothing.txt",
    ] {
        let (status, body) = get(port.address(), path);
        assert_eq!(status, 404, "{path}: {body}");
        assert!(body.contains("\"title\":\"Not Found\""), "{path}: {body}");
    }
    let post = b"POST /subjects/ztf-value/versions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let (status, text) = send(port.address(), post);
    assert_eq!(status, 405, "{text}");
    assert!(
        text.contains("application/vnd.schemaregistry.v1+json"),
        "{text}"
    );
}

#[test]
fn too_much_is_refused_and_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let port = open(folder.path(), 16);
    let at = port.address();
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let (status, _) = send(
        at,
        format!("{head}content-length: 5000000000\r\n\r\n").as_bytes(),
    );
    assert_eq!(status, 413);
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\nffffff\r\n");
    let (status, _) = send(at, &[chunked.as_bytes(), &[b'x'; 100_000]].concat());
    assert_ne!(status, 200, "a body without end is nobody's to read");
    let long = format!(
        "GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "a".repeat(100_000)
    );
    assert!([0, 414, 431].contains(&send(at, long.as_bytes()).0));
    let many = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n",
        "x-a: b\r\n".repeat(100)
    );
    assert_eq!(send(at, many.as_bytes()).0, 431);
    let garbage: Vec<u8> = (0..5000u32).map(|at| (at * 7919 % 251) as u8).collect();
    assert!([0, 400].contains(&send(at, &garbage).0));
    let both = format!("{head}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_ne!(
        send(at, both.as_bytes()).0,
        200,
        "two lengths are one too many"
    );
    assert_eq!(get(at, "/healthz").0, 200);
}

#[test]
fn a_web_page_that_points_its_name_here_learns_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let port = open(folder.path(), 16);
    let ask = |host: &str| {
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        send(port.address(), request.as_bytes())
    };
    let (status, text) = ask("evil.example.org");
    assert_eq!(status, 421, "{text}");
    assert!(!text.contains("pitt_"), "{text}");
    assert_eq!(ask(&format!("127.0.0.1:{}", port.address().port())).0, 200);
}

#[test]
fn hundreds_of_half_open_connections_keep_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let port = open(folder.path(), 32);
    let at = port.address();
    let mut held: Vec<TcpStream> = vec![];
    for number in 0..400 {
        let mut stream = connect(at);
        // A third says nothing, a third half a request, a third a whole one and then nothing.
        match number % 3 {
            0 => {}
            1 => drop(stream.write(b"GET /metrics HTTP/1.1\r\nhost: loc")),
            _ => drop(stream.write(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")),
        }
        held.push(stream);
        if number % 50 == 49 {
            let (status, body) = get(at, "/healthz");
            assert_eq!(status, 200, "after {number}: {body}");
        }
    }
    // Those that had to go are told so by an end; those that stay are no more than may be.
    let stay = held.iter().filter(|stream| {
        stream.set_nonblocking(true).unwrap();
        let mut rest = [0; 4096];
        let mut stream = *stream;
        loop {
            match stream.read(&mut rest) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
        }
    });
    let stay = stay.count();
    assert!(stay <= 32, "{stay}");
}

#[test]
fn a_request_that_dribbles_in_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let port = open(folder.path(), 4);
    let mut stream = connect(port.address());
    let begin = Instant::now();
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut rest = vec![];
    let mut word = [0; 1024];
    for byte in b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a: "
        .iter()
        .chain([b'x'; 1000].iter())
    {
        assert!(begin.elapsed() < PATIENCE, "still being listened to");
        if stream.write_all(&[*byte]).is_err() {
            return;
        }
        match stream.read(&mut word) {
            Ok(0) => return,
            Ok(got) => rest.extend_from_slice(&word[..got]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    panic!(
        "all of it was waited for: {}",
        String::from_utf8_lossy(&rest)
    );
}

#[test]
fn eight_clients_at_once_get_every_answer() {
    let folder = tempfile::tempdir().unwrap();
    let port = open(folder.path(), 16);
    let at = port.address();
    let client = move || {
        let mut stream = connect(at);
        let mut good = 0;
        for _ in 0..250 {
            stream
                .write_all(b"GET /schemas/ids/1200 HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .unwrap();
            let (mut answer, mut part) = (vec![], [0; 4096]);
            while !answer.ends_with(b"\"}") {
                let got = stream.read(&mut part).unwrap();
                assert!(got > 0, "closed: {}", String::from_utf8_lossy(&answer));
                answer.extend_from_slice(&part[..got]);
            }
            good += u32::from(answer.starts_with(b"HTTP/1.1 200 OK"));
        }
        good
    };
    let clients: Vec<_> = (0..8).map(|_| std::thread::spawn(client)).collect();
    let good: u32 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    assert_eq!(good, 2000);
}

#[test]
fn a_chosen_port_in_use_is_an_error_and_the_default_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = taken.local_addr().unwrap();
    let config = format!("[http]\nlisten = \"{wanted}\"\n");
    std::fs::write(folder.path().join("pitt.toml"), config).unwrap();
    super::simulate(folder.path(), "night", "--visits 1 --alerts-per-visit 2");
    let (code, error) = super::bad(folder.path(), &["run", "--from", "night"]);
    assert_eq!(code, 1, "{error}");
    let said = error.replace(&wanted.to_string(), "127.0.0.1:8080");
    insta::assert_snapshot!(said, @r#"error: cannot listen on 127.0.0.1:8080, as `http.listen` says: Address already in use (os error 98) (choose another address, or "" for no port)"#);
    std::fs::write(
        folder.path().join("pitt.toml"),
        "[http]\nlisten = \"0.0.0.0:8080\"\n",
    )
    .unwrap();
    let (code, error) = super::bad(folder.path(), &["run", "--from", "night"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error, @r#"error: pitt.toml, line 2: `http.listen` is "0.0.0.0:8080", expected an address of this machine alone, such as 127.0.0.1:8080, or `http.allow_remote = true` beside it"#);
    std::fs::write(folder.path().join("pitt.toml"), "").unwrap();
    let _first = TcpListener::bind("127.0.0.1:8080");
    super::good(folder.path(), &["run", "--from", "night"]);
}
