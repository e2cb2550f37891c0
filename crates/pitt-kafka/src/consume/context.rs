//! What librdkafka calls back: partitions given and taken, errors, statistics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};

use super::health::{SourceState, TroubleKind};
use super::hopper::Want;
use super::shared::{Place, Shared};
use super::{range, start};

/// Receives what librdkafka has to say, on the thread that polls.
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        // What was on its way when the client ended: nobody is left to answer, and nobody would answer us.
        if consumer.closed() {
            return;
        }
        let board = &self.shared.board;
        board.rebalances.fetch_add(1, Ordering::Relaxed);
        if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.given(consumer, partitions);
        } else {
            self.taken(consumer, partitions);
        }
    }
}

impl Context {
    /// Partitions are ours from now on: each is read from where the archive stands.
    fn given(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let shared = &self.shared;
        let mut places = match start::places(shared, consumer, partitions) {
            Ok(places) => places,
            Err(why) => {
                if !shared.stopping() {
                    shared.break_off(why);
                }
                vec![]
            }
        };
        range::doubt_given(shared, consumer, &mut places);
        let (mut list, mut doubtful) = (TopicPartitionList::new(), TopicPartitionList::new());
        for place in &places {
            let offset = place.next.map_or(Offset::Beginning, Offset::Offset);
            let _ = list.add_partition_offset(&place.topic, place.number, offset);
            if place.doubtful {
                doubtful.add_partition(&place.topic, place.number);
            }
        }
        let assigned = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&list),
            _ => consumer.assign(&list),
        };
        if let Err(error) = assigned {
            shared.break_off(format!("the partitions given cannot be read: {error}"));
            return;
        }
        let mut ours = shared.assigned();
        for place in places {
            tracing::info!("{}: from {:?}", place.partition, place.next);
            ours.add(place);
        }
        if ours.paused && list.count() > 0 {
            pause(consumer, &list);
        } else if doubtful.count() > 0 {
            pause(consumer, &doubtful);
        }
        drop(ours);
        shared.board.over(&TroubleKind::Group);
        shared.board.doing(SourceState::Reading);
    }

    /// Partitions are no longer ours: what was handed out of them is committed first, unless they are gone already.
    fn taken(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let shared = &self.shared;
        let lost = consumer.assignment_lost();
        let mut places: Vec<Place> = vec![];
        {
            let mut ours = shared.assigned();
            for element in partitions.elements() {
                places.extend(ours.remove(element.topic(), element.partition()));
            }
            if ours.is_empty() && !shared.stopping() {
                shared.board.doing(SourceState::Joining);
            }
        }
        let names: Vec<Arc<str>> = places.iter().map(|place| place.partition.clone()).collect();
        shared.hopper.discard(shared.index, &names);
        if lost {
            let name = shared.board.name();
            tracing::warn!(
                "kafka input `{name}`: the group gave {} partitions to others (this program did not answer in time)",
                names.len()
            );
        } else if !names.is_empty() {
            self.release(consumer, &places, names);
        }
        let unassigned = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
            _ => consumer.unassign(),
        };
        if let Err(error) = unassigned {
            shared.break_off(format!("the partitions taken cannot be given up: {error}"));
        }
    }

    /// Has everything handed out committed, and tells the group.
    fn release(&self, consumer: &BaseConsumer<Self>, places: &[Place], names: Vec<Arc<str>>) {
        let shared = &self.shared;
        let answer = shared.hopper.ask(Want::Release(names));
        // No answer: whoever takes has ended, and has committed what it took.
        let Ok(Ok(stands)) = answer.recv() else {
            return;
        };
        let mut list = TopicPartitionList::new();
        for (place, next) in places.iter().zip(stands) {
            if let Some(next) = next {
                let next = Offset::Offset(next.next);
                let _ = list.add_partition_offset(&place.topic, place.number, next);
            }
        }
        if list.count() > 0
            && let Err(error) = consumer.commit(&list, CommitMode::Sync)
        {
            // Only lag monitors read it.
            tracing::debug!("the group did not take the positions: {error}");
        }
    }
}

/// Stops fetching these partitions.
pub(super) fn pause(consumer: &BaseConsumer<Context>, list: &TopicPartitionList) {
    if let Err(error) = consumer.pause(list) {
        tracing::warn!("cannot pause partitions: {error}");
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(target: "librdkafka", ?level, "{facility} {text}");
    }

    fn stats(&self, statistics: Statistics) {
        let mut ours = self.shared.assigned();
        for (topic, statistics) in &statistics.topics {
            for (number, partition) in &statistics.partitions {
                if let Some(place) = ours.place_mut(topic, *number)
                    && partition.hi_offset >= 0
                {
                    place.end = Some(partition.hi_offset.max(place.end.unwrap_or(0)));
                }
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode as Code;
        let shared = &self.shared;
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
        match error.rdkafka_error_code() {
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                shared.out_of_range.store(true, Ordering::SeqCst);
            }
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => shared.hint(3, reason),
            Some(Code::SSL) => shared.hint(2, reason),
            Some(Code::Resolve | Code::BrokerTransportFailure | Code::OperationTimedOut) => {
                shared.hint(1, reason);
            }
            Some(Code::GroupAuthorizationFailed) => {
                let text = format!(
                    "the cluster does not let us into the group `{}`: {reason} (ask for the right to read with it, or set another `group`)",
                    shared.settings.group
                );
                shared.board.trouble(TroubleKind::Group, text);
            }
            Some(Code::PollExceeded) => {
                let name = shared.board.name();
                tracing::warn!(
                    "kafka input `{name}`: the program stood still for too long: {reason} (joining the group again)"
                );
            }
            _ => shared.look_now(),
        }
    }
}
