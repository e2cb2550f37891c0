//! Who may ask what: tokens, scopes, pages elsewhere, and how often.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use pitt::config::{HttpSettings, ReadAccess};
use pitt::http::Port;
use serde_json::Value;

use super::port::{PATIENCE, open_as, send};
use super::{bad, good, json};

/// The text of a new token in the archive that is the folder itself.
fn token(folder: &Path, more: &[&str]) -> String {
    let made = json(
        folder,
        &[
            &["token", "create", "anna", "--json", "--archive", "."],
            more,
        ]
        .concat(),
    );
    made["token"].as_str().unwrap().to_owned()
}

/// Status, head and body of a request with these further header lines.
fn ask(at: SocketAddr, what: &str, lines: &[&str]) -> (u16, String, String) {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!("{what} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}\r\n");
    let (status, text) = send(at, request.as_bytes());
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (status, head.to_lowercase(), body.to_owned())
}

fn status(port: &Port, what: &str, lines: &[&str]) -> u16 {
    ask(port.address(), what, lines).0
}

fn me(port: &Port, lines: &[&str]) -> Value {
    let (status, _, body) = ask(port.address(), "GET /api/v1/me", lines);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

/// Asks again until the status is this one.
fn becomes(port: &Port, lines: &[&str], expected: u16) {
    let begin = Instant::now();
    while status(port, "GET /api/v1/me", lines) != expected {
        assert!(begin.elapsed() < PATIENCE, "never became {expected}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

const WRITE: &str = "PUT /api/v1/filters/mine";

#[test]
fn writing_takes_a_token_with_scope_write() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), HttpSettings::default());
    let reader = bearer(&token(folder.path(), &[]));
    let writer = token(folder.path(), &["--scope", "write", "--expires", "1"]);
    becomes(&port, &[&reader], 200);
    let (refused, head, body) = ask(port.address(), WRITE, &[]);
    assert_eq!(refused, 401, "{body}");
    assert!(head.contains("www-authenticate: bearer"), "{head}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["code"], "needs_token");
    assert_eq!(problem["type"], "/docs/errors#needs_token");
    assert_eq!(status(&port, WRITE, &[&reader]), 403);
    for scheme in ["Bearer", "bearer", "Token"] {
        let writer = format!("authorization: {scheme} {writer}");
        let passed = status(&port, WRITE, &[&writer]);
        assert!(![401, 403, 429].contains(&passed), "{scheme}: {passed}");
    }
    for foreign in [
        "authorization: Token token",
        "authorization: Basic YTpi",
        "authorization: x",
    ] {
        assert_eq!(status(&port, "GET /metrics", &[foreign]), 200, "{foreign}");
        assert_eq!(status(&port, WRITE, &[foreign]), 401, "{foreign}");
    }
    let elsewhere = [
        format!("cookie: token={writer}"),
        format!("x-token: {writer}"),
    ];
    for line in &elsewhere {
        assert_eq!(status(&port, WRITE, &[line]), 401, "{line}");
    }
    assert_eq!(status(&port, &format!("{WRITE}?token={writer}"), &[]), 401);
    assert_eq!(
        me(&port, &[&bearer(&writer)]),
        serde_json::json!({"name": "anna", "scopes": ["read", "write"], "read": "open", "sky_images": true})
    );
    assert_eq!(
        me(&port, &[]),
        serde_json::json!({"name": null, "scopes": ["read"], "read": "open", "sky_images": true})
    );
}

#[test]
fn every_method_that_can_write_is_closed_wherever_it_knocks() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), HttpSettings::default());
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW", "post"] {
        for path in [
            "/",
            "/healthz",
            "/api/v1/new",
            "/api/v1/filters/a/activate",
            "/nothing",
        ] {
            let found = status(&port, &format!("{method} {path}"), &[]);
            assert_eq!(found, 401, "{method} {path}");
        }
    }
}

