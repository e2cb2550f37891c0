//! Which positions of the sources a commit covers.
//!
//! Offsets of a partition ascend by one, but for those of Kafka (`kafka:..`): there compaction, expiry and the markers of
//! transactions leave numbers that no message has. So that a lost row is never taken for such a number, each commit
//! says for every partition where it begins, where it ends, and how many packets it has between.

use std::collections::BTreeMap;

use pitt_alert::Packet;

use crate::error::ArchiveError;

/// Beginning of the names of partitions whose offsets may skip numbers.
const WITH_GAPS: &str = "kafka:";

/// What one commit covers of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// Offset at which the commit before ended.
    pub(crate) from: i64,
    /// Offset that comes next.
    pub(crate) next: i64,
    /// Packets between the two.
    pub(crate) packets: u64,
}

impl Span {
    /// Nothing yet, at an offset.
    pub(crate) fn at(offset: i64) -> Self {
        Self {
            from: offset,
            next: offset,
            packets: 0,
        }
    }

    /// Offsets between the two that no packet has.
    pub(crate) fn skipped(&self) -> u64 {
        let offsets = self.next.abs_diff(self.from);
        offsets.saturating_sub(self.packets)
    }

    /// Takes a packet in, if it may come now.
    pub(crate) fn take(&mut self, packet: &Packet) -> Result<(), ArchiveError> {
        let position = &packet.position;
        let skips = position.offset > self.next && may_skip(&position.partition);
        if position.offset != self.next && !skips {
            return Err(ArchiveError::Gap {
                partition: position.partition.to_string(),
                got: position.offset,
                expected: self.next,
            });
        }
        self.next = position.offset + 1;
        self.packets += 1;
        Ok(())
    }
}

/// Whether offsets of a partition may skip numbers.
pub(crate) fn may_skip(partition: &str) -> bool {
    partition.starts_with(WITH_GAPS)
}

/// Spans as the footer of a commit's last file has them: JSON, partition -> `[from, next, packets]`.
pub(crate) fn to_json(spans: &BTreeMap<String, Span>) -> String {
    let spans = spans.iter().map(|(partition, span)| {
        let numbers = serde_json::json!([span.from, span.next, span.packets]);
        (partition.clone(), numbers)
    });
    serde_json::Value::Object(spans.collect()).to_string()
}

/// Reads [`to_json`] back; `None` when it is no such text.
pub(crate) fn from_json(text: &str) -> Option<BTreeMap<String, Span>> {
    let spans: BTreeMap<String, (i64, i64, u64)> = serde_json::from_str(text).ok()?;
    let spans = spans.into_iter().map(|(partition, (from, next, packets))| {
        let span = Span {
            from,
            next,
            packets,
        };
        (partition, span)
    });
    Some(spans.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(partition: &str, offset: i64) -> Packet {
        let mut packet = Packet::unplaced(partition, bytes::Bytes::new());
        packet.position.offset = offset;
        packet
    }

    #[test]
    fn offsets_of_kafka_may_skip_and_never_go_back() {
        let mut span = Span::at(0);
        for offset in [7, 8, 12] {
            span.take(&packet("kafka:ztf/alerts/0", offset)).unwrap();
        }
        assert_eq!((span.next, span.packets, span.skipped()), (13, 3, 10));
        let error = span.take(&packet("kafka:ztf/alerts/0", 12)).unwrap_err();
        assert!(matches!(error, ArchiveError::Gap { expected: 13, .. }));
        assert!(Span::at(0).take(&packet("folder", 1)).is_err());
    }

    #[test]
    fn spans_come_back_from_a_footer() {
        let mut span = Span::at(3);
        span.take(&packet("kafka:a/b/0", 9)).unwrap();
        let spans = BTreeMap::from([("kafka:a/b/0".to_owned(), span)]);
        assert_eq!(from_json(&to_json(&spans)), Some(spans));
        assert_eq!(from_json("[]"), None);
    }
}
