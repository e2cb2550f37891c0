//! The thread of a transfer: connects, resumes, writes, verifies.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use md5::Digest;

use super::{Note, Shared, note_path, with_ending};
use crate::checksums::Md5;
use crate::client::{Answer, Client, refused};
use crate::error::NightsError;
use crate::listing::Release;

/// Bytes read from the network at a time.
const CHUNK: usize = 256 << 10;
/// Chunks that may wait between network and disk.
const QUEUE: usize = 16;

/// How one connection ended.
enum Ended {
    /// The file is whole.
    Whole,
    /// It broke off, and why.
    Broke(String),
}

pub(super) struct Worker {
    client: Client,
    release: Release,
    path: PathBuf,
    file: File,
    hash: md5::Md5,
    here: u64,
    version: Option<String>,
    pub(super) shared: Arc<Shared>,
}

impl Worker {
    pub(super) fn open(
        client: Client,
        release: Release,
        path: PathBuf,
        shared: Arc<Shared>,
    ) -> Result<Self, NightsError> {
        let note = read_note(&path).filter(|note| note.url == release.url);
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(&path);
        let file = file.map_err(NightsError::disk(&path))?;
        if note.is_none() {
            file.set_len(0).map_err(NightsError::disk(&path))?;
        }
        Ok(Self {
            client,
            version: note.and_then(|note| note.version),
            release,
            path,
            file,
            hash: md5::Md5::new(),
            here: 0,
            shared,
        })
    }

    pub(super) fn run(&mut self) -> Result<Md5, NightsError> {
        self.take_in_what_is_here()?;
        let mut failed = 0;
        loop {
            let before = self.here;
            let reason = match self.connect()? {
                Ended::Whole => return self.verify(),
                Ended::Broke(reason) => reason,
            };
            failed = if self.here > before { 1 } else { failed + 1 };
            if failed >= self.client.patience.tries {
                return Err(self.given_up(failed, reason));
            }
            self.rest(self.client.patience.wait(failed), &reason)?;
        }
    }

    /// Hashes what an earlier run has left.
    fn take_in_what_is_here(&mut self) -> Result<(), NightsError> {
        let mut old = File::open(&self.path).map_err(NightsError::disk(&self.path))?;
        let mut bytes = vec![0; CHUNK];
        loop {
            self.go_on()?;
            let read = old
                .read(&mut bytes)
                .map_err(NightsError::disk(&self.path))?;
            if read == 0 {
                return Ok(());
            }
            self.hash.update(&bytes[..read]);
            self.here += read as u64;
            let here = self.here;
            self.shared.change(|state| state.here = here);
        }
    }

    fn connect(&mut self) -> Result<Ended, NightsError> {
        self.go_on()?;
        let url = self.release.url.clone();
        let answer = match self.client.get(&url, self.here) {
            Ok(answer) => answer,
            Err(reason) => return Ok(Ended::Broke(reason)),
        };
        let (skip, total) = match answer.status {
            200 => (self.here, answer.length),
            206 => {
                let (begin, whole) = answer.range.unwrap_or((self.here, None));
                if begin != self.here {
                    return Ok(Ended::Broke(format!("it sent byte {begin} on")));
                }
                (0, whole.or(answer.length.map(|length| begin + length)))
            }
            // Asked for what follows the last byte.
            416 if self.here > 0 => return Ok(self.beyond_the_end(&answer)),
            429 | 500.. => return Ok(Ended::Broke(format!("status {}", answer.status))),
            status => return Err(refused(&url, status)),
        };
        self.same_version(&answer, total)?;
        self.shared.change(|state| {
            state.total = total;
            state.trouble = None;
        });
        self.stream(answer.body, skip, total)
    }

    /// The server has nothing after what is here: the file is whole, or longer than the server's.
    fn beyond_the_end(&self, answer: &Answer) -> Ended {
        let whole = answer.range.and_then(|(_, whole)| whole);
        match whole.or(self.release.size) {
            Some(size) if size != self.here => Ended::Broke(format!("it has {size} bytes")),
            _ => Ended::Whole,
        }
    }