/// Every operation of the OpenAPI document: method, path with something in its parts, and whether the path has a GET too.
fn operations() -> Vec<(String, String, bool)> {
    let document = serde_json::to_value(pitt::http::api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let of_path = |(path, item): (String, Value)| {
        let item = item.as_object().unwrap().clone();
        let id = |method: &str| item.get(method)?["operationId"].as_str();
        // The same question by GET and POST; another operation has an id of its own.
        let asked = id("get").map(|id| format!("{id}_post"));
        let twin = asked.is_some() && asked.as_deref() == id("post");
        let parts = path.split('/').map(|part| match part.starts_with('{') {
            true => "1",
            false => part,
        });
        let path = parts.collect::<Vec<_>>().join("/");
        let known = ["get", "post", "put", "delete", "patch"];
        let methods = item.into_iter().map(|(method, _)| method);
        let methods = methods.filter(move |method| known.contains(&method.as_str()));
        methods.map(move |method| (method.to_uppercase(), path.clone(), twin))
    };
    paths.into_iter().flat_map(of_path).collect()
}

#[test]
fn no_operation_of_the_document_writes_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), HttpSettings::default());
    let reader = bearer(&token(folder.path(), &[]));
    becomes(&port, &[&reader], 200);
    let (mut writing, mut reading) = (0, 0);
    for (method, path, twin) in operations() {
        let what = format!("{method} {path}");
        if method == "GET" {
            continue;
        }
        let found = status(&port, &what, &[]);
        if method == "POST" && twin {
            assert!(![401, 403].contains(&found), "{what}: {found}");
            reading += 1;
        } else {
            assert_eq!(found, 401, "{what}");
            let with_token = status(&port, &what, &[&reader]);
            // What changes nothing but one's own takes any token.
            match path.starts_with("/api/v1/replays") {
                true => assert!(![401, 403].contains(&with_token), "{what}: {with_token}"),
                false => assert_eq!(with_token, 403, "{what}"),
            }
            writing += 1;
        }
    }
    assert!(
        writing >= 4 && reading >= 20,
        "{writing} write, {reading} ask"
    );
}

#[test]
fn no_operation_of_the_document_reads_without_a_token_where_reading_takes_one() {
    let folder = tempfile::tempdir().unwrap();
    let settings = HttpSettings {
        read: ReadAccess::Token,
        ..HttpSettings::default()
    };
    let port = open_as(folder.path(), settings);
    for (method, path, _) in operations() {
        let expected = if path == "/api/v1/me" { 200 } else { 401 };
        let what = format!("{method} {path}");
        assert_eq!(status(&port, &what, &[]), expected, "{what}");
    }
}

#[test]
fn reading_by_token_leaves_only_health_the_pages_and_me_open() {
    let folder = tempfile::tempdir().unwrap();
    let settings = HttpSettings {
        read: ReadAccess::Token,
        ..HttpSettings::default()
    };
    let port = open_as(folder.path(), settings);
    let reader = bearer(&token(folder.path(), &["--scope", "read"]));
    becomes(&port, &[&reader], 200);
    for path in [
        "/metrics",
        "/subjects",
        "/schemas/ids/1200",
        "/api/v1/alerts",
        "/api/v1/new",
        "/status.json",
        "/vo/conesearch",
        "/lasair/api/object/",
    ] {
        let ask = format!("GET {path}");
        assert_eq!(status(&port, &ask, &[]), 401, "{path}");
        assert_ne!(status(&port, &ask, &[&reader]), 401, "{path}");
        assert_eq!(status(&port, &format!("HEAD {path}"), &[]), 401, "{path}");
    }
    for path in ["/", "/healthz", "/api/v1/me"] {
        assert_eq!(status(&port, &format!("GET {path}"), &[]), 200, "{path}");
    }
    assert_eq!(me(&port, &[])["scopes"], serde_json::json!([]));
    assert_eq!(status(&port, "GET /metrics", &[&reader]), 200);
    // What is open to all does not say where on this machine the archive is.
    let place = folder
        .path()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    for path in ["/", "/healthz", "/api/v1/me", "/nothing"] {
        let (_, head, body) = ask(port.address(), &format!("GET {path}"), &[]);
        assert!(
            !head.contains(&place) && !body.contains(&place),
            "{path}: {body}"
        );
    }
}

#[test]
fn a_token_ends_within_a_second_of_being_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), HttpSettings::default());
    let text = token(folder.path(), &["--scope", "write"]);
    let line = bearer(&text);
    becomes(&port, &[&line], 200);
    let id = text.split('_').nth(1).unwrap();
    good(folder.path(), &["token", "revoke", id, "--archive", "."]);
    becomes(&port, &[&line], 401);
    let (_, _, body) = ask(port.address(), "GET /api/v1/me", &[&line]);
    assert!(body.contains("this token is revoked"), "{body}");
    let expired = bearer(&token(folder.path(), &["--expires", "0.00001"]));
    becomes(&port, &[&expired], 401);
    let listed = json(
        folder.path(),
        &["token", "list", "--json", "--archive", "."],
    );
    assert_eq!(listed[0]["standing"], "revoked");
    assert!(!listed.to_string().contains("argon2"), "{listed}");
    let kept = std::fs::read_to_string(folder.path().join("tokens.json")).unwrap();
    assert!(
        !kept.contains(&text) && kept.contains("$argon2id$"),
        "{kept}"
    );
}

