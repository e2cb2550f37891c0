//! Threads for questions to the archive: few, at a lower priority than ingest, with a bounded queue.
//!
//! Quick questions (one alert, a cone) never wait behind long ones (counts, lists), nor these behind what may take as long as it is
//! allowed to (SQL, trials of filters). A question whose client has gone is not
//! begun. On Linux the threads, and those that a query engine starts from them, run at nice 10, so that ingest comes first.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::problem::Problem;

/// Threads for quick questions.
const QUICK: usize = 3;
/// Threads for long ones.
const LONG: usize = 2;
/// Threads for SQL and trials.
const SQL: usize = 2;
/// Threads for chunks of replays.
const BULK: usize = 4;
/// Questions that may wait in each queue.
const WAITING: usize = 64;
/// Stack of a thread: planning a query recurs over it `[bytes]`.
const STACK_BYTES: usize = 8 << 20;
/// Niceness of the threads: a tenth of the share of ingest when all cores are busy.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// How long a question takes, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Milliseconds: look-ups by id, cones, light curves.
    Quick,
    /// Seconds: scans, counts.
    Long,
    /// As long as the limits allow: SQL that somebody wrote, trials of filters.
    Sql,
    /// As long as the client's line takes: chunks of replays. They keep no query waiting.
    Bulk,
}

/// The threads; they end when this is dropped and their work is done.
pub struct Pool {
    quick: SyncSender<Job>,
    long: SyncSender<Job>,
    sql: SyncSender<Job>,
    bulk: SyncSender<Job>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start() -> io::Result<Self> {
        Ok(Self {
            quick: threads("pitt-ask", QUICK)?,
            long: threads("pitt-ask-long", LONG)?,
            sql: threads("pitt-ask-sql", SQL)?,
            bulk: threads("pitt-ask-bulk", BULK)?,
        })
    }

    /// Asks a question on one of the threads.
    ///
    /// # Errors
    /// The question's own, or too many are waiting.
    pub async fn ask<T: Send + 'static>(
        &self,
        lane: Lane,
        question: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (answer, answered) = oneshot::channel();
        self.run(lane, move || {
            if answer.is_closed() {
                return;
            }
            let outcome = catch_unwind(AssertUnwindSafe(question));
            let outcome = outcome.unwrap_or_else(|_| Err(panicked()));
            let _ = answer.send(outcome);
        })?;
        answered.await.unwrap_or_else(|_| Err(panicked()))
    }

    /// Runs something that answers by itself, in pieces.
    ///
    /// # Errors
    /// Too many are waiting.
    pub fn run(&self, lane: Lane, job: impl FnOnce() + Send + 'static) -> Result<(), Problem> {
        let queue = match lane {
            Lane::Quick => &self.quick,
            Lane::Long => &self.long,
            Lane::Sql => &self.sql,
            Lane::Bulk => &self.bulk,
        };
        queue.try_send(Box::new(job)).map_err(|error| match error {
            TrySendError::Full(_) => {
                let detail = format!("{WAITING} questions to the archive are waiting already");
                Problem::unavailable("busy", detail, 5)
            }
            TrySendError::Disconnected(_) => panicked(),
        })
    }
}

fn panicked() -> Problem {
    let cause = "a panic, or the program ends";
    Problem::fault("the question was not answered", &cause)
}

fn threads(name: &str, number: usize) -> io::Result<SyncSender<Job>> {
    let (queue, jobs) = sync_channel::<Job>(WAITING);
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..number {
        let jobs = jobs.clone();
        std::thread::Builder::new()
            .name(name.into())
            .stack_size(STACK_BYTES)
            .spawn(move || work(&jobs))?;
    }
    Ok(queue)
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!("questions over HTTP run at ingest's priority: {error}");
    }
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        // What panicked has answered nothing, which its client is told.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn a_panic_is_an_answer_and_harms_no_later_question() {
        let pool = Pool::start().unwrap();
        for _ in 0..2 * QUICK {
            let answer = block_on(pool.ask(Lane::Quick, || -> Result<(), Problem> {
                panic!("on purpose")
            }));
            assert_eq!(answer.unwrap_err().code, "fault");
        }
        assert_eq!(block_on(pool.ask(Lane::Quick, || Ok(7))), Ok(7));
    }

    #[test]
    fn questions_do_not_wait_behind_longer_ones_and_a_full_queue_refuses() {
        let pool = Pool::start().unwrap();
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let mut refused = None;
        for _ in 0..=SQL + WAITING {
            let gate = gate.clone();
            let wait = move || drop(gate.lock().map(|gate| gate.recv()));
            refused = refused.or(pool.run(Lane::Sql, wait).err());
        }
        assert_eq!(refused.map(|problem| problem.code), Some("busy"));
        for lane in [Lane::Quick, Lane::Long] {
            assert_eq!(block_on(pool.ask(lane, || Ok(1))), Ok(1));
        }
        drop(open);
    }
}