    /// Starts over if the server has another file now; that is too late once bytes of the old one were read.
    fn same_version(&mut self, answer: &Answer, total: Option<u64>) -> Result<(), NightsError> {
        let shrunk = total.is_some_and(|total| total < self.here);
        let other = self.version.is_some() && answer.version.is_some();
        if shrunk || (other && self.version != answer.version) {
            self.file
                .set_len(0)
                .map_err(NightsError::disk(&self.path))?;
            let _ = std::fs::remove_file(note_path(&self.path));
            return Err(NightsError::Changed {
                url: self.release.url.clone(),
            });
        }
        if self.here == 0 || self.version.is_none() {
            self.version = answer.version.clone();
            let note = Note {
                url: self.release.url.clone(),
                version: self.version.clone(),
            };
            let text = serde_json::to_string(&note).unwrap_or_default();
            let path = note_path(&self.path);
            std::fs::write(&path, text).map_err(NightsError::disk(&path))?;
        }
        Ok(())
    }

    /// Takes a body whose first `skip` bytes are here already.
    fn stream(
        &mut self,
        body: Box<dyn Read + Send>,
        mut skip: u64,
        total: Option<u64>,
    ) -> Result<Ended, NightsError> {
        let chunks = read_ahead(body);
        let mut heard = Instant::now();
        loop {
            self.go_on()?;
            let chunk = match chunks.recv_timeout(Duration::from_millis(200)) {
                Ok(Ok(chunk)) => chunk,
                Ok(Err(error)) => return Ok(Ended::Broke(error.to_string())),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout)
                    if heard.elapsed() < self.client.patience.silence =>
                {
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let silence = self.client.patience.silence.as_secs_f64();
                    return Ok(Ended::Broke(format!("nothing came for {silence} s")));
                }
            };
            heard = Instant::now();
            let known = skip.min(chunk.len() as u64);
            skip -= known;
            self.write(&chunk[usize::try_from(known).unwrap_or(chunk.len())..])?;
        }
        match total {
            Some(total) if self.here < total => Ok(Ended::Broke(format!(
                "the connection closed {} bytes before the end",
                total - self.here
            ))),
            _ => Ok(Ended::Whole),
        }
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), NightsError> {
        self.file
            .write_all(chunk)
            .map_err(NightsError::disk(&self.path))?;
        self.hash.update(chunk);
        self.here += chunk.len() as u64;
        let (here, more) = (self.here, chunk.len() as u64);
        self.shared.change(|state| {
            state.here = here;
            state.fetched += more;
        });
        Ok(())
    }

    fn verify(&mut self) -> Result<Md5, NightsError> {
        let found = Md5::finish(std::mem::take(&mut self.hash));
        match self.release.md5 {
            Some(expected) if expected != found => {
                let aside = with_ending(&self.path, "wrong-checksum");
                std::fs::rename(&self.path, &aside).map_err(NightsError::disk(&aside))?;
                let _ = std::fs::remove_file(note_path(&self.path));
                Err(NightsError::WrongChecksum {
                    url: self.release.url.clone(),
                    expected,
                    found,
                    aside,
                })
            }
            _ => Ok(found),
        }
    }

    fn given_up(&self, tries: u32, reason: String) -> NightsError {
        let url = self.release.url.clone();
        match self.here {
            0 => NightsError::Unreachable { url, reason },
            at => NightsError::BrokenOff {
                url,
                at,
                tries,
                reason,
            },
        }
    }

    /// Waits before the next try, unless somebody asks to stop.
    fn rest(&self, wait: Duration, reason: &str) -> Result<(), NightsError> {
        tracing::warn!("{}: {reason}; again in {wait:?}", self.release.url);
        let told = format!("again in {:.0} s: {reason}", wait.as_secs_f64());
        self.shared.change(|state| state.trouble = Some(told));
        let begin = Instant::now();
        while begin.elapsed() < wait {
            self.go_on()?;
            std::thread::sleep(Duration::from_millis(50).min(wait));
        }
        Ok(())
    }

    fn go_on(&self) -> Result<(), NightsError> {
        match self.shared.stopped() {
            true => Err(NightsError::Stopped),
            false => Ok(()),
        }
    }
}

/// Reads in a thread of its own, so that a server that falls silent can be left.
fn read_ahead(mut body: Box<dyn Read + Send>) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, chunks) = sync_channel(QUEUE);
    std::thread::spawn(move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match body.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let _ = sender.send(Err(error));
                    return;
                }
            };
            chunk.truncate(read);
            if sender.send(Ok(chunk)).is_err() {
                return;
            }
        }
    });
    chunks
}

fn read_note(file: &Path) -> Option<Note> {
    let text = std::fs::read_to_string(note_path(file)).ok()?;
    serde_json::from_str(&text).ok()
}
