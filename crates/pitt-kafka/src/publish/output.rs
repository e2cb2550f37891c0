//! Where messages go: a cluster, and the names under which this publisher is known there.

use std::time::Duration;

use rdkafka::ClientConfig;

use super::connection::Connection;
use super::{Connect, Cursor, Failure, TopicShape, lookup};
use crate::access::Access;
use crate::error::KafkaError;

/// How messages become visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// In transactions, together with the cursor: a reader of what is committed sees each message exactly once.
    #[default]
    Transactions,
    /// By an idempotent producer, the cursor after them. What a crash can repeat: the messages of the last batch, as long
    /// as its cursor was not written; in the order in which they were, never others.
    Plain,
}

/// Longest time that a transaction may stay open. A process that is stopped in the middle of one holds up readers of what
/// is committed for no longer.
pub(super) const TRANSACTION: Duration = Duration::from_secs(20);

/// Settings of librdkafka that publishing rests on.
const REFUSED: [(&str, &str); 5] = [
    ("transactional.id", "it is made of the archive and the lane"),
    ("enable.idempotence", "publishing rests on it"),
    ("isolation.level", "the cursor is read as it was committed"),
    ("enable.partition.eof", "the cursor is read to its end"),
    ("message.max.bytes", "use `max_message_mb` instead"),
];

/// A cluster to publish to, for one publisher.
#[derive(Clone, Debug)]
pub struct Output {
    /// How to reach it.
    pub access: Access,
    /// The publisher's id there: producers that follow each other have the same, no two at once may. It is the
    /// transactional id, and the key of the cursor's record.
    pub id: String,
    /// Topic of the cursors, of one partition.
    pub cursors: String,
    /// How topics are made.
    pub shape: TopicShape,
    /// Topics that are to be there before the first message.
    pub topics: Vec<String>,
    /// Largest message `[bytes]`, key and value.
    pub max_message_bytes: usize,
    /// How messages become visible.
    pub transport: Transport,
}

impl Output {
    /// Checks what can be checked without opening anything.
    ///
    /// # Errors
    /// A setting that cannot be.
    pub fn check(&self) -> Result<(), KafkaError> {
        self.access.check()?;
        self.producer_config().map(drop)
    }

    /// How far this publisher has published, by the record of its cursor; `None` when there is none.
    ///
    /// # Errors
    /// Why the cluster does not say.
    pub fn cursor(&self) -> Result<Option<Cursor>, String> {
        match lookup::cursor(self) {
            Err(error) if error.is_no_topic() => Ok(None),
            found => found.map_err(|error| error.to_string()),
        }
    }

    pub(super) fn producer_config(&self) -> Result<ClientConfig, KafkaError> {
        let mut config = self.access.client();
        config
            .set("client.id", &self.id)
            .set("enable.idempotence", "true")
            .set("message.max.bytes", self.max_message_bytes.to_string())
            // A batch is flushed as a whole: waiting for more gains nothing.
            .set("linger.ms", "1")
            .set("allow.auto.create.topics", "false")
            .set("message.timeout.ms", TRANSACTION.as_millis().to_string());
        if self.transport == Transport::Transactions {
            config.set("transactional.id", &self.id).set(
                "transaction.timeout.ms",
                TRANSACTION.as_millis().to_string(),
            );
        }
        self.access.apply_settings(&mut config, &REFUSED)?;
        Ok(config)
    }

    pub(super) fn consumer_config(&self, isolation: &str) -> Result<ClientConfig, KafkaError> {
        let mut config = self.access.client();
        self.access.apply_settings(&mut config, &REFUSED)?;
        config
            .set("client.id", &self.id)
            .set("group.id", &self.id)
            .set("enable.auto.commit", "false")
            .set("isolation.level", isolation)
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest");
        Ok(config)
    }
}

impl Connect for Output {
    type Producer = Connection;

    fn connect(&mut self) -> Result<Connection, Failure> {
        Connection::new(self.clone())
    }

    fn without_transactions(&mut self) -> bool {
        std::mem::replace(&mut self.transport, Transport::Plain) == Transport::Transactions
    }
}
