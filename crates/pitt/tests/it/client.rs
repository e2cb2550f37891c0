//! A small client of the port: one request, the whole answer.

use std::io::{Read, Write};
use std::net::SocketAddr;

use serde_json::Value;

use super::port::connect;

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

    /// Status and JSON; `null` where the answer has no body.
    pub(crate) fn told(&self) -> (u16, Value) {
        let body = (!self.body.is_empty()).then(|| self.json());
        (self.status, body.unwrap_or_default())
    }

    /// The body of a request that went well, as JSON.
    pub(crate) fn good(&self) -> Value {
        let told = String::from_utf8_lossy(&self.body);
        assert!((200..300).contains(&self.status), "{}: {told}", self.status);
        self.json()
    }
}

/// Sends a request on a connection of its own and waits for the whole answer.
///
/// `what` is the method and the path; a body of `null` is none.
pub(crate) fn ask(at: SocketAddr, what: &str, token: Option<&str>, body: &Value) -> Answer {
    let token = token.map_or_else(String::new, |token| {
        format!("authorization: Bearer {token}\r\n")
    });
    ask_with(at, what, &token, body)
}

/// The same with these headers, each ended by `\r\n`.
pub(crate) fn ask_with(at: SocketAddr, what: &str, headers: &str, body: &Value) -> Answer {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let mut stream = connect(at);
    write!(
        stream,
        "{what} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut bytes = vec![];
    stream.read_to_end(&mut bytes).unwrap();
    parse(&bytes)
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
