//! Produce, consume and latency over loopback with librdkafka, in this process: `./dev bench stream`.
//!
//! Server and clients share the machine's cores, as `pitt stream` and its readers do on a laptop.

#![expect(clippy::unwrap_used, reason = "a bench ends where it fails")]
#![expect(clippy::print_stdout, reason = "figures are printed")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pitt_stream::{Server, StreamConfig, Sync};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

/// An alert of ZTF has about this size `[bytes]`.
const SIZE: usize = 60_000;
const MESSAGES: usize = 20_000;
const PARTITIONS: i32 = 4;
const LONG: Duration = Duration::from_secs(120);

fn main() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    println!(
        "{MESSAGES} messages of {SIZE} bytes, {PARTITIONS} partitions, load {load} at the start"
    );
    for (name, sync) in [
        (
            "forced to the disk each second",
            Sync::Every(Duration::from_secs(1)),
        ),
        ("forced at each request", Sync::EachRequest),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = StreamConfig::new(folder.path());
        config.address.set_port(0);
        config.sync = sync;
        let server = Server::bind(config).unwrap();
        let topic = usize::try_from(PARTITIONS).unwrap();
        server.handle().create_topic("alerts", topic).unwrap();
        server.handle().create_topic("one", 1).unwrap();
        let address = server.address();
        println!("{name}:");
        report("produced", produce(address, &[]));
        report(
            "produced in transactions of 1,000",
            produce(address, &[("transactional.id", "bench")]),
        );
        report("consumed", consume(address, "read_uncommitted"));
        report(
            "consumed, committed only",
            consume(address, "read_committed"),
        );
        latency(address);
        server.shutdown();
    }
}

fn client(address: SocketAddr, more: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address.to_string());
    for (name, value) in more {
        config.set(*name, *value);
    }
    config
}

fn report(what: &str, (messages, took): (usize, Duration)) {
    let seconds = took.as_secs_f64();
    let rate = messages as f64 / seconds;
    println!(
        "  {what:34} {rate:8.0} messages/s {:7.0} MB/s",
        rate * SIZE as f64 / 1e6
    );
}

fn produce(address: SocketAddr, more: &[(&str, &str)]) -> (usize, Duration) {
    let usual = [("enable.idempotence", "true"), ("linger.ms", "5")];
    let producer: BaseProducer = client(address, &[&usual, more].concat()).create().unwrap();
    let transactions = !more.is_empty();
    if transactions {
        producer.init_transactions(LONG).unwrap();
        producer.begin_transaction().unwrap();
    }
    let value = vec![7; SIZE];
    let begun = Instant::now();
    for i in 0..MESSAGES {
        let partition = i32::try_from(i).unwrap() % PARTITIONS;
        let mut record = BaseRecord::<(), _>::to("alerts")
            .partition(partition)
            .payload(&value);
        while let Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) =
            producer.send(record)
        {
            record = back;
            producer.poll(Duration::from_millis(5));
        }
        producer.poll(Duration::ZERO);
        if transactions && i % 1_000 == 999 {
            producer.commit_transaction(LONG).unwrap();
            producer.begin_transaction().unwrap();
        }
    }
    producer.flush(LONG).unwrap();
    if transactions {
        producer.commit_transaction(LONG).unwrap();
    }
    (MESSAGES, begun.elapsed())
}

fn assigned(
    address: SocketAddr,
    topic: &str,
    partitions: i32,
    from: Offset,
    isolation: &str,
) -> BaseConsumer {
    let more = [
        ("group.id", "bench"),
        ("enable.auto.commit", "false"),
        ("enable.partition.eof", "true"),
        ("fetch.message.max.bytes", "4194304"),
        ("isolation.level", isolation),
    ];
    let consumer: BaseConsumer = client(address, &more).create().unwrap();
    let mut wanted = TopicPartitionList::new();
    for p in 0..partitions {
        wanted.add_partition_offset(topic, p, from).unwrap();
    }
    consumer.assign(&wanted).unwrap();
    consumer
}

fn consume(address: SocketAddr, isolation: &str) -> (usize, Duration) {
    let consumer = assigned(address, "alerts", PARTITIONS, Offset::Beginning, isolation);
    let (begun, mut seen, mut ended) = (Instant::now(), 0, 0);
    while ended < PARTITIONS {
        match consumer.poll(LONG) {
            Some(Ok(_)) => seen += 1,
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, 2 * MESSAGES);
    (seen, begun.elapsed())
}

/// From producing a message to having it, one at a time and 200 a second.
fn latency(address: SocketAddr) {
    let consumer = assigned(address, "one", 1, Offset::Beginning, "read_uncommitted");
    let producer: BaseProducer = client(address, &[("linger.ms", "0")]).create().unwrap();
    let value = vec![7; SIZE];
    let mut took = Vec::new();
    for i in 0..2_200 {
        let begun = Instant::now();
        producer
            .send(BaseRecord::<(), _>::to("one").payload(&value))
            .map_err(|(e, _)| e)
            .unwrap();
        while !matches!(consumer.poll(LONG), Some(Ok(message)) if message.payload().is_some()) {}
        // The first ones wait for connections.
        if i >= 200 {
            took.push(begun.elapsed());
        }
        producer.poll(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(5).saturating_sub(begun.elapsed()));
    }
    took.sort_unstable();
    let at = |share: f64| took[(took.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "  latency, 200 a second              p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
        at(0.5),
        at(0.99),
        at(0.999)
    );
}
