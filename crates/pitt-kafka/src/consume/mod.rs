//! Messages from Kafka: topics, positions, back-pressure, and what is wrong when nothing comes.
//!
//! ```text
//! cluster ──▶ librdkafka ──▶ thread of the input ──▶ bounded by bytes ──▶ Intake::next
//!             64 MiB ahead     polls, always           each input by itself
//! ```
//!
//! **Positions** come from whoever takes the messages ([`Ask::Positions`]), not from the group, which is told only
//! afterwards ([`Intake::advise`]), for lag monitors. **Partitions that go** to another program are given up after everything handed
//! out of them is committed ([`Ask::Release`]); if the group has taken them already, nothing waits. **Back-pressure**: an
//! input whose messages are not taken pauses its partitions and polls on. Nothing is dropped, and the group does not take it for dead.
//! **Topics made again** with the same name have another message before our position ([`Stand::last`]): they are held.
//! **Trouble** is said once, tried again after growing delays, and shows in [`SourceHealth`] until it is over.
//!
//! Whoever takes must call [`Intake::next`] again and again, and answer what it asks.

mod context;
mod discovery;
mod health;
mod hopper;
mod identity;
mod leftovers;
mod range;
mod reader;
mod settings;
mod shared;
mod start;
mod time;
mod topics;

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

use crate::error::KafkaError;
use hopper::{Hopper, Request, Taken, Want};
use shared::Shared;
use topics::Topics;

pub use health::{PartitionHealth, SourceHealth, SourceState, Trouble, TroubleKind};
pub use identity::Fingerprint;
pub use settings::{InputSettings, Start};

/// A message of an input.
#[derive(Clone, Debug)]
pub struct Message {
    /// Number of the input.
    pub input: usize,
    /// `kafka:<name of the input>/<topic>/<number>`.
    pub partition: Arc<str>,
    /// Its topic.
    pub topic: Arc<str>,
    /// Number of the partition in its topic.
    pub number: i32,
    /// Place in the partition. Ascends, and may skip numbers.
    pub offset: i64,
    /// When its producer, or the cluster, says it was written, milliseconds UTC since 1970.
    pub timestamp_ms: Option<i64>,
    /// Its value; empty when it has none.
    pub payload: Bytes,
}

/// Whether a message can be read now. `Err` with a reason pauses the input, and it is asked again after growing delays.
///
/// Called on the input's thread; it may take seconds, not minutes.
pub type Gate = Box<dyn FnMut(&[u8]) -> Result<(), String> + Send>;

/// What is next.
#[derive(Debug)]
pub enum Next {
    /// A message to take.
    Message(Message),
    /// Something to answer, before anything else.
    Ask(Ask),
    /// Nothing came in the time given.
    Nothing,
}

/// What an input needs to know of whoever takes its messages. Dropped without an answer, it begins its session anew.
#[derive(Debug)]
pub enum Ask {
    /// Where the next message is to be taken from in each of [`Query::partitions`]; `None` where nothing is stored of it. Everything
    /// handed out earlier must be committed before the answer is looked up.
    Positions(Query),
    /// Commit everything handed out.
    Release(Release),
    /// Where the next message would be taken from by what is committed; what was handed out may be on its way.
    /// [`Stand::last`] is not needed.
    Look(Query),
}

/// Where somebody stands in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Offset of the next message to take.
    pub next: i64,
    /// The message before it, if that is known: a topic that was made again has another one there.
    pub last: Option<Fingerprint>,
}

/// A question about positions.
#[derive(Debug)]
pub struct Query {
    partitions: Vec<Arc<str>>,
    request: Request,
}

impl Query {
    /// The partitions asked about.
    pub fn partitions(&self) -> &[Arc<str>] {
        &self.partitions
    }

    /// Answers, in the order of [`Query::partitions`]; `Err` with a reason if it cannot be said.
    pub fn answer(self, stands: Result<Vec<Option<Stand>>, String>) {
        self.request.answer(stands);
    }
}

/// The wish that everything handed out be committed.
#[derive(Debug)]
pub struct Release {
    stands: Vec<Option<i64>>,
    request: Request,
}

impl Release {
    /// Says whether it is.
    pub fn answer(self, committed: bool) {
        self.request.answer(if committed {
            let stand = |next| Stand { next, last: None };
            Ok(self
                .stands
                .into_iter()
                .map(|next| next.map(stand))
                .collect())
        } else {
            Err("not committed".into())
        });
    }
}

/// Running inputs.
pub struct Intake {
    hopper: Arc<Hopper>,
    inputs: Vec<Arc<Shared>>,
    threads: Vec<JoinHandle<()>>,
    /// Offset after the last message handed out of each partition.
    handed: HashMap<Arc<str>, i64>,
}

/// A view of the inputs' health that outlives them.
#[derive(Clone)]
pub struct Healths(Vec<Arc<Shared>>);

