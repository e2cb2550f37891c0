//! A broker or server of its own process, and a small client of its port.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::pitt;
use super::port::PATIENCE;

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The body of a request that went well, as JSON.
    pub(crate) fn good(&self) -> Value {
        let told = String::from_utf8_lossy(&self.body);
        assert!((200..300).contains(&self.status), "{}: {told}", self.status);
        self.json()
    }
}

/// A process with a port; ended when dropped.
pub(crate) struct Running {
    child: Child,
    address: SocketAddr,
    /// The token of requests.
    pub(crate) token: Option<String>,
    /// What it says to people, where that is kept.
    told: Option<PathBuf>,
}

impl Running {
    /// `pitt serve` on a free port, with the token that it prints.
    pub(crate) fn serve(dir: &Path, more: &[&str]) -> Self {
        let told = dir.join("serve.err");
        let mut child = pitt(dir)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(File::create(&told).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        printed.read_line(&mut line).unwrap();
        let (_, url) = line.trim_end().split_once("http://").unwrap();
        let (address, token) = url.split_once("/#token=").unwrap();
        Self {
            child,
            address: address.parse().unwrap(),
            token: Some(token.to_owned()),
            told: Some(told),
        }
    }

    /// `pitt run` on a free port, in an archive that is not there yet, with a token of its own.
    pub(crate) fn run(dir: &Path, archive: &str, more: &[&str]) -> Self {
        let child = pitt(dir)
            .args(["run", "--archive", archive])
            .args(more)
            .envs([
                ("PITT_HTTP_LISTEN", "127.0.0.1:0"),
                ("PITT_COMMIT_EVERY_S", "0.3"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        let url = loop {
            assert!(
                begin.elapsed() < PATIENCE,
                "the run says nowhere where its port is"
            );
            let status = pitt(dir)
                .args(["status", "--archive", archive, "--json"])
                .output()
                .unwrap();
            let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
            if let Some(url) = status["runs"][0]["url"].as_str() {
                break url.to_owned();
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        };
        let made = super::json(
            dir,
            &[
                "token",
                "create",
                "anna",
                "--scope",
                "write",
                "--json",
                "--archive",
                archive,
            ],
        );
        Self {
            child,
            address: url.trim_start_matches("http://").parse().unwrap(),
            token: made["token"].as_str().map(str::to_owned),
            told: None,
        }
    }

    /// Ends it as Ctrl-C does, and gives what it said.
    pub(crate) fn end(mut self) -> String {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(asked.success());
        assert!(self.child.wait().unwrap().success());
        let told = self.told.take();
        told.map_or_else(String::new, |file| std::fs::read_to_string(file).unwrap())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, Some(body))
    }

    /// Sends a request on a connection of its own and waits for the whole answer.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let token = self.token.iter();
        let token: String = token
            .map(|token| format!("authorization: Bearer {token}\r\n"))
            .collect();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{method} /api/v1/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{token}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut bytes = vec![];
        stream.read_to_end(&mut bytes).unwrap();
        parse(&bytes)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = &bytes[end + 4..];
    let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunked(body)
    } else {
        body.to_vec()
    };
    Answer { status, head, body }
}

/// A body that came in pieces; panics when the last one is missing.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = vec![];
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
}
