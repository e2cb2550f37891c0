//! A `pitt` with a port in a process of its own, and the client that asks it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::client::{Answer, ask};
use super::{pitt, token, until};

/// A process with a port; ended when dropped, as a kill does.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The token of requests.
    pub(crate) token: Option<String>,
    /// What it says to people.
    told: PathBuf,
}

impl Running {
    /// Starts `pitt run` or `pitt serve` on a free port; the words must not name one.
    pub(crate) fn start(dir: &Path, words: &[&str]) -> Self {
        Self::start_with(dir, words, &[])
    }

    /// The same with further settings from the environment.
    pub(crate) fn start_with(dir: &Path, words: &[&str], settings: &[(&str, &str)]) -> Self {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let log = format!("{}-{}", words[0], STARTED.fetch_add(1, Ordering::Relaxed));
        let (printed, told) = (
            dir.join(format!("{log}.out")),
            dir.join(format!("{log}.err")),
        );
        let mut child = pitt(dir)
            .args(words)
            .env("PITT_HTTP_LISTEN", "127.0.0.1:0")
            .env("PITT_COMMIT_EVERY_S", "0.3")
            .env("PITT_HTTP_REQUESTS_PER_S", "0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(File::create(&printed).unwrap())
            .stderr(File::create(&told).unwrap())
            .spawn()
            .unwrap();
        let (address, token) = until("its port is open", || {
            assert!(child.try_wait().unwrap().is_none(), "pitt {words:?} ended");
            match words[0] {
                "serve" => printed_address(&printed),
                _ => Some((address_of(&archive(dir, words), child.id())?, None)),
            }
        });
        Self {
            child,
            address,
            token,
            told,
        }
    }

    /// `pitt serve`, with the token that it prints.
    pub(crate) fn serve(dir: &Path, more: &[&str]) -> Self {
        let running = Self::start(dir, &[&["serve"], more].concat());
        assert!(running.token.is_some(), "`pitt serve` prints a token");
        running
    }

    /// `pitt run` into an archive that is not there yet, with a token of its own.
    pub(crate) fn run(dir: &Path, archive: &str, more: &[&str]) -> Self {
        let words = [&["run", "--archive", archive], more].concat();
        let mut running = Self::start(dir, &words);
        running.token = Some(token(&dir.join(archive), "anna", "write"));
        running
    }

    /// Kills it, as a crash would.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Ends it as Ctrl-C does, and gives what it said.
    pub(crate) fn end(mut self) -> String {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(asked.success());
        let ended = self.child.wait().unwrap();
        let told = std::fs::read_to_string(&self.told).unwrap();
        assert!(ended.success(), "{told}");
        told
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &Value::Null)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, body)
    }

    /// Asks for a path under `/api/v1/` with the token.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let what = format!("{method} /api/v1/{path}");
        ask(self.address, &what, self.token.as_deref(), body)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The archive that the words name, or the usual one.
fn archive(dir: &Path, words: &[&str]) -> PathBuf {
    let named = words.iter().position(|word| *word == "--archive");
    dir.join(named.map_or("pitt-data", |at| words[at + 1]))
}

/// Where a broker listens, by its status document.
fn address_of(archive: &Path, process: u32) -> Option<SocketAddr> {
    let documents = std::fs::read_dir(archive.join("status")).ok()?;
    documents.flatten().find_map(|entry| {
        let text = std::fs::read(entry.path()).ok()?;
        let status: Value = serde_json::from_slice(&text).ok()?;
        let own = status["pid"] == process;
        let url = status["url"].as_str().filter(|_| own)?;
        url.strip_prefix("http://")?.parse().ok()
    })
}

/// Where `pitt serve` says that it listens, once the line is whole, and the token of its session.
fn printed_address(printed: &Path) -> Option<(SocketAddr, Option<String>)> {
    let said = std::fs::read_to_string(printed).ok()?;
    let (_, url) = said.split_once("http://")?;
    let (url, _) = url.split_once('\n')?;
    let (address, token) = url.trim_end().split_once("/#token=")?;
    Some((address.parse().ok()?, Some(token.to_owned())))
}
