//! The requests of transactional producers.

use std::sync::Arc;
use std::time::Instant;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};

use super::{Session, code, off_runtime};
use crate::batch::Ending;
use crate::group::Speaker;
use crate::offsets::Committed;
use crate::server::Shared;

type Outcome = Result<(), ResponseError>;

/// Requests of these versions and later know of `PRODUCER_FENCED`.
const KNOWS_FENCED: i16 = 2;

/// The error in the words of the request's version.
fn told(outcome: Outcome, version: i16) -> i16 {
    code(outcome.err().map(|error| match error {
        ResponseError::ProducerFenced if version < KNOWS_FENCED => {
            ResponseError::InvalidProducerEpoch
        }
        error => error,
    }))
}

impl Session {
    /// Works on transactions where it holds no connection up, if this client may write at all.
    async fn transact(&self, work: impl FnOnce(&Shared) -> Outcome + Send + 'static) -> Outcome {
        if !self.may_write() {
            return Err(ResponseError::TransactionalIdAuthorizationFailed);
        }
        let shared = Arc::clone(&self.shared);
        let done = off_runtime(move || work(&shared)).await;
        done.unwrap_or(Err(ResponseError::UnknownServerError))
    }

    /// All partitions are added, or none: one that does not exist fails the others too.
    pub(super) async fn add_partitions_to_txn(
        &self,
        request: AddPartitionsToTxnRequest,
        version: i16,
    ) -> AddPartitionsToTxnResponse {
        let mut wanted = Vec::new();
        for topic in &request.v3_and_below_topics {
            let name = topic.name.0.to_string();
            wanted.extend(topic.partitions.iter().map(|p| (name.clone(), *p)));
        }
        let known = |name: &str, partition: i32| {
            let topic = self.shared.topics.get(name);
            topic.is_some_and(|t| t.partition(partition).is_some())
        };
        let complete = wanted.iter().all(|(name, p)| known(name, *p));
        let id = request.v3_and_below_transactional_id.0.to_string();
        let producer = (
            request.v3_and_below_producer_id.0,
            request.v3_and_below_producer_epoch,
        );
        let outcome = if complete {
            self.transact(move |shared| shared.add_to_transaction(&id, producer, &wanted))
                .await
        } else {
            Err(ResponseError::OperationNotAttempted)
        };
        let result = |name: &str, partition: i32| {
            let error = if known(name, partition) {
                told(outcome, version)
            } else {
                ResponseError::UnknownTopicOrPartition.code()
            };
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(partition)
                .with_partition_error_code(error)
        };
        let results = request.v3_and_below_topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter();
            let results = partitions.map(|p| result(&topic.name.0, *p)).collect();
            AddPartitionsToTxnTopicResult::default()
                .with_name(topic.name)
                .with_results_by_partition(results)
        });
        AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
    }

    /// Announces that a group's offsets will follow.
    pub(super) async fn add_offsets_to_txn(
        &self,
        request: AddOffsetsToTxnRequest,
        version: i16,
    ) -> AddOffsetsToTxnResponse {
        let producer = (request.producer_id.0, request.producer_epoch);
        let id = request.transactional_id.0.to_string();
        let outcome = self
            .transact(move |shared| shared.add_to_transaction(&id, producer, &[]))
            .await;
        AddOffsetsToTxnResponse::default().with_error_code(told(outcome, version))
    }

    /// Takes a group's offsets, which count once the transaction is committed.
    pub(super) async fn txn_offset_commit(
        &self,
        request: TxnOffsetCommitRequest,
    ) -> TxnOffsetCommitResponse {
        let group = request.group_id.0.to_string();
        let mut offsets = Vec::new();
        for topic in &request.topics {
            for p in &topic.partitions {
                let committed = Committed {
                    offset: p.committed_offset,
                    epoch: p.committed_leader_epoch,
                    metadata: p.committed_metadata.as_ref().map(ToString::to_string),
                };
                let name = topic.name.0.to_string();
                offsets.push((group.clone(), name, p.partition_index, committed));
            }
        }
        let id = request.transactional_id.0.to_string();
        let producer = (request.producer_id.0, request.producer_epoch);
        let outcome = match self.may_commit_in_txn(&request) {
            Ok(()) => {
                self.transact(move |shared| shared.add_offsets(&id, producer, offsets))
                    .await
            }
            refused => refused,
        };
        // This request calls a producer that is shut out by the older name in every version.
        let error = told(outcome, 0);
        let topics = request.topics.into_iter().map(|topic| {
            let one = |p: &kafka_protocol::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition| {
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(p.partition_index)
                    .with_error_code(error)
            };
            TxnOffsetCommitResponseTopic::default()
                .with_partitions(topic.partitions.iter().map(one).collect())
                .with_name(topic.name)
        });
        TxnOffsetCommitResponse::default().with_topics(topics.collect())
    }

    /// A consumer that the group has put out must not move its offsets any more. Producers that do not say for which
    /// member they speak are believed.
    fn may_commit_in_txn(&self, request: &TxnOffsetCommitRequest) -> Outcome {
        if request.generation_id < 0 && request.member_id.is_empty() {
            return Ok(());
        }
        let speaker = Speaker {
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            generation: request.generation_id,
        };
        let groups = &self.shared.groups;
        groups.may_commit(&request.group_id.0, speaker, Instant::now())
    }

    pub(super) async fn end_txn(&self, request: EndTxnRequest, version: i16) -> EndTxnResponse {
        let ending = if request.committed {
            Ending::Commit
        } else {
            Ending::Abort
        };
        let producer = (request.producer_id.0, request.producer_epoch);
        let id = request.transactional_id.0.to_string();
        let outcome = self
            .transact(move |shared| shared.end_transaction(&id, producer, ending))
            .await;
        EndTxnResponse::default().with_error_code(told(outcome, version))
    }
}
