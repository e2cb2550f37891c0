//! Sending keyed messages one after the other, as many as there are, in bounded memory.

use std::sync::{Mutex, PoisonError};
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

#[derive(Default)]
struct Reports {
    /// The first message that did not arrive.
    failed: Mutex<Option<Error>>,
}

impl ClientContext for Reports {
    fn error(&self, error: Error, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| error.clone());
        }
    }
}

/// An idempotent producer of one topic. Messages of one key stay in order.
pub struct Sender {
    producer: BaseProducer<Reports>,
    topic: String,
    patience: Duration,
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
        })
    }

    /// Queues one message; waits while the queue is full.
    ///
    /// # Errors
    /// This one cannot be sent, or an earlier one did not arrive.
    pub fn send(
        &self,
        key: Option<&[u8]>,
        value: &[u8],
        headers: &[(&str, &str)],
    ) -> Result<(), KafkaError> {
        let mut all = OwnedHeaders::new();
        for (name, value) in headers {
            all = all.insert(Header {
                key: name,
                value: Some(*value),
            });
        }
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic)
            .payload(value)
            .headers(all);
        record.key = key;
        let deadline = Instant::now() + self.patience;
        loop {
            self.producer.poll(Duration::ZERO);
            self.check()?;
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) => {
                    let full = error.rdkafka_error_code() == Some(Code::QueueFull);
                    if !full || Instant::now() > deadline {
                        return Err(self.failed(error));
                    }
                    record = back;
                    self.producer.poll(POLL);
                }
            }
        }
    }

    /// Waits until every message has arrived.
    ///
    /// # Errors
    /// One did not.
    pub fn flush(&self) -> Result<(), KafkaError> {
        let flushed = self.producer.flush(self.patience + Duration::from_secs(5));
        self.check()?;
        flushed.map_err(|error| self.failed(error))
    }

    fn check(&self) -> Result<(), KafkaError> {
        let reports = self.producer.context();
        let failed = reports
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failed
            .clone()
            .map_or(Ok(()), |error| Err(self.failed(error)))
    }

    fn failed(&self, source: Error) -> KafkaError {
        KafkaError::Client {
            what: format!("a message to {}", self.topic),
            source,
        }
    }
}