impl Healths {
    /// How each input is now.
    pub fn now(&self) -> Vec<SourceHealth> {
        self.0.iter().map(|input| input.health()).collect()
    }
}

impl Intake {
    /// Starts a thread for each input, with its gate. Connects to nothing yet: a cluster that is not there is waited for.
    ///
    /// # Errors
    /// A setting that cannot be, or a client that cannot be made with it.
    pub fn start(inputs: Vec<(InputSettings, Gate)>) -> Result<Self, KafkaError> {
        let mut intake = Self {
            hopper: Arc::new(Hopper::new(inputs.len())),
            inputs: vec![],
            threads: vec![],
            handed: HashMap::new(),
        };
        for (settings, gate) in inputs {
            if let Err(error) = intake.add(settings, gate) {
                intake.close();
                return Err(error);
            }
        }
        Ok(intake)
    }

    fn add(&mut self, settings: InputSettings, mut gate: Gate) -> Result<(), KafkaError> {
        settings.check()?;
        let what = format!("kafka input `{}`", settings.name);
        let config = settings.client()?;
        let topics = Topics::new(&settings.topics, settings.nights)?;
        let index = self.inputs.len();
        let shared = Arc::new(Shared::new(settings, topics, index, self.hopper.clone()));
        let consumer = reader::connect(&shared, &config).map_err(|source| KafkaError::Client {
            what: what.clone(),
            source,
        })?;
        self.inputs.push(shared.clone());
        let thread = std::thread::Builder::new()
            .name(format!("kafka-{}", shared.board.name()))
            .spawn(move || reader::run(&shared, &config, consumer, &mut gate))
            .map_err(|source| KafkaError::Thread { what, source })?;
        self.threads.push(thread);
        Ok(())
    }

    /// The next message or question, waiting for one not longer than this.
    pub fn next(&mut self, longest: Duration) -> Next {
        match self.hopper.take(longest) {
            None => Next::Nothing,
            Some(Taken::Message(message)) => {
                let next = message.offset + 1;
                match self.handed.get_mut(&message.partition) {
                    Some(handed) => *handed = next,
                    None => drop(self.handed.insert(message.partition.clone(), next)),
                }
                Next::Message(message)
            }
            Some(Taken::Request(request)) => Next::Ask(self.ask(request)),
        }
    }

    fn ask(&mut self, mut request: Request) -> Ask {
        match std::mem::replace(&mut request.want, Want::Release(vec![])) {
            Want::Positions(partitions) => {
                // From now on these are counted from the answer.
                for partition in &partitions {
                    self.handed.remove(partition);
                }
                Ask::Positions(Query {
                    partitions,
                    request,
                })
            }
            Want::Look(partitions) => Ask::Look(Query {
                partitions,
                request,
            }),
            Want::Release(partitions) => {
                let handed = |partition: &Arc<str>| self.handed.remove(partition);
                let stands = partitions.iter().map(handed).collect();
                Ask::Release(Release { stands, request })
            }
        }
    }

    /// How the inputs are, also after they have ended.
    pub fn healths(&self) -> Healths {
        Healths(self.inputs.clone())
    }

    /// The partitions that are read now.
    pub fn partitions(&self) -> Vec<Arc<str>> {
        let of_input = |input: &Arc<Shared>| -> Vec<Arc<str>> {
            let ours = input.assigned();
            ours.places().map(|place| place.partition.clone()).collect()
        };
        self.inputs.iter().flat_map(of_input).collect()
    }

    /// Tells the groups where the archive stands. Only those who watch the lag read it.
    pub fn advise(&self, stands: &[(Arc<str>, i64)]) {
        let stands: HashMap<&Arc<str>, i64> = stands.iter().map(|(name, at)| (name, *at)).collect();
        for input in &self.inputs {
            let ours = input.assigned();
            let told: Vec<_> = ours
                .places()
                .filter_map(|place| {
                    let at = stands.get(&place.partition)?;
                    Some(((place.topic.clone(), place.number), *at))
                })
                .collect();
            drop(ours);
            input.advise(told);
        }
    }

    /// Ends: tells the groups where they stand if everything handed out is committed, and leaves them.
    pub fn finish(self, committed: bool) {
        if committed {
            let handed: Vec<_> = self
                .handed
                .iter()
                .map(|(name, at)| (name.clone(), *at))
                .collect();
            self.advise(&handed);
        }
        self.close();
    }

    fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.inputs.iter().for_each(|input| input.stop());
        self.hopper.close();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!(
                    "the thread of a kafka input panicked (please report this as a bug)"
                );
            }
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.end();
    }
}

/// A time that doubles, up to a bound.
#[derive(Clone, Copy, Debug)]
struct Delay {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Delay {
    const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    fn next(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.longest);
        now
    }

    fn reset(&mut self) {
        self.next = self.first;
    }
}
