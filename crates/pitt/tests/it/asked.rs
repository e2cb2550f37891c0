//! Requests with a body and a token, and brokers of their own to ask.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::live::PATIENCE;
use super::{json, pitt, port};

/// Status and JSON of a request; `null` where the answer has no body.
pub(crate) fn ask(
    at: SocketAddr,
    what: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> (u16, Value) {
    let mut request = format!("{what} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    if let Some(token) = token {
        request.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    request.push_str(&format!(
        "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let (status, text) = port::send(at, request.as_bytes());
    let (_, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// The text of a new token of an archive.
pub(crate) fn token(archive: &Path, name: &str, scope: &str) -> String {
    let archive = archive.to_string_lossy();
    let made = json(
        Path::new("."),
        &[
            "token",
            "create",
            name,
            "--scope",
            scope,
            "--json",
            "--archive",
            &archive,
        ],
    );
    made["token"].as_str().unwrap().to_owned()
}

/// Waits until something is so, and gives it.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A `pitt` that serves over HTTP until it is dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Serving {
    /// Starts it; the words must not name a port.
    pub(crate) fn start(folder: &Path, words: &[&str]) -> Self {
        let log = folder.join(format!("{}-{}.log", words[0], next_number()));
        let mut child = pitt(folder)
            .args(words)
            .env("PITT_HTTP_LISTEN", "127.0.0.1:0")
            .env("PITT_COMMIT_EVERY_S", "0.3")
            .env("PITT_HTTP_REQUESTS_PER_S", "0")
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&log).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = until("its port is open", || {
            assert!(child.try_wait().unwrap().is_none(), "pitt {words:?} ended");
            address_of(folder, child.id(), &log)
        });
        Self { child, address }
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn end(mut self) {
        let id = self.child.id().to_string();
        std::process::Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

/// Where a process listens: a broker says so in its status document, `pitt serve` on its output.
fn address_of(folder: &Path, id: u32, log: &Path) -> Option<SocketAddr> {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let served = said.split("http://").nth(1);
    let served = served.and_then(|rest| rest.split(['/', '#', '\n', ' ']).next()?.parse().ok());
    served.or_else(|| {
        let documents = std::fs::read_dir(folder.join("archive/status")).ok()?;
        documents.flatten().find_map(|entry| {
            let text = std::fs::read(entry.path()).ok()?;
            let status: Value = serde_json::from_slice(&text).ok()?;
            let own = status["pid"].as_u64() == Some(id.into());
            let url = status["url"].as_str().filter(|_| own)?;
            url.strip_prefix("http://")?.parse().ok()
        })
    })
}

/// A number that no other log of this process has.
fn next_number() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
