//! Giving consumers what they ask for, when it is there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, PartitionData,
};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Hangup, Head, Reply, Session, off_runtime};
use crate::log::{Aborted, OutOfRange};
use crate::server::{Memory, Shared};

/// No client waits longer for data than this.
const LONGEST_WAIT_MS: i32 = 60_000;
/// Room for everything of an answer but the records `[bytes]`.
const OVERHEAD: usize = 64 << 10;
/// Kafka's number for readers who want only what is committed.
pub(super) const READ_COMMITTED: i8 = 1;

impl Session {
    /// Answers as soon as `min_bytes` are there or `max_wait_ms` has passed.
    pub(super) async fn fetch(
        &mut self,
        head: Head,
        request: FetchRequest,
    ) -> Result<Reply, Hangup> {
        if request.session_id != 0 {
            // Sessions are never opened, so this one is unknown; the client then asks in full.
            let error = ResponseError::FetchSessionIdNotFound.code();
            return head.reply(&FetchResponse::default().with_error_code(error));
        }
        let request = Arc::new(request);
        let wait = request.max_wait_ms.clamp(0, LONGEST_WAIT_MS);
        let until = Instant::now() + Duration::from_millis(u64::from(wait.unsigned_abs()));
        let enough = usize::try_from(request.min_bytes).unwrap_or(0);
        let mut least = 0;
        loop {
            let told = Arc::new(Notify::new());
            watch(&self.shared, &request, &told);
            let (shared, ask) = (Arc::clone(&self.shared), Arc::clone(&request));
            let asked = usize::try_from(ask.max_bytes).unwrap_or(0);
            let asked = asked.min(shared.config.limits.fetch_bytes);
            let budget = shared.answers.share(asked).max(least);
            let memory = Arc::clone(&shared);
            let held = self
                .unless_gone(memory.answers.hold(budget + OVERHEAD))
                .await?;
            let found = off_runtime(move || read_all(&shared, &ask, budget)).await;
            let (responses, size, failed) =
                found.ok_or_else(|| Hangup::Encode("reading failed".to_owned()))?;
            if size > budget {
                // A single batch larger than the share: its memory is set aside first, too.
                least = size;
                continue;
            }
            if size >= enough || failed || Instant::now() >= until {
                let reply = head.reply(&FetchResponse::default().with_responses(responses))?;
                let held = Memory::keep(held, reply.bytes.len());
                return Ok(Reply {
                    held: Some(held),
                    ..reply
                });
            }
            drop((responses, held));
            // A timeout is no error: the answer is then what there is.
            let _ = self
                .unless_gone(tokio::time::timeout_at(until, told.notified()))
                .await?;
        }
    }
}

fn watch(shared: &Shared, request: &FetchRequest, told: &Arc<Notify>) {
    for topic in &request.topics {
        let Some(found) = shared.topics.get(&topic.topic.0) else {
            continue;
        };
        for log in topic
            .partitions
            .iter()
            .filter_map(|p| found.partition(p.partition))
        {
            log.watch(told);
        }
    }
}

/// Reads all partitions asked for: answers, bytes, and whether one failed.
fn read_all(
    shared: &Shared,
    request: &FetchRequest,
    budget: usize,
) -> (Vec<FetchableTopicResponse>, usize, bool) {
    let (mut size, mut failed) = (0, false);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let found = shared.topics.get(&topic.topic.0);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for ask in &topic.partitions {
            let data = match found.as_ref().and_then(|t| t.partition(ask.partition)) {
                Some(log) => {
                    let committed = request.isolation_level == READ_COMMITTED;
                    let room = budget.saturating_sub(size);
                    read_one(log, ask, room, size == 0, committed)
                }
                None => refused(ask, ResponseError::UnknownTopicOrPartition),
            };
            size += data.records.as_ref().map_or(0, Bytes::len);
            failed |= data.error_code != 0;
            partitions.push(data);
        }
        topics.push(
            FetchableTopicResponse::default()
                .with_topic(topic.topic.clone())
                .with_partitions(partitions),
        );
    }
    (topics, size, failed)
}

/// Reads one partition. The first one with data gives a batch at least, so that a large one holds nobody up.
fn read_one(
    log: &crate::log::Log,
    ask: &FetchPartition,
    budget: usize,
    first: bool,
    committed: bool,
) -> PartitionData {
    let limit = usize::try_from(ask.partition_max_bytes)
        .unwrap_or(0)
        .min(budget);
    match log.read(ask.fetch_offset, limit, first, committed) {
        Ok(slice) => PartitionData::default()
            .with_partition_index(ask.partition)
            .with_high_watermark(slice.next)
            .with_last_stable_offset(slice.stable)
            .with_log_start_offset(slice.start)
            .with_preferred_read_replica((-1).into())
            .with_aborted_transactions(
                committed.then(|| slice.aborted.iter().map(aborted).collect()),
            )
            .with_records(Some(slice.batches)),
        Err(OutOfRange::Offset { start, next }) => refused(ask, ResponseError::OffsetOutOfRange)
            .with_high_watermark(next)
            .with_last_stable_offset(next)
            .with_log_start_offset(start),
        // Its segment may just have been dropped; the client asks again and learns of it.
        Err(OutOfRange::Disk(error)) => {
            tracing::error!(
                "partition {}: cannot read at offset {}: {error}",
                ask.partition,
                ask.fetch_offset
            );
            refused(ask, ResponseError::KafkaStorageError)
        }
    }
}

fn aborted(aborted: &Aborted) -> AbortedTransaction {
    AbortedTransaction::default()
        .with_producer_id(aborted.producer_id.into())
        .with_first_offset(aborted.first)
}

fn refused(ask: &FetchPartition, error: ResponseError) -> PartitionData {
    PartitionData::default()
        .with_partition_index(ask.partition)
        .with_error_code(error.code())
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_preferred_read_replica((-1).into())
        .with_aborted_transactions(None)
        .with_records(Some(Bytes::new()))
}
