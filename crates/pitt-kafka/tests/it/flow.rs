//! One program: order, positions, beginnings, size, pressure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pitt_kafka::consume::{Gate, SourceState, Start, TroubleKind};
use pitt_stream::{Record, Retention, Server};

use crate::ground::{Member, Store, config, input, open, send, server, wait_for};

#[test]
fn every_message_once_and_in_order_over_two_deaths_and_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    stream.create_topic("a", 3).unwrap();
    let address = server.address().to_string();
    let store = Arc::<Store>::default();
    for part in 0..4 {
        for partition in 0..3 {
            send(&stream, "a", partition, part * 500..(part + 1) * 500);
        }
        let member = Member::start(input(&address, &["a"]), &store);
        wait_for("messages", || store.len() > part * 1500 + 300);
        match part {
            0 | 1 => member.kill(),
            2 => member.stop(),
            _ => {
                wait_for("all messages", || store.len() == 6000);
                wait_for("no lag", || {
                    let health = member.health();
                    health.partitions.len() == 3
                        && health.partitions.iter().all(|p| p.lag() == Some(0))
                });
                assert_eq!(member.health().state, SourceState::Reading);
                member.stop();
            }
        }
    }
    store.assert_whole("a", 3, 2000);
    // The group was told at the end.
    assert_eq!(stream.committed("pitt", "a", 0), Some(2000));
    server.shutdown();
}

#[test]
fn reading_begins_where_the_settings_say_only_if_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    let address = server.address().to_string();
    stream.create_topic("a", 1).unwrap();
    let at = |number: usize, ms: i64| Record {
        timestamp_ms: Some(ms),
        ..Record::new(number.to_string())
    };
    for number in 0..100 {
        let ms = 1_700_000_000_000 + number as i64 * 1000;
        stream.append("a", 0, &[at(number, ms)]).unwrap();
    }
    for (start, first) in [
        (Start::Earliest, "0"),
        (Start::At(1_700_000_040_500), "41"),
        (Start::At(2_000_000_000_000), "new"),
        (Start::Latest, "new"),
        (Start::Group, "0"),
    ] {
        let store = Arc::<Store>::default();
        let mut settings = input(&address, &["a"]);
        settings.group = format!("{start:?}").replace(['(', ')'], "-");
        settings.start = start;
        let member = Member::start(settings, &store);
        wait_for("partitions", || !member.health().partitions.is_empty());
        if first == "new" {
            stream.append("a", 0, &[Record::new("new")]).unwrap();
        }
        wait_for("a message", || store.len() > 0);
        assert_eq!(store.values("kafka:test/a/0")[0], first, "{start:?}");
        member.stop();
    }
    let store = Arc::<Store>::default();
    store.set("kafka:test/a/0", 97, None);
    let mut settings = input(&address, &["a"]);
    settings.start = Start::Latest;
    let member = Member::start(settings, &store);
    wait_for("messages", || store.len() >= 3);
    assert_eq!(store.values("kafka:test/a/0")[..3], ["97", "98", "99"]);
    member.stop();
    server.shutdown();
}

#[test]
fn what_comes_while_a_partition_new_to_all_changes_hands_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    stream.create_topic("a", 1).unwrap();
    send(&stream, "a", 0, 0..10);
    let mut settings = input(&server.address().to_string(), &["a"]);
    settings.start = Start::Latest;
    let store = Arc::<Store>::default();
    let first = Member::start(settings.clone(), &store);
    wait_for("a partition", || !first.health().partitions.is_empty());
    first.stop();
    send(&stream, "a", 0, 10..20);
    let second = Member::start(settings, &store);
    wait_for("messages", || store.len() == 10);
    assert_eq!(store.values("kafka:test/a/0")[0], "10");
    second.stop();
    server.shutdown();
}

#[test]
fn a_program_that_takes_nothing_pauses_and_stays_in_the_group() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    stream.create_topic("a", 2).unwrap();
    let store = Arc::<Store>::default();
    let mut settings = input(&server.address().to_string(), &["a"]);
    settings.buffer_bytes = 1 << 20;
    let member = Member::start(settings, &store);
    wait_for("partitions", || member.health().partitions.len() == 2);
    member.stand_still(true);
    let body = vec![b'x'; 20_000];
    for number in 0..300 {
        let mut value = format!("{number:020}").into_bytes();
        value.extend(&body);
        for partition in 0..2 {
            stream
                .append("a", partition, &[Record::new(value.clone())])
                .unwrap();
        }
    }
    wait_for("a pause", || member.health().state == SourceState::Paused);
    let before = member.health();
    // Longer than the session and the poll interval, which are 6 s.
    std::thread::sleep(Duration::from_secs(8));
    let after = member.health();
    assert_eq!(
        after.messages, before.messages,
        "nothing is taken in during the pause"
    );
    assert!(
        after.waiting_bytes < 2 << 20,
        "{} bytes wait",
        after.waiting_bytes
    );
    assert_eq!(
        (after.rebalances, after.partitions.len()),
        (before.rebalances, 2)
    );
    member.stand_still(false);
    wait_for("all messages", || store.len() == 600);
    for partition in 0..2 {
        let expected: Vec<String> = (0..300).map(|number| format!("{number:020}")).collect();
        assert_eq!(store.values(&format!("kafka:test/a/{partition}")), expected);
    }
    member.stop();
    server.shutdown();
}

