//! librdkafka, as Rust programs use it, against the endpoint.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::client::server;

/// Generous, for a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn client(address: SocketAddr, more: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address.to_string());
    for (name, value) in more {
        config.set(*name, *value);
    }
    config
}

/// Sends one message a value to a partition and waits until all are acknowledged.
pub(crate) fn send(producer: &BaseProducer, topic: &str, partition: i32, values: &[Vec<u8>]) {
    for value in values {
        let mut record = BaseRecord::<(), _>::to(topic)
            .partition(partition)
            .payload(value);
        while let Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) =
            producer.send(record)
        {
            record = back;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(LONG).unwrap();
}

/// Everything a reader sees of a topic's partitions, up to where they end for it: values by partition.
pub(crate) fn read_all(
    address: SocketAddr,
    topic: &str,
    partitions: i32,
    more: &[(&str, &str)],
) -> BTreeMap<i32, Vec<Vec<u8>>> {
    let usual = [("group.id", "reader"), ("enable.partition.eof", "true")];
    let consumer: BaseConsumer = client(address, &[&usual, more].concat()).create().unwrap();
    let mut wanted = TopicPartitionList::new();
    for p in 0..partitions {
        wanted
            .add_partition_offset(topic, p, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&wanted).unwrap();
    let mut seen: BTreeMap<i32, Vec<Vec<u8>>> = (0..partitions).map(|p| (p, vec![])).collect();
    let (mut ended, begun) = (0, Instant::now());
    while ended < partitions {
        assert!(begun.elapsed() < LONG, "the end never came");
        match consumer.poll(Duration::from_millis(200)) {
            None => {}
            Some(Ok(message)) => seen
                .get_mut(&message.partition())
                .unwrap()
                .push(message.payload().unwrap().to_vec()),
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => panic!("{error}"),
        }
    }
    seen
}

pub(crate) fn numbered(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    range.map(|i| format!("message {i}").into_bytes()).collect()
}

#[test]
fn every_compression_and_messages_of_10_mb_come_back_as_they_went() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let mut expected = vec![];
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let more = [
            ("compression.type", codec),
            ("message.max.bytes", "11000000"),
            ("enable.idempotence", "true"),
        ];
        let producer: BaseProducer = client(server.address(), &more).create().unwrap();
        let mut values = numbered(0..200);
        values.push(
            codec
                .as_bytes()
                .iter()
                .copied()
                .cycle()
                .take(10_000_000)
                .collect(),
        );
        server.handle().create_topic(codec, 1).unwrap();
        send(&producer, codec, 0, &values);
        expected.push((codec, values));
    }
    for (codec, values) in expected {
        let seen = read_all(
            server.address(),
            codec,
            1,
            &[("fetch.message.max.bytes", "1000000")],
        );
        assert!(seen[&0] == values, "{codec}");
    }
}

fn subscribed(address: SocketAddr, group: &str) -> BaseConsumer {
    let more = [
        ("group.id", group),
        ("auto.offset.reset", "earliest"),
        ("enable.auto.commit", "false"),
        ("session.timeout.ms", "6000"),
    ];
    let consumer: BaseConsumer = client(address, &more).create().unwrap();
    consumer.subscribe(&["shared"]).unwrap();
    consumer
}

/// Polls all until each holds at least one partition and together they hold all.
fn settle(consumers: &[&BaseConsumer], partitions: usize) {
    let begun = Instant::now();
    loop {
        for consumer in consumers {
            if let Some(Err(error)) = consumer.poll(Duration::from_millis(50)) {
                panic!("{error}");
            }
        }
        let held: Vec<_> = consumers
            .iter()
            .map(|c| c.assignment().unwrap().count())
            .collect();
        if held.iter().all(|n| *n > 0) && held.iter().sum::<usize>() == partitions {
            return;
        }
        assert!(begun.elapsed() < LONG, "the group never settled: {held:?}");
    }
}

#[test]
fn members_share_a_topic_and_take_over_where_the_other_committed() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("shared", 4).unwrap();
    let first = subscribed(server.address(), "g");
    settle(&[&first], 4);
    let second = subscribed(server.address(), "g");
    settle(&[&first, &second], 4);
    let mut done = TopicPartitionList::new();
    // A list of partitions that is still there keeps librdkafka from ending.
    let number = second.assignment().unwrap().elements()[0].partition();
    done.add_partition_offset("shared", number, Offset::Offset(7))
        .unwrap();
    second
        .commit(&done, rdkafka::consumer::CommitMode::Sync)
        .unwrap();
    drop(second);
    settle(&[&first], 4);
    let committed = first.committed(LONG).unwrap();
    let of_second = committed.find_partition("shared", number).unwrap();
    assert_eq!(of_second.offset(), Offset::Offset(7));
}

#[test]
fn times_and_ends_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("t", 1).unwrap();
    let producer: BaseProducer = client(server.address(), &[]).create().unwrap();
    for i in 0..10 {
        let record = BaseRecord::<(), _>::to("t")
            .payload("x")
            .timestamp(1_000 * (i + 1));
        producer.send(record).map_err(|(e, _)| e).unwrap();
        producer.flush(LONG).unwrap();
    }
    let consumer: BaseConsumer = client(server.address(), &[("group.id", "g")])
        .create()
        .unwrap();
    assert_eq!(consumer.fetch_watermarks("t", 0, LONG).unwrap(), (0, 10));
    let mut ask = TopicPartitionList::new();
    ask.add_partition_offset("t", 0, Offset::Offset(5_500))
        .unwrap();
    let found = consumer.offsets_for_times(ask, LONG).unwrap();
    assert_eq!(found.elements()[0].offset(), Offset::Offset(5));
}
