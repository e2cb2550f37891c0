//! The thread that writes how a run is, once a second.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Telemetry;

const EVERY: Duration = Duration::from_secs(1);
/// The archive is counted every so many seconds.
const COUNT_EVERY: u32 = 10;

/// Writes `<archive>/status/<lane>.json` once a second, and a last time when it is dropped.
pub struct Reporter {
    end: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Starts to write.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn start(telemetry: Arc<Telemetry>) -> std::io::Result<Self> {
        let (end, ended) = sync_channel::<()>(0);
        let thread = std::thread::Builder::new()
            .name("pitt-status".into())
            .spawn(move || {
                let mut said = false;
                for beat in 0u32.. {
                    telemetry.tick();
                    let over =
                        beat > 0 && ended.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
                    if over || beat.is_multiple_of(COUNT_EVERY) {
                        telemetry.count_archive();
                    }
                    let written = telemetry.status().write(telemetry.archive());
                    if let Err(error) = &written
                        && !said
                    {
                        tracing::warn!("`pitt status` will not see this run: {error}");
                    }
                    said = written.is_err();
                    if over {
                        return;
                    }
                }
            })?;
        Ok(Self {
            end: Some(end),
            thread: Some(thread),
        })
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
