//! Appending what producers send.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::{Hangup, Head, Reply, Session, off_runtime, text};
use crate::batch::BatchError;
use crate::log::{AppendError, Appended};
use crate::server::Shared;
use crate::transactions::{Producer, State, Transaction, lock};

impl Session {
    /// Appends; the answer tells each batch's offset. With `acks` 0 there is none, and an error ends the connection,
    /// as producers expect.
    pub(super) async fn produce(
        &self,
        head: Head,
        request: ProduceRequest,
    ) -> Result<Option<Reply>, Hangup> {
        let (shared, may_write, acks) = (Arc::clone(&self.shared), self.may_write(), request.acks);
        let refusal = if may_write {
            (!(-1..=1).contains(&acks)).then_some(ResponseError::InvalidRequiredAcks)
        } else {
            Some(ResponseError::TopicAuthorizationFailed)
        };
        let (topics, id) = (request.topic_data, request.transactional_id);
        let done = off_runtime(move || {
            let known = id.map(|id| shared.transactions.get(&id.0));
            // Held to the end: no transaction ends while its records are being appended.
            let held = known.as_ref().map(|k| k.as_ref().map(|k| lock(k)));
            let open = held.as_ref().map(|k| k.as_ref().map(|k| &k.transaction));
            topics
                .into_iter()
                .map(|t| produce_topic(&shared, t, refusal, open))
                .collect::<Vec<_>>()
        });
        let responses = done
            .await
            .ok_or_else(|| Hangup::Encode("appending failed".to_owned()))?;
        if acks != 0 {
            return head
                .reply(&ProduceResponse::default().with_responses(responses))
                .map(Some);
        }
        let failed = responses
            .iter()
            .flat_map(|t| &t.partition_responses)
            .any(|p| p.error_code != 0);
        if failed {
            Err(Hangup::Encode(
                "records sent with acks=0 were refused".to_owned(),
            ))
        } else {
            Ok(None)
        }
    }
}

fn produce_topic(
    shared: &Shared,
    topic: TopicProduceData,
    refusal: Option<ResponseError>,
    open: Option<Option<&Transaction>>,
) -> TopicProduceResponse {
    let found = shared.topics.get(&topic.name.0);
    let partitions = topic.partition_data.into_iter().map(|data| {
        let response = PartitionProduceResponse::default()
            .with_index(data.index)
            .with_log_append_time_ms(-1)
            .with_base_offset(-1);
        if let Some(error) = refusal {
            return response.with_error_code(error.code());
        }
        let Some(log) = found.as_ref().and_then(|t| t.partition(data.index)) else {
            return response.with_error_code(ResponseError::UnknownTopicOrPartition.code());
        };
        let producer = match open
            .map(|t| within(t, &topic.name.0, data.index))
            .transpose()
        {
            Ok(producer) => producer,
            Err(error) => return response.with_error_code(error.code()),
        };
        match log.append(&data.records.unwrap_or_else(Bytes::new), producer) {
            Ok(Appended { offset, start }) => response
                .with_base_offset(offset)
                .with_log_start_offset(start),
            Err(error) => {
                log_refusal(&topic.name.0, data.index, &error);
                response
                    .with_error_code(code_of(&error).code())
                    .with_error_message(Some(text(error.to_string())))
            }
        }
    });
    let partitions = partitions.collect();
    TopicProduceResponse::default()
        .with_name(topic.name)
        .with_partition_responses(partitions)
}

/// The producer whose open transaction has the partition.
fn within(
    transaction: Option<&Transaction>,
    topic: &str,
    partition: i32,
) -> Result<Producer, ResponseError> {
    let t = transaction.ok_or(ResponseError::InvalidProducerIdMapping)?;
    let added = t.state == State::Ongoing && t.partitions.contains(&(topic.to_owned(), partition));
    let producer = (t.producer_id, t.epoch);
    added
        .then_some(producer)
        .ok_or(ResponseError::InvalidTxnState)
}

fn log_refusal(topic: &str, partition: i32, error: &AppendError) {
    if matches!(error, AppendError::Disk(_)) {
        tracing::error!("{topic}[{partition}]: {error}");
    } else {
        tracing::debug!("{topic}[{partition}]: {error}");
    }
}

fn code_of(error: &AppendError) -> ResponseError {
    match error {
        AppendError::Batch(BatchError::Length | BatchError::Checksum) => {
            ResponseError::CorruptMessage
        }
        AppendError::Batch(BatchError::Magic(_)) => ResponseError::UnsupportedForMessageFormat,
        AppendError::Batch(BatchError::Transactional) => ResponseError::InvalidTxnState,
        AppendError::Batch(BatchError::Control) => ResponseError::InvalidRecord,
        AppendError::Batch(BatchError::Inconsistent) => ResponseError::InvalidRecord,
        AppendError::TooLarge { .. } => ResponseError::MessageTooLarge,
        AppendError::Gap => ResponseError::OutOfOrderSequenceNumber,
        AppendError::OldDuplicate => ResponseError::DuplicateSequenceNumber,
        AppendError::Fenced => ResponseError::InvalidProducerEpoch,
        AppendError::Closed => ResponseError::UnknownTopicOrPartition,
        AppendError::Disk(_) => ResponseError::KafkaStorageError,
    }
}
