//! Messages to Kafka, each exactly once for those who read what is committed.
//!
//! A [`Feed`] gives messages in an order of its own, and says after each batch how far it got: its [`Cursor`]. A
//! [`Publisher`] writes a batch and the cursor behind it in one Kafka transaction, the cursor as a record of a topic beside
//! the messages. Whoever starts again ends what the process before left open, reads the cursor, and asks the feed for what comes
//! after it: nothing is left out, nothing is seen twice. Without transactions the cursor follows the messages, and what lies
//! between the two can come twice after a crash ([`Transport::Plain`]).
//!
//! Everything that can go wrong is one of four [`Failure`]s, and the publisher lives through all but one: when a newer one
//! with the same id is at work, it stops.

mod connection;
mod cursor;
mod lookup;
mod murmur;
mod output;
mod publisher;
#[cfg(test)]
mod tests;
mod topic;

use std::sync::Arc;

use bytes::Bytes;

pub use connection::Connection;
pub use cursor::Cursor;
pub use output::{Output, Transport};
pub use publisher::{Backoff, Progress, Publisher};
pub use topic::{TopicNameError, TopicShape, check_topic};

/// A message on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Topic.
    pub topic: Arc<str>,
    /// Key.
    pub key: Bytes,
    /// What decides on the partition, usually the object's id: messages with the same text stay in order.
    pub spread: Arc<str>,
    /// Names and UTF-8 texts, in order.
    pub headers: Vec<(&'static str, String)>,
    /// Value.
    pub value: Bytes,
    /// Under which name it is counted: the filter's.
    pub label: Arc<str>,
}

/// Where messages come from: always the same ones in the same order, from wherever one starts.
pub trait Feed {
    /// The next messages after a cursor; none when there are none yet.
    ///
    /// # Errors
    /// They cannot be read now. It is asked again later.
    fn after(&mut self, place: Option<&str>) -> Result<Batch, String>;

    /// Called while the batch that ends at this place is on its way: what comes next can be made meanwhile.
    fn prepare(&mut self, _place: &str) {}

    /// Everything up to this place is published and will not be asked for again.
    fn published(&mut self, cursor: &Cursor);
}

/// Messages that go out together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order.
    pub messages: Vec<Outgoing>,
    /// Labels of what could not be made a message of, each once for each of them.
    pub refused: Vec<Arc<str>>,
    /// How many there were that are not to be published.
    pub kept_back: u64,
    /// Place after the last of them; `None` when nothing is there.
    pub place: Option<String>,
}

/// What can go wrong on the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// This message will never be taken; the others can be.
    #[error("message {index}: {detail}")]
    Refused {
        /// Its index among those sent since the beginning.
        index: usize,
        /// Why not.
        detail: String,
    },
    /// Nobody answers, or the transaction must be given up: nothing of it counts, and another producer can be made.
    #[error("{0}")]
    Broken(String),
    /// A newer producer with the same id is at work.
    #[error("{0}")]
    Fenced(String),
    /// The other side knows no transactions.
    #[error("{0}")]
    Unsupported(String),
}

/// One connection that publishes. The order of calls is: `open`, then again and again `begin`, `send`.., `commit`.
pub trait Producer {
    /// Readies it, ends what another one with this id left open, and gives the cursor that was committed last.
    fn open(&mut self) -> Result<Option<Cursor>, Failure>;
    /// Why a message will never be taken, as far as that can be told beforehand.
    ///
    /// # Errors
    /// The reason.
    fn check(&self, _message: &Outgoing) -> Result<(), String> {
        Ok(())
    }
    /// Begins a batch.
    fn begin(&mut self) -> Result<(), Failure>;
    /// Hands a message over; it may be on its way for longer.
    fn send(&mut self, message: &Outgoing) -> Result<(), Failure>;
    /// Waits until all are there, and makes them and the cursor visible.
    fn commit(&mut self, cursor: &Cursor) -> Result<(), Failure>;
    /// Takes back everything since `begin`; only after [`Failure::Refused`].
    fn abort(&mut self) -> Result<(), Failure>;
}

/// Makes producers of one id, one after the other.
pub trait Connect {
    /// What it makes.
    type Producer: Producer;
    /// Makes one. Opens nothing yet.
    fn connect(&mut self) -> Result<Self::Producer, Failure>;
    /// From now on without transactions; `false` when it is so already.
    fn without_transactions(&mut self) -> bool;
}
