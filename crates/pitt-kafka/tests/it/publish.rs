//! Publishing through librdkafka into a stream.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pitt_kafka::Access;
use pitt_kafka::publish::{
    Backoff, Batch, Cursor, Feed, Outgoing, Output, Progress, Publisher, TopicShape, Transport,
};
use pitt_stream::{Server, StreamConfig};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::{Message, TopicPartitionList};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Numbers from 1 to `count`, `batch` at a time; `huge` of them is too large for the output.
struct Numbers {
    count: u64,
    batch: u64,
    huge: u64,
    huge_bytes: usize,
    own: String,
}

impl Feed for Numbers {
    fn after(&mut self, place: Option<&str>) -> Result<Batch, String> {
        let from: u64 = place.map_or(0, |place| place.parse().unwrap());
        let to = (from + self.batch).min(self.count);
        let message = |n: u64| Outgoing {
            topic: format!("{}{}", self.own, ["even", "odd"][n as usize % 2]).into(),
            key: Bytes::from(format!("key {n}")),
            spread: format!("object {}", n % 10).into(),
            headers: vec![("number", n.to_string())],
            value: Bytes::from(vec![
                b'x';
                if n == self.huge { self.huge_bytes } else { 100 }
            ]),
            label: "numbers".into(),
        };
        Ok(Batch {
            messages: (from + 1..=to).map(message).collect(),
            refused: vec![],
            kept_back: 0,
            place: (to > from).then(|| to.to_string()),
            mark: None,
        })
    }

    fn published(&mut self, _: &Cursor) {}
}

/// Where a test publishes: this repository's stream, or the cluster that `PITT_TEST_KAFKA` names (`HOST:PORT`).
struct Cluster {
    servers: String,
    /// Goes before every name, for tests share a cluster.
    own: String,
    stream: Option<(tempfile::TempDir, Server)>,
}

impl Cluster {
    fn new(own: &str) -> Cluster {
        match std::env::var("PITT_TEST_KAFKA") {
            Ok(servers) => Cluster {
                servers,
                own: format!("{own}-{}-", std::process::id()),
                stream: None,
            },
            Err(_) => {
                let stream = server();
                Cluster {
                    servers: stream.1.address().to_string(),
                    own: String::new(),
                    stream: Some(stream),
                }
            }
        }
    }

    /// One that takes messages of at most 100 kB.
    fn small(own: &str) -> Cluster {
        let mut cluster = Cluster::new(own);
        if cluster.stream.is_none() {
            small_topics(&cluster);
            return cluster;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut config = StreamConfig::new(folder.path());
        config.address.set_port(0);
        config.limits.message_bytes = 100_000;
        let server = Server::bind(config).unwrap();
        if let Some((_, other)) = cluster.stream.take() {
            other.shutdown();
        }
        cluster.servers = server.address().to_string();
        cluster.stream = Some((folder, server));
        cluster
    }

    fn end(self) {
        if let Some((_folder, server)) = self.stream {
            server.shutdown();
        }
    }
}

/// Makes the topics before the publisher does, for smaller messages.
fn small_topics(cluster: &Cluster) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &cluster.servers)
        .create()
        .unwrap();
    let names = ["even", "odd"].map(|name| format!("{}{name}", cluster.own));
    let topic = |name| {
        let copies = TopicReplication::Fixed(-1);
        NewTopic::new(name, 3, copies).set("max.message.bytes", "100000")
    };
    let topics = names.each_ref().map(|name| topic(name));
    let made = admin.create_topics(&topics, &AdminOptions::new());
    for made in futures_executor::block_on(made).unwrap() {
        made.unwrap();
    }
}

fn server() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = StreamConfig::new(folder.path());
    config.address.set_port(0);
    let server = Server::bind(config).unwrap();
    (folder, server)
}

