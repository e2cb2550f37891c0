//! A receiver of webhooks on a free port of this machine, that answers as a test wishes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use ring::digest::{SHA256, digest};
use serde_json::Value;

/// What a receiver was sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parcel {
    pub(crate) id: String,
    pub(crate) timestamp: String,
    pub(crate) signature: String,
    pub(crate) body: String,
    /// What it was answered.
    pub(crate) status: u16,
}

impl Parcel {
    /// Places of its matches.
    pub(crate) fn cursors(&self) -> Vec<String> {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        let rows = body["matches"].as_array().unwrap().iter();
        rows.map(|row| row["cursor"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Status and further header lines, for the `n`-th request.
type Answers = dyn Fn(usize) -> (u16, String) + Send + Sync;

pub(crate) struct Receiver {
    address: SocketAddr,
    parcels: Arc<Mutex<Vec<Parcel>>>,
}

impl Receiver {
    /// Takes everything.
    pub(crate) fn open() -> Self {
        Self::answering(|_| (200, String::new()))
    }

    pub(crate) fn answering(
        answers: impl Fn(usize) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let parcels = Arc::<Mutex<Vec<Parcel>>>::default();
        let (own, answers) = (parcels.clone(), Arc::new(answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (parcels, answers) = (own.clone(), answers.clone());
                std::thread::spawn(move || serve(stream, &parcels, &*answers));
            }
        });
        Self { address, parcels }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?key=hidden", self.address)
    }

    /// All that came.
    pub(crate) fn parcels(&self) -> Vec<Parcel> {
        self.parcels.lock().unwrap().clone()
    }

    /// What it took, in the order it came; the same batch again counts once, as receivers are told to do.
    pub(crate) fn taken(&self) -> Vec<String> {
        let mut seen = std::collections::BTreeSet::new();
        let parcels = self.parcels().into_iter();
        let new = parcels.filter(|parcel| parcel.status < 300 && seen.insert(parcel.id.clone()));
        new.flat_map(|parcel| parcel.cursors()).collect()
    }

    /// Waits until so many matches were taken.
    pub(crate) fn wait(&self, matches: usize) {
        let what = format!("{matches} matches are taken");
        until(&what, || self.taken().len() >= matches);
    }

    /// Every request is signed with the secret, and a batch never changes under its id.
    pub(crate) fn assert_signed(&self, secret: &str) {
        let mut bodies = std::collections::BTreeMap::new();
        for parcel in self.parcels() {
            let signed = format!("{}.{}", parcel.timestamp, parcel.body);
            let expected = hmac_sha256(secret.as_bytes(), signed.as_bytes());
            assert_eq!(parcel.signature, format!("v1={expected}"));
            let first = bodies.entry(parcel.id).or_insert(parcel.body.clone());
            assert_eq!(*first, parcel.body);
        }
    }
}

fn serve(stream: TcpStream, parcels: &Mutex<Vec<Parcel>>, answers: &Answers) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut lines = vec![];
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let header = |name: &str| {
        let found = lines.iter().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        });
        found.unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    assert_eq!(header("content-type"), "application/json");
    let mut parcel = Parcel {
        id: header("x-pitt-id"),
        timestamp: header("x-pitt-timestamp"),
        signature: header("x-pitt-signature"),
        body: String::from_utf8(body).ok()?,
        status: 0,
    };
    let number = {
        let mut all = parcels.lock().unwrap();
        all.push(parcel.clone());
        all.len() - 1
    };
    let (status, more) = answers(number);
    parcel.status = status;
    parcels.lock().unwrap()[number] = parcel;
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\n{more}content-length: 2\r\nconnection: close\r\n\r\nok"
    )
    .ok()
}

/// HMAC by its definition (RFC 2104), from the digest alone: not the way the program computes it.
fn hmac_sha256(key: &[u8], text: &[u8]) -> String {
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key);
    let with = |pad: u8, rest: &[u8]| {
        let mut bytes: Vec<u8> = block.iter().map(|byte| byte ^ pad).collect();
        bytes.extend_from_slice(rest);
        digest(&SHA256, &bytes)
    };
    let outer = with(0x5c, with(0x36, text).as_ref());
    outer
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Waits until something is so.
pub(crate) fn until(what: &str, is: impl Fn() -> bool) {
    crate::until(what, || is().then_some(()));
}
