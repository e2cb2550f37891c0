//! What the server is and has: versions, topics, settings.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, DescribeClusterResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    MetadataRequest, MetadataResponse,
};

use super::{EPOCH, NODE, Session, code, off_runtime, text};
use crate::frame::served;
use crate::topics::Topic;

/// Kafka's numbers of the kinds of things that have settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// The requests that are served, and their versions.
pub(super) fn versions(error: Option<ResponseError>) -> ApiVersionsResponse {
    let one = |(key, min, max)| {
        ApiVersion::default()
            .with_api_key(key as i16)
            .with_min_version(min)
            .with_max_version(max)
    };
    ApiVersionsResponse::default()
        .with_error_code(code(error))
        .with_api_keys(served().map(one).collect())
}

impl Session {
    pub(super) async fn metadata(
        &self,
        request: MetadataRequest,
        version: i16,
    ) -> MetadataResponse {
        let (host, port) = self.host_and_port();
        // Version 0 has no null: an empty list asks for everything.
        let asked = request.topics.filter(|t| version > 0 || !t.is_empty());
        let topics = match asked {
            None => self
                .shared
                .topics
                .all()
                .iter()
                .map(|t| described(t))
                .collect(),
            Some(asked) => {
                let may_create = version < 4 || request.allow_auto_topic_creation;
                let mut topics = Vec::with_capacity(asked.len());
                for topic in asked {
                    let name = topic.name.map(|n| n.0.to_string()).unwrap_or_default();
                    topics.push(self.described_or_created(name, may_create).await);
                }
                topics
            }
        };
        MetadataResponse::default()
            .with_brokers(vec![
                MetadataResponseBroker::default()
                    .with_node_id(NODE.into())
                    .with_host(host)
                    .with_port(port),
            ])
            .with_cluster_id(Some(text(&*self.shared.topics.cluster_id)))
            .with_controller_id(NODE.into())
            .with_topics(topics)
    }

    async fn described_or_created(&self, name: String, may_create: bool) -> MetadataResponseTopic {
        if let Some(topic) = self.shared.topics.get(&name) {
            return described(&topic);
        }
        let failed = |error: ResponseError| {
            MetadataResponseTopic::default()
                .with_name(Some(text(&*name).into()))
                .with_error_code(error.code())
        };
        let partitions = self
            .shared
            .config
            .auto_create_partitions
            .filter(|_| may_create && self.may_write());
        let Some(partitions) = partitions else {
            return failed(ResponseError::UnknownTopicOrPartition);
        };
        let (shared, wanted) = (self.shared.clone(), name.clone());
        let created = off_runtime(move || {
            let created = shared.topics.create(&wanted, partitions as usize);
            // Somebody else may have created it meanwhile.
            created.or_else(|e| shared.topics.get(&wanted).ok_or(e))
        });
        match created.await {
            Some(Ok(topic)) => described(&topic),
            Some(Err(error)) => failed(super::admin::code_of(&error)),
            None => failed(ResponseError::UnknownServerError),
        }
    }

    pub(super) fn describe_cluster(&self) -> DescribeClusterResponse {
        let (host, port) = self.host_and_port();
        let broker = DescribeClusterBroker::default()
            .with_broker_id(NODE.into())
            .with_host(host)
            .with_port(port);
        DescribeClusterResponse::default()
            .with_cluster_id(text(&*self.shared.topics.cluster_id))
            .with_controller_id(NODE.into())
            .with_brokers(vec![broker])
    }

    pub(super) fn describe_configs(
        &self,
        request: DescribeConfigsRequest,
    ) -> DescribeConfigsResponse {
        let results = request
            .resources
            .into_iter()
            .map(|r| self.configs_of(r))
            .collect();
        DescribeConfigsResponse::default().with_results(results)
    }

    /// What Kafka calls the settings, and their values.
    fn settings(&self) -> [(&'static str, String); 7] {
        let config = &self.shared.config;
        let or_all = |n: Option<u128>| n.map_or_else(|| "-1".to_owned(), |n| n.to_string());
        [
            ("cleanup.policy", "delete".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("max.message.bytes", config.limits.message_bytes.to_string()),
            ("message.timestamp.type", "CreateTime".to_owned()),
            (
                "retention.bytes",
                or_all(config.retention.bytes.map(u128::from)),
            ),
            (
                "retention.ms",
                or_all(config.retention.time.map(|t| t.as_millis())),
            ),
            ("segment.bytes", config.segment_bytes.to_string()),
        ]
    }

    fn configs_of(&self, resource: DescribeConfigsResource) -> DescribeConfigsResult {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let known = match resource.resource_type {
            TOPIC => self.shared.topics.get(&resource.resource_name).is_some(),
            BROKER => true,
            _ => return result.with_error_code(ResponseError::InvalidRequest.code()),
        };
        if !known {
            return result.with_error_code(ResponseError::UnknownTopicOrPartition.code());
        }
        let wanted = resource.configuration_keys;
        let configs = self
            .settings()
            .into_iter()
            .filter(|(name, _)| {
                wanted
                    .as_ref()
                    .is_none_or(|w| w.iter().any(|k| k.as_str() == *name))
            })
            .map(|(name, value)| {
                let source = 5; // the default
                DescribeConfigsResourceResult::default()
                    .with_name(text(name))
                    .with_value(Some(text(value)))
                    .with_read_only(true)
                    .with_config_source(source)
            });
        result.with_configs(configs.collect())
    }
}

fn described(topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions).map(|(index, _)| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE.into())
            .with_leader_epoch(EPOCH)
            .with_replica_nodes(vec![NODE.into()])
            .with_isr_nodes(vec![NODE.into()])
    });
    MetadataResponseTopic::default()
        .with_name(Some(text(&*topic.name).into()))
        .with_partitions(partitions.collect())
}
