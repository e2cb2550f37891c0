//! Reading the cursor back.

use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError as Error, RDKafkaErrorCode as Code};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::Cursor;
use super::connection::PATIENCE;
use super::output::{Output, TRANSACTION};
use crate::error::KafkaError;

/// Says nothing: the end of a partition is no error, and errors come back from the calls.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: Error, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for Quiet {}

/// Records read back at first; each next attempt reads eight times as many.
const FIRST: i64 = 20_000;

/// Why the cursor cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("{0}: {1}")]
    Kafka(&'static str, Error),
    #[error(transparent)]
    Settings(#[from] KafkaError),
    #[error("another publisher's transaction in `{0}` does not end")]
    Unfinished(String),
    #[error("the cursor in `{topic}` was not read to its end within {patience:?}")]
    Slow { topic: String, patience: Duration },
}

impl LookupError {
    /// Whether the topic of cursors is not there.
    pub(super) fn is_no_topic(&self) -> bool {
        let Self::Kafka(_, error) = self else {
            return false;
        };
        let code = error.rdkafka_error_code();
        matches!(
            code,
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
        )
    }
}

/// The last committed cursor of this publisher. To be asked when no transaction of its own is open.
///
/// Publishers share the topic, and a reader of what is committed stops at the first transaction that is open, whoever's it
/// is. So the end is taken first, without regard to transactions, and waited for: everything before it is then decided.
pub(super) fn cursor(output: &Output) -> Result<Option<Cursor>, LookupError> {
    let topic = output.cursors.as_str();
    let kafka = |doing| move |error| LookupError::Kafka(doing, error);
    let watermarks = |consumer: &BaseConsumer<Quiet>| {
        consumer
            .fetch_watermarks(topic, 0, PATIENCE)
            .map_err(kafka("cannot find the cursor"))
    };
    let anything: BaseConsumer<Quiet> = output
        .consumer_config("read_uncommitted")?
        .create_with_context(Quiet)
        .map_err(kafka("no consumer"))?;
    let (low, end) = watermarks(&anything)?;
    let committed: BaseConsumer<Quiet> = output
        .consumer_config("read_committed")?
        .create_with_context(Quiet)
        .map_err(kafka("no consumer"))?;
    let until = Instant::now() + 2 * TRANSACTION;
    while watermarks(&committed)?.1 < end {
        if Instant::now() > until {
            return Err(LookupError::Unfinished(topic.to_owned()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut reach = FIRST;
    loop {
        let from = low.max(end.saturating_sub(reach));
        if let Some(cursor) = last(output, &committed, from)? {
            return Ok(Some(cursor));
        }
        if from <= low {
            return Ok(None);
        }
        reach = reach.saturating_mul(8);
    }
}

/// The last cursor of this publisher from an offset on.
fn last(
    output: &Output,
    consumer: &BaseConsumer<Quiet>,
    from: i64,
) -> Result<Option<Cursor>, LookupError> {
    let kafka = |doing| move |error| LookupError::Kafka(doing, error);
    let mut place = TopicPartitionList::new();
    place
        .add_partition_offset(&output.cursors, 0, Offset::Offset(from))
        .and_then(|()| consumer.assign(&place))
        .map_err(kafka("cannot read the cursor"))?;
    let mut found = None;
    let mut quiet_since = Instant::now();
    while quiet_since.elapsed() < PATIENCE {
        match consumer.poll(Duration::from_millis(100)) {
            None => continue,
            Some(Err(Error::PartitionEOF(_))) => return Ok(found),
            Some(Err(error)) => return Err(kafka("cannot read the cursor")(error)),
            Some(Ok(record)) => {
                if record.key() == Some(output.id.as_bytes()) {
                    found = record.payload().and_then(Cursor::from_json).or(found);
                }
            }
        }
        quiet_since = Instant::now();
    }
    Err(LookupError::Slow {
        topic: output.cursors.clone(),
        patience: PATIENCE,
    })
}
