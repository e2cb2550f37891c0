//! Clients that ask for alerts, objects and cones, each on a connection that it keeps.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Alerts whose ids, objects and positions are asked for.
const ALERTS: usize = 500;
/// Radius of a cone `[arcsec]`.
const RADIUS: u32 = 30;
const KINDS: [&str; 3] = ["alert", "object", "cone"];

/// A connection that stays open.
pub(super) struct Connection {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Self {
            stream,
            rest: vec![],
        }
    }

    /// Status and body of an answer.
    pub(super) fn get(&mut self, path: &str) -> (u16, String) {
        write!(
            self.stream,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"
        )
        .unwrap();
        let head = self.until(b"\r\n\r\n");
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let body = match length {
            Some(length) => self.take(length.parse().unwrap()),
            None => self.chunks(),
        };
        (status, String::from_utf8(body).unwrap())
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = vec![];
        loop {
            let line = String::from_utf8(self.until(b"\r\n")).unwrap();
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = self.take(length + 2);
            chunk.truncate(length);
            if length == 0 {
                return body;
            }
            body.append(&mut chunk);
        }
    }

    fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let found = self.rest.windows(end.len()).position(|part| part == end);
            if let Some(at) = found {
                return self.rest.drain(..at + end.len()).collect();
            }
            self.more();
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        while self.rest.len() < length {
            self.more();
        }
        self.rest.drain(..length).collect()
    }

    fn more(&mut self) {
        let mut part = [0; 64 << 10];
        let got = self.stream.read(&mut part).unwrap();
        assert!(got > 0, "the broker ended the connection");
        self.rest.extend_from_slice(&part[..got]);
    }
}

/// Paths to ask for, of each kind, taken from what the broker has.
pub(super) fn targets(address: SocketAddr) -> [Vec<String>; 3] {
    let (status, text) =
        Connection::open(address).get(&format!("/api/v1/alerts?limit={ALERTS}&order=oldest"));
    assert_eq!(status, 200, "{text}");
    let table: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rows = table["rows"].as_array().unwrap();
    let mut targets = [vec![], vec![], vec![]];
    for row in rows {
        let text = |name: &str| row[name].as_str().map(str::to_owned);
        let (Some(alert), Some(survey)) = (text("alert_id"), text("survey")) else {
            continue;
        };
        targets[0].push(format!("/api/v1/alerts/{alert}?survey={survey}"));
        if let Some(object) = text("object_id") {
            targets[1].push(format!("/api/v1/objects/{object}"));
        }
        let (ra, dec) = (&row["ra"], &row["dec"]);
        targets[2].push(format!(
            "/api/v1/conesearch?ra={ra}&dec={dec}&radius={RADIUS}"
        ));
    }
    assert!(
        targets.iter().all(|paths| !paths.is_empty()),
        "no alerts to ask for"
    );
    targets
}

/// Answers of one kind.
pub(super) struct Asked {
    kind: &'static str,
    /// How long each took `[s]`, ascending; from the time that it was due where requests have a rate.
    times: Vec<f64>,
    failed: usize,
    seconds: f64,
}

impl Asked {
    pub(super) fn print(&self) {
        let at = |share: f64| {
            let last = self.times.len().saturating_sub(1);
            let index = (share * self.times.len() as f64) as usize;
            self.times.get(index.min(last)).copied().unwrap_or(0.0) * 1e3
        };
        println!(
            "  {:<8}{:>6.0} answers/s  p50 {:>6.1} ms   p99 {:>6.1} ms   p99.9 {:>6.1} ms   failed {}",
            self.kind,
            self.times.len() as f64 / self.seconds,
            at(0.5),
            at(0.99),
            at(0.999),
            self.failed
        );
    }
}

/// Asks for a while from several clients, all three kinds in turn; at a rate of all together, or without a pause.
pub(super) fn ask(
    address: SocketAddr,
    targets: &[Vec<String>; 3],
    clients: usize,
    rate: Option<f64>,
    phase: Duration,
) -> Vec<Asked> {
    let pause = rate.map(|rate| Duration::from_secs_f64(clients as f64 / rate));
    let begin = Instant::now();
    let client = |number: usize| {
        let mut connection = Connection::open(address);
        let mut found: [(Vec<f64>, usize); 3] = Default::default();
        let (mut turn, mut due) = (number, begin);
        // Clients do not ask at the same instant.
        due += pause
            .unwrap_or_default()
            .mul_f64(number as f64 / clients as f64);
        while due.max(Instant::now()) < begin + phase {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let asked = if pause.is_some() { due } else { Instant::now() };
            let (kind, round) = (turn % 3, turn / 3);
            let paths = &targets[kind];
            let (status, _) = connection.get(&paths[round % paths.len()]);
            found[kind].0.push(asked.elapsed().as_secs_f64());
            found[kind].1 += usize::from(status != 200);
            turn += 1;
            due += pause.unwrap_or_default();
        }
        found
    };
    let found: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|number| scope.spawn(move || client(number)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    let seconds = begin.elapsed().as_secs_f64();
    let of_kind = |(at, kind): (usize, &'static str)| {
        let mut times: Vec<f64> = found.iter().flat_map(|found| found[at].0.clone()).collect();
        times.sort_by(f64::total_cmp);
        Asked {
            kind,
            times,
            failed: found.iter().map(|found| found[at].1).sum(),
            seconds,
        }
    };
    KINDS.into_iter().enumerate().map(of_kind).collect()
}