#[test]
fn the_token_of_a_run_is_for_this_machine_and_this_run() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), HttpSettings::default());
    let other = open_as(folder.path(), HttpSettings::default());
    let url = port.session_url().unwrap();
    let (page, text) = url.split_once("/#token=").unwrap();
    assert_eq!(page, port.url());
    let line = bearer(text);
    assert_eq!(
        me(&port, &[&line])["scopes"],
        serde_json::json!(["read", "write", "admin"])
    );
    assert!(![401, 403].contains(&status(&port, WRITE, &[&line])));
    assert_eq!(status(&other, WRITE, &[&line]), 401, "another run's");
}

#[test]
fn survey_images_are_shown_in_a_frame_that_has_nothing_of_ours_or_not_at_all() {
    for sky_images in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let settings = HttpSettings {
            sky_images,
            ..HttpSettings::default()
        };
        let port = open_as(folder.path(), settings);
        assert_eq!(me(&port, &[])["sky_images"], sky_images);
        let html = "accept: text/html";
        let (status, viewer, document) = ask(port.address(), "GET /sky", &[html]);
        if status == 404 {
            eprintln!("skipped: built without pages");
            return;
        }
        let has = |head: &str, text: &str| assert_eq!(head.contains(text), sky_images, "{head}");
        has(&viewer, "sandbox allow-scripts");
        has(&viewer, "x-frame-options: sameorigin");
        has(&viewer, "https://aladin.cds.unistra.fr/");
        let (_, page, _) = ask(port.address(), "GET /", &[html]);
        has(&page, "frame-src 'self'");
        assert!(
            page.contains("x-frame-options: deny") && !page.contains("cds"),
            "{page}"
        );
        let script = document.split("src=\"").nth(1).unwrap();
        let script = format!("GET {}", script.split('"').next().unwrap());
        let (status, file, _) = ask(port.address(), &script, &["origin: null"]);
        assert_eq!(status, 200, "{script}");
        has(&file, "access-control-allow-origin: *");
        let (_, answer, _) = ask(port.address(), "GET /api/v1/me", &["origin: null"]);
        assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    }
}

#[test]
fn pages_elsewhere_cannot_write_or_make_work_unless_they_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let settings = HttpSettings {
        cors_origins: vec!["https://good.org".into()],
        ..HttpSettings::default()
    };
    let port = open_as(folder.path(), settings);
    let url = port.session_url().unwrap();
    let token = bearer(url.split_once("#token=").unwrap().1);
    let evil = [
        "origin: https://evil.org",
        "origin: null",
        "sec-fetch-site: cross-site",
    ];
    for line in evil {
        for write in [WRITE, "POST /api/v1/me"] {
            assert_eq!(status(&port, write, &[line, &token]), 403, "{write} {line}");
            assert_eq!(status(&port, write, &[line]), 403, "{write} {line}");
        }
        let (read, head, _) = ask(port.address(), "GET /api/v1/me", &[line]);
        assert_eq!(read, 200, "{line}");
        assert!(!head.contains("access-control-allow-origin"), "{head}");
    }
    let preflight = [
        "access-control-request-method: PUT",
        "access-control-request-headers: authorization",
    ];
    let ask_first = |origin: &str| {
        ask(
            port.address(),
            "OPTIONS /api/v1/filters/mine",
            &[origin, preflight[0], preflight[1]],
        )
    };
    assert_eq!(ask_first("origin: https://evil.org").0, 403);
    let (told, head, _) = ask_first("origin: https://good.org");
    assert_eq!(told, 204);
    for part in [
        "access-control-allow-origin: https://good.org",
        "put",
        "authorization",
    ] {
        assert!(head.contains(part), "{part}: {head}");
    }
    assert!(!head.contains("allow-credentials"), "{head}");
    let (_, head, _) = ask(
        port.address(),
        "GET /api/v1/me",
        &["origin: https://good.org"],
    );
    for part in ["x-next-cursor", "x-truncated", "x-chunk", "retry-after"] {
        assert!(head.contains(part), "a page may read {part}: {head}");
    }
    let passed = status(&port, WRITE, &["origin: https://good.org", &token]);
    assert!(![401, 403].contains(&passed), "{passed}");
    let own = format!("origin: http://localhost:{}", port.address().port());
    let host = format!("localhost:{}", port.address().port());
    let request = format!(
        "POST /api/v1/me HTTP/1.1\r\nhost: {host}\r\n{own}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        send(port.address(), request.as_bytes()).0,
        200,
        "our own page"
    );
}

