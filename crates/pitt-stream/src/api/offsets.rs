//! Where partitions begin and end, and how far groups have read.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetCommitRequest, OffsetCommitResponse,
    OffsetFetchRequest, OffsetFetchResponse, TopicName,
};

use super::fetch::READ_COMMITTED;
use super::{EPOCH, Session, code, off_runtime, text};
use crate::group::Speaker;
use crate::log::Log;
use crate::offsets::Committed;

/// Longest note a group may keep beside an offset `[bytes]`, as in Kafka.
const NOTE: usize = 4_096;
/// Kafka's numbers for times that are none.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const LATEST_TIME: i64 = -3;

/// Topics with the partitions asked for; `None` for everything the group has.
type Wanted = Option<Vec<(TopicName, Vec<i32>)>>;
/// What is committed for a partition; an error while a transaction may still change it.
type Found = Result<Option<Committed>, ResponseError>;
/// Topics with partitions and what is committed there.
type Kept = Vec<(TopicName, Vec<(i32, Found)>)>;

impl Session {
    pub(super) async fn list_offsets(&self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let shared = Arc::clone(&self.shared);
        let committed = request.isolation_level == READ_COMMITTED;
        let listed = off_runtime(move || {
            let topic = |t: kafka_protocol::messages::list_offsets_request::ListOffsetsTopic| {
                let found = shared.topics.get(&t.name.0);
                let one = |p: &ListOffsetsPartition| {
                    list_one(
                        found.as_ref().and_then(|t| t.partition(p.partition_index)),
                        p,
                        committed,
                    )
                };
                let partitions = t.partitions.iter().map(one).collect();
                ListOffsetsTopicResponse::default()
                    .with_name(t.name)
                    .with_partitions(partitions)
            };
            request.topics.into_iter().map(topic).collect()
        });
        ListOffsetsResponse::default().with_topics(listed.await.unwrap_or_default())
    }

    /// Keeps how far a group has read: all of the request or, on any disk error, none of it.
    pub(super) async fn offset_commit(&self, request: OffsetCommitRequest) -> OffsetCommitResponse {
        let group = request.group_id.0.to_string();
        let speaker = Speaker {
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            generation: request.generation_id_or_member_epoch,
        };
        let mut error = self
            .shared
            .groups
            .may_commit(&group, speaker, Instant::now())
            .err();
        let mut commits = Vec::new();
        let topics: Vec<_> = request
            .topics
            .iter()
            .map(|t| self.judge_commits(t, error, &mut commits))
            .collect();
        if error.is_none() {
            error = self.keep(group, commits).await.err();
        }
        let answer = |name: &TopicName, partitions: Vec<(i32, Option<ResponseError>)>| {
            let one = |(index, own): (i32, Option<ResponseError>)| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(code(own.or(error)))
            };
            OffsetCommitResponseTopic::default()
                .with_name(name.clone())
                .with_partitions(partitions.into_iter().map(one).collect())
        };
        let topics = request
            .topics
            .iter()
            .zip(topics)
            .map(|(t, p)| answer(&t.name, p))
            .collect();
        OffsetCommitResponse::default().with_topics(topics)
    }

    async fn keep(
        &self,
        group: String,
        commits: Vec<((String, i32), Committed)>,
    ) -> Result<(), ResponseError> {
        let shared = Arc::clone(&self.shared);
        let done = off_runtime(move || {
            let mut offsets = shared
                .offsets
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if offsets.count() + commits.len() > shared.config.limits.committed_offsets {
                return Err(ResponseError::PolicyViolation);
            }
            offsets.commit(&group, commits).map_err(|e| {
                tracing::error!("group `{group}`: cannot keep its offsets: {e}");
                ResponseError::KafkaStorageError
            })
        });
        done.await.unwrap_or(Err(ResponseError::UnknownServerError))
    }

    /// Sorts the partitions of a commit into those to keep and those that are refused.
    fn judge_commits(
        &self,
        topic: &OffsetCommitRequestTopic,
        error: Option<ResponseError>,
        commits: &mut Vec<((String, i32), Committed)>,
    ) -> Vec<(i32, Option<ResponseError>)> {
        let found = self.shared.topics.get(&topic.name.0);
        let mut judged = Vec::with_capacity(topic.partitions.len());
        for p in &topic.partitions {
            let known = found
                .as_ref()
                .is_some_and(|t| t.partition(p.partition_index).is_some());
            let note = p.committed_metadata.as_ref().map(ToString::to_string);
            let own = if !known {
                Some(ResponseError::UnknownTopicOrPartition)
            } else if note.as_ref().is_some_and(|n| n.len() > NOTE) {
                Some(ResponseError::OffsetMetadataTooLarge)
            } else {
                None
            };
            if own.is_none() && error.is_none() {
                let committed = Committed {
                    offset: p.committed_offset,
                    epoch: p.committed_leader_epoch,
                    metadata: note,
                };
                commits.push(((topic.name.0.to_string(), p.partition_index), committed));
            }
            judged.push((p.partition_index, own));
        }
        judged
    }

    pub(super) fn offset_fetch(
        &self,
        request: OffsetFetchRequest,
        version: i16,
    ) -> OffsetFetchResponse {
        if version < 8 {
            let wanted = request.topics.map(|t| {
                t.into_iter()
                    .map(|t| (t.name, t.partition_indexes))
                    .collect()
            });
            let topics = self
                .kept(&request.group_id.0, wanted, request.require_stable)
                .into_iter()
                .map(old_topic)
                .collect();
            return OffsetFetchResponse::default().with_topics(topics);
        }
        let groups = request.groups.into_iter().map(|g| {
            let wanted = g.topics.map(|t| {
                t.into_iter()
                    .map(|t| (t.name, t.partition_indexes))
                    .collect()
            });
            let topics = self
                .kept(&g.group_id.0, wanted, request.require_stable)
                .into_iter()
                .map(new_topic)
                .collect();
            OffsetFetchResponseGroup::default()
                .with_group_id(g.group_id)
                .with_topics(topics)
        });
        OffsetFetchResponse::default().with_groups(groups.collect())
    }

    fn kept(&self, group: &str, wanted: Wanted, stable: bool) -> Kept {
        let unsettled = |topic: &str, partition: i32| {
            stable && self.shared.transactions.is_waiting(group, topic, partition)
        };
        let offsets = self
            .shared
            .offsets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(wanted) = wanted {
            let of = |(name, partitions): (TopicName, Vec<i32>)| {
                let found = |p: i32| {
                    if unsettled(&name.0, p) {
                        return Err(ResponseError::UnstableOffsetCommit);
                    }
                    Ok(offsets.get(group, &name.0, p).cloned())
                };
                let kept = partitions.into_iter().map(|p| (p, found(p))).collect();
                (name, kept)
            };
            return wanted.into_iter().map(of).collect();
        }
        let mut all: Kept = Vec::new();
        for ((topic, partition), committed) in offsets.of_group(group) {
            let found = if unsettled(topic, *partition) {
                Err(ResponseError::UnstableOffsetCommit)
            } else {
                Ok(Some(committed.clone()))
            };
            let entry = (*partition, found);
            match all.last_mut() {
                Some((name, kept)) if name.0.as_str() == topic => kept.push(entry),
                _ => all.push((text(&**topic).into(), vec![entry])),
            }
        }
        all
    }
}

