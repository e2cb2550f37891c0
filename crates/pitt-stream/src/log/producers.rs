//! What each idempotent producer wrote last, so that a batch sent again is recognised and a gap refused; and which
//! transactions are open.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::batch::{BatchHeader, Ending};

/// Batches remembered of each producer: as many as it may have in flight.
const REMEMBERED: usize = 5;
/// Producers remembered of a partition; beyond, the one that wrote longest ago is forgotten.
const PRODUCERS: usize = 10_000;

/// Batches of one producer, newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) epoch: i16,
    pub(crate) batches: VecDeque<Written>,
}

/// A batch of an idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) first: i32,
    pub(crate) last: i32,
    pub(crate) offset: i64,
}

/// The producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    pub(crate) by_id: HashMap<i64, Producer>,
    /// For each producer with an open transaction the offset of its first record.
    pub(crate) open: BTreeMap<i64, i64>,
}

/// A transaction that was aborted: its records are still there, for readers to pass over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    /// Offset of its first record.
    pub(crate) first: i64,
    /// Offset of the mark that ended it.
    pub(crate) last: i64,
}

/// What to do with a batch of an idempotent producer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Append,
    /// It is in the log already, at this offset.
    Duplicate(i64),
    /// It was in the log, too long ago to say where.
    OldDuplicate,
    /// A batch before it is missing.
    Gap,
    /// A newer instance of this producer has written.
    Fenced,
}

impl Producers {
    /// Judges a batch before it is appended. Sequence numbers wrap from `i32::MAX` to 0.
    pub(crate) fn judge(&self, header: &BatchHeader) -> Verdict {
        let Some(producer) = self
            .by_id
            .get(&header.producer_id)
            .filter(|_| header.producer_id >= 0)
        else {
            return Verdict::Append;
        };
        if header.producer_epoch < producer.epoch {
            return Verdict::Fenced;
        }
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 {
                Verdict::Append
            } else {
                Verdict::Gap
            };
        }
        let written = Written::of(header);
        let same = |b: &&Written| (b.first, b.last) == (written.first, written.last);
        if let Some(found) = producer.batches.iter().find(same) {
            return Verdict::Duplicate(found.offset);
        }
        match producer.batches.back() {
            Some(newest) if after(newest.last) == written.first => Verdict::Append,
            Some(newest) if written.last <= newest.last => Verdict::OldDuplicate,
            Some(_) => Verdict::Gap,
            None => Verdict::Append,
        }
    }

    /// Remembers an appended batch, whose head carries its offset, and whose `ending` says which transaction ends with
    /// it; returns that if it was aborted.
    pub(crate) fn remember(
        &mut self,
        header: &BatchHeader,
        ending: Option<Ending>,
    ) -> Option<Aborted> {
        if header.is_control() {
            let first = self.open.remove(&header.producer_id);
            self.raise_epoch(header);
            return first
                .filter(|_| ending == Some(Ending::Abort))
                .map(|first| Aborted {
                    producer_id: header.producer_id,
                    first,
                    last: header.base_offset,
                });
        }
        if header.is_transactional() {
            self.open
                .entry(header.producer_id)
                .or_insert(header.base_offset);
        }
        if header.producer_id >= 0 {
            self.remember_written(header);
        }
        None
    }

    /// The end of a transaction that its producer did not end itself shuts that producer out.
    fn raise_epoch(&mut self, mark: &BatchHeader) {
        if let Some(producer) = self.by_id.get_mut(&mark.producer_id)
            && mark.producer_epoch > producer.epoch
        {
            producer.epoch = mark.producer_epoch;
            producer.batches.clear();
        }
    }

    fn remember_written(&mut self, header: &BatchHeader) {
        if self.by_id.len() >= PRODUCERS && !self.by_id.contains_key(&header.producer_id) {
            self.forget_oldest();
        }
        let producer = self.by_id.entry(header.producer_id).or_default();
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Written::of(header));
    }

    fn forget_oldest(&mut self) {
        let newest = |p: &Producer| p.batches.back().map_or(0, |b| b.offset);
        let mut by_age: Vec<(i64, i64)> =
            self.by_id.iter().map(|(id, p)| (newest(p), *id)).collect();
        by_age.sort_unstable();
        // A tenth at once, so that a flood of new producers does not sort for each of them.
        for (_, id) in by_age.into_iter().take(PRODUCERS / 10) {
            self.by_id.remove(&id);
        }
    }
}

impl Written {
    fn of(header: &BatchHeader) -> Self {
        let last =
            (i64::from(header.base_sequence) + i64::from(header.last_offset_delta)) % (1 << 31);
        Self {
            first: header.base_sequence,
            last: i32::try_from(last).unwrap_or(i32::MAX),
            offset: header.base_offset,
        }
    }
}

fn after(sequence: i32) -> i32 {
    if sequence == i32::MAX {
        0
    } else {
        sequence + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Record, build};

    fn batch(epoch: i16, sequence: i32, records: usize) -> BatchHeader {
        let bytes = build(&vec![Record::new("x"); records], 0);
        let mut header = BatchHeader::read(&bytes).unwrap();
        (
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
        ) = (9, epoch, sequence);
        header
    }

    fn with(headers: &[BatchHeader]) -> Producers {
        let mut producers = Producers::default();
        for (i, header) in headers.iter().enumerate() {
            let header = BatchHeader {
                base_offset: 100 + i64::try_from(i).unwrap(),
                ..*header
            };
            producers.remember(&header, None);
        }
        producers
    }

    #[test]
    fn a_batch_sent_again_is_answered_with_its_offset() {
        let producers = with(&[batch(0, 0, 2), batch(0, 2, 3)]);
        assert_eq!(producers.judge(&batch(0, 0, 2)), Verdict::Duplicate(100));
        assert_eq!(producers.judge(&batch(0, 2, 3)), Verdict::Duplicate(101));
        assert_eq!(producers.judge(&batch(0, 5, 1)), Verdict::Append);
    }

    #[test]
    fn a_gap_an_old_instance_and_a_forgotten_repeat_are_refused() {
        let heads: Vec<_> = (0..7).map(|i| batch(3, i, 1)).collect();
        let producers = with(&heads);
        assert_eq!(producers.judge(&batch(3, 8, 1)), Verdict::Gap);
        assert_eq!(producers.judge(&batch(2, 7, 1)), Verdict::Fenced);
        assert_eq!(producers.judge(&batch(3, 0, 1)), Verdict::OldDuplicate);
        assert_eq!(producers.judge(&batch(4, 0, 1)), Verdict::Append);
        assert_eq!(producers.judge(&batch(4, 1, 1)), Verdict::Gap);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let producers = with(&[batch(0, i32::MAX - 1, 3)]);
        assert_eq!(producers.judge(&batch(0, 1, 1)), Verdict::Append);
    }

    #[test]
    fn the_number_of_remembered_producers_is_bounded() {
        let mut producers = Producers::default();
        for id in 0..12_000 {
            let header = BatchHeader {
                producer_id: id,
                base_offset: id,
                ..batch(0, 0, 1)
            };
            producers.remember(&header, None);
        }
        assert!(producers.by_id.len() <= PRODUCERS);
        assert!(producers.by_id.contains_key(&11_999));
    }
}
