//! Which of the wanted topics are there, and whether the cluster is.
//!
//! A thread of its own asks the cluster what topics it has: every half minute, at once when librdkafka reports something, and
//! after growing delays while there is no answer. So an error that librdkafka mends by itself is not worth a word, and one
//! that lasts is said once.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use super::context::Context;
use super::health::TroubleKind;
use super::leftovers::Leftovers;
use super::shared::Shared;
use super::{Delay, time};

/// Longest wait for the cluster's answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two looks when all is well, unless the settings say otherwise.
const USUAL: Duration = Duration::from_secs(30);
/// Longest time between two looks while there is no answer.
const LONGEST: Duration = Duration::from_secs(10);
/// Time to let a moment's trouble pass before looking again.
const BREATH: Duration = Duration::from_millis(200);

/// Looks for topics until the session ends.
pub(super) fn run(shared: &Shared, consumer: &BaseConsumer<Context>, ended: &dyn Fn() -> bool) {
    let mut delay = Delay::new(Duration::from_secs(1), LONGEST);
    let mut leftovers = Leftovers::default();
    let usual = usual(shared);
    while !ended() {
        match look(shared, consumer, &mut leftovers) {
            Ok(found) => {
                let _ = shared.take_hint();
                shared.board.over(&TroubleKind::Connection);
                choose(shared, found);
                delay.reset();
                shared.wait_to_look(usual);
                std::thread::sleep(BREATH);
            }
            Err(error) => {
                let text = unreachable(shared, &error);
                shared.board.trouble(TroubleKind::Connection, text);
                let wait = delay.next();
                // Whatever librdkafka reports meanwhile is the same trouble: only the end of it cuts the wait short.
                for _ in 0..wait.as_millis() / BREATH.as_millis() {
                    if ended() {
                        return;
                    }
                    std::thread::sleep(BREATH);
                }
            }
        }
    }
}

/// Time between two looks: what librdkafka is told of its own, if it is told.
fn usual(shared: &Shared) -> Duration {
    let told = shared
        .settings
        .access
        .settings
        .get("topic.metadata.refresh.interval.ms");
    let told = told
        .and_then(|text| text.parse().ok())
        .filter(|ms| *ms >= 200);
    told.map_or(USUAL, Duration::from_millis)
}

/// What there is of the wanted topics.
struct Found {
    there: BTreeSet<String>,
    /// Names that must be there and are not: whether they may not be read.
    missing: Vec<(String, bool)>,
}

fn look(
    shared: &Shared,
    consumer: &BaseConsumer<Context>,
    leftovers: &mut Leftovers,
) -> Result<Found, KafkaError> {
    let mut found = Found {
        there: BTreeSet::new(),
        missing: vec![],
    };
    let today = time::today();
    if shared.topics.has_patterns() {
        let all = consumer.fetch_metadata(None, PATIENCE)?;
        let wanted = all.topics().iter().filter(|topic| {
            let name = topic.name();
            let partitions = topic.partitions().len();
            shared.topics.wants(name, today)
                || (shared.topics.is_nightly(name)
                    && (shared.assigned().is_behind(name)
                        || leftovers.is_left(shared, consumer, name, partitions)))
        });
        let wanted = wanted.map(|topic| topic.name());
        found.there.extend(wanted.map(str::to_owned));
    }
    for name in shared.topics.names() {
        let answer = consumer.fetch_metadata(Some(name), PATIENCE)?;
        let topic = answer.topics().iter().find(|topic| topic.name() == name);
        match topic.map(|topic| topic.error()) {
            Some(Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)) => {
                found.missing.push((name.to_owned(), true));
            }
            None | Some(Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)) => {
                found.missing.push((name.to_owned(), false));
            }
            Some(_) => drop(found.there.insert(name.to_owned())),
        }
    }
    Ok(found)
}

/// Says what has come and gone, and leaves the choice to the thread that reads.
fn choose(shared: &Shared, found: Found) {
    let board = &shared.board;
    let name = board.name();
    let before = shared.wanted();
    let before = before.unwrap_or_default();
    for topic in found.there.difference(&before) {
        tracing::info!("kafka input `{name}`: reading topic `{topic}`");
        board.over(&TroubleKind::Topic(topic.clone()));
    }
    for topic in before.difference(&found.there) {
        if shared.topics.is_nightly(topic) {
            tracing::info!("kafka input `{name}`: topic `{topic}` has expired, and is left");
        }
    }
    for (topic, forbidden) in &found.missing {
        let text = if *forbidden {
            format!(
                "topic `{topic}` may not be read (ask the cluster's owners for the right; looked for again)"
            )
        } else {
            format!(
                "topic `{topic}` is not there: not created yet, expired, misspelt or hidden from us (check `topics`; looked for again)"
            )
        };
        board.trouble(TroubleKind::Topic(topic.clone()), text);
    }
    if shared.topics.has_patterns() {
        let any = found
            .there
            .iter()
            .any(|topic| shared.topics.is_nightly(topic));
        let kind = TroubleKind::Topic("{night}".into());
        if any {
            board.over(&kind);
        } else {
            let patterns = shared.settings.topics.join("`, `");
            let nights = shared.settings.nights;
            let text = format!(
                "no topic fits `{patterns}` for tonight or the last {nights} nights (check `topics` and `nights`, and that we may see them; looked for again)"
            );
            board.trouble(kind, text);
        }
    }
    shared.set_wanted(found.there);
}

/// What is wrong with the connection, in one sentence.
fn unreachable(shared: &Shared, error: &KafkaError) -> String {
    let servers = &shared.settings.access.servers;
    let hint = shared.take_hint();
    let (rank, reason) = hint.unwrap_or_else(|| match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::Authentication) => (3, error.to_string()),
        Some(RDKafkaErrorCode::SSL) => (2, error.to_string()),
        _ => (1, format!("no answer within {} s", PATIENCE.as_secs())),
    });
    match rank {
        3 => format!(
            "{servers} does not let `{}` in: {reason} (check `user`, the password and `mechanism`; tried again)",
            shared.settings.access.user
        ),
        2 => format!(
            "no TLS with {servers}: {reason} (check `ca`, and that the port speaks TLS; tried again)"
        ),
        _ => format!(
            "cannot reach {servers}: {reason} (check `servers` and `security`; tried again)"
        ),
    }
}
