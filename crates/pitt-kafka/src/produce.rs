//! Sending messages as they are, and waiting until all of them have arrived.

use std::time::Duration;

use bytes::Bytes;

use crate::access::Access;
use crate::error::KafkaError;
use crate::publish::topic::{self, Made};
use crate::sender::Sender;

pub use crate::sender::Sent;

/// Largest message, bytes.
const LARGEST: usize = 10 << 20;

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
    let mut sender = Sender::new(access, topic, LARGEST, patience)?;
    for message in messages {
        sender.queue(None, message, &[]);
    }
    Ok(sender.finish())
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
    let made = topic::create(&config, topic, &Made::plain(), patience);
    Ok(made.map_err(|(_, error)| topic::reason(&error)))
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
