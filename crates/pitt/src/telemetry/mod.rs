//! What a run is doing, for metrics, `pitt status` and the HTTP port alike.
//!
//! The stages of the pipeline add to plain atomics ([`Counters`]); inputs and the output say how they are when asked.
//! [`Telemetry`] brings it together in one [`Status`], from which everything shown comes, so that no two places
//! disagree. A [`Reporter`] writes it to the archive's folder once a second, for processes that look from outside.

pub mod metrics;
pub(crate) mod process;
mod rate;
mod reporter;
mod status;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use pitt_archive::{Archive, tables};

use crate::filters::FilterDesk;
use crate::pipeline::{Counters, Stage};
use crate::push::HookDesk;
use crate::source::now_us;
use rate::Rates;

pub use process::{Memory, memory};
pub use reporter::Reporter;
pub use status::{
    ArchiveStatus, Counts, FilterStatus, InputStatus, OutputStatus, PartitionStatus, RateStatus,
    RunState, StageStatus, Status, TroubleStatus, WebhooksStatus,
};

type Asked<T> = Box<dyn Fn() -> T + Send>;

/// What a run is doing. Shared by everybody who counts and everybody who looks.
pub struct Telemetry {
    archive: Mutex<Option<Archive>>,
    folder: PathBuf,
    lane: AtomicU32,
    started_us: i64,
    counters: Arc<Counters>,
    filters: Mutex<Arc<FilterDesk>>,
    url: OnceLock<String>,
    inputs: Mutex<Vec<Asked<Vec<InputStatus>>>>,
    /// What streams brought in earlier passes, by name.
    before: Mutex<BTreeMap<String, u64>>,
    /// Addresses of the output.
    output: OnceLock<String>,
    webhooks: OnceLock<Arc<HookDesk>>,
    rates: Mutex<Rates>,
    stored: Mutex<Option<ArchiveStatus>>,
    ended: Mutex<Option<(RunState, Option<String>)>>,
}

