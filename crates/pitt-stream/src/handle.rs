//! The server's use from within its process.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::batch::BatchHeader;
use crate::error::StreamError;
use crate::record::{Record, build, records};
use crate::server::Shared;
use crate::topics::Topic;

/// The server's use from within its process: the same topics, without a client.
///
/// All calls block for the file work they do and are not for asynchronous code.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) address: SocketAddr,
}

impl Handle {
    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Creates a topic.
    ///
    /// # Errors
    ///
    /// When it exists, when name or number of partitions are not allowed, or when the disk refuses.
    pub fn create_topic(&self, name: &str, partitions: usize) -> Result<(), StreamError> {
        self.shared.topics.create(name, partitions).map(drop)
    }

    /// Deletes a topic, its records and what groups have committed for it.
    ///
    /// # Errors
    ///
    /// When it does not exist or the disk refuses.
    pub fn delete_topic(&self, name: &str) -> Result<(), StreamError> {
        self.shared.delete_topic(name)
    }

    /// All topics and their numbers of partitions, by name.
    pub fn topics(&self) -> Vec<(String, usize)> {
        self.shared
            .topics
            .all()
            .iter()
            .map(|t| (t.name.clone(), t.partitions.len()))
            .collect()
    }

    /// Appends records to a partition, as few batches as the size limit allows, and returns the first one's offset.
    ///
    /// Readers waiting for them are woken. The records survive as [`Sync`](crate::Sync) says.
    ///
    /// # Errors
    ///
    /// When topic or partition do not exist, a record is too large, `records` is empty, or the disk refuses. Records
    /// before the one that failed may have been appended.
    pub fn append(
        &self,
        topic: &str,
        partition: i32,
        records: &[Record],
    ) -> Result<i64, StreamError> {
        let found = self.topic(topic)?;
        let log = found
            .partition(partition)
            .ok_or_else(|| unknown_partition(&found, partition))?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let now_ms = i64::try_from(now).unwrap_or(i64::MAX);
        let mut first = None;
        for part in parts(records, self.shared.config.limits.message_bytes) {
            let appended = log
                .append(&build(part, now_ms), None)
                .map_err(|e| append_error(topic, partition, &e))?;
            first = first.or(Some(appended.offset));
        }
        first.ok_or_else(|| append_error(topic, partition, &"there are no records"))
    }

    /// Reads records of a partition from `offset` on, at most about `max_bytes` of them, one batch at least, with their
    /// offsets; and the offset to go on at, which is the one given when there is no more.
    ///
    /// What a client compressed or wrote in a transaction is passed over: this is for finding again what
    /// [`Handle::append`] wrote.
    ///
    /// # Errors
    ///
    /// When topic or partition do not exist, `offset` is not kept, or the disk refuses.
    pub fn read(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        max_bytes: usize,
    ) -> Result<(Vec<(i64, Record)>, i64), StreamError> {
        let found = self.topic(topic)?;
        let log = found
            .partition(partition)
            .ok_or_else(|| unknown_partition(&found, partition))?;
        let slice = log
            .read(offset, max_bytes, true, false)
            .map_err(|e| StreamError::Read {
                topic: topic.to_owned(),
                partition,
                offset,
                reason: e.to_string(),
            })?;
        let (mut read, mut next, mut rest) = (Vec::new(), offset, slice.batches);
        while let Some(header) = BatchHeader::read(&rest).filter(|h| h.size <= rest.len()) {
            let batch = rest.split_to(header.size);
            next = header.next_offset();
            if header.is_plain() {
                read.extend(records(header, &batch).filter(|(at, _)| *at >= offset));
            }
        }
        Ok((read, next))
    }

    /// The offset of the first record kept, and the offset the next one gets.
    ///
    /// # Errors
    ///
    /// When topic or partition do not exist.
    pub fn offsets(&self, topic: &str, partition: i32) -> Result<(i64, i64), StreamError> {
        let found = self.topic(topic)?;
        let log = found
            .partition(partition)
            .ok_or_else(|| unknown_partition(&found, partition))?;
        Ok(log.range())
    }

    /// How far a group has read a partition: the offset of the next record it wants.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let offsets = self
            .shared
            .offsets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        offsets.get(group, topic, partition).map(|c| c.offset)
    }

    /// Bytes a topic takes on disk.
    ///
    /// # Errors
    ///
    /// When the topic does not exist.
    pub fn size(&self, topic: &str) -> Result<u64, StreamError> {
        Ok(self
            .topic(topic)?
            .partitions
            .iter()
            .map(crate::log::Log::size)
            .sum())
    }

    /// Drops what is beyond the retention now, not at the next half minute.
    pub fn retain(&self) {
        self.shared.retain();
    }

    /// Forces everything appended so far to the disk.
    pub fn sync(&self) {
        self.shared.sync();
    }

    /// Connections now open.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    fn topic(&self, name: &str) -> Result<Arc<Topic>, StreamError> {
        self.shared
            .topics
            .get(name)
            .ok_or_else(|| StreamError::UnknownTopic(name.to_owned()))
    }
}

fn unknown_partition(topic: &Topic, partition: i32) -> StreamError {
    let partitions = topic.partitions.len();
    StreamError::UnknownPartition {
        topic: topic.name.clone(),
        partition,
        partitions,
    }
}

fn append_error(topic: &str, partition: i32, reason: &dyn std::fmt::Display) -> StreamError {
    StreamError::Append {
        topic: topic.to_owned(),
        partition,
        reason: reason.to_string(),
    }
}

/// Cuts records into runs that fit a batch of at most `limit` bytes; a record alone may exceed it.
fn parts(records: &[Record], limit: usize) -> Vec<&[Record]> {
    let mut parts = Vec::new();
    let (mut begin, mut size) = (0, 0);
    for (i, record) in records.iter().enumerate() {
        let bound = record.size_bound();
        if i > begin && size + bound + crate::batch::HEADER > limit {
            parts.push(&records[begin..i]);
            (begin, size) = (i, 0);
        }
        size += bound;
    }
    if begin < records.len() {
        parts.push(&records[begin..]);
    }
    parts
}
