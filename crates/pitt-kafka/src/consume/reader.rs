//! The thread that polls one input.
//!
//! It never stops polling for longer than [`PATIENCE`]: when nobody takes what has come, or a schema cannot be asked for,
//! it pauses the partitions and polls on, so that the group does not take it for dead. A pause costs what librdkafka has
//! fetched ahead, which is fetched again; therefore it waits a moment first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};

use super::context::{self, Context};
use super::health::{SourceState, TroubleKind};
use super::identity::Last;
use super::range::Range;
use super::shared::Shared;
use super::{Delay, Gate, Message, discovery};

/// Longest time without polling.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest wait of one poll.
const POLL: Duration = Duration::from_millis(100);
/// Longest wait between two tries to begin a session.
const LONGEST: Duration = Duration::from_secs(30);
/// Longest wait between two tries to read what is held.
const LONGEST_HOLD: Duration = Duration::from_secs(8);

/// Reads until asked to stop; begins anew when a session breaks.
pub(super) fn run(
    shared: &Arc<Shared>,
    config: &ClientConfig,
    first: BaseConsumer<Context>,
    gate: &mut Gate,
) {
    let mut delay = Delay::new(Duration::from_secs(1), LONGEST);
    let mut consumer = Some(first);
    while !shared.stopping() {
        let begun = Instant::now();
        let ended = match consumer.take().map_or_else(|| connect(shared, config), Ok) {
            Ok(consumer) => session(shared, consumer, gate),
            Err(error) => Err(error.to_string()),
        };
        let Err(why) = ended else { break };
        if begun.elapsed() > 2 * LONGEST {
            delay.reset();
        }
        let text = format!("{why} (joining the group again)");
        shared.board.trouble(TroubleKind::Group, text);
        wait(shared, delay.next());
    }
    shared.board.doing(SourceState::Closed);
}

/// Makes a client. It connects when it is polled.
pub(super) fn connect(
    shared: &Arc<Shared>,
    config: &ClientConfig,
) -> Result<BaseConsumer<Context>, ClientError> {
    let shared = shared.clone();
    config.create_with_context(Context { shared })
}

fn wait(shared: &Shared, time: Duration) {
    let until = Instant::now() + time;
    while !shared.stopping() && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
}

/// From joining the group to leaving it.
fn session(
    shared: &Arc<Shared>,
    consumer: BaseConsumer<Context>,
    gate: &mut Gate,
) -> Result<(), String> {
    shared.board.doing(SourceState::Joining);
    let over = std::sync::atomic::AtomicBool::new(false);
    let ended = || shared.stopping() || over.load(Ordering::SeqCst);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| discovery::run(shared, &consumer, &ended));
        let mut reader = Reader {
            shared,
            consumer: &consumer,
            gate,
            subscribed: None,
            retry: None,
            delay: Delay::new(Duration::from_secs(1), LONGEST_HOLD),
            range: Range::new(shared, &consumer),
        };
        let outcome = reader.read();
        over.store(true, Ordering::SeqCst);
        shared.look_now();
        outcome
    });
    if let Some(list) = shared.take_advice() {
        commit(&consumer, &list, CommitMode::Sync);
    }
    close(shared, consumer);
    let mut ours = shared.assigned();
    ours.paused = false;
    ours.held.clear();
    outcome
}

/// Closes the client, which leaves the group: partitions are taken from us once more, by the callback.
///
/// When the group is dividing its partitions at that very moment, librdkafka has been seen to wait for ever. So it closes on a thread of
/// its own, which is left behind if that takes long; the group then misses us after the session timeout.
fn close(shared: &Shared, consumer: BaseConsumer<Context>) {
    let (closed, wait) = std::sync::mpsc::sync_channel(1);
    thread::spawn(move || {
        drop(consumer);
        let _ = closed.send(());
    });
    if wait.recv_timeout(5 * PATIENCE).is_err() {
        let name = shared.board.name();
        tracing::info!("kafka input `{name}`: left without the group's answer");
    }
}

