//! The document that says how a run is.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Memory;

/// Version of the document.
pub(super) const FORMAT: u32 = 1;

/// Folder of an archive with one document for each lane.
const FOLDER: &str = "status";

/// A document not written for so long is of a process that died or hangs `[us]`.
const STALE_US: i64 = 10_000_000;

/// Less than this on the archive's disk is said to be wrong.
const LITTLE_SPACE: u64 = 1_000_000_000;

/// How a run is, or was when this was written. Times ending in `_us` are microseconds since 1970, UTC. Fields may be
/// added; `format` changes when one changes its meaning.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of this document, now 1.
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Its machine.
    pub host: String,
    /// The lane in which it writes.
    pub lane: u32,
    /// Whether it runs.
    pub state: RunState,
    /// Why it failed.
    pub error: Option<String>,
    /// When it started.
    pub started_us: i64,
    /// When this was written.
    pub written_us: i64,
    /// Address of its HTTP port.
    pub url: Option<String>,
    /// What it has done since it started.
    pub counts: Counts,
    /// How fast it goes.
    pub rate: RateStatus,
    /// How long each stage takes; only stages that were passed. See [`crate::pipeline::Stage`].
    pub stages: BTreeMap<String, StageStatus>,
    /// Its filters.
    pub filters: Vec<FilterStatus>,
    /// Its inputs.
    pub inputs: Vec<InputStatus>,
    /// Its output, if it has one.
    pub output: Option<OutputStatus>,
    /// Webhooks, if there are any.
    #[serde(default)]
    pub webhooks: Option<WebhooksStatus>,
    /// What the archive had when it was last counted.
    pub archive: Option<ArchiveStatus>,
    /// Free and all bytes of the archive's disk.
    pub disk: Option<(u64, u64)>,
    /// Its memory.
    pub memory: Option<Memory>,
}

/// Whether a run runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// It does, or did when this was written.
    Running,
    /// It ended in order.
    Ended,
    /// It ended because something went wrong.
    Failed,
}

/// Counts since the start. `received` are packets; the others are records, of which a packet may hold more than one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Packets handed out by the sources.
    pub received: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Alerts stored.
    pub stored: u64,
    /// Alerts that were there already.
    pub duplicates: u64,
    /// What could not be read.
    pub quarantined: u64,
    /// The same by reason.
    pub reasons: BTreeMap<String, u64>,
}

/// How fast packets come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RateStatus {
    /// Alerts a second over the last 10 s.
    pub alerts_per_s: f64,
    /// Bytes a second over the last 10 s.
    pub bytes_per_s: f64,
    /// Alerts a second over the last minute.
    pub alerts_per_s_1m: f64,
}

/// How long a stage takes: quantiles, at most 9 % too large.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageStatus {
    /// How often it was passed: by packets or batches.
    pub count: u64,
    /// Median `[ms]`.
    pub p50_ms: f64,
    /// 99 of 100 take less `[ms]`.
    pub p99_ms: f64,
    /// 999 of 1000 take less `[ms]`.
    pub p999_ms: f64,
}

/// One filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterStatus {
    /// Its name.
    pub name: String,
    /// Its version at work; empty while it rests.
    pub version: String,
    /// Matches since the start, of all its versions.
    pub matches: u64,
    /// Of them acknowledged by the output, and older ones that were still to be published.
    pub delivered: u64,
    /// Why it was switched off, if it was.
    pub switched_off: Option<String>,
    /// Whether it rests: it was paused or removed while the broker ran.
    #[serde(default)]
    pub resting: bool,
}

/// One input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputStatus {
    /// Its name in the settings, or the path.
    pub name: String,
    /// `kafka`, `files` or `simulator`.
    pub kind: String,
    /// What it is doing, in one word.
    pub state: String,
    /// Since when; 0 if nobody knows.
    pub since_us: i64,
    /// What is wrong now.
    pub troubles: Vec<TroubleStatus>,
    /// The last thing that was wrong, also when it is over.
    pub last_error: Option<TroubleStatus>,
    /// Packets it brought since the start; `None` where it does not count.
    pub messages: Option<u64>,
    /// Messages that expired before they could be read.
    pub expired: u64,
    /// What it reads, if it has partitions.
    pub partitions: Vec<PartitionStatus>,
}

