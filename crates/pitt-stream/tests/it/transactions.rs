//! Transactions, through librdkafka: whole or not at all, whoever dies.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use pitt_stream::{Server, StreamConfig};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{config, server};
use crate::crash::Killed;
use crate::rdkafka_client::{LONG, client, numbered, read_all, send};

const COMMITTED: (&str, &str) = ("isolation.level", "read_committed");
const ALL: (&str, &str) = ("isolation.level", "read_uncommitted");

fn transactional(address: SocketAddr, id: &str, more: &[(&str, &str)]) -> BaseProducer {
    let mut all = vec![("transactional.id", id)];
    all.extend(more);
    let producer: BaseProducer = client(address, &all).create().unwrap();
    producer.init_transactions(LONG).unwrap();
    producer
}

fn total(seen: &BTreeMap<i32, Vec<Vec<u8>>>) -> usize {
    seen.values().map(Vec::len).sum()
}

/// Two transactions committed, one aborted between them, over two partitions: the messages that count.
fn commit_abort_commit(address: SocketAddr) -> Vec<Vec<u8>> {
    let producer = transactional(address, "publisher", &[]);
    for (range, commit) in [(0..50, true), (50..80, false), (80..100, true)] {
        producer.begin_transaction().unwrap();
        for partition in [0, 1] {
            send(&producer, "t", partition, &numbered(range.clone()));
        }
        if commit {
            producer.commit_transaction(LONG).unwrap();
        } else {
            producer.abort_transaction(LONG).unwrap();
        }
    }
    [numbered(0..50), numbered(80..100)].concat()
}

#[test]
fn what_was_aborted_is_hidden_from_who_wants_only_the_committed() {
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path());
    first.handle().create_topic("t", 2).unwrap();
    let good = commit_abort_commit(first.address());
    let seen = read_all(first.address(), "t", 2, &[COMMITTED]);
    assert!(seen.values().all(|values| *values == good));
    first.shutdown();
    for forget in [false, true] {
        let server = again(folder.path(), forget);
        let seen = read_all(server.address(), "t", 2, &[COMMITTED]);
        assert!(seen.values().all(|values| *values == good));
        assert_eq!(total(&read_all(server.address(), "t", 2, &[ALL])), 200);
        server.shutdown();
    }
}

/// A new server of the same folder, also one that has to find everything in the log itself.
fn again(folder: &std::path::Path, forget: bool) -> Server {
    if forget {
        for partition in ["0", "1"] {
            let of = folder.join("topics/t").join(partition);
            std::fs::remove_file(of.join("00000000000000000000.index")).unwrap();
        }
    }
    server(folder)
}

#[test]
fn readers_wait_behind_an_open_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("t", 1).unwrap();
    let address = server.address();
    let producer = transactional(address, "slow", &[]);
    let plain: BaseProducer = client(address, &[]).create().unwrap();
    send(&plain, "t", 0, &numbered(0..5));
    producer.begin_transaction().unwrap();
    send(&producer, "t", 0, &numbered(5..10));
    send(&plain, "t", 0, &numbered(10..15));
    assert_eq!(read_all(address, "t", 1, &[COMMITTED])[&0], numbered(0..5));
    assert_eq!(read_all(address, "t", 1, &[ALL])[&0], numbered(0..15));
    producer.commit_transaction(LONG).unwrap();
    assert_eq!(read_all(address, "t", 1, &[COMMITTED])[&0], numbered(0..15));
}

#[test]
fn a_zombie_is_shut_out_by_its_successor() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("t", 1).unwrap();
    let zombie = transactional(server.address(), "one of us", &[]);
    zombie.begin_transaction().unwrap();
    send(&zombie, "t", 0, &numbered(0..5));
    let successor = transactional(server.address(), "one of us", &[]);
    successor.begin_transaction().unwrap();
    send(&successor, "t", 0, &numbered(5..10));
    successor.commit_transaction(LONG).unwrap();
    let error = zombie.commit_transaction(LONG).unwrap_err();
    let code = error.rdkafka_error_code().unwrap();
    assert!(
        matches!(
            code,
            RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced
        ),
        "{error:?}"
    );
    let seen = read_all(server.address(), "t", 1, &[COMMITTED]);
    assert_eq!(seen[&0], numbered(5..10));
}

fn committed(consumer: &BaseConsumer) -> Offset {
    let mut ask = TopicPartitionList::new();
    ask.add_partition("in", 0);
    let found = consumer.committed_offsets(ask, LONG).unwrap();
    found.elements()[0].offset()
}

#[test]
fn a_groups_offsets_count_with_the_transaction_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    for topic in ["in", "t"] {
        server.handle().create_topic(topic, 1).unwrap();
    }
    let more = [("group.id", "worker"), ("enable.auto.commit", "false")];
    let consumer: BaseConsumer = client(server.address(), &more).create().unwrap();
    let producer = transactional(server.address(), "worker", &[]);
    let group = consumer.group_metadata().unwrap();
    for (offset, commit, expected) in [
        (5, false, Offset::Invalid),
        (6, true, Offset::Offset(6)),
        (9, false, Offset::Offset(6)),
    ] {
        producer.begin_transaction().unwrap();
        send(&producer, "t", 0, &numbered(0..1));
        let mut done = TopicPartitionList::new();
        done.add_partition_offset("in", 0, Offset::Offset(offset))
            .unwrap();
        producer
            .send_offsets_to_transaction(&done, &group, LONG)
            .unwrap();
        if commit {
            producer.commit_transaction(LONG).unwrap();
        } else {
            producer.abort_transaction(LONG).unwrap();
        }
        assert_eq!(committed(&consumer), expected, "after {offset}");
    }
    assert_eq!(server.handle().committed("worker", "in", 0), Some(6));
}

