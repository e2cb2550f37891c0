//! What the threads of one input share: its settings, its partitions, what is asked of each other.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::TopicPartitionList;

use super::Message;
use super::health::{Board, PartitionHealth, SourceHealth};
use super::hopper::Hopper;
use super::identity::Last;
use super::settings::InputSettings;
use super::topics::Topics;

/// One input, for its threads.
pub(super) struct Shared {
    /// As they were given.
    pub(super) settings: InputSettings,
    /// Names and patterns of the topics to read.
    pub(super) topics: Topics,
    /// Number among the inputs.
    pub(super) index: usize,
    /// Where messages go, shared by all inputs.
    pub(super) hopper: Arc<Hopper>,
    /// What the input says of itself.
    pub(super) board: Board,
    /// Set when its threads are to end.
    pub(super) stop: AtomicBool,
    /// Whether partitions were given to this input before.
    pub(super) begun: AtomicBool,
    /// A partition's position has expired, or lies beyond its end.
    pub(super) out_of_range: AtomicBool,
    /// Some of the partitions are doubtful.
    pub(super) doubts: AtomicBool,
    assigned: Mutex<Assigned>,
    looking: Mutex<Looking>,
    look: Condvar,
    /// Where the archive stands, to be told to the group.
    advice: Mutex<BTreeMap<(Arc<str>, i32), i64>>,
    broken: Mutex<Option<String>>,
}

/// The partitions that this program reads, and what of them waits outside the hopper.
#[derive(Default)]
pub(super) struct Assigned {
    places: HashMap<Arc<str>, BTreeMap<i32, Place>>,
    /// Messages that cannot be handed on for now, in order.
    pub(super) held: VecDeque<Message>,
    /// Whether the partitions are paused; those that come are paused too, then.
    pub(super) paused: bool,
}

/// Where reading stands in one partition.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Topic.
    pub(super) topic: Arc<str>,
    /// Number of the partition in it.
    pub(super) number: i32,
    /// `kafka:<cluster>/<topic>/<number>`.
    pub(super) partition: Arc<str>,
    /// Offset of the next message; `None` before the first when reading begins at the oldest.
    pub(super) next: Option<i64>,
    /// Offset that the next message written will have.
    pub(super) end: Option<i64>,
    /// The message before `next`.
    pub(super) last: Option<Last>,
    /// Whether it must not be read: it ends before `next`, or may be of another topic of this name. It is paused, and looked at
    /// again and again.
    pub(super) doubtful: bool,
}

impl Place {
    /// A place of which nothing is known yet.
    pub(super) fn new(topic: Arc<str>, number: i32, partition: Arc<str>) -> Self {
        Self {
            topic,
            number,
            partition,
            next: None,
            end: None,
            last: None,
            doubtful: false,
        }
    }
}

/// What the thread that looks for topics has found, and when to look again.
#[derive(Default)]
struct Looking {
    wanted: Option<BTreeSet<String>>,
    now: bool,
    /// What librdkafka said about connections lately, the more telling the higher the rank.
    hint: Option<(u8, String)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(
        settings: InputSettings,
        topics: Topics,
        index: usize,
        hopper: Arc<Hopper>,
    ) -> Self {
        let board = Board::new(&settings.name, &settings.access.servers, &settings.group);
        Self {
            settings,
            topics,
            index,
            hopper,
            board,
            stop: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            out_of_range: AtomicBool::new(false),
            doubts: AtomicBool::new(false),
            assigned: Mutex::default(),
            looking: Mutex::default(),
            look: Condvar::new(),
            advice: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.look_now();
    }

    /// The archive's name of a partition.
    pub(super) fn partition(&self, topic: &str, number: i32) -> Arc<str> {
        format!("kafka:{}/{topic}/{number}", self.settings.name).into()
    }

    pub(super) fn assigned(&self) -> MutexGuard<'_, Assigned> {
        lock(&self.assigned)
    }

    pub(super) fn health(&self) -> SourceHealth {
        let assigned = self.assigned();
        let partitions = assigned.places().map(|place| PartitionHealth {
            topic: place.topic.to_string(),
            partition: place.number,
            next: place.next,
            end: place.end,
        });
        let mut partitions: Vec<_> = partitions.collect();
        partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        let waiting = self.hopper.bytes(self.index) as u64;
        self.board.health(partitions, waiting)
    }

