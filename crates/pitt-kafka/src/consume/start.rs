//! Where to begin in partitions that have just been given.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::context::Context;
use super::hopper::Want;
use super::identity::Last;
use super::settings::Start;
use super::shared::{Place, Shared};

/// Longest wait for an answer of the cluster.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where to begin in each partition of a list: where the archive stands, else as the settings say.
///
/// A place without `next` begins at the oldest message.
///
/// # Errors
/// The archive or the cluster does not say; nothing must be read then.
pub(super) fn places(
    shared: &Shared,
    consumer: &BaseConsumer<Context>,
    given: &TopicPartitionList,
) -> Result<Vec<Place>, String> {
    let mut places: Vec<Place> = given
        .elements()
        .iter()
        .map(|element| {
            let (topic, number) = (element.topic(), element.partition());
            Place::new(topic.into(), number, shared.partition(topic, number))
        })
        .collect();
    let names: Vec<Arc<str>> = places.iter().map(|place| place.partition.clone()).collect();
    let stands = shared.hopper.ask(Want::Positions(names));
    let stands = stands.recv().map_err(|_| "ending".to_owned())??;
    for (place, stand) in places.iter_mut().zip(stands) {
        place.next = stand.map(|stand| stand.next);
        place.last = stand.and_then(|stand| stand.last).map(Last::Stored);
    }
    let new: Vec<&mut Place> = places
        .iter_mut()
        .filter(|place| place.next.is_none())
        .collect();
    let first = given.count() > 0 && !shared.begun.swap(true, Ordering::SeqCst);
    if !new.is_empty() {
        begin(shared, consumer, new, first)?;
    }
    Ok(places)
}

/// Sets `next` of partitions that the archive does not know. `first` is the first assignment: what comes later and is known
/// neither here nor to the group is a topic or a partition made since, of which `latest` means all.
fn begin(
    shared: &Shared,
    consumer: &BaseConsumer<Context>,
    mut new: Vec<&mut Place>,
    first: bool,
) -> Result<(), String> {
    match shared.settings.start {
        Start::Earliest => Ok(()),
        Start::Group => committed(consumer, &mut new),
        Start::At(time_ms) => at(consumer, &mut new, time_ms),
        Start::Latest => {
            committed(consumer, &mut new)?;
            new.retain(|place| place.next.is_none());
            for place in &mut new {
                let ends = ends(consumer, place)?;
                place.next = Some(if first { ends.end } else { ends.oldest });
            }
            note(shared, consumer, &new);
            Ok(())
        }
    }
}

fn list<'a>(places: impl IntoIterator<Item = &'a Place>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for place in places {
        list.add_partition(&place.topic, place.number);
    }
    list
}

/// Where the group has committed.
fn committed(consumer: &BaseConsumer<Context>, new: &mut [&mut Place]) -> Result<(), String> {
    let asked = list(new.iter().map(|place| &**place));
    let stands = consumer
        .committed_offsets(asked, PATIENCE)
        .map_err(|error| format!("the group does not say where it stands: {error}"))?;
    for place in new {
        if let Some(element) = stands.find_partition(&place.topic, place.number)
            && let Offset::Offset(next) = element.offset()
        {
            place.next = Some(next);
        }
    }
    Ok(())
}

/// The first message of a time or later; the end where there is none.
fn at(
    consumer: &BaseConsumer<Context>,
    new: &mut [&mut Place],
    time_ms: i64,
) -> Result<(), String> {
    let mut asked = list(new.iter().map(|place| &**place));
    let failed = |error| format!("the cluster does not say where {time_ms} ms begins: {error}");
    asked
        .set_all_offsets(Offset::Offset(time_ms))
        .map_err(failed)?;
    let found = consumer
        .offsets_for_times(asked, PATIENCE)
        .map_err(failed)?;
    for place in new {
        let element = found.find_partition(&place.topic, place.number);
        place.next = match element.map(|element| (element.error(), element.offset())) {
            Some((Ok(()), Offset::Offset(next))) => Some(next),
            Some((Ok(()), _)) => Some(ends(consumer, place)?.end),
            Some((Err(error), _)) => return Err(failed(error)),
            None => return Err(format!("{}: no answer", place.partition)),
        };
    }
    Ok(())
}

/// What a partition has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// Offset of the oldest message.
    pub(super) oldest: i64,
    /// Offset that the next message will get.
    pub(super) end: i64,
}

/// Asks what a partition has.
pub(super) fn ends(consumer: &BaseConsumer<Context>, place: &Place) -> Result<Ends, String> {
    let ends = consumer.fetch_watermarks(&place.topic, place.number, PATIENCE);
    ends.map(|(oldest, end)| Ends { oldest, end })
        .map_err(|error| {
            format!(
                "{}: the cluster does not say where it ends: {error}",
                place.partition
            )
        })
}

/// Notes in the group where reading begins.
fn note(shared: &Shared, consumer: &BaseConsumer<Context>, begun: &[&mut Place]) {
    let mut list = TopicPartitionList::new();
    for place in begun {
        let next = place.next.map_or(Offset::Beginning, Offset::Offset);
        let _ = list.add_partition_offset(&place.topic, place.number, next);
    }
    if list.count() == 0 {
        return;
    }
    if let Err(error) = consumer.commit(&list, CommitMode::Sync) {
        let name = shared.board.name();
        tracing::warn!(
            "kafka input `{name}`: the group did not take where reading begins: {error} (messages that come while a partition \
             changes hands before its first may be passed over)"
        );
    }
}
