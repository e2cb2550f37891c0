//! A filter over packets that are stored or filed: what it would have taken.
//!
//! Decoded and evaluated as the running broker does, a batch at a time; nothing is written.

mod tally;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use pitt_alert::{Decoded, Origin, Packet, SchemaStore};
use pitt_archive::{Archive, Replay};
use pitt_query::{Catalogs, Disabled, Filter, FilterSet, Surveys, Verdict};

pub use tally::{NightTally, Tally};

use crate::broker::{self, DecodeAndFilter};
use crate::config::Settings;
use crate::filters::Roster;
use crate::pipeline::Stop;
use crate::source::Outlet;
use crate::source::files::{Files, FilesOptions};

/// Alerts evaluated together, as the running broker does.
const BATCH: usize = 1000;

/// Positions of packets in a batch and the records of them to count; `None` counts every record.
pub type Stored = Option<BTreeSet<(usize, u32)>>;

/// How much of the history a trial may take.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Nights, YYYYMMDD; all when there are none.
    pub nights: Vec<i32>,
    /// Most alerts.
    pub alerts: u64,
    /// Longest time.
    pub time: Duration,
    /// Who may break it off.
    pub stop: Stop,
}

/// One filter over stored or filed packets.
pub struct Trial {
    filters: Arc<Roster>,
    schemas: SchemaStore,
}

impl Trial {
    /// A trial of a filter, with the schemas to read packets by.
    ///
    /// # Errors
    /// The filter does not fit.
    pub fn new(
        filter: Filter,
        surveys: &Surveys,
        catalogs: &Catalogs,
        schemas: SchemaStore,
    ) -> Result<Self> {
        let set = broker::compile(vec![filter], surveys, catalogs)?;
        Ok(Self {
            filters: Arc::new(Roster::of(set)),
            schemas,
        })
    }

    /// The filter, compiled.
    pub fn set(&self) -> &FilterSet {
        self.filters.set()
    }

    /// Why it was switched off, if it failed.
    pub fn failed(&self) -> Option<&Disabled> {
        Some(self.set().disabled().first()?.1)
    }

    /// Every packet of a folder, a tarball or, when `from` is `archive`, the archive.
    ///
    /// # Errors
    /// Something cannot be read, or `each` fails.
    pub fn pass(
        &mut self,
        settings: &Settings,
        from: &Path,
        mut each: impl FnMut(&Self, &Decoded, &Stored) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        if from != Path::new("archive") {
            let mut batches = Batches::new(self, &mut each);
            files(settings, from, &mut batches)?;
            return batches.finish();
        }
        let archive = broker::open_archive(settings, false)?;
        self.schemas = archive.schema_store()?;
        let mut batches = Batches::new(self, &mut each);
        let _ = batches.replay(archive.replay(None)?, &Stop::default())?;
        batches.finish()
    }

    /// The newest part of an archive's history, the newest nights first; whether all of it was seen.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn newest(
        &mut self,
        archive: &Archive,
        bounds: &Bounds,
        tally: &mut Tally,
    ) -> Result<bool> {
        self.schemas = archive.schema_store()?;
        let (began, mut all) = (Instant::now(), true);
        let wanted = |night: i32| bounds.nights.is_empty() || bounds.nights.contains(&night);
        let history = archive.replay_newest(|low, high| {
            bounds.nights.is_empty() || bounds.nights.iter().any(|n| (low..=high).contains(n))
        })?;
        let mut each = |trial: &Self, decoded: &Decoded, stored: &Stored| {
            tally.add(trial, decoded, stored, wanted);
            let over = tally.alerts() >= bounds.alerts || began.elapsed() >= bounds.time;
            if over || bounds.stop.asked() {
                all = false;
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        };
        let mut batches = Batches::new(self, &mut each);
        let _ = batches.replay(history, &bounds.stop)?;
        batches.finish()?;
        Ok(all)
    }

    /// What the filter takes of a batch, rows that do not count left out, and how long it took.
    pub fn verdicts(&self, decoded: &Decoded, stored: &Stored) -> Vec<(usize, Verdict, Duration)> {
        let mut verdicts = vec![];
        for (index, batch) in decoded.batches.iter().enumerate() {
            if !batch.schema.has_common_columns() {
                continue;
            }
            let begin = Instant::now();
            let found = self.set().evaluate(&batch.survey, &batch.records);
            let took = begin.elapsed();
            let mut verdict = found.into_iter().next().unwrap_or(Verdict {
                filter: 0,
                rows: vec![],
            });
            verdict
                .rows
                .retain(|row| counts(stored, batch.origins[*row as usize]));
            verdicts.push((index, verdict, took));
        }
        verdicts
    }
}

fn counts(stored: &Stored, origin: Origin) -> bool {
    stored
        .as_ref()
        .is_none_or(|stored| stored.contains(&(origin.packet, origin.record)))
}

/// Packets gathered into batches, decoded, and handed on.
struct Batches<'a, F> {
    trial: &'a Trial,
    worker: DecodeAndFilter,
    each: &'a mut F,
    packets: Vec<Packet>,
    stored: Stored,
    failed: Option<anyhow::Error>,
}

impl<'a, F: FnMut(&Trial, &Decoded, &Stored) -> Result<ControlFlow<()>>> Batches<'a, F> {
    fn new(trial: &'a Trial, each: &'a mut F) -> Self {
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

    fn push(&mut self, packet: Packet) -> ControlFlow<()> {
        self.packets.push(packet);
        if self.packets.len() < BATCH {
            ControlFlow::Continue(())
        } else {
            self.close()
        }
    }

    /// Takes what an archive has, until somebody breaks it off.
    fn replay(&mut self, history: Replay, stop: &Stop) -> Result<ControlFlow<()>> {
        for replayed in history {
            let replayed = replayed?;
            let at = self.packets.len();
            let stored = self.stored.get_or_insert_default();
            stored.extend(replayed.stored.iter().map(|record| (at, *record)));
            if self.push(replayed.packet).is_break() || stop.asked() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn close(&mut self) -> ControlFlow<()> {
        let packets = std::mem::take(&mut self.packets);
        let decoded = self.worker.decode(&packets);
        let flow = (self.each)(self.trial, &decoded, &self.stored);
        if let Some(stored) = &mut self.stored {
            stored.clear();
        }
        flow.unwrap_or_else(|error| {
            self.failed = Some(error);
            ControlFlow::Break(())
        })
    }

    fn finish(mut self) -> Result<()> {
        if self.failed.is_none() && !self.packets.is_empty() {
            let _ = self.close();
        }
        self.failed.map_or(Ok(()), Err)
    }
}

impl<F: FnMut(&Trial, &Decoded, &Stored) -> Result<ControlFlow<()>>> Outlet for Batches<'_, F> {
    fn packet(&mut self, packet: Packet) -> ControlFlow<()> {
        self.push(packet)
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

/// Hands out every packet of a folder; its list of files is kept only as long.
fn files(settings: &Settings, from: &Path, outlet: &mut dyn Outlet) -> Result<()> {
    let sources = std::env::temp_dir().join(format!("pitt-{}", std::process::id()));
    let options = FilesOptions {
        paths: vec![PathBuf::from(from)],
        sources: sources.clone(),
        follow: None,
        max_file_bytes: settings.source.max_file_mb << 20,
    };
    let outcome = Files::open(options, |_: &str| 0).and_then(|files| files.run(outlet));
    std::fs::remove_dir_all(&sources).ok();
    outcome?;
    Ok(())
}
