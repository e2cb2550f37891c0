//! Packets gathered into batches for a trial.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use pitt_alert::Packet;
use pitt_archive::Replay;

use super::{Judged, Stored, Trial};
use crate::broker::DecodeAndFilter;
use crate::config::Settings;
use crate::pipeline::Stop;
use crate::source::files::{Files, FilesOptions};
use crate::source::{Outlet, SourceReport};

/// Alerts evaluated together, as the running broker does.
const BATCH: usize = 1000;

/// Packets gathered into batches, decoded, judged, and handed on.
pub(super) struct Batches<'a, F> {
    trial: &'a Trial,
    worker: DecodeAndFilter,
    each: &'a mut F,
    packets: Vec<Packet>,
    stored: Stored,
    failed: Option<anyhow::Error>,
}

impl<'a, F: FnMut(&Judged<'_>) -> Result<ControlFlow<()>>> Batches<'a, F> {
    pub(super) fn new(trial: &'a Trial, each: &'a mut F) -> Self {
        let worker = DecodeAndFilter::filters_only(trial.schemas.clone(), trial.filters.clone());
        Self {
            trial,
            worker,
            each,
            packets: vec![],
            stored: None,
            failed: None,
        }
    }

    /// Takes what an archive has of the nights that are wanted, until somebody breaks it off.
    pub(super) fn replay(
        &mut self,
        history: Replay,
        wanted: impl Fn(Option<i32>) -> bool,
        stop: &Stop,
    ) -> Result<ControlFlow<()>> {
        for replayed in history {
            let replayed = replayed?;
            if !wanted(replayed.night) {
                continue;
            }
            let at = self.packets.len();
            let stored = self.stored.get_or_insert_default();
            stored.extend(replayed.stored.iter().map(|record| (at, *record)));
            if self.packet(replayed.packet).is_break() || stop.asked() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn close(&mut self) -> ControlFlow<()> {
        let packets = std::mem::take(&mut self.packets);
        let decoded = self.worker.decode(&packets);
        let flow = (self.each)(&self.trial.judge(&decoded, &self.stored));
        if let Some(stored) = &mut self.stored {
            stored.clear();
        }
        flow.unwrap_or_else(|error| {
            self.failed = Some(error);
            ControlFlow::Break(())
        })
    }

    pub(super) fn finish(mut self) -> Result<()> {
        if self.failed.is_none() && !self.packets.is_empty() {
            let _ = self.close();
        }
        self.failed.map_or(Ok(()), Err)
    }
}

impl<F: FnMut(&Judged<'_>) -> Result<ControlFlow<()>>> Outlet for Batches<'_, F> {
    fn packet(&mut self, packet: Packet) -> ControlFlow<()> {
        self.packets.push(packet);
        if self.packets.len() < BATCH {
            ControlFlow::Continue(())
        } else {
            self.close()
        }
    }

    fn pause(&mut self, _wait: Duration) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn flush(&mut self) -> ControlFlow<()> {
        if self.packets.is_empty() {
            return ControlFlow::Continue(());
        }
        self.close()
    }
}

/// Hands out every packet of a file, tarball or folder from the beginning; its list of files is kept only as long.
///
/// # Errors
/// The path does not exist, or the list cannot be kept.
pub fn each_packet(
    settings: &Settings,
    from: &Path,
    outlet: &mut dyn Outlet,
) -> Result<SourceReport> {
    let sources = tempfile::Builder::new().prefix("pitt-").tempdir()?;
    let options = FilesOptions {
        paths: vec![PathBuf::from(from)],
        sources: sources.path().to_owned(),
        follow: None,
        max_file_bytes: settings.source.max_file_mb << 20,
    };
    Ok(Files::open(options, |_: &str| 0)?.run(outlet)?)
}