    /// The session cannot go on: it is begun anew.
    pub(super) fn break_off(&self, why: String) {
        lock(&self.broken).get_or_insert(why);
    }

    pub(super) fn take_broken(&self) -> Option<String> {
        lock(&self.broken).take()
    }

    /// Looks for topics, and whether the cluster is there, without waiting for the usual time.
    pub(super) fn look_now(&self) {
        lock(&self.looking).now = true;
        self.look.notify_all();
    }

    /// Notes what librdkafka says about a connection; the more telling the higher the rank.
    pub(super) fn hint(&self, rank: u8, reason: &str) {
        let mut looking = lock(&self.looking);
        if looking
            .hint
            .as_ref()
            .is_none_or(|(known, _)| rank >= *known)
        {
            looking.hint = Some((rank, reason.to_owned()));
        }
        looking.now = true;
        drop(looking);
        self.look.notify_all();
    }

    pub(super) fn take_hint(&self) -> Option<(u8, String)> {
        lock(&self.looking).hint.take()
    }

    /// Waits until it is time to look again, or somebody asks.
    pub(super) fn wait_to_look(&self, longest: Duration) {
        let not_yet = |looking: &mut Looking| !looking.now && !self.stopping();
        let waited = self
            .look
            .wait_timeout_while(lock(&self.looking), longest, not_yet);
        waited.unwrap_or_else(PoisonError::into_inner).0.now = false;
    }

    pub(super) fn set_wanted(&self, topics: BTreeSet<String>) {
        lock(&self.looking).wanted = Some(topics);
    }

    /// The topics to read, once that is known.
    pub(super) fn wanted(&self) -> Option<BTreeSet<String>> {
        lock(&self.looking).wanted.clone()
    }

    /// Where the archive stands, for the group to know.
    pub(super) fn advise(&self, stands: impl IntoIterator<Item = ((Arc<str>, i32), i64)>) {
        lock(&self.advice).extend(stands);
    }

    /// What is to be told to the group, of the partitions that are ours.
    pub(super) fn take_advice(&self) -> Option<TopicPartitionList> {
        let advice = std::mem::take(&mut *lock(&self.advice));
        if advice.is_empty() {
            return None;
        }
        let assigned = self.assigned();
        let mut list = TopicPartitionList::new();
        for ((topic, number), offset) in advice {
            if assigned.place(&topic, number).is_some() {
                let offset = rdkafka::Offset::Offset(offset);
                // Only an offset that cannot be represented is refused.
                let _ = list.add_partition_offset(&topic, number, offset);
            }
        }
        (list.count() > 0).then_some(list)
    }
}

impl Assigned {
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.values().flat_map(BTreeMap::values)
    }

    pub(super) fn place(&self, topic: &str, number: i32) -> Option<&Place> {
        self.places.get(topic)?.get(&number)
    }

    pub(super) fn place_mut(&mut self, topic: &str, number: i32) -> Option<&mut Place> {
        self.places.get_mut(topic)?.get_mut(&number)
    }

    pub(super) fn add(&mut self, place: Place) {
        let topic = self.places.entry(place.topic.clone()).or_default();
        topic.insert(place.number, place);
    }

    /// Forgets a partition, with what is held of it.
    pub(super) fn remove(&mut self, topic: &str, number: i32) -> Option<Place> {
        let place = self.places.get_mut(topic)?.remove(&number)?;
        self.held
            .retain(|message| message.partition != place.partition);
        self.places.retain(|_, numbers| !numbers.is_empty());
        Some(place)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether something of a topic is there that has not been handed on, or may be.
    pub(super) fn is_behind(&self, topic: &str) -> bool {
        let mut places = self
            .places
            .get(topic)
            .into_iter()
            .flat_map(BTreeMap::values);
        places.any(|place| match (place.next, place.end) {
            (Some(next), Some(end)) => next < end,
            (None, Some(end)) => end > 0,
            (_, None) => true,
        })
    }

    /// The partitions that may be read.
    pub(super) fn list(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for place in self.places().filter(|place| !place.doubtful) {
            list.add_partition(&place.topic, place.number);
        }
        list
    }
}