/// Locks also after a panic elsewhere: what is guarded is never left half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Telemetry {
    /// For a run that begins now.
    pub fn new(archive: &Archive, filters: &Arc<FilterDesk>, counters: &Arc<Counters>) -> Self {
        Self {
            archive: Mutex::new(Some(archive.clone())),
            folder: archive.folder().to_owned(),
            lane: AtomicU32::new(archive.lane().unwrap_or(0)),
            started_us: now_us(),
            counters: counters.clone(),
            filters: Mutex::new(filters.clone()),
            url: OnceLock::new(),
            inputs: Mutex::default(),
            before: Mutex::default(),
            output: OnceLock::new(),
            webhooks: OnceLock::new(),
            rates: Mutex::new(Rates::new(Instant::now())),
            stored: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// Folder of the archive.
    pub fn archive(&self) -> &Path {
        &self.folder
    }

    /// Goes on with another handle on the archive and the filters opened anew.
    pub fn go_on(&self, archive: &Archive, filters: &Arc<FilterDesk>) {
        *lock(&self.archive) = Some(archive.clone());
        *lock(&self.filters) = filters.clone();
        self.lane
            .store(archive.lane().unwrap_or(0), Ordering::Relaxed);
    }

    /// Counts the archive a last time and lets go of it, so that it can be opened again; and of the inputs, whose
    /// counts are kept.
    pub fn let_go(&self) {
        self.count_archive();
        *lock(&self.archive) = None;
        let counted = self.inputs().into_iter();
        let counted = counted.filter(|input| !input.partitions.is_empty() || input.kind == "kafka");
        let counted = counted.filter_map(|input| Some((input.name, input.messages?)));
        let mut before = lock(&self.before);
        *before = counted.collect();
        lock(&self.inputs).retain(|input| input().iter().any(|input| input.kind != "kafka"));
    }

    /// The handle on the archive, while there is one.
    pub fn open_archive(&self) -> Option<Archive> {
        lock(&self.archive).clone()
    }

    /// The filters, and how to change them.
    pub fn filter_desk(&self) -> Arc<FilterDesk> {
        lock(&self.filters).clone()
    }

    /// What the pipeline counts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Where the HTTP port is.
    pub fn set_url(&self, url: String) {
        let _ = self.url.set(url);
    }

    /// Where the HTTP port is, if there is one.
    pub fn url(&self) -> Option<&str> {
        self.url.get().map(String::as_str)
    }

    /// Adds inputs. They are asked once a second and at every look: from memory, without waiting.
    pub fn watch_inputs(&self, inputs: impl Fn() -> Vec<InputStatus> + Send + 'static) {
        lock(&self.inputs).push(Box::new(inputs));
    }

    /// Says that there is an output, at these addresses.
    pub fn watch_output(&self, servers: &str) {
        let _ = self.output.set(servers.to_owned());
    }

    /// Says where the webhooks are.
    pub fn watch_webhooks(&self, desk: &Arc<HookDesk>) {
        let _ = self.webhooks.set(desk.clone());
    }

    /// Notes that the run is over, and why if not in order.
    pub fn ended(&self, error: Option<String>) {
        let state = if error.is_some() {
            RunState::Failed
        } else {
            RunState::Ended
        };
        *lock(&self.ended) = Some((state, error));
    }

    /// Once a second: what needs a look at intervals.
    fn tick(&self) {
        lock(&self.rates).note(
            Instant::now(),
            self.counters.received.get(),
            self.counters.bytes.get(),
        );
    }

    /// Counts what the archive has, from its log; now and then, as that grows with the number of files.
    pub(crate) fn count_archive(&self) {
        let Some(archive) = self.open_archive() else {
            return;
        };
        match archive_status(&archive) {
            Ok(status) => *lock(&self.stored) = Some(status),
            Err(error) => tracing::warn!("cannot count what the archive has: {error}"),
        }
    }

    /// How it all is, now.
    pub fn status(&self) -> Status {
        let (state, error) = lock(&self.ended)
            .clone()
            .unwrap_or((RunState::Running, None));
        let counters = &self.counters;
        Status {
            format: status::FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            host: process::host(),
            lane: self.lane.load(Ordering::Relaxed),
            state,
            error,
            started_us: self.started_us,
            written_us: now_us(),
            url: self.url().map(str::to_owned),
            counts: Counts {
                received: counters.received.get(),
                bytes: counters.bytes.get(),
                stored: counters.stored.get(),
                duplicates: counters.duplicates.get(),
                quarantined: counters.quarantined.get(),
                reasons: counters
                    .rejected()
                    .map(|(reason, count)| (reason.as_str().to_owned(), count))
                    .collect(),
            },
            rate: self.rate(),
            stages: Stage::ALL
                .into_iter()
                .filter_map(|stage| Some((stage.as_str().to_owned(), self.stage(stage)?)))
                .collect(),
            filters: self.filters(),
            inputs: self.inputs(),
            output: self.output(),
            webhooks: self.webhooks.get().and_then(|desk| desk.status()),
            archive: lock(&self.stored).clone(),
            disk: process::disk(&self.folder),
            memory: memory(),
        }
    }

    /// The output; before it has said where it stands, at least the matches of this run wait that it has not acknowledged.
    fn output(&self) -> Option<OutputStatus> {
        let mut status = self.counters.output.status(self.output.get()?);
        let waiting = |filter: &FilterStatus| filter.matches.saturating_sub(filter.delivered);
        let least = || self.filters().iter().map(waiting).sum();
        status.behind = status.behind.or_else(|| Some(least()));
        Some(status)
    }

    fn stage(&self, stage: Stage) -> Option<StageStatus> {
        let times = self.counters.stage(stage);
        Some(StageStatus {
            count: times.total(),
            p50_ms: times.quantile_ms(0.5)?,
            p99_ms: times.quantile_ms(0.99)?,
            p999_ms: times.quantile_ms(0.999)?,
        })
    }

    /// The filters at work, and those that rest and have matched something since the start.
    fn filters(&self) -> Vec<FilterStatus> {
        let roster = self.filter_desk().at_work().now();
        let member = |name: &str| roster.members().iter().find(|member| &*member.name == name);
        for member in roster.members() {
            self.counters.of_filter(&member.name);
        }
        let counted = self.counters.filters().into_iter();
        let known = counted.filter(|(name, counts)| {
            member(name).is_some() || counts.matches.get() + counts.delivered.get() > 0
        });
        known
            .map(|(name, counts)| {
                let member = member(&name);
                FilterStatus {
                    version: member.map_or_else(String::new, |found| found.version.to_string()),
                    matches: counts.matches.get(),
                    delivered: counts.delivered.get(),
                    switched_off: member.and_then(|found| Some(found.off()?.reason.clone())),
                    resting: member.is_none(),
                    name: name.to_string(),
                }
            })
            .collect()
    }

    /// How fast packets come in.
    pub fn rate(&self) -> RateStatus {
        lock(&self.rates).now()
    }

    /// The inputs; what those that do not count by themselves brought is the rest of what came.
    pub fn inputs(&self) -> Vec<InputStatus> {
        let mut inputs: Vec<InputStatus> = lock(&self.inputs)
            .iter()
            .flat_map(|input| input())
            .collect();
        let before = lock(&self.before).clone();
        for input in &mut inputs {
            if let (Some(messages), Some(more)) = (&mut input.messages, before.get(&input.name)) {
                *messages += more;
            }
        }
        if lock(&self.ended).is_some() {
            let own = inputs.iter_mut().filter(|input| input.kind != "kafka");
            own.for_each(|input| input.state = "ended".to_owned());
        }
        let counted: u64 = inputs.iter().filter_map(|input| input.messages).sum();
        let rest = self.counters.received.get().saturating_sub(counted);
        if let Some(input) = inputs.iter_mut().find(|input| input.messages.is_none()) {
            input.messages = Some(rest);
        }
        inputs
    }
}

/// What an archive has, from its log.
fn archive_status(archive: &Archive) -> Result<ArchiveStatus, pitt_archive::ArchiveError> {
    let mut status = ArchiveStatus::default();
    for name in archive.tables() {
        let Some(table) = archive.snapshot(&name)? else {
            continue;
        };
        status.bytes += table.bytes();
        match name.as_str() {
            tables::PACKETS => status.records = table.rows(),
            tables::MATCHES => status.matches = table.rows(),
            tables::QUARANTINE => status.quarantined = table.rows(),
            _ if name.starts_with("alerts/") => status.alerts += table.rows(),
            _ => {}
        }
    }
    status.counted_us = now_us();
    Ok(status)
}
