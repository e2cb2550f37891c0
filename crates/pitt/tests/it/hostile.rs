//! What the port stands from those who mean harm: slowness, size, numbers, and texts that want to be something else.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use pitt::config::HttpSettings;

use super::port::{PATIENCE, connect, get, open_as, send};

fn with(connections: usize) -> HttpSettings {
    HttpSettings {
        connections,
        requests_per_s: 0.0,
        ..HttpSettings::default()
    }
}

/// Whether the other side has ended the connection; reads what there is.
fn has_ended(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let (mut stream, mut part) = (stream, [0; 4096]);
    loop {
        match stream.read(&mut part) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

fn served(at: SocketAddr) {
    let (status, body) = get(at, "/healthz");
    assert_eq!(status, 200, "{body}");
}

#[test]
fn thousands_of_half_open_connections_keep_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), with(1000));
    let at = port.address();
    let mut held = vec![];
    for number in 0..3000 {
        let mut stream = connect(at);
        if number % 2 == 0 {
            let _ = stream.write(b"GET /metrics HTTP/1.1\r\nhost: loc");
        }
        held.push(stream);
        if number % 300 == 299 {
            served(at);
        }
    }
    let stay = held.iter().filter(|stream| !has_ended(stream)).count();
    assert!(stay <= 1000, "{stay}");
}

#[test]
fn bodies_that_never_come_keep_nobody_out_and_are_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), with(8));
    let at = port.address();
    let begin = |stream: &mut TcpStream| {
        let head = "POST /api/v1/me HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{";
        let _ = stream.write_all(head.as_bytes());
    };
    let mut held: Vec<TcpStream> = (0..40).map(|_| connect(at)).collect();
    held.iter_mut().for_each(begin);
    served(at);
    let ended = held.iter().filter(|stream| has_ended(stream)).count();
    assert!(ended >= 32, "{ended}");
    // One alone may stay for its time, byte by byte, and is then told.
    let mut slow = connect(at);
    begin(&mut slow);
    slow.set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let (start, mut answer, mut part) = (Instant::now(), vec![], [0; 1024]);
    loop {
        assert!(start.elapsed() < PATIENCE, "still being listened to");
        let _ = slow.write_all(b" ");
        match slow.read(&mut part) {
            Ok(0) => break,
            Ok(got) => answer.extend_from_slice(&part[..got]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn clients_that_take_no_answer_keep_nobody_out_and_are_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), with(4));
    let at = port.address();
    // So many answers that no buffer between us holds them all.
    let asked = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(5000);
    let greedy = |_| {
        let mut stream = connect(at);
        stream
            .set_write_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let _ = stream.write_all(asked.as_bytes());
        stream
    };
    let held: Vec<TcpStream> = (0..4).map(greedy).collect();
    // All places are taken by clients that are being answered and take nothing.
    let begin = Instant::now();
    while get(at, "/healthz").0 != 200 {
        assert!(begin.elapsed() < PATIENCE, "they keep everybody out");
        std::thread::sleep(Duration::from_millis(100));
    }
    let begin = Instant::now();
    let mut left = held;
    while !left.is_empty() {
        assert!(begin.elapsed() < 2 * PATIENCE, "{} are kept", left.len());
        std::thread::sleep(Duration::from_millis(200));
        // A connection that was reset cannot be written to.
        left.retain(|stream| {
            let mut stream = stream;
            stream.set_nonblocking(true).unwrap();
            match stream.write(b"GET") {
                Ok(_) => true,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            }
        });
    }
}

#[test]
fn large_bodies_are_refused_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), with(16));
    let at = port.address();
    let head = "POST /api/v1/me HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let (status, text) = send(
        at,
        format!("{head}content-length: 1048577\r\n\r\n").as_bytes(),
    );
    assert_eq!(status, 413, "{text}");
    assert!(text.contains("\"code\":\"too_large\""), "{text}");
    let whole = format!(
        "{head}content-length: 1048576\r\n\r\n{}",
        "x".repeat(1 << 20)
    );
    assert_eq!(send(at, whole.as_bytes()).0, 200, "1 MB is not too large");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let chunked = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{}",
        chunk.repeat(16)
    );
    let over = format!("{chunked}1\r\nx\r\n0\r\n\r\n");
    assert_eq!(
        send(at, over.as_bytes()).0,
        413,
        "one byte more, uncounted before"
    );
    let ends = format!("{chunked}0\r\n\r\n");
    assert_eq!(send(at, ends.as_bytes()).0, 200);
    let nobody = "PUT /api/v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n";
    assert_eq!(
        send(at, nobody.as_bytes()).0,
        401,
        "who may not write sends nothing"
    );
}