/// Tells the group where the archive stands, for lag monitors.
fn commit(consumer: &BaseConsumer<Context>, list: &rdkafka::TopicPartitionList, mode: CommitMode) {
    match consumer.commit(list, mode) {
        // Something newer is on its way already.
        Ok(()) | Err(ClientError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
        Err(error) => tracing::debug!("the group did not take the positions: {error}"),
    }
}

struct Reader<'a> {
    shared: &'a Arc<Shared>,
    consumer: &'a BaseConsumer<Context>,
    gate: &'a mut Gate,
    subscribed: Option<std::collections::BTreeSet<String>>,
    /// When to try again what is held.
    retry: Option<Instant>,
    delay: Delay,
    /// Compares positions with what the cluster keeps.
    range: Range<'a>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), String> {
        while !self.shared.stopping() {
            self.subscribe()?;
            if let Some(list) = self.shared.take_advice() {
                commit(self.consumer, &list, CommitMode::Async);
            }
            self.range.check();
            self.try_again();
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => self.take(&message),
                Some(Err(ClientError::MessageConsumptionFatal(code))) => {
                    return Err(format!("the session is over: {code}"));
                }
                // Said by the context, which also knows the reason.
                Some(Err(_)) | None => {}
            }
            if let Some(why) = self.shared.take_broken() {
                return Err(why);
            }
        }
        Ok(())
    }

    /// Subscribes to the topics that are there. Those that stay are not interrupted.
    fn subscribe(&mut self) -> Result<(), String> {
        let Some(wanted) = self.shared.wanted() else {
            return Ok(());
        };
        if self.subscribed.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
        if !names.is_empty() {
            self.consumer
                .subscribe(&names)
                .map_err(|error| format!("cannot subscribe to {}: {error}", names.join(", ")))?;
        } else if self.subscribed.as_ref().is_some_and(|had| !had.is_empty()) {
            self.consumer.unsubscribe();
        }
        self.subscribed = Some(wanted);
        Ok(())
    }

    /// Takes a message in, unless it is not the one that comes next.
    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Some(message) = self.next(message) else {
            return;
        };
        let mut ours = self.shared.assigned();
        if !ours.held.is_empty() {
            // Fetched before the pause took hold.
            ours.held.push_back(message);
            return;
        }
        drop(ours);
        match (self.gate)(&message.payload) {
            Ok(()) => self.hand_on(message),
            Err(why) => self.hold(message, why),
        }
    }

    fn next(&self, message: &BorrowedMessage<'_>) -> Option<Message> {
        let mut ours = self.shared.assigned();
        let offset = message.offset();
        let place = ours.place_mut(message.topic(), message.partition())?;
        if place.doubtful {
            return None;
        }
        if place.next.is_some_and(|next| offset < next) {
            tracing::debug!("{}@{offset}: came again, passed over", place.partition);
            return None;
        }
        place.next = Some(offset + 1);
        place.end = Some((offset + 1).max(place.end.unwrap_or(0)));
        let payload = Bytes::copy_from_slice(message.payload().unwrap_or_default());
        place.last = Some(Last::Taken(payload.clone()));
        Some(Message {
            input: self.shared.index,
            partition: place.partition.clone(),
            topic: place.topic.clone(),
            number: place.number,
            offset,
            timestamp_ms: message.timestamp().to_millis(),
            payload,
        })
    }

    fn hand_on(&mut self, message: Message) {
        let shared = self.shared;
        let (board, hopper) = (&shared.board, &shared.hopper);
        board.messages.fetch_add(1, Ordering::Relaxed);
        board
            .bytes
            .fetch_add(message.payload.len() as u64, Ordering::Relaxed);
        hopper.push(message);
        if !hopper.wait_below(shared.index, shared.settings.buffer_bytes, PATIENCE) {
            board.pauses.fetch_add(1, Ordering::Relaxed);
            self.pause();
        }
    }

    /// Keeps a message that cannot be read for now, and all that come after it.
    fn hold(&mut self, message: Message, why: String) {
        self.shared.board.trouble(TroubleKind::Schema, why);
        self.delay.reset();
        self.retry = Some(Instant::now() + self.delay.next());
        self.shared.assigned().held.push_back(message);
        self.pause();
    }

    fn pause(&self) {
        let mut ours = self.shared.assigned();
        ours.paused = true;
        let list = ours.list();
        drop(ours);
        context::pause(self.consumer, &list);
        self.shared.board.doing(SourceState::Paused);
    }

    /// Hands on what is held, and resumes, if the time has come.
    fn try_again(&mut self) {
        if !self.shared.assigned().paused {
            return;
        }
        if self.retry.is_some_and(|at| Instant::now() < at) {
            return;
        }
        let shared = self.shared;
        let low = (shared.settings.buffer_bytes / 2).max(1);
        if !shared.hopper.wait_below(shared.index, low, Duration::ZERO) {
            return;
        }
        loop {
            let Some(held) = shared.assigned().held.pop_front() else {
                break;
            };
            if let Err(why) = (self.gate)(&held.payload) {
                shared.assigned().held.push_front(held);
                shared.board.trouble(TroubleKind::Schema, why);
                self.retry = Some(Instant::now() + self.delay.next());
                return;
            }
            self.hand_on(held);
        }
        if self.retry.take().is_some() {
            shared.board.over(&TroubleKind::Schema);
        }
        let mut ours = shared.assigned();
        ours.paused = false;
        let list = ours.list();
        drop(ours);
        if let Err(error) = self.consumer.resume(&list) {
            shared.break_off(format!("partitions cannot be resumed: {error}"));
        }
        shared.board.doing(SourceState::Reading);
    }
}