fn old_topic((name, kept): (TopicName, Vec<(i32, Found)>)) -> OffsetFetchResponseTopic {
    let one = |(index, found): (i32, Found)| {
        let (error, offset, epoch, note) = parts(found);
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(error)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(text(note)))
    };
    OffsetFetchResponseTopic::default()
        .with_name(name)
        .with_partitions(kept.into_iter().map(one).collect())
}

fn new_topic((name, kept): (TopicName, Vec<(i32, Found)>)) -> OffsetFetchResponseTopics {
    let one = |(index, found): (i32, Found)| {
        let (error, offset, epoch, note) = parts(found);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_error_code(error)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(epoch)
            .with_metadata(Some(text(note)))
    };
    OffsetFetchResponseTopics::default()
        .with_name(name)
        .with_partitions(kept.into_iter().map(one).collect())
}

/// What is told of a committed offset: error, offset, epoch, note; -1 when there is none.
fn parts(found: Found) -> (i16, i64, i32, String) {
    match found {
        Ok(Some(c)) => (0, c.offset, c.epoch, c.metadata.unwrap_or_default()),
        Ok(None) => (0, -1, -1, String::new()),
        Err(error) => (error.code(), -1, -1, String::new()),
    }
}

fn list_one(
    log: Option<&Log>,
    ask: &ListOffsetsPartition,
    committed: bool,
) -> ListOffsetsPartitionResponse {
    let answer = ListOffsetsPartitionResponse::default()
        .with_partition_index(ask.partition_index)
        .with_timestamp(-1)
        .with_offset(-1)
        .with_leader_epoch(EPOCH);
    let Some(log) = log else {
        return answer.with_error_code(ResponseError::UnknownTopicOrPartition.code());
    };
    let found = match ask.timestamp {
        EARLIEST => return answer.with_offset(log.range().0),
        LATEST if committed => return answer.with_offset(log.stable()),
        LATEST => return answer.with_offset(log.range().1),
        LATEST_TIME => log.latest_time(),
        timestamp => log.offset_at(timestamp),
    };
    match found {
        Ok(Some((timestamp, offset))) => answer.with_timestamp(timestamp).with_offset(offset),
        Ok(None) => answer,
        Err(error) => {
            tracing::error!(
                "partition {}: cannot look for a time: {error}",
                ask.partition_index
            );
            answer.with_error_code(ResponseError::KafkaStorageError.code())
        }
    }
}
