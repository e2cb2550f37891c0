//! `pitt status`

#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pitt_archive::{ClaimBook, ClaimedPartition};
use serde_json::json;

use super::settings;
use crate::cli::{self, Global};
use crate::screen::{self, count, utc};
use crate::source::now_us;
use crate::telemetry::{RunState, Status};

/// How often `--watch` looks.
const LOOK: Duration = Duration::from_secs(1);

pub(super) fn run(global: &Global, args: &cli::Status) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let archive = config.settings.archive.as_str();
    if !Path::new(archive).is_dir() {
        bail!(
            "there is no archive at `{archive}` (fill one with `pitt demo` or `pitt run --from FOLDER`, or name another with --archive)"
        );
    }
    loop {
        let view = View::read(archive)?;
        let text = if args.json {
            format!("{:#}\n", view.json())
        } else {
            view.text()
        };
        if !args.watch {
            screen::print(&text)?;
            return Ok(if view.troubles.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
        let clear = if args.json { "" } else { "\x1b[H\x1b[2J" };
        screen::print(&format!("{clear}{text}"))?;
        std::thread::sleep(LOOK);
    }
}

/// What there is to see of an archive at one moment.
struct View {
    archive: String,
    now_us: i64,
    /// Processes that run, then those that are to be known of: the last that ended, and those that died since the
    /// oldest running one began.
    runs: Vec<Status>,
    troubles: Vec<String>,
}

impl View {
    fn read(archive: &str) -> Result<Self> {
        let all = Status::read_all(Path::new(archive))
            .with_context(|| format!("cannot read the status of `{archive}`"))?;
        let mut view = Self::of(archive, all, now_us());
        let claimed = ClaimBook::open(archive).and_then(|book| book.partitions());
        match claimed {
            Ok(claimed) => {
                // A document says that a process runs until it is stale; the lock of its lane knows at once.
                let mut runs = view.runs.clone();
                runs.retain(|run| has_process(Path::new(archive), run.lane));
                view.troubles.extend(left_open(&claimed, &runs));
            }
            // One that is being made has no log yet.
            Err(error) => tracing::debug!("the claims are not known: {error}"),
        }
        Ok(view)
    }

    fn of(archive: &str, all: Vec<Status>, now_us: i64) -> Self {
        let running = |run: &Status| run.state == RunState::Running && !run.is_stale(now_us);
        let newest_start = all
            .iter()
            .filter(|run| running(run))
            .map(|run| run.started_us)
            .max();
        let last_written = all.iter().map(|run| run.written_us).max();
        let mut runs: Vec<Status> = all
            .into_iter()
            .filter(|run| match newest_start {
                // A process begun after another one died has taken its place.
                Some(begun) => running(run) || (run.is_stale(now_us) && run.written_us > begun),
                None => Some(run.written_us) == last_written || run.is_stale(now_us),
            })
            .collect();
        runs.sort_by_key(|run| (!running(run), run.lane));
        let troubles = troubles(&runs, now_us);
        Self {
            archive: archive.to_owned(),
            now_us,
            runs,
            troubles,
        }
    }

    fn json(&self) -> serde_json::Value {
        let run = |run: &Status| {
            let mut value = json!(run);
            value["stale"] = run.is_stale(self.now_us).into();
            value
        };
        json!({
            "archive": self.archive,
            "ok": self.troubles.is_empty(),
            "troubles": self.troubles,
            "runs": self.runs.iter().map(run).collect::<Vec<_>>(),
        })
    }
}

/// Whether a process has the lock of a lane.
fn has_process(archive: &Path, lane: u32) -> bool {
    let lock = File::open(archive.join("lanes").join(format!("{lane}.lock")));
    lock.is_ok_and(|lock| lock.try_lock_shared().is_err())
}

/// Claims of processes that died, of partitions that no running one reads.
fn left_open(claimed: &[ClaimedPartition], runs: &[Status]) -> Vec<String> {
    let running = runs.iter().filter(|run| run.state == RunState::Running);
    let inputs = running.flat_map(|run| &run.inputs);
    let read: BTreeSet<String> = inputs
        .flat_map(|input| {
            let partitions = input.partitions.iter();
            partitions.map(|one| format!("kafka:{}/{}/{}", input.name, one.topic, one.partition))
        })
        .collect();
    let open = claimed.iter().filter(|one| {
        one.held.is_empty() && one.alerts + one.matches > 0 && !read.contains(&one.partition)
    });
    let told = open.map(|one| {
        format!(
            "{}: a process died before it had stored {} and {} numbers of matches that it had claimed; matches behind them wait \
             (run with that input again or, if it is gone for good, `pitt claims release {}`)",
            one.partition,
            screen::counted(one.alerts, "alert"),
            count(one.matches),
            one.partition
        )
    });
    told.collect()
}

/// What is wrong with processes, and that there is none.
fn troubles(runs: &[Status], now_us: i64) -> Vec<String> {
    if runs.is_empty() {
        return vec!["no broker has run into this archive yet".to_owned()];
    }
    let mut troubles = vec![];
    for run in runs {
        if run.is_stale(now_us) {
            troubles.push(format!(
                "process {} of lane {} died, hangs or was paused at {}",
                run.pid,
                run.lane,
                utc(run.written_us)
            ));
        } else if run.state == RunState::Failed || run.state == RunState::Running {
            troubles.extend(run.troubles());
        }
    }
    troubles
}
