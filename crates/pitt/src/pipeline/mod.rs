//! The journey of an alert inside the program.
//!
//! ```text
//! source thread ──packets──▶ batcher ─┬─▶ worker: decode, filter ─┬─▶ writer: archive, in the order of the source
//!                                     └─▶ worker: decode, filter ─┘
//! ```
//!
//! Every arrow is a bounded queue: a slow writer fills the workers' queues, those fill the batcher's, and the source waits.
//! Batches are dealt out to the workers in turn and collected in the same turn, so they reach the archive in the order
//! of their positions without any sorting.
//!
//! Shutdown: whoever asks ([`Stop`]), the source stops, what it has handed out still goes all the way, and the writer
//! commits last. If a stage fails, its queues close, the stages before it end at their next packet, and nothing after the
//! last commit was promised to anyone: the next run reads it again.

mod batcher;
mod counters;
pub mod cpu;
mod latency;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use pitt_alert::{Decoded, Packet};

use batcher::Batcher;
pub use counters::{Counter, Counters, FilterCounts, Stage};
pub use latency::Latency;

use crate::config::PipelineSettings;
use crate::filters::{AtWork, Roster};
use crate::source::{Outlet, SourceReport, now_us};

/// How often the writer looks whether a commit is due when nothing comes, and the observer is called.
const BEAT: Duration = Duration::from_millis(100);

/// A switch that asks everything to end in order.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks.
    pub fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// When a batch closes.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// At so many packets,
    pub alerts: usize,
    /// or so many bytes,
    pub bytes: usize,
    /// or so long after its first packet.
    pub age: Duration,
    /// Batches that may wait for one worker.
    pub queue: usize,
}

impl From<&PipelineSettings> for BatchLimits {
    fn from(settings: &PipelineSettings) -> Self {
        Self {
            alerts: settings.batch_alerts,
            bytes: settings.batch_mb << 20,
            age: Duration::from_millis(settings.batch_ms),
            queue: settings.queue_batches,
        }
    }
}

/// What one filter took of one batch, or that it failed there.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Place of the filter in the roster that judged the batch.
    pub filter: usize,
    /// Index of the batch in [`Decoded::batches`].
    pub batch: usize,
    /// Rows of that batch.
    pub rows: Vec<u32>,
    /// The failure; then there are no rows.
    pub failed: Option<pitt_query::Failure>,
}

/// Decodes and filters one batch after the other, in a thread of its own.
pub trait Worker: Send {
    /// Alerts and rejects, and which of the filters took which alerts.
    ///
    /// # Errors
    /// Only for what no later batch can survive.
    fn work(&mut self, packets: &[Packet], filters: &Arc<Roster>) -> Result<(Decoded, Vec<Hit>)>;
}

/// Takes batches in the order of their positions and makes them durable now and then.
pub trait Store {
    /// Takes one batch and counts it.
    ///
    /// # Errors
    /// It cannot be written: the run ends.
    fn append(&mut self, batch: &Worked, counters: &Counters) -> Result<()>;

    /// Commits if it is time to.
    ///
    /// # Errors
    /// It cannot be written: the run ends.
    fn commit_due(&mut self) -> Result<()>;

    /// Commits.
    ///
    /// # Errors
    /// It cannot be written: the run ends.
    fn commit(&mut self) -> Result<()>;
}

/// What goes through the queues, each in its turn.
enum Turn<T> {
    /// A batch of packets, or what a worker made of it.
    Batch(T),
    /// Commit what came before, then signal. Workers hand it on.
    Flush(SyncSender<()>),
}

/// A batch on its way to a worker.
struct Batch {
    packets: Vec<Packet>,
    filters: Arc<Roster>,
}

/// A batch on its way to the store.
pub struct Worked {
    /// Its packets.
    pub packets: Vec<Packet>,
    /// The filters that judged it.
    pub filters: Arc<Roster>,
    /// What is in the packets.
    pub decoded: Decoded,
    /// What the filters made of it.
    pub hits: Vec<Hit>,
}

/// What holds for a whole run.
#[derive(Clone)]
pub struct Terms {
    /// When a batch closes.
    pub limits: BatchLimits,
    /// By which filters batches are judged.
    pub filters: Arc<AtWork>,
    /// Where everything is counted.
    pub counters: Arc<Counters>,
    /// Who asks for the end.
    pub stop: Stop,
}