#[test]
fn who_guesses_waits_and_who_has_a_token_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), HttpSettings::default());
    let text = token(folder.path(), &[]);
    becomes(&port, &[&bearer(&text)], 200);
    let id = text.split('_').nth(1).unwrap();
    let mut seen = vec![];
    for number in 0..12 {
        let guess = bearer(&format!("pitt_{id}_{number:043}"));
        let (status, head, _) = ask(port.address(), "GET /api/v1/me", &[&guess]);
        assert_eq!(status == 429, head.contains("retry-after: "), "{head}");
        seen.push(status);
    }
    assert!(
        seen.iter().all(|status| [401, 429].contains(status)),
        "{seen:?}"
    );
    assert!(seen.contains(&429), "{seen:?}");
    assert_eq!(status(&port, "GET /api/v1/me", &[&bearer(&text)]), 200);
    assert_eq!(status(&port, "GET /api/v1/me", &[]), 200);
}

#[test]
fn who_asks_too_often_is_told_when_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let settings = HttpSettings {
        requests_per_s: 0.001,
        burst: 3.0,
        ..HttpSettings::default()
    };
    let port = open_as(folder.path(), settings);
    for left in [2, 1, 0] {
        let (status, head, _) = ask(port.address(), "GET /api/v1/me", &[]);
        assert_eq!(status, 200);
        let remaining = format!("ratelimit-remaining: {left}");
        assert!(
            head.contains(&remaining) && head.contains("ratelimit-limit: 3"),
            "{head}"
        );
    }
    // Without a proxy in the settings nobody's word is taken for an address.
    let (status, head, body) = ask(
        port.address(),
        "GET /metrics",
        &["x-forwarded-for: 1.2.3.4"],
    );
    assert_eq!(status, 429, "{body}");
    for part in [
        "retry-after: ",
        "ratelimit-remaining: 0",
        "ratelimit-reset: ",
    ] {
        assert!(head.contains(part), "{part}: {head}");
    }
    assert!(body.contains("\"code\":\"rate_limited\""), "{body}");
    assert_eq!(
        ask(port.address(), "GET /healthz", &[]).0,
        200,
        "a monitor is not counted"
    );
    let url = port.session_url().unwrap();
    let token = bearer(url.split_once("#token=").unwrap().1);
    assert_eq!(
        ask(port.address(), "GET /metrics", &[&token]).0,
        200,
        "a token counts for itself"
    );
}

#[test]
fn behind_a_proxy_each_client_has_its_own_limit() {
    let folder = tempfile::tempdir().unwrap();
    let settings = HttpSettings {
        behind_proxy: true,
        requests_per_s: 0.001,
        burst: 1.0,
        ..HttpSettings::default()
    };
    let port = open_as(folder.path(), settings);
    let from = |address: &str| {
        let line = format!("x-forwarded-for: 6.6.6.6, {address}");
        status(&port, "GET /metrics", &[&line])
    };
    assert_eq!(
        [from("1.1.1.1"), from("1.1.1.1"), from("2.2.2.2")],
        [200, 429, 200]
    );
    let request = b"GET /healthz HTTP/1.1\r\nhost: broker.example.org\r\nconnection: close\r\n\r\n";
    assert_eq!(send(port.address(), request).0, 200, "the proxy's name");
}

#[test]
fn every_answer_has_the_headers_that_bind_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), HttpSettings::default());
    let always = [
        "x-content-type-options: nosniff",
        "content-security-policy: default-src '",
        "frame-ancestors 'none'",
        "referrer-policy: no-referrer",
        "permissions-policy: ",
        "cross-origin-resource-policy: same-origin",
    ];
    for what in [
        "GET /",
        "GET /metrics",
        "GET /nothing.js",
        "PUT /x",
        "BREW /",
        "GET /api/v1/none",
    ] {
        let (_, head, _) = ask(port.address(), what, &["accept: text/html"]);
        for part in always {
            assert!(head.contains(part), "{what}: {part}: {head}");
        }
        assert!(
            !head.contains("strict-transport-security"),
            "{what}: no TLS here"
        );
        assert!(!head.contains("set-cookie"), "{what}");
    }
}

