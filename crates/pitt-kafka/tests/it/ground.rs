//! A stream, a store that remembers what it took, and programs that take from the one into the other.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pitt_kafka::Access;
use pitt_kafka::consume::{
    Ask, Fingerprint, Gate, Healths, InputSettings, Intake, Message, Next, SourceHealth, Stand,
    Start,
};
use pitt_stream::{Handle, Record, Server, StreamConfig};

/// A server on a free port.
pub(crate) fn server(folder: &Path) -> Server {
    Server::bind(config(folder)).unwrap()
}

pub(crate) fn config(folder: &Path) -> StreamConfig {
    let mut config = StreamConfig::new(folder);
    config.address.set_port(0);
    config
}

/// Settings whose members are missed soon.
pub(crate) fn input(servers: &str, topics: &[&str]) -> InputSettings {
    let settings = [
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "500"),
        ("max.poll.interval.ms", "6000"),
        ("topic.metadata.refresh.interval.ms", "300"),
        ("reconnect.backoff.max.ms", "500"),
    ];
    let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    InputSettings {
        name: "test".into(),
        access: Access {
            servers: servers.into(),
            settings: settings.map(text).into(),
            ..Access::default()
        },
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        nights: 2,
        group: "pitt".into(),
        start: Start::Earliest,
        buffer_bytes: 8 << 20,
    }
}

/// Appends messages `from..to` to a partition, each its number as text.
pub(crate) fn send(stream: &Handle, topic: &str, partition: i32, numbers: std::ops::Range<usize>) {
    let records: Vec<Record> = numbers
        .map(|number| Record::new(number.to_string()))
        .collect();
    stream.append(topic, partition, &records).unwrap();
}

/// Lets everything pass.
pub(crate) fn open() -> Gate {
    Box::new(|_| Ok(()))
}

/// What an archive does: it keeps what is committed, and refuses what somebody else has committed already.
#[derive(Default)]
pub(crate) struct Store(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    next: HashMap<String, Stand>,
    rows: BTreeMap<String, Vec<(i64, String)>>,
}

impl Store {
    /// Keeps all, or nothing if somebody else has gone on there.
    fn commit(&self, pending: &mut Vec<Message>) -> bool {
        let mut kept = self.0.lock().unwrap();
        let next = |m: &Message| kept.next.get(&*m.partition).map_or(0, |stand| stand.next);
        let behind = |m: &Message| m.offset < next(m);
        let good = !pending.iter().any(behind);
        for message in pending.drain(..).filter(|_| good) {
            let name = message.partition.to_string();
            let stand = Stand {
                next: message.offset + 1,
                last: Some(Fingerprint::of(&message.payload)),
            };
            kept.next.insert(name.clone(), stand);
            let text = String::from_utf8_lossy(&message.payload[..message.payload.len().min(20)]);
            kept.rows
                .entry(name)
                .or_default()
                .push((message.offset, text.into_owned()));
        }
        good
    }

    pub(crate) fn stands(&self, partition: &str) -> Option<Stand> {
        self.0.lock().unwrap().next.get(partition).copied()
    }

    /// Sets where it stands; `last` is the value of the message before, if that is known.
    pub(crate) fn set(&self, partition: &str, next: i64, last: Option<&str>) {
        let last = last.map(|value| Fingerprint::of(value.as_bytes()));
        let stand = Stand { next, last };
        self.0.lock().unwrap().next.insert(partition.into(), stand);
    }

    /// Values of a partition, in the order kept.
    pub(crate) fn values(&self, partition: &str) -> Vec<String> {
        let kept = self.0.lock().unwrap();
        let rows = kept.rows.get(partition).into_iter().flatten();
        rows.map(|(_, value)| value.clone()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().rows.values().map(Vec::len).sum()
    }

    /// Fails unless each partition holds the numbers `0..each`, once and in order.
    pub(crate) fn assert_whole(&self, topic: &str, partitions: usize, each: usize) {
        let expected: Vec<String> = (0..each).map(|number| number.to_string()).collect();
        for partition in 0..partitions {
            let name = format!("kafka:test/{topic}/{partition}");
            assert_eq!(self.values(&name), expected, "{name}");
        }
    }
}

/// A program that takes messages into a store.
pub(crate) struct Member {
    pub(crate) healths: Healths,
    switches: Arc<Switches>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Switches {
    stop: AtomicBool,
    kill: AtomicBool,
    still: AtomicBool,
    /// How often the store refused.
    fenced: AtomicU64,
}

impl Member {
    pub(crate) fn start(input: InputSettings, store: &Arc<Store>) -> Self {
        Self::of(vec![(input, open())], store)
    }

    pub(crate) fn of(inputs: Vec<(InputSettings, Gate)>, store: &Arc<Store>) -> Self {
        let intake = Intake::start(inputs).unwrap();
        let switches = Arc::<Switches>::default();
        let (healths, store, ours) = (intake.healths(), store.clone(), switches.clone());
        Self {
            healths,
            switches,
            thread: Some(std::thread::spawn(move || take(intake, &store, &ours))),
        }
    }

    pub(crate) fn health(&self) -> SourceHealth {
        self.healths.now().remove(0)
    }

    /// Takes nothing for a while, or goes on.
    pub(crate) fn stand_still(&self, still: bool) {
        self.switches.still.store(still, Ordering::SeqCst);
    }

    pub(crate) fn fenced(&self) -> u64 {
        self.switches.fenced.load(Ordering::SeqCst)
    }

    /// Ends in order.
    pub(crate) fn stop(mut self) {
        self.switches.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }

    /// Ends with all that is not committed.
    pub(crate) fn kill(mut self) {
        self.switches.kill.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.switches.kill.store(true, Ordering::SeqCst);
    }
}

fn take(mut intake: Intake, store: &Store, switches: &Switches) {
    let mut pending = vec![];
    let mut committed = Instant::now();
    while !switches.stop.load(Ordering::SeqCst) {
        if switches.kill.load(Ordering::SeqCst) {
            return;
        }
        if switches.still.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        }
        let commit = |pending: &mut Vec<Message>| {
            let good = store.commit(pending);
            switches
                .fenced
                .fetch_add(u64::from(!good), Ordering::SeqCst);
            good
        };
        match intake.next(Duration::from_millis(10)) {
            Next::Message(message) => pending.push(message),
            Next::Ask(Ask::Release(release)) => release.answer(commit(&mut pending)),
            Next::Ask(Ask::Positions(query)) => {
                commit(&mut pending);
                let stands = query.partitions().iter().map(|name| store.stands(name));
                let stands = stands.collect();
                query.answer(Ok(stands));
            }
            Next::Ask(Ask::Look(query)) => {
                let stands = query.partitions().iter().map(|name| store.stands(name));
                let stands = stands.collect();
                query.answer(Ok(stands));
            }
            Next::Nothing => {}
        }
        if committed.elapsed() > Duration::from_millis(200) {
            commit(&mut pending);
            committed = Instant::now();
        }
    }
    let good = store.commit(&mut pending);
    intake.finish(good);
}

/// Returns when something is true; fails when it is not within a minute.
pub(crate) fn wait_for(what: &str, ready: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < until, "no {what} within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}
