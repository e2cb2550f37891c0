//! Creating and deleting topics, and ids for producers.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    InitProducerIdRequest, InitProducerIdResponse,
};

use super::{Session, code, off_runtime, text};
use crate::error::StreamError;
use crate::transactions::Producer;

/// Kafka's number for one of our errors.
pub(super) fn code_of(error: &StreamError) -> ResponseError {
    match error {
        StreamError::UnknownTopic(_) => ResponseError::UnknownTopicOrPartition,
        StreamError::TopicExists(_) => ResponseError::TopicAlreadyExists,
        StreamError::TopicName(_) => ResponseError::InvalidTopicException,
        StreamError::TooMany {
            what: "partitions", ..
        } => ResponseError::InvalidPartitions,
        StreamError::TooMany { .. } => ResponseError::PolicyViolation,
        _ => ResponseError::KafkaStorageError,
    }
}

impl Session {
    pub(super) async fn create_topics(&self, request: CreateTopicsRequest) -> CreateTopicsResponse {
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            results.push(self.create_topic(topic, request.validate_only).await);
        }
        CreateTopicsResponse::default().with_topics(results)
    }

    async fn create_topic(
        &self,
        topic: CreatableTopic,
        validate_only: bool,
    ) -> CreatableTopicResult {
        let result = CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_replication_factor(1);
        let refuse = |error: ResponseError, why: &str| {
            CreatableTopicResult::default()
                .with_name(topic.name.clone())
                .with_error_code(error.code())
                .with_error_message(Some(text(why)))
        };
        if !self.may_write() {
            return refuse(
                ResponseError::TopicAuthorizationFailed,
                "this client may only read",
            );
        }
        if topic.replication_factor > 1 || !topic.assignments.is_empty() {
            let why = "there is one node: replication factor 1, no assignments";
            return refuse(ResponseError::InvalidReplicationFactor, why);
        }
        let default = self.shared.config.auto_create_partitions.unwrap_or(1);
        let asked = if topic.num_partitions == -1 {
            i64::from(default)
        } else {
            i64::from(topic.num_partitions)
        };
        let partitions = usize::try_from(asked).unwrap_or(0);
        let (shared, name) = (self.shared.clone(), topic.name.0.to_string());
        let done = off_runtime(move || {
            if validate_only {
                return shared.topics.check_new(&name, partitions);
            }
            shared.topics.create(&name, partitions).map(drop)
        });
        match done.await {
            Some(Ok(())) => {
                result.with_num_partitions(i32::try_from(partitions).unwrap_or(i32::MAX))
            }
            Some(Err(error)) => refuse(code_of(&error), &error.to_string()),
            None => refuse(ResponseError::UnknownServerError, "the server failed"),
        }
    }

    pub(super) async fn delete_topics(&self, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
        let mut results = Vec::with_capacity(request.topic_names.len());
        for name in request.topic_names {
            let error = if self.may_write() {
                let (shared, wanted) = (self.shared.clone(), name.0.to_string());
                let done = off_runtime(move || shared.delete_topic(&wanted)).await;
                done.map_or(Some(ResponseError::UnknownServerError), |d| {
                    d.err().map(|e| code_of(&e))
                })
            } else {
                Some(ResponseError::TopicAuthorizationFailed)
            };
            results.push(
                DeletableTopicResult::default()
                    .with_name(Some(name))
                    .with_error_code(code(error)),
            );
        }
        DeleteTopicsResponse::default().with_responses(results)
    }

    /// An id for an idempotent producer, or for one of transactions.
    pub(super) async fn init_producer_id(
        &self,
        request: InitProducerIdRequest,
        version: i16,
    ) -> InitProducerIdResponse {
        let may_write = self.may_write();
        let before = (request.producer_id.0, request.producer_epoch);
        let before = Some(before).filter(|(id, epoch)| *id >= 0 && *epoch >= 0);
        let outcome = match request.transactional_id {
            Some(_) if !may_write => Err(ResponseError::TransactionalIdAuthorizationFailed),
            None if !may_write => Err(ResponseError::ClusterAuthorizationFailed),
            Some(id) => {
                let shared = self.shared.clone();
                let timeout_ms = request.transaction_timeout_ms;
                let done =
                    off_runtime(move || shared.init_transactions(&id.0, timeout_ms, before)).await;
                done.unwrap_or(Err(ResponseError::UnknownServerError))
            }
            None => self.idempotent_producer(before),
        };
        let (id, epoch) = *outcome.as_ref().unwrap_or(&(-1, -1));
        let error = outcome.err().map(|error| match error {
            ResponseError::ProducerFenced if version < 4 => ResponseError::InvalidProducerEpoch,
            error => error,
        });
        InitProducerIdResponse::default()
            .with_error_code(code(error))
            .with_producer_id(id.into())
            .with_producer_epoch(epoch)
    }

    fn idempotent_producer(&self, before: Option<Producer>) -> Result<Producer, ResponseError> {
        if let Some((id, epoch)) = before.filter(|(_, epoch)| *epoch < i16::MAX - 1) {
            // The same producer after an error of its own: it begins again, one epoch later.
            return Ok((id, epoch + 1));
        }
        match self.shared.topics.new_producer_id() {
            Ok(id) => Ok((id, 0)),
            Err(error) => {
                tracing::error!("no producer id: {error}");
                Err(ResponseError::KafkaStorageError)
            }
        }
    }
}