#[test]
fn a_producer_that_vanishes_holds_readers_up_only_for_its_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("t", 1).unwrap();
    let address = server.address();
    let lost = transactional(address, "lost", &[("transaction.timeout.ms", "1500")]);
    lost.begin_transaction().unwrap();
    send(&lost, "t", 0, &numbered(0..5));
    let plain: BaseProducer = client(address, &[]).create().unwrap();
    send(&plain, "t", 0, &numbered(5..10));
    assert_eq!(read_all(address, "t", 1, &[COMMITTED])[&0], numbered(0..0));
    let begun = Instant::now();
    while read_all(address, "t", 1, &[COMMITTED])[&0] != numbered(5..10) {
        assert!(begun.elapsed() < LONG, "the transaction was never aborted");
    }
    assert!(lost.commit_transaction(LONG).is_err());
}

#[test]
fn an_open_transaction_lives_through_a_restart_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path());
    first.handle().create_topic("t", 2).unwrap();
    let address = first.address();
    let producer = transactional(address, "steady", &[]);
    producer.begin_transaction().unwrap();
    send(&producer, "t", 0, &numbered(0..10));
    first.shutdown();
    let second = Server::bind(StreamConfig {
        address,
        ..config(folder.path())
    })
    .unwrap();
    send(&producer, "t", 1, &numbered(10..20));
    assert_eq!(total(&read_all(address, "t", 2, &[COMMITTED])), 0);
    producer.commit_transaction(LONG).unwrap();
    let seen = read_all(second.address(), "t", 2, &[COMMITTED]);
    assert_eq!(
        (&seen[&0], &seen[&1]),
        (&numbered(0..10), &numbered(10..20))
    );
}

/// Messages of one transaction in each partition.
const PER_TRANSACTION: usize = 20;

/// Publishes transactions that each carry their number into both partitions and the group's offsets, until told to
/// stop: the numbers whose commit was acknowledged, and those aborted or of unknown end.
fn publish(address: SocketAddr, until: Instant) -> (Vec<u32>, Vec<u32>) {
    let (mut good, mut bad) = (vec![], vec![]);
    let more = [("reconnect.backoff.max.ms", "200")];
    let mut producer = transactional(address, "publisher", &more);
    let consumer: BaseConsumer = client(address, &[("group.id", "cursor")]).create().unwrap();
    let group = consumer.group_metadata().unwrap();
    let mut number = 0;
    while Instant::now() < until {
        let outcome = (|| {
            producer.begin_transaction()?;
            for partition in [0, 1] {
                for _ in 0..PER_TRANSACTION {
                    let value = number.to_string();
                    let record = BaseRecord::<(), _>::to("t").partition(partition);
                    producer.send(record.payload(&value)).map_err(|(e, _)| e)?;
                }
            }
            let mut done = TopicPartitionList::new();
            done.add_partition_offset("in", 0, Offset::Offset(i64::from(number)))?;
            producer.send_offsets_to_transaction(&done, &group, LONG)?;
            producer.commit_transaction(LONG)
        })();
        if outcome.is_ok() {
            good.push(number);
        } else {
            bad.push(number);
            if producer.abort_transaction(LONG).is_err() {
                producer = transactional(address, "publisher", &more);
            }
        }
        number += 1;
    }
    (good, bad)
}

#[test]
fn transactions_stay_whole_when_the_server_is_killed_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    {
        let setup = server(folder.path());
        setup.handle().create_topic("t", 2).unwrap();
        setup.handle().create_topic("in", 1).unwrap();
        setup.shutdown();
    }
    let mut running = Killed::start_at(folder.path(), port);
    let address = running.address;
    let until = Instant::now() + Duration::from_secs(12);
    let publisher = std::thread::spawn(move || publish(address, until));
    let mut kills = 0;
    while Instant::now() + Duration::from_millis(500) < until {
        std::thread::sleep(Duration::from_millis(500 + 37 * kills));
        drop(running);
        running = Killed::start_at(folder.path(), port);
        kills += 1;
    }
    let (good, bad) = publisher.join().unwrap();
    drop(running);
    let server = server(folder.path());
    let seen = read_all(server.address(), "t", 2, &[COMMITTED]);
    let mut times: BTreeMap<u32, [usize; 2]> = BTreeMap::new();
    for (partition, values) in &seen {
        for value in values {
            let number = std::str::from_utf8(value).unwrap().parse().unwrap();
            times.entry(number).or_default()[usize::try_from(*partition).unwrap()] += 1;
        }
    }
    let last = *times.keys().last().unwrap();
    for number in &good {
        assert!(times.contains_key(number), "transaction {number} is lost");
    }
    for (number, found) in times {
        assert_eq!(
            found, [PER_TRANSACTION; 2],
            "transaction {number} is not whole"
        );
        assert!(good.contains(&number) || bad.contains(&number));
    }
    assert_eq!(
        server.handle().committed("cursor", "in", 0),
        Some(i64::from(last)),
        "the offsets go with the messages"
    );
    assert!(good.len() > 5, "{}", good.len());
    println!(
        "{kills} kills, {} committed, {} of unknown end",
        good.len(),
        bad.len()
    );
}
