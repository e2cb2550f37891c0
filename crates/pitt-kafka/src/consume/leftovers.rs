//! Topics of nights before the window that were begun and not read to their end.

use std::collections::BTreeSet;
use std::sync::Arc;

use rdkafka::consumer::BaseConsumer;

use super::context::Context;
use super::hopper::Want;
use super::settings::Start;
use super::shared::{Place, Shared};
use super::start;

/// Tells such topics, by where the archive stands.
#[derive(Default)]
pub(super) struct Leftovers {
    /// Topics that have nothing more for us: nobody writes to the topic of a night that is over.
    finished: BTreeSet<String>,
}

impl Leftovers {
    /// Whether something of a topic is still to be read.
    pub(super) fn is_left(
        &mut self,
        shared: &Shared,
        consumer: &BaseConsumer<Context>,
        topic: &str,
        partitions: usize,
    ) -> bool {
        if self.finished.contains(topic) {
            return false;
        }
        match is_unread(shared, consumer, topic, partitions) {
            Ok(true) => true,
            Ok(false) => {
                self.finished.insert(topic.to_owned());
                false
            }
            Err(why) => {
                tracing::debug!("{topic}: {why}");
                false
            }
        }
    }
}

/// Whether the archive has begun with a topic, and stands before its end.
fn is_unread(
    shared: &Shared,
    consumer: &BaseConsumer<Context>,
    topic: &str,
    partitions: usize,
) -> Result<bool, String> {
    let topic: Arc<str> = topic.into();
    let numbers = 0..i32::try_from(partitions).unwrap_or(i32::MAX);
    let names = numbers.map(|number| shared.partition(&topic, number));
    let names: Vec<Arc<str>> = names.collect();
    let stands = shared.hopper.ask(Want::Look(names.clone()));
    let stands = stands.recv().map_err(|_| "ending".to_owned())??;
    if stands.iter().all(Option::is_none) {
        return Ok(false);
    }
    let all = shared.settings.start == Start::Earliest;
    for ((number, partition), stand) in (0..).zip(names).zip(stands) {
        let next = match stand {
            Some(stand) => stand.next,
            None if all => 0,
            None => continue,
        };
        let place = Place::new(topic.clone(), number, partition);
        let ends = start::ends(consumer, &place)?;
        if next.max(ends.oldest) < ends.end {
            return Ok(true);
        }
    }
    Ok(false)
}
