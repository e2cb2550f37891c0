//! A topic of a Kafka cluster as a sink.

use std::time::Duration;

use anyhow::Result;
use pitt_kafka::{Access, Sender};

use super::{Message, Sink, Tally};
use crate::screen::line::Line;

/// How long a message may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends to a topic of a cluster.
pub struct Cluster {
    sender: Sender,
    line: Line,
}

impl Cluster {
    /// A sink of messages of at most `largest` bytes.
    ///
    /// # Errors
    /// The settings are wrong.
    pub fn new(access: &Access, topic: &str, largest: usize) -> Result<Self> {
        Ok(Self {
            sender: Sender::new(access, topic, largest, PATIENCE)?,
            line: Line::new(topic.to_owned()),
        })
    }

    /// Waits until every message has arrived.
    ///
    /// # Errors
    /// One did not.
    pub fn finish(self) -> Result<()> {
        self.line.finish();
        Ok(self.sender.flush()?)
    }
}

impl Sink for Cluster {
    fn send(&mut self, messages: Vec<Message>) -> Result<()> {
        for Message { key, packet } in messages {
            self.sender.send(key.as_deref(), &packet.bytes, &[])?;
        }
        Ok(())
    }

    fn look(&mut self, tally: &Tally) {
        self.line.show(tally, "");
    }
}
