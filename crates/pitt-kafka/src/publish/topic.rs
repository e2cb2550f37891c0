//! Names and shapes of topics, and making them.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::error::{KafkaError as Error, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use super::connection::PATIENCE;
use super::output::Output;

/// Why a text is no name of a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic `{topic}`: {detail}")]
pub struct TopicNameError {
    /// The text.
    pub topic: String,
    /// What is wrong, and what is allowed.
    pub detail: String,
}

/// Longest name, characters.
const LONGEST: usize = 249;

/// Checks a topic's name by Kafka's rules: letters, digits, `.`, `_` and `-`, at most 249 of them, and not `.` or `..`.
///
/// # Errors
/// What is wrong with it.
pub fn check_topic(topic: &str) -> Result<(), TopicNameError> {
    let wrong = |detail: String| {
        Err(TopicNameError {
            topic: topic.to_owned(),
            detail,
        })
    };
    if topic.is_empty() || topic == "." || topic == ".." {
        return wrong("a name needs a letter or a digit".into());
    }
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(other) = topic.chars().find(|c| !allowed(c)) {
        return wrong(format!(
            "`{other}` cannot be in it (letters, digits, `.`, `_` and `-` can)"
        ));
    }
    if topic.len() > LONGEST {
        return wrong(format!("{} characters, at most {LONGEST}", topic.len()));
    }
    Ok(())
}

/// How a topic is made when it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicShape {
    /// Partitions.
    pub partitions: i32,
    /// Copies; -1 for what the cluster does by itself.
    pub replication: i32,
    /// How long messages are kept `[ms]`; -1 for ever.
    pub retention_ms: i64,
}

/// How topics of one kind are made.
pub(crate) struct Made {
    partitions: i32,
    replication: i32,
    config: Vec<(&'static str, String)>,
}

impl Made {
    /// A topic of one partition, as the cluster makes them.
    pub(crate) fn plain() -> Made {
        Made {
            partitions: 1,
            replication: -1,
            config: vec![],
        }
    }

    /// Topics of messages.
    pub(super) fn messages(output: &Output) -> Made {
        let shape = output.shape;
        Made {
            partitions: shape.partitions,
            replication: shape.replication,
            config: vec![
                ("retention.ms", shape.retention_ms.to_string()),
                ("max.message.bytes", output.max_message_bytes.to_string()),
            ],
        }
    }

    /// The topic of cursors: kept for ever, of each key the last.
    pub(super) fn cursors(output: &Output) -> Made {
        Made {
            partitions: 1,
            replication: output.shape.replication,
            config: vec![
                ("cleanup.policy", "compact".into()),
                ("retention.ms", "-1".into()),
            ],
        }
    }
}

/// Makes the topics that are not there; gives the partitions of each.
pub(super) fn ensure<C: ClientContext + ProducerContext>(
    producer: &BaseProducer<C>,
    config: &ClientConfig,
    names: &[&str],
    made: &Made,
) -> Result<Vec<i32>, (String, Error)> {
    let mut partitions = vec![];
    for name in names {
        if let Some(there) = look(producer, name)? {
            partitions.push(there);
            continue;
        }
        create(config, name, made, PATIENCE)?;
        let until = Instant::now() + PATIENCE;
        loop {
            match look(producer, name)? {
                Some(there) => break partitions.push(there),
                None if Instant::now() > until => {
                    let doing = format!("topic `{name}` was made and is not there");
                    return Err((doing, Error::AdminOp(Code::UnknownTopicOrPartition)));
                }
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
    Ok(partitions)
}

/// The partitions of a topic; `None` if it is not there.
fn look<C: ClientContext + ProducerContext>(
    producer: &BaseProducer<C>,
    name: &str,
) -> Result<Option<i32>, (String, Error)> {
    let failed = |error| (format!("cannot look for topic `{name}`"), error);
    let metadata = producer.client().fetch_metadata(Some(name), PATIENCE);
    let metadata = metadata.map_err(failed)?;
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
        return Ok(None);
    };
    match topic.error().map(Code::from) {
        None => Ok(Some(topic.partitions().len() as i32).filter(|there| *there > 0)),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::LeaderNotAvailable) => {
            Ok(None)
        }
        Some(code) => Err(failed(Error::MetadataFetch(code))),
    }
}

/// Makes a topic, unless it is there.
pub(crate) fn create(
    config: &ClientConfig,
    name: &str,
    made: &Made,
    patience: Duration,
) -> Result<(), (String, Error)> {
    let failed = |error| (format!("cannot make topic `{name}`"), error);
    let mut config = config.clone();
    // An admin client is no producer of this id.
    config.remove("transactional.id");
    let admin: AdminClient<DefaultClientContext> = config.create().map_err(failed)?;
    let mut topic = NewTopic::new(
        name,
        made.partitions,
        TopicReplication::Fixed(made.replication),
    );
    for (key, value) in &made.config {
        topic = topic.set(key, value);
    }
    let options = AdminOptions::new()
        .request_timeout(Some(patience))
        .operation_timeout(Some(patience));
    let asked = admin.create_topics([&topic], &options);
    let answers = futures_executor::block_on(asked).map_err(failed)?;
    for answer in answers {
        match answer {
            Ok(_) => tracing::info!(topic = name, partitions = made.partitions, "topic made"),
            Err((_, Code::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(failed(Error::AdminOp(code))),
        }
    }
    Ok(())
}

/// What the cluster says, without the words around it.
pub(crate) fn reason(error: &Error) -> String {
    let code = error.rdkafka_error_code();
    code.map_or_else(|| error.to_string(), |code| code.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_by_kafkas_rules() {
        for good in ["pitt-bright", "a", "A.b_c-9", &"x".repeat(249)] {
            assert_eq!(check_topic(good), Ok(()));
        }
        let error = |topic: &str| check_topic(topic).unwrap_err().to_string();
        assert_eq!(
            error("pitt-blue stars"),
            "topic `pitt-blue stars`: ` ` cannot be in it (letters, digits, `.`, `_` and `-` can)"
        );
        assert_eq!(error(".."), "topic `..`: a name needs a letter or a digit");
        assert!(error(&"x".repeat(250)).ends_with("250 characters, at most 249"));
    }
}