#[test]
fn what_no_handler_answers_is_a_problem_too() {
    let folder = tempfile::tempdir().unwrap();
    let port = open_as(folder.path(), HttpSettings::default());
    let url = port.session_url().unwrap();
    let token = bearer(url.split_once("#token=").unwrap().1);
    for (what, status, code) in [
        ("GET /api/v1/none", 404, "unknown_path"),
        ("GET /nothing.js", 404, "unknown_path"),
        ("GET /api/v1/objects/%ff", 400, "bad_path"),
        ("GET /api/v1/nights/%ff/sky", 400, "bad_path"),
        ("GET /api/v1/filters/a/versions/%ff", 400, "bad_path"),
        ("PUT /api/v1/alerts", 405, "method_not_allowed"),
        ("GET /api/v1/filters/a/pause", 405, "method_not_allowed"),
        ("DELETE /api/v1/sql", 405, "method_not_allowed"),
        ("BREW /api/v1/alerts", 405, "method_not_allowed"),
        ("GET /api/v1/nights?nihgt=1", 400, "unknown_parameter"),
        (
            "GET /api/v1/statistics?output-format=csv",
            400,
            "unknown_parameter",
        ),
    ] {
        let (found, head, body) = ask(port.address(), what, &[&token]);
        assert_eq!(found, status, "{what}: {body}");
        assert!(
            head.contains("content-type: application/problem+json"),
            "{what}: {head}"
        );
        assert_eq!(head.contains("\nallow: "), status == 405, "{what}: {head}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["code"], code, "{what}: {body}");
        assert_eq!(problem["status"], status, "{what}: {body}");
        for part in ["type", "title", "detail", "hint"] {
            assert!(
                problem[part].as_str().is_some_and(|text| !text.is_empty()),
                "{what}: {part}: {body}"
            );
        }
    }
    let (found, head, _) = ask(port.address(), "OPTIONS /api/v1/alerts", &[]);
    assert!(
        found == 204 && head.contains("allow: get,head,post"),
        "{found}: {head}"
    );
    let (found, _, body) = ask(port.address(), "HEAD /api/v1/none", &[]);
    assert_eq!((found, body.as_str()), (404, ""));
}

#[test]
fn what_is_wrong_with_a_token_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (code, error) = bad(at, &["token", "list"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(error, @r#"error: there is no archive in `pitt-data` (name one with --archive)"#);
    let (code, error) = bad(at, &["token", "create", "me", "--expires", "0"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error, @r#"error: --expires is 0, expected days, above 0 and up to 36500"#);
    let (code, error) = bad(at, &["token", "create", " "]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error, @r#"error: NAME is " ", expected 1 to 100 letters, digits or signs"#);
    good(at, &["token", "create", "me"]);
    let (code, error) = bad(at, &["token", "revoke", "abc"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(error, @r#"error: there is no token `abc` in `pitt-data/tokens.json` (`pitt token list` shows them)"#);
    std::fs::write(at.join("pitt-data/tokens.json"), "{}").unwrap();
    let (_, error) = bad(at, &["token", "create", "me"]);
    insta::assert_snapshot!(error, @r#"error: `pitt-data/tokens.json` is no file of tokens: missing field `format` at line 1 column 2 (a newer pitt may have written it; moved away, all tokens are gone)"#);
}

#[test]
fn wrong_settings_of_the_port_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = |text: &str| {
        std::fs::write(folder.path().join("pitt.toml"), format!("[http]\n{text}\n")).unwrap();
        bad(folder.path(), &["run", "--from", "."]).1
    };
    let said = [
        "read = \"everybody\"",
        "tls_cert = \"a.pem\"",
        "cors_origins = [\"example.org\"]",
        "burst = 0",
    ]
    .map(wrong);
    insta::assert_snapshot!(said.concat(), @r#"
    error: pitt.toml, line 2: `http.read` is "everybody", expected "open" or "token"
    error: default: `http.tls_key` is "", expected the private key of `http.tls_cert`; both or neither
    error: pitt.toml, line 2: `http.cors_origins` is ["example.org"], expected origins such as https://example.org, without a path, or "*"
    error: pitt.toml, line 2: `http.burst` is 0.0, expected 1 to 1000000
    "#);
}