#[test]
fn no_path_leads_out() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), with(16));
    let ways = [
        "..",
        "%2e%2e",
        ".%2e",
        "%2e.",
        "..%2f..",
        "..%5c..",
        "..%00",
        "%252e%252e",
        "....//",
        "..;",
    ];
    for way in ways {
        for at in [
            "",
            "/assets",
            "/api/v1/alerts",
            "/api/v1/schemas",
            "/subjects",
            "/docs",
        ] {
            let path = format!("{at}/{way}/{way}/{way}/{way}/etc/passwd");
            let (status, body) = get(port.address(), &path);
            assert!(!body.contains("root:"), "{path}: {body}");
            assert!(status < 500, "{path}: {status}");
        }
    }
    for raw in [
        "GET ../../etc/passwd",
        "GET /\0",
        "GET /a\\..\\b",
        "GET http://evil/etc/passwd",
        "GET *",
    ] {
        let request = format!("{raw} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let (status, text) = send(port.address(), request.as_bytes());
        assert!(!text.contains("root:") && status < 500, "{raw}: {text}");
    }
    served(port.address());
}

#[test]
fn no_text_becomes_a_header_or_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), with(16));
    let at = port.address();
    let lines = "%0d%0aset-cookie:%20a=b%0d%0a%0d%0a<script>alert(1)</script>";
    let origins = HttpSettings {
        cors_origins: vec!["*".into()],
        ..with(16)
    };
    let open_to_all = open_as(folder.path(), origins);
    for path in [
        "/",
        "/api/v1/none/",
        "/subjects/",
        "/schemas/ids/",
        "/none.js",
    ] {
        let ask =
            format!("GET {path}{lines} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let (_, text) = send(at, ask.as_bytes());
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let head = head.to_lowercase();
        assert!(!head.contains("set-cookie"), "{path}: {head}");
        let page = head.contains("content-type: text/html");
        assert!(!page || !body.contains("<script>alert"), "{path}: {body}");
        // A request that is none gets an answer with no body, or none.
        let bare = head.is_empty() || head.contains("content-length: 0");
        assert!(head.contains("nosniff") || bare, "{path}: {head}");
    }
    // Values that come back must not bring lines of their own.
    for origin in [
        "https://a\r\n\tset-cookie: a=b",
        "https://a\rset-cookie: a=b",
        "https://a\nset-cookie: a=b",
    ] {
        let ask = format!(
            "GET /api/v1/me HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\nconnection: close\r\n\r\n"
        );
        let (_, text) = send(open_to_all.address(), ask.as_bytes());
        assert!(!text.contains("\nset-cookie"), "{text}");
    }
    served(at);
}

#[test]
fn a_name_that_is_not_expected_is_sent_away() {
    let folder = tempfile::tempdir().unwrap();
    let settings = HttpSettings {
        names: vec!["broker.example.org".into()],
        allow_remote: true,
        ..with(16)
    };
    let port = open_as(folder.path(), settings);
    let ask = |host: &str| {
        let request = format!("GET /metrics HTTP/1.1\r\n{host}connection: close\r\n\r\n");
        send(port.address(), request.as_bytes()).0
    };
    assert_eq!(ask("host: broker.example.org\r\n"), 200);
    assert_eq!(ask("host: 127.0.0.1:80\r\n"), 200);
    assert_eq!(ask("host: evil.example.org\r\n"), 421);
    assert_eq!(ask("host: broker.example.org.evil.org\r\n"), 421);
    assert_eq!(ask("host: evil.org\r\nhost: localhost\r\n"), 421);
}

#[test]
fn script_in_a_filter_comes_back_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), with(16));
    let url = port.session_url().unwrap();
    let token = url.split_once("#token=").unwrap().1;
    let script = "<script>alert(1)</script>";
    let text =
        format!("-- title: {script}\nSELECT object_id FROM alerts WHERE reliability > 0.5\n");
    let body = serde_json::json!({"text": text, "note": script}).to_string();
    let put = |name: &str| {
        let request = format!(
            "PUT /api/v1/filters/{name} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        send(port.address(), request.as_bytes())
    };
    let (status, answer) = put("mine");
    assert_eq!(status, 201, "{answer}");
    let (status, refused) = put("%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    assert!((400..500).contains(&status), "{refused}");
    let ask = "GET /api/v1/filters/mine HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\nconnection: close\r\n\r\n";
    let (status, found) = send(port.address(), ask.as_bytes());
    assert!(status == 200 && found.contains(script), "{found}");
    for text in [answer, refused, found] {
        let head = text.split_once("\r\n\r\n").unwrap().0.to_lowercase();
        assert!(
            head.contains("json") && !head.contains("text/html"),
            "{head}"
        );
        assert!(
            head.contains("nosniff") && head.contains("default-src 'none'"),
            "{head}"
        );
    }
}
