//! From files to archive and matches, in a process of its own, so that its memory is its own too.
//!
//! The night comes in pieces: one is simulated, then it is sent through the broker until all of it is committed, then it is
//! deleted. Only the broker's share of that is measured, so neither simulation nor the room for a whole night is in the
//! figures. The parent writes the path of a piece to the child's input and reads a line of figures from its output.

use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::night::Night;
use crate::broker::Broker;
use crate::config::Config;
use crate::filters;
use crate::pipeline::{Counters, Stop, cpu};
use crate::source::files::{Files, FilesOptions};
use crate::source::{Outlet, SourceReport};

/// Newest files of packets that stay with `--reclaim`.
const KEPT_FILES: usize = 4;

/// Sends a night through a broker; its figures, those of each piece under `pieces`.
pub(super) fn measure(scratch: &Path, night: &mut Night, reclaim: bool) -> Result<Value> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["bench", "--inside"])
        .arg(scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let figures = feed(&mut child, scratch, night, reclaim);
    if figures.is_err() {
        // It waits for a piece that will not come.
        child.kill().ok();
    }
    let status = child.wait()?;
    match figures {
        Ok(figures) if status.success() => Ok(figures),
        Err(error) if status.success() => Err(error),
        _ => bail!("the run from files to archive failed ({status})"),
    }
}

fn feed(child: &mut Child, scratch: &Path, night: &mut Night, reclaim: bool) -> Result<Value> {
    let mut input = child.stdin.take().context("no way to the broker")?;
    let output = child.stdout.take().context("no way from the broker")?;
    let mut lines = BufReader::new(output).lines();
    let mut answer = || -> Result<Value> {
        let line = lines.next().context("the broker ended early")??;
        Ok(serde_json::from_str(&line)?)
    };
    let mut pieces = vec![];
    while let Some(piece) = night.next_piece()? {
        writeln!(input, "{}", piece.display())?;
        input.flush()?;
        pieces.push(answer()?);
        std::fs::remove_file(&piece)?;
        if reclaim {
            remove_old_packets(&scratch.join("archive").join("packets"))?;
        }
    }
    drop(input);
    let mut figures = answer()?;
    figures["pieces"] = pieces.into();
    Ok(figures)
}

/// Deletes the files of packets but the newest: nobody will ask for them. Their names ascend.
fn remove_old_packets(folder: &Path) -> Result<()> {
    let files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = files.collect::<std::io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "parquet"));
    files.sort();
    let old = files.len().saturating_sub(KEPT_FILES);
    for path in &files[..old] {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// The measured process.
pub(super) fn inside(scratch: &Path) -> Result<ExitCode> {
    let archive = scratch.join("archive").to_string_lossy().into_owned();
    let settings = Config::load(None, |_| None, vec![("archive", archive.into())])?.settings;
    let filters = filters::load_all(&scratch.join("filters"))?;
    let broker = Broker::open(&settings, filters)?;
    let (counters, stop) = (Arc::new(Counters::default()), Stop::default());
    let (sources, filters) = (broker.sources(), broker.filters().clone());
    let mut measured = Measured::default();
    broker.run(
        |outlet| {
            for line in std::io::stdin().lines() {
                let options = FilesOptions {
                    paths: vec![line?.into()],
                    sources: sources.clone(),
                    follow: None,
                    max_file_bytes: settings.source.max_file_mb << 20,
                };
                measured.piece(options, outlet)?;
            }
            Ok(SourceReport::default())
        },
        &counters,
        &stop,
        |_| {},
    )?;
    let roster = filters.at_work().now();
    let disabled: Vec<String> = roster
        .disabled()
        .map(|(_, off)| off.reason.to_string())
        .collect();
    let mut figures = measured.figures(&counters);
    figures["disabled_filters"] = disabled.into();
    tell(&figures)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(figures: &Value) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{figures}")?;
    Ok(output.flush()?)
}

/// What was measured while pieces went through.
#[derive(Default)]
struct Measured {
    alerts: u64,
    seconds: f64,
    source: Duration,
    process: [Duration; 2],
}

impl Measured {
    fn piece(&mut self, options: FilesOptions, outlet: &mut dyn Outlet) -> Result<()> {
        let began = (Instant::now(), cpu::of_thread(), cpu::of_process());
        let report = Files::open(options, |_: &str| 0)?.run(outlet)?;
        if let Some(damage) = report.damaged.first() {
            bail!("{damage}");
        }
        if let ControlFlow::Break(()) = outlet.flush() {
            bail!("the archive took no more");
        }
        let seconds = began.0.elapsed().as_secs_f64();
        self.alerts += report.packets;
        self.seconds += seconds;
        if let (Some(before), Some(after)) = (began.1, cpu::of_thread()) {
            self.source += after.saturating_sub(before);
        }
        if let (Some(before), Some(after)) = (began.2, cpu::of_process()) {
            self.process[0] += after.0.saturating_sub(before.0);
            self.process[1] += after.1.saturating_sub(before.1);
        }
        tell(&json!({
            "alerts": self.alerts,
            "alerts_per_s": report.packets as f64 / seconds,
            "memory_bytes": memory("VmRSS:"),
            "peak_memory_bytes": memory("VmHWM:"),
        }))
    }

    fn figures(&self, counters: &Counters) -> Value {
        let latency = counters.latency();
        let workers = Duration::from_nanos(counters.worker_ns.get());
        let [user, system] = self.process;
        let per_alert = |time: Duration| time.as_secs_f64() * 1e6 / self.alerts.max(1) as f64;
        let rest = (user + system).saturating_sub(self.source + workers);
        json!({
            "received": counters.received.get(),
            "bytes": counters.bytes.get(),
            "stored": counters.stored.get(),
            "seconds": self.seconds,
            "latency_ms": {"p50": latency.quantile_ms(0.5), "p99": latency.quantile_ms(0.99)},
            "peak_memory_bytes": memory("VmHWM:"),
            "cpu_us_per_alert": {
                "source": per_alert(self.source),
                "decode_and_filter": per_alert(workers),
                "archive": per_alert(rest),
                "all": per_alert(user + system),
                "of_it_in_the_kernel": per_alert(system),
            },
        })
    }
}

/// Memory of this process as Linux counts it: now (`VmRSS:`) or at most (`VmHWM:`); `None` elsewhere.
fn memory(what: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_files_of_packets_stay() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("_delta_log")).unwrap();
        for number in 0..7 {
            std::fs::write(folder.path().join(format!("{number:010}.parquet")), b"").unwrap();
        }
        remove_old_packets(folder.path()).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left.len(), 5);
        assert_eq!(left[0], "0000000003.parquet");
    }
}
