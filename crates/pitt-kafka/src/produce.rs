//! Sending messages as they are, and waiting until all of them have arrived.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::error::{KafkaError as Error, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use crate::access::Access;
use crate::error::KafkaError;

const POLL: Duration = Duration::from_millis(20);
/// Largest message, bytes.
const LARGEST: u32 = 10 << 20;

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
    /// The last thing said about the connection as a whole.
    last: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut sent = lock(&self.sent);
        match result {
            Ok(_) => sent.delivered += 1,
            Err((error, _)) => {
                let last = lock(&self.last).clone();
                let said = last.map_or_else(String::new, |last| format!(" ({last})"));
                sent.failed.push(format!("message {index}: {error}{said}"));
            }
        }
    }
}

/// Sends every message without a key, idempotently, and waits until each has arrived or failed. A topic that is not
/// there is made by the cluster, if it is allowed to.
///
/// # Errors
/// The settings are wrong. A cluster that cannot be reached within `patience` shows in [`Sent::failed`].
pub fn send(
    access: &Access,
    topic: &str,
    messages: &[Bytes],
    patience: Duration,
) -> Result<Sent, KafkaError> {
    access.check()?;
    let mut config = access.client();
    config
        .set("enable.idempotence", "true")
        .set("message.max.bytes", LARGEST.to_string())
        .set("linger.ms", "5")
        .set("message.timeout.ms", patience.as_millis().to_string());
    access.apply_settings(&mut config, &[])?;
    let producer: BaseProducer<Reports> =
        config
            .create_with_context(Reports::default())
            .map_err(|source| KafkaError::Client {
                what: format!("a producer for {topic}"),
                source,
            })?;
    let deadline = Instant::now() + patience;
    for (index, message) in messages.iter().enumerate() {
        enqueue(&producer, topic, message, index, deadline);
    }
    while producer.in_flight_count() > 0 && Instant::now() < deadline + Duration::from_secs(5) {
        producer.poll(POLL);
    }
    let sent = lock(&producer.context().sent).clone();
    Ok(sent)
}

/// Makes sure that a topic is there: one partition and the cluster's usual replication, if it has to be made.
///
/// # Errors
/// The settings are wrong. What the cluster says against it is a text.
pub fn ensure_topic(
    access: &Access,
    topic: &str,
    patience: Duration,
) -> Result<Result<(), String>, KafkaError> {
    access.check()?;
    let mut config = access.client();
    access.apply_settings(&mut config, &[])?;
    let admin: AdminClient<DefaultClientContext> =
        config.create().map_err(|source| KafkaError::Client {
            what: format!("a client for {topic}"),
            source,
        })?;
    let options = AdminOptions::new()
        .request_timeout(Some(patience))
        .operation_timeout(Some(patience));
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(-1));
    let made = futures_executor::block_on(admin.create_topics([&new], &options));
    Ok(match made.as_deref() {
        Ok([Ok(_) | Err((_, Code::TopicAlreadyExists))]) => Ok(()),
        Ok([Err((_, code))]) => Err(code.to_string()),
        Ok(_) => Err("the cluster did not answer for it".to_owned()),
        Err(error) => Err(error.to_string()),
    })
}

/// Queues one message, waiting while the queue is full.
fn enqueue(
    producer: &BaseProducer<Reports>,
    topic: &str,
    message: &Bytes,
    index: usize,
    deadline: Instant,
) {
    loop {
        let record = BaseRecord::<(), [u8], usize>::with_opaque_to(topic, index);
        let error = match producer.send(record.payload(message)) {
            Ok(()) => return,
            Err((error, _)) => error,
        };
        let full = error.rdkafka_error_code() == Some(Code::QueueFull);
        if !full || Instant::now() > deadline {
            let told = format!("message {index}: {error}");
            lock(&producer.context().sent).failed.push(told);
            return;
        }
        producer.poll(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_there_is_a_failure_of_every_message() {
        let access = Access {
            servers: "127.0.0.1:9".into(),
            ..Access::default()
        };
        let messages = [Bytes::from_static(b"a"), Bytes::from_static(b"b")];
        let sent = send(&access, "ztf-stream", &messages, Duration::from_millis(300)).unwrap();
        assert_eq!((sent.delivered, sent.failed.len()), (0, 2), "{sent:?}");
    }
}
