//! Whether a partition is still the one that was read.
//!
//! A topic that is deleted and made again counts from 0 once more. While it ends before our position, that shows by itself; once
//! it has grown past, going on would pass over its first messages in silence. So the message before the position is fetched
//! again, and compared with the one that was taken from there. Topic ids would tell too, but not every cluster has them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::shared::{Place, Shared};
use super::start::Ends;

/// Longest wait for one message.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);

/// What tells a message from others at the same offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Size of its value `[bytes]`.
    pub size: u64,
    /// CRC-32 of its value, as in zip files.
    pub crc32: u32,
}

impl Fingerprint {
    /// That of a value.
    pub fn of(value: &[u8]) -> Self {
        Self {
            size: value.len() as u64,
            crc32: crc32fast::hash(value),
        }
    }
}

/// The message before a position, as far as it is known.
#[derive(Clone, Debug)]
pub(super) enum Last {
    /// As the archive has it.
    Stored(Fingerprint),
    /// As it was taken in this session.
    Taken(Bytes),
}

impl Last {
    fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Stored(fingerprint) => *fingerprint,
            Self::Taken(value) => Fingerprint::of(value),
        }
    }
}

/// Compares partitions with what was read of them, one after the other.
pub(super) struct Comparison {
    consumer: BaseConsumer,
}

impl Comparison {
    /// Prepares to compare, with a client of its own that joins no group.
    pub(super) fn new(shared: &Shared) -> Result<Self, String> {
        let config = shared.settings.client().map_err(|error| error.to_string());
        let consumer = config?
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("statistics.interval.ms", "0")
            .set("fetch.message.max.bytes", "65536")
            .set("queued.min.messages", "1")
            .set("fetch.wait.max.ms", "100")
            .create()
            .map_err(|error| format!("no client: {error}"))?;
        Ok(Self { consumer })
    }

    /// Whether a partition has the message that was taken from before our position; `None` when that cannot be told: it has expired,
    /// lies beyond the end, or is not known here.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub(super) fn is_same(&self, place: &Place, ends: Ends) -> Result<Option<bool>, String> {
        let (Some(next), Some(last)) = (place.next, &place.last) else {
            return Ok(None);
        };
        if next <= ends.oldest || next > ends.end {
            return Ok(None);
        }
        let there = self.message(place, next - 1)?;
        Ok(there.map(|there| there == last.fingerprint()))
    }

    fn message(&self, place: &Place, offset: i64) -> Result<Option<Fingerprint>, String> {
        let failed = |why: String| format!("{}@{offset} cannot be read: {why}", place.partition);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&place.topic, place.number, Offset::Offset(offset))
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| failed(error.to_string()))?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let own = (message.topic(), message.partition());
                    if own == (&*place.topic, place.number) {
                        let value = message.payload().unwrap_or_default();
                        let is_it = message.offset() == offset;
                        return Ok(is_it.then(|| Fingerprint::of(value)));
                    }
                }
                Some(Err(ClientError::PartitionEOF(number))) if number == place.number => {
                    return Ok(None);
                }
                Some(Err(error)) => tracing::debug!("{}", failed(error.to_string())),
                None => {}
            }
        }
        Err(failed(format!("no answer within {} s", PATIENCE.as_secs())))
    }
}