fn output(cluster: &Cluster, transport: Transport) -> Output {
    let own = &cluster.own;
    Output {
        access: Access {
            servers: cluster.servers.clone(),
            ..Access::default()
        },
        id: format!("{own}pitt-test-0"),
        cursors: format!("{own}pitt-cursor"),
        shape: TopicShape {
            partitions: 3,
            replication: -1,
            retention_ms: 600_000,
        },
        topics: vec![format!("{own}even")],
        max_message_bytes: 1_000_000,
        transport,
    }
}

fn publisher(cluster: &Cluster, transport: Transport, count: u64) -> Publisher<Output, Numbers> {
    let output = output(cluster, transport);
    let feed = Numbers {
        count,
        batch: 100,
        huge: 0,
        huge_bytes: 2_000_000,
        own: cluster.own.clone(),
    };
    let quick = Backoff {
        first: Duration::from_millis(50),
        most: Duration::from_millis(200),
    };
    Publisher::new(output, feed, quick, None)
}

/// Publishes until there is nothing more.
fn drain(publisher: &mut Publisher<Output, Numbers>) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match publisher.step() {
            Progress::Idle => return,
            Progress::Waiting { pause, why, .. } => {
                eprintln!("{why}");
                std::thread::sleep(pause);
            }
            Progress::Published { .. } => {}
            ended @ (Progress::Fenced { .. } | Progress::Foreign { .. }) => panic!("{ended:?}"),
        }
    }
    panic!("not published in time");
}