impl InputStatus {
    /// Messages that wait to be read; `None` while unknown, or where there is no such thing.
    pub fn lag(&self) -> Option<i64> {
        let lags = self.partitions.iter().filter_map(|partition| partition.lag);
        lags.reduce(|a, b| a + b)
    }

    /// Whether nothing is wrong with it.
    pub fn is_up(&self) -> bool {
        self.troubles.is_empty()
    }
}

/// Something that is, or was, wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TroubleStatus {
    /// What, where, what to do.
    pub text: String,
    /// Since when.
    pub since_us: i64,
}

/// One partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// Topic.
    pub topic: String,
    /// Number.
    pub partition: i32,
    /// Offset of the next message to read.
    pub next: Option<i64>,
    /// Messages that wait to be read.
    pub lag: Option<i64>,
}

/// The output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputStatus {
    /// The cluster's addresses.
    pub servers: String,
    /// What it is doing, in one word.
    pub state: String,
    /// Since when; 0 if nobody knows.
    pub since_us: i64,
    /// What is wrong now.
    pub troubles: Vec<TroubleStatus>,
    /// The last thing that was wrong, also when it is over.
    pub last_error: Option<TroubleStatus>,
    /// Matches that wait to be published; `None` while unknown.
    pub behind: Option<u64>,
}

/// The webhooks of an archive, and what this process has delivered of them since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhooksStatus {
    /// Whether this process delivers them: one of an archive does.
    pub delivering: bool,
    /// How many there are.
    pub hooks: u64,
    /// Of them those that rest,
    pub paused: u64,
    /// and those whose receiver does not take what it is sent.
    pub failing: u64,
    /// Matches that receivers took.
    pub delivered: u64,
    /// Requests that they did not take.
    pub refused: u64,
    /// Batches that were given up.
    pub dead: u64,
    /// Matches that were read for a receiver and not taken yet.
    pub waiting: u64,
}

/// What an archive has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveStatus {
    /// Records received, also duplicates and what could not be read.
    pub records: u64,
    /// Alerts stored.
    pub alerts: u64,
    /// Matches.
    pub matches: u64,
    /// What could not be read.
    pub quarantined: u64,
    /// Size of the tables.
    pub bytes: u64,
    /// When it was counted.
    pub counted_us: i64,
}

impl Status {
    /// Where the document of a lane is.
    fn path(archive: &Path, lane: u32) -> PathBuf {
        archive.join(FOLDER).join(format!("{lane}.json"))
    }

    /// Writes the document, whole or not at all. What a power cut leaves of it matters to nobody.
    ///
    /// # Errors
    /// The archive's folder cannot be written to.
    pub fn write(&self, archive: &Path) -> io::Result<()> {
        let path = Self::path(archive, self.lane);
        let staged = path.with_extension(format!("{}.part", self.pid));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&staged, serde_json::to_vec(self)?)
            .and_then(|()| std::fs::rename(&staged, path))
    }

    /// The documents in an archive, by lane. What cannot be read is left out: it is of another version.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn read_all(archive: &Path) -> io::Result<Vec<Self>> {
        let entries = match std::fs::read_dir(archive.join(FOLDER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            entries => entries?,
        };
        let mut found = vec![];
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                let text = std::fs::read(&path).unwrap_or_default();
                found.extend(serde_json::from_slice::<Self>(&text).ok());
            }
        }
        found.sort_by_key(|status| status.lane);
        Ok(found)
    }

    /// Whether this was written so long ago that the process has died, hangs, or was stopped.
    pub fn is_stale(&self, now_us: i64) -> bool {
        self.state == RunState::Running && now_us.saturating_sub(self.written_us) > STALE_US
    }

    /// What is wrong, one sentence each; empty when nothing is.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = vec![];
        for input in &self.inputs {
            let said = input.troubles.iter();
            troubles.extend(said.map(|trouble| format!("input {}: {}", input.name, trouble.text)));
        }
        if let Some(output) = &self.output {
            let said = output.troubles.iter();
            troubles.extend(said.map(|trouble| format!("output: {}", trouble.text)));
        }
        for filter in &self.filters {
            if let Some(reason) = &filter.switched_off {
                troubles.push(format!("filter {} is switched off: {reason}", filter.name));
            }
        }
        if let Some((free, _)) = self.disk.filter(|(free, _)| *free < LITTLE_SPACE) {
            troubles.push(format!(
                "the archive's disk has {} left",
                crate::screen::bytes(free)
            ));
        }
        troubles.extend(self.error.clone());
        troubles
    }
}
