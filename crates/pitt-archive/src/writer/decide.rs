//! What is decided of a batch before it is written, by the only writer: outcomes, positions and numbers.

use std::collections::BTreeMap;

use pitt_alert::{Decoded, Packet};
use xxhash_rust::xxh3::xxh3_128;

use super::matched::{self, Taken};
use super::{Decision, Match, NumberedMatch, Span, Writer, now_us};
use crate::error::ArchiveError;
use crate::journal::{self, Common, Entry, Outcome, Source};

impl Writer {
    /// Decides as the only writer.
    pub(super) fn decide_alone(
        &mut self,
        spans: BTreeMap<String, Span>,
        packets: &[Packet],
        decoded: &Decoded,
        matches: &[Match],
    ) -> Result<Decision, ArchiveError> {
        let mut entries = journal::entries(packets, decoded);
        self.mark_pending(&mut entries, packets, decoded)?;
        let taken = matched::taken(matches, &entries, decoded);
        let numbered = self.number(&taken, &entries, now_us());
        Ok(Decision {
            rows: numbered
                .iter()
                .map(|n| matched::row_of(n, matches))
                .collect(),
            entries,
            spans,
            numbered,
            redone: Vec::new(),
        })
    }

    /// Where partitions stand after these packets, which must follow on what is there.
    pub(super) fn positions_after(
        &mut self,
        packets: &[Packet],
    ) -> Result<BTreeMap<String, Span>, ArchiveError> {
        let mut positions: BTreeMap<String, Span> = BTreeMap::new();
        for packet in packets {
            let partition = &*packet.position.partition;
            if let Some(span) = positions.get_mut(partition) {
                span.take(packet)?;
                continue;
            }
            let open = self.open.as_ref().and_then(|o| o.positions.get(partition));
            let mut span = match open {
                Some(span) => *span,
                None => Span::at(self.next_offset(partition)?),
            };
            span.take(packet)?;
            positions.insert(partition.to_owned(), span);
        }
        Ok(positions)
    }

    /// Gives matches the next numbers of the lane.
    pub(super) fn number(
        &mut self,
        taken: &[Taken],
        entries: &[Entry],
        matched_us: i64,
    ) -> Vec<NumberedMatch> {
        let first = self.last_seq + 1;
        self.last_seq += taken.len() as u64;
        let numbered = taken.iter().zip(first..).map(|(taken, seq)| NumberedMatch {
            lane: self.lane,
            seq,
            filter: taken.given,
            packet: entries[taken.entry].packet,
            batch: taken.batch,
            row: taken.row,
            matched_us,
        });
        numbered.collect()
    }

    /// Marks entries whose alert is stored already.
    pub(super) fn mark_committed(
        &self,
        entries: &mut [Entry],
        packets: &[Packet],
        decoded: &Decoded,
    ) -> Result<(), ArchiveError> {
        let index = self.inner.index();
        let Some(index) = &*index else {
            return Err(ArchiveError::Poisoned);
        };
        let common = Common::of_all(decoded);
        for entry in entries {
            let Source::Alert { batch, row } = entry.source else {
                continue;
            };
            let survey = &decoded.batches[batch].survey;
            let Some(alert_id) = common[batch].alert_id(row) else {
                continue;
            };
            if let Some(at) = index.locate(survey, alert_id)? {
                let stored = self.inner.read_packet(survey, alert_id, at)?;
                let byte_equal = stored.is_some_and(|stored| {
                    let same = stored.bytes == packets[entry.packet].bytes;
                    same && stored.record == entry.record
                });
                entry.outcome = Outcome::Duplicate { byte_equal };
            }
        }
        Ok(())
    }

    /// Marks entries whose alert is stored already, or earlier in this commit.
    fn mark_pending(
        &mut self,
        entries: &mut [Entry],
        packets: &[Packet],
        decoded: &Decoded,
    ) -> Result<(), ArchiveError> {
        self.mark_committed(entries, packets, decoded)?;
        let pending = &mut self.open()?.pending;
        let common = Common::of_all(decoded);
        for entry in entries {
            let (Outcome::Stored, Source::Alert { batch, row }) = (entry.outcome, entry.source)
            else {
                continue;
            };
            let Some(alert_id) = common[batch].alert_id(row) else {
                continue;
            };
            let bytes = &packets[entry.packet].bytes;
            let mark = (bytes.len(), xxh3_128(bytes), entry.record);
            let key = (decoded.batches[batch].survey.clone(), alert_id);
            match pending.get(&key) {
                Some(first) => {
                    let byte_equal = *first == mark;
                    entry.outcome = Outcome::Duplicate { byte_equal };
                }
                None => drop(pending.insert(key, mark)),
            }
        }
        Ok(())
    }
}
