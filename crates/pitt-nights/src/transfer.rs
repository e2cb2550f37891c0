//! Bringing one tarball here: in the background, resumed where it broke off, verified at the end.

mod worker;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checksums::Md5;
use crate::client::Client;
use crate::error::NightsError;
use crate::growing::Growing;
use crate::listing::Release;
use worker::Worker;

/// How far a transfer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes here, with those of earlier runs.
    pub here: u64,
    /// Bytes of the whole file, once known.
    pub total: Option<u64>,
    /// Bytes that this run has fetched.
    pub fetched: u64,
    /// What it waits for, when it does not fetch: `again in 4 s: connection reset`.
    pub trouble: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) here: u64,
    total: Option<u64>,
    fetched: u64,
    trouble: Option<String>,
    pub(crate) outcome: Option<Result<Md5, NightsError>>,
}

/// What the transfer and its readers share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        most: Duration,
    ) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// One tarball on its way into a file.
#[derive(Debug)]
pub struct Transfer {
    shared: Arc<Shared>,
    file: PathBuf,
    thread: Option<JoinHandle<()>>,
}

/// Beside the file: what is being fetched into it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    url: String,
    version: Option<String>,
}

impl Transfer {
    /// Fetches into `file`, in a thread of its own. What an earlier run has left there of the same release is kept.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn start(client: Client, release: Release, file: PathBuf) -> Result<Self, NightsError> {
        let shared = Arc::new(Shared::default());
        let mut worker = Worker::open(client, release, file.clone(), shared.clone())?;
        let thread = std::thread::spawn(move || {
            let outcome = worker.run();
            worker.shared.change(|state| state.outcome = Some(outcome));
        });
        Ok(Self {
            shared,
            file,
            thread: Some(thread),
        })
    }

    /// A reader of the file from its beginning, which waits for what is not here yet.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn reader(&self) -> Result<Growing, NightsError> {
        let file = File::open(&self.file).map_err(NightsError::disk(&self.file))?;
        Ok(Growing::new(file, self.shared.clone()))
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let state = self.shared.state();
        Progress {
            here: state.here,
            total: state.total,
            fetched: state.fetched,
            trouble: state.trouble.clone(),
        }
    }

    /// Whether it has ended, well or not.
    pub fn ended(&self) -> bool {
        self.shared.state().outcome.is_some()
    }

    /// Asks it to stop. What is here stays for the next time.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }

    /// Waits for the end; gives the checksum of the file, which is the listed one if there is one.
    ///
    /// # Errors
    /// What ended it. After [`NightsError::WrongChecksum`] the file is set aside.
    pub fn finish(mut self) -> Result<Md5, NightsError> {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let outcome = self.shared.state().outcome.take();
        outcome.unwrap_or(Err(NightsError::Stopped))
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn note_path(file: &Path) -> PathBuf {
    with_ending(file, "json")
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