#[test]
fn a_message_that_cannot_be_read_yet_holds_its_own_input_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    for topic in ["a", "b"] {
        stream.create_topic(topic, 1).unwrap();
        send(&stream, topic, 0, 0..50);
    }
    let down = Arc::new(AtomicBool::new(true));
    let silent = down.clone();
    let gate: Gate = Box::new(move |message| {
        let waits = silent.load(Ordering::SeqCst) && message == b"20";
        if waits {
            Err("the registry is silent".into())
        } else {
            Ok(())
        }
    });
    let address = server.address().to_string();
    let (held, mut free) = (input(&address, &["a"]), input(&address, &["b"]));
    free.name = "free".into();
    let store = Arc::<Store>::default();
    let member = Member::of(vec![(held, gate), (free, open())], &store);
    wait_for("the other input", || {
        store.values("kafka:free/b/0").len() == 50
    });
    wait_for("what came before", || {
        store.values("kafka:test/a/0").len() == 20
    });
    let health = member.health();
    assert_eq!(
        (health.state, &health.troubles[0].kind),
        (SourceState::Waiting, &TroubleKind::Schema)
    );
    send(&stream, "a", 0, 50..60);
    down.store(false, Ordering::SeqCst);
    wait_for("all messages", || store.len() == 110);
    store.assert_whole("a", 1, 60);
    assert!(member.health().troubles.is_empty());
    member.stop();
    server.shutdown();
}

#[test]
fn messages_of_ten_megabytes_come_through() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    stream.create_topic("a", 1).unwrap();
    let large = vec![b'7'; 10_000_000];
    stream.append("a", 0, &[Record::new(large)]).unwrap();
    send(&stream, "a", 0, 0..1);
    let store = Arc::<Store>::default();
    let member = Member::start(input(&server.address().to_string(), &["a"]), &store);
    wait_for("both messages", || store.len() == 2);
    assert_eq!(member.health().bytes, 10_000_001);
    member.stop();
    server.shutdown();
}

#[test]
fn what_expired_is_counted_and_reading_goes_on_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.segment_bytes = 2_000;
    config.retention = Retention {
        bytes: Some(6_000),
        time: None,
    };
    let server = Server::bind(config).unwrap();
    let stream = server.handle();
    stream.create_topic("a", 1).unwrap();
    for number in 0..500 {
        send(&stream, "a", 0, number..number + 1);
    }
    stream.retain();
    let (oldest, end) = stream.offsets("a", 0).unwrap();
    assert!(oldest > 10 && end == 500, "{oldest}");
    let store = Arc::<Store>::default();
    store.set("kafka:test/a/0", 7, None);
    let member = Member::start(input(&server.address().to_string(), &["a"]), &store);
    wait_for("the rest", || store.len() as i64 == end - oldest);
    assert_eq!(store.values("kafka:test/a/0")[0], oldest.to_string());
    assert_eq!(member.health().expired, oldest as u64 - 7);
    member.stop();
    server.shutdown();
}

#[test]
fn a_topic_that_ends_before_the_archive_is_waited_for_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    stream.create_topic("a", 1).unwrap();
    send(&stream, "a", 0, 0..10);
    let store = Arc::<Store>::default();
    store.set("kafka:test/a/0", 15, None);
    let member = Member::start(input(&server.address().to_string(), &["a"]), &store);
    wait_for("a word about it", || !member.health().troubles.is_empty());
    let trouble = member.health().troubles.remove(0);
    assert_eq!(trouble.kind, TroubleKind::Position("kafka:test/a/0".into()));
    assert!(
        trouble.text.contains("15") && trouble.text.contains("10"),
        "{}",
        trouble.text
    );
    send(&stream, "a", 0, 10..20);
    wait_for("what follows", || store.len() == 5);
    assert_eq!(store.values("kafka:test/a/0")[0], "15");
    wait_for("the end of it", || member.health().troubles.is_empty());
    member.stop();
    server.shutdown();
}
