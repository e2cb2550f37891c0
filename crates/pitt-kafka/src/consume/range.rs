//! Partitions that cannot be read from where we stand: expired, ended too early, or made again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::{Offset, TopicPartitionList};

use super::context::{self, Context};
use super::health::TroubleKind;
use super::identity::Comparison;
use super::shared::{Place, Shared};
use super::start::{self, Ends};

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Finds such partitions, holds them, and goes on where it can.
pub(super) struct Range<'a> {
    shared: &'a Arc<Shared>,
    consumer: &'a BaseConsumer<Context>,
    checked: Option<Instant>,
}

impl<'a> Range<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>, consumer: &'a BaseConsumer<Context>) -> Self {
        Self {
            shared,
            consumer,
            checked: None,
        }
    }

    /// Looks at the partitions that are held, and at all when librdkafka says that one is out of range.
    pub(super) fn check(&mut self) {
        let shared = self.shared;
        if self.checked.is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        let all = shared.out_of_range.swap(false, Ordering::SeqCst);
        if !all && !shared.doubts.load(Ordering::SeqCst) {
            return;
        }
        self.checked = Some(Instant::now());
        let places: Vec<Place> = {
            let ours = shared.assigned();
            let due = ours.places().filter(|place| all || place.doubtful);
            due.cloned().collect()
        };
        if let Err(why) = self.check_each(&places) {
            tracing::debug!("{why}");
            shared.out_of_range.fetch_or(all, Ordering::SeqCst);
            return;
        }
        let doubts = shared.assigned().places().any(|place| place.doubtful);
        shared.doubts.store(doubts, Ordering::SeqCst);
    }

    fn check_each(&self, places: &[Place]) -> Result<(), String> {
        let comparison = Comparison::new(self.shared)?;
        places
            .iter()
            .try_for_each(|place| self.check_place(&comparison, place))
    }

    fn check_place(&self, comparison: &Comparison, place: &Place) -> Result<(), String> {
        let ends = start::ends(self.consumer, place)?;
        let Some(next) = place.next else {
            return self.seek(place, Offset::Beginning);
        };
        let kind = TroubleKind::Position(place.partition.to_string());
        if let Some(text) = wrong(comparison, place, next, ends)? {
            self.shared.board.trouble(kind, text);
            self.doubt(place);
            return Ok(());
        }
        self.shared.board.over(&kind);
        if next >= ends.oldest {
            return self.seek(place, Offset::Offset(next));
        }
        self.seek(place, Offset::Offset(ends.oldest))?;
        self.expired(place, next, ends.oldest);
        Ok(())
    }

    /// Counts and says what can no longer be read.
    fn expired(&self, place: &Place, next: i64, oldest: i64) {
        let board = &self.shared.board;
        let gone = oldest - next;
        board.expired.fetch_add(gone as u64, Ordering::Relaxed);
        if let Some(ours) = self.shared.assigned().place_mut(&place.topic, place.number) {
            ours.next = Some(oldest);
            ours.last = None;
        }
        tracing::error!(
            "kafka input `{}`: {}: {gone} messages, {next} to {}, expired before they were read (going on at {oldest})",
            board.name(),
            place.partition,
            oldest - 1
        );
    }

    /// Holds a partition.
    fn doubt(&self, place: &Place) {
        if let Some(ours) = self.shared.assigned().place_mut(&place.topic, place.number) {
            ours.doubtful = true;
        }
        self.shared.doubts.store(true, Ordering::SeqCst);
        context::pause(self.consumer, &list_of(place));
    }

    /// Begins again in a partition that librdkafka has stopped reading: there, a seek is refused.
    fn seek(&self, place: &Place, offset: Offset) -> Result<(), String> {
        let failed = |error| format!("{}: cannot go to {offset:?}: {error}", place.partition);
        let mut ours = self.shared.assigned();
        let cooperative = matches!(
            self.consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        );
        let others = ours
            .places()
            .filter(|other| !cooperative && other.partition != place.partition);
        let mut list = TopicPartitionList::new();
        for other in others {
            let next = other.next.map_or(Offset::Beginning, Offset::Offset);
            let _ = list.add_partition_offset(&other.topic, other.number, next);
        }
        let _ = list.add_partition_offset(&place.topic, place.number, offset);
        if cooperative {
            self.consumer.incremental_unassign(&list).map_err(failed)?;
            self.consumer.incremental_assign(&list).map_err(failed)?;
        } else {
            self.consumer.assign(&list).map_err(failed)?;
        }
        if let Some(ours) = ours.place_mut(&place.topic, place.number) {
            ours.doubtful = false;
        }
        if ours.paused {
            context::pause(self.consumer, &list);
        } else {
            let own = list_of(place);
            self.consumer.resume(&own).map_err(failed)?;
        }
        Ok(())
    }
}

fn list_of(place: &Place) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(&place.topic, place.number);
    list
}

/// Why a partition must not be read from where we stand; `None` when it may be.
fn wrong(
    comparison: &Comparison,
    place: &Place,
    next: i64,
    ends: Ends,
) -> Result<Option<String>, String> {
    let partition = &place.partition;
    if next > ends.end {
        return Ok(Some(format!(
            "the archive stands at {next} in {partition}, where the topic ends at {} (was it deleted and created again? then give the input another `name`; looked at again)",
            ends.end
        )));
    }
    let same = comparison.is_same(place, ends)?;
    Ok((same == Some(false)).then(|| {
        format!(
            "{partition} has another message at {} than the archive took from there: the topic was deleted and created again, and what it had before {next} would be passed over (give the input another `name`, and it is read from its beginning; looked at again)",
            next - 1
        )
    }))
}

/// Finds out which of the partitions that have just been given are of a topic that was made again. What cannot be told now is held, and
/// looked at again.
pub(super) fn doubt_given(shared: &Shared, consumer: &BaseConsumer<Context>, places: &mut [Place]) {
    let known = || places.iter().any(|place| place.last.is_some());
    let mut comparison = if known() {
        Comparison::new(shared)
    } else {
        return;
    };
    for place in places.iter_mut().filter(|place| place.last.is_some()) {
        let found = comparison.as_ref().map_err(Clone::clone);
        let found = found.and_then(|comparison| {
            let ends = start::ends(consumer, place)?;
            match place.next {
                // Said once it is tried to read there.
                Some(next) if next <= ends.end => wrong(comparison, place, next, ends),
                _ => Ok(None),
            }
        });
        match found {
            Ok(None) => {}
            Ok(Some(text)) => {
                let kind = TroubleKind::Position(place.partition.to_string());
                shared.board.trouble(kind, text);
                place.doubtful = true;
            }
            Err(why) => {
                tracing::debug!("{why}");
                place.doubtful = true;
                // The others are not waited for as well.
                comparison = Err(why);
            }
        }
        if place.doubtful {
            shared.doubts.store(true, Ordering::SeqCst);
        }
    }
}