/// Runs a source through workers into a store until the source ends or somebody asks to stop.
///
/// `observe` is called ten times a second on the calling thread.
///
/// # Errors
/// The first failure of the store, a worker or the source. Without one, everything handed out is committed.
pub fn run(
    source: impl FnOnce(&mut dyn Outlet) -> Result<SourceReport> + Send,
    workers: Vec<Box<dyn Worker>>,
    store: &mut (dyn Store + Send),
    terms: &Terms,
    mut observe: impl FnMut(&Counters),
) -> Result<SourceReport> {
    let (limits, counters) = (terms.limits, &terms.counters);
    std::thread::scope(|scope| {
        let (mut inputs, mut outputs, mut threads) = (vec![], vec![], vec![]);
        for worker in workers {
            let (input, batches) = sync_channel(limits.queue);
            let (results, output) = sync_channel(limits.queue);
            inputs.push(input);
            outputs.push(output);
            let counters = counters.clone();
            threads.push(scope.spawn(move || worker_loop(worker, &batches, &results, &counters)));
        }
        let ended = Stop::default();
        let mut batcher = Batcher::new(terms.clone(), inputs, ended.clone());
        let reader = scope.spawn(move || {
            let report = source(&mut batcher);
            let _ = batcher.close();
            report
        });
        let writer = scope.spawn(move || writer_loop(&outputs, store, counters));
        while !writer.is_finished() {
            observe(counters);
            std::thread::sleep(BEAT);
        }
        // A source that waits for new files must not outlive a writer that failed.
        ended.ask();
        observe(counters);
        let written = joined(writer.join(), "writer");
        for thread in threads {
            joined(thread.join(), "worker")?;
        }
        let report = joined(reader.join(), "source");
        written?;
        report
    })
}

fn joined<T>(outcome: std::thread::Result<Result<T>>, who: &str) -> Result<T> {
    outcome.unwrap_or_else(|_| {
        Err(anyhow!(
            "the {who} thread panicked (please report this as a bug)"
        ))
    })
}

fn worker_loop(
    mut worker: Box<dyn Worker>,
    batches: &Receiver<Turn<Batch>>,
    results: &SyncSender<Turn<Worked>>,
    counters: &Counters,
) -> Result<()> {
    let mut counted = Duration::ZERO;
    for turn in batches {
        let worked = match turn {
            Turn::Batch(Batch { packets, filters }) => {
                let received = || packets.iter().map(|packet| packet.received_us);
                counters.add_times(Stage::Wait, received(), now_us());
                let (decoded, hits) = worker.work(&packets, &filters)?;
                counters.add_latencies(received(), now_us());
                Turn::Batch(Worked {
                    packets,
                    filters,
                    decoded,
                    hits,
                })
            }
            Turn::Flush(committed) => Turn::Flush(committed),
        };
        if let Some(spent) = cpu::of_thread() {
            counters
                .worker_ns
                .add(spent.saturating_sub(counted).as_nanos() as u64);
            counted = spent;
        }
        if results.send(worked).is_err() {
            break;
        }
    }
    Ok(())
}

fn writer_loop(
    outputs: &[Receiver<Turn<Worked>>],
    store: &mut dyn Store,
    counters: &Counters,
) -> Result<()> {
    for output in outputs.iter().cycle() {
        let turn = loop {
            match output.recv_timeout(BEAT) {
                Ok(turn) => break Some(turn),
                Err(RecvTimeoutError::Timeout) => store.commit_due().context("cannot commit")?,
                Err(RecvTimeoutError::Disconnected) => break None,
            }
        };
        match turn {
            Some(Turn::Batch(worked)) => {
                let begin = Instant::now();
                store
                    .append(&worked, counters)
                    .context("cannot write to the archive")?;
                counters.stage(Stage::Append).add_since(begin);
                store.commit_due().context("cannot commit")?;
            }
            Some(Turn::Flush(committed)) => {
                store.commit().context("cannot commit")?;
                // A source that no longer waits wants no signal.
                let _ = committed.send(());
            }
            None => break,
        }
    }
    store.commit().context("cannot commit")
}