/// What a reader of what is committed sees of a topic: number and partition, in the order of each partition.
fn read(cluster: &Cluster, topic: &str) -> Vec<(u64, i32)> {
    let (topic, partitions) = (&format!("{}{topic}", cluster.own), 3);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &cluster.servers)
        .set("group.id", "reader")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions - 1);
    list.set_all_offsets(rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let (mut seen, mut ended) = (vec![], 0);
    let until = Instant::now() + PATIENCE;
    while ended < partitions {
        assert!(Instant::now() < until, "{topic} was not read to its end");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let header = message.headers().unwrap().get(0);
                let number = std::str::from_utf8(header.value.unwrap()).unwrap();
                assert_eq!(header.key, "number");
                assert_eq!(message.key().unwrap(), format!("key {number}").as_bytes());
                seen.push((number.parse().unwrap(), message.partition()));
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    seen
}

fn sorted(seen: &[(u64, i32)]) -> Vec<u64> {
    let mut numbers: Vec<u64> = seen.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    numbers
}

fn publishes_all_and_goes_on(transport: Transport) {
    let cluster = Cluster::new(if transport == Transport::Plain {
        "plain"
    } else {
        "all"
    });
    let mut first = publisher(&cluster, transport, 950);
    drain(&mut first);
    drop(first);
    // Another process, later: it goes on where the cursor stands.
    let mut second = publisher(&cluster, transport, 1000);
    drain(&mut second);
    assert_eq!(second.cursor().unwrap().published, 1000);
    let (odd, even) = (read(&cluster, "odd"), read(&cluster, "even"));
    assert_eq!(sorted(&odd), (1..=1000).step_by(2).collect::<Vec<u64>>());
    assert_eq!(sorted(&even), (2..=1000).step_by(2).collect::<Vec<u64>>());
    // What belongs together is in one partition, in order.
    let mut homes: BTreeMap<u64, (i32, u64)> = BTreeMap::new();
    for (number, partition) in odd.into_iter().chain(even) {
        let (home, last) = homes.entry(number % 10).or_insert((partition, 0));
        assert!(*home == partition && *last < number);
        *last = number;
    }
    drop(second);
    cluster.end();
}

#[test]
fn publishes_all_and_goes_on_with_the_cursor_behind() {
    publishes_all_and_goes_on(Transport::Plain);
}

#[test]
fn publishes_all_and_goes_on_in_transactions() {
    publishes_all_and_goes_on(Transport::Transactions);
}

#[test]
fn a_message_too_large_is_left_out_and_counted() {
    let cluster = Cluster::new("huge");
    let mut publisher = publisher(&cluster, Transport::Transactions, 20);
    publisher.feed().huge = 7;
    drain(&mut publisher);
    let cursor = publisher.cursor().unwrap();
    assert_eq!((cursor.published, &cursor.refused["numbers"]), (19, &1));
    let odd: Vec<u64> = (1..=19).step_by(2).filter(|n| *n != 7).collect();
    assert_eq!(sorted(&read(&cluster, "odd")), odd);
    drop(publisher);
    cluster.end();
}

/// The cluster takes smaller messages than the settings say: it refuses the large one with all that came with it.
fn a_message_that_the_cluster_refuses_harms_no_other(transport: Transport) {
    let cluster = Cluster::small(match transport {
        Transport::Plain => "small-plain",
        Transport::Transactions => "small",
    });
    let mut publisher = publisher(&cluster, transport, 300);
    publisher.feed().huge = 143;
    publisher.feed().huge_bytes = 300_000;
    drain(&mut publisher);
    let cursor = publisher.cursor().unwrap();
    assert_eq!((cursor.published, &cursor.refused["numbers"]), (299, &1));
    let odd: Vec<u64> = (1..=299).step_by(2).filter(|n| *n != 143).collect();
    assert_eq!(sorted(&read(&cluster, "odd")), odd);
    let even: Vec<u64> = (2..=300).step_by(2).collect();
    assert_eq!(sorted(&read(&cluster, "even")), even);
    drop(publisher);
    cluster.end();
}

#[test]
fn a_message_that_the_cluster_refuses_is_left_out_alone_in_transactions() {
    a_message_that_the_cluster_refuses_harms_no_other(Transport::Transactions);
}

#[test]
fn a_message_that_the_cluster_refuses_is_left_out_alone_and_nothing_is_repeated() {
    a_message_that_the_cluster_refuses_harms_no_other(Transport::Plain);
}

#[test]
fn an_output_that_is_away_is_waited_for() {
    let (folder, server) = server();
    let address = server.address();
    let cluster = Cluster {
        servers: address.to_string(),
        own: String::new(),
        stream: None,
    };
    let mut publisher = publisher(&cluster, Transport::Plain, 300);
    assert!(matches!(publisher.step(), Progress::Published { .. }));
    server.shutdown();
    let until = Instant::now() + PATIENCE;
    let mut said = 0;
    while said == 0 {
        assert!(Instant::now() < until, "nobody noticed");
        if let Progress::Waiting { first, pause, .. } = publisher.step() {
            said += usize::from(first);
            std::thread::sleep(pause);
        }
    }
    let mut config = StreamConfig::new(folder.path());
    config.address = address;
    let server = Server::bind(config).unwrap();
    drain(&mut publisher);
    let all: Vec<u64> = [read(&cluster, "odd"), read(&cluster, "even")]
        .iter()
        .flat_map(|seen| sorted(seen))
        .collect();
    let once: std::collections::BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!(once, (1..=300).collect());
    drop(publisher);
    server.shutdown();
}

#[test]
fn a_rival_of_the_same_name_fences() {
    let cluster = Cluster::new("rival");
    let mut old = publisher(&cluster, Transport::Transactions, 500);
    assert!(matches!(old.step(), Progress::Published { .. }));
    let mut new = publisher(&cluster, Transport::Transactions, 500);
    assert!(matches!(new.step(), Progress::Published { .. }));
    let fenced = |publisher: &mut Publisher<_, _>| {
        let until = Instant::now() + PATIENCE;
        loop {
            match publisher.step() {
                Progress::Fenced { .. } => return true,
                Progress::Idle => return false,
                other => {
                    eprintln!("{other:?}");
                    assert!(Instant::now() < until);
                }
            }
        }
    };
    assert!(fenced(&mut old));
    assert!(!fenced(&mut new));
    let odd = read(&cluster, "odd");
    assert_eq!(sorted(&odd), (1..=500).step_by(2).collect::<Vec<u64>>());
    drop((old, new));
    cluster.end();
}
