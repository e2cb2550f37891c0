//! Sending messages one after the other, as many as there are, in bounded memory.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError as Error, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use crate::access::Access;
use crate::error::KafkaError;

const POLL: Duration = Duration::from_millis(20);
/// Messages that may be under way, kilobytes.
const QUEUE_KB: &str = "65536";
/// How long messages under way are waited for after their time.
const GRACE: Duration = Duration::from_secs(5);

/// What became of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Messages that the cluster has.
    pub delivered: u64,
    /// What happened to the others, one line each.
    pub failed: Vec<String>,
}

#[derive(Default)]
struct Reports {
    sent: Mutex<Sent>,
    /// The first message that did not arrive.
    first: Mutex<Option<Error>>,
    /// The last thing said about the connection as a whole.
    last: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reports {
    fn failed(&self, index: usize, error: &Error) {
        let last = lock(&self.last).clone();
        let said = last.map_or_else(String::new, |last| format!(" ({last})"));
        let told = format!("message {index}: {error}{said}");
        lock(&self.sent).failed.push(told);
        lock(&self.first).get_or_insert_with(|| error.clone());
    }
}

impl ClientContext for Reports {
    fn error(&self, error: Error, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
        *lock(&self.last) = Some(reason.to_owned());
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        match result {
            Ok(_) => lock(&self.sent).delivered += 1,
            Err((error, _)) => self.failed(index, error),
        }
    }
}

/// An idempotent producer of one topic. Messages of one key stay in order.
pub struct Sender {
    producer: BaseProducer<Reports>,
    topic: String,
    patience: Duration,
    queued: usize,
}

impl Sender {
    /// Prepares to send messages of at most `largest` bytes, each of which must arrive within `patience`. Opens nothing yet.
    ///
    /// # Errors
    /// The settings are wrong.
    pub fn new(
        access: &Access,
        topic: &str,
        largest: usize,
        patience: Duration,
    ) -> Result<Self, KafkaError> {
        access.check()?;
        let mut config = access.client();
        config
            .set("enable.idempotence", "true")
            .set("message.max.bytes", largest.to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KB)
            .set("linger.ms", "5")
            .set("message.timeout.ms", patience.as_millis().to_string());
        access.apply_settings(&mut config, &[])?;
        let producer = config
            .create_with_context(Reports::default())
            .map_err(|source| KafkaError::Client {
                what: format!("a producer for {topic}"),
                source,
            })?;
        Ok(Self {
            producer,
            topic: topic.to_owned(),
            patience,
            queued: 0,
        })
    }

    /// Queues one message; waits while the queue is full.
    ///
    /// # Errors
    /// This one cannot be sent, or an earlier one did not arrive.
    pub fn send(
        &mut self,
        key: Option<&[u8]>,
        value: &[u8],
        headers: &[(&str, &str)],
    ) -> Result<(), KafkaError> {
        self.producer.poll(Duration::ZERO);
        self.check()?;
        self.queue(key, value, headers);
        self.check()
    }

    /// Queues one message, waiting while the queue is full. What fails is in the reports.
    pub(crate) fn queue(&mut self, key: Option<&[u8]>, value: &[u8], headers: &[(&str, &str)]) {
        let mut all = OwnedHeaders::new();
        for (name, value) in headers {
            all = all.insert(Header {
                key: name,
                value: Some(*value),
            });
        }
        let index = self.queued;
        self.queued += 1;
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&self.topic, index)
            .payload(value)
            .headers(all);
        record.key = key;
        let deadline = Instant::now() + self.patience;
        while let Err((error, back)) = self.producer.send(record) {
            let full = error.rdkafka_error_code() == Some(Code::QueueFull);
            if !full || Instant::now() > deadline {
                return self.producer.context().failed(index, &error);
            }
            record = back;
            self.producer.poll(POLL);
        }
    }

    /// Waits until every message has arrived.
    ///
    /// # Errors
    /// One did not.
    pub fn flush(&self) -> Result<(), KafkaError> {
        let flushed = self.producer.flush(self.patience + GRACE);
        self.check()?;
        flushed.map_err(|error| self.failed(error))
    }

    /// Waits until every message has arrived or failed, and says what became of them.
    pub(crate) fn finish(self) -> Sent {
        let until = Instant::now() + self.patience + GRACE;
        while self.producer.in_flight_count() > 0 && Instant::now() < until {
            self.producer.poll(POLL);
        }
        lock(&self.producer.context().sent).clone()
    }

    fn check(&self) -> Result<(), KafkaError> {
        let first = lock(&self.producer.context().first).clone();
        first.map_or(Ok(()), |error| Err(self.failed(error)))
    }

    fn failed(&self, source: Error) -> KafkaError {
        KafkaError::Client {
            what: format!("a message to {}", self.topic),
            source,
        }
    }
}
