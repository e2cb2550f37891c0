//! Topics that come and go with the nights.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pitt_kafka::consume::{SourceState, TroubleKind};
use pitt_stream::Handle;

use crate::ground::{Member, Store, input, send, server, wait_for};

/// The topic of a night so many days ago.
fn topic(days_ago: i64) -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    let mut days = seconds / 86_400 - days_ago;
    // Counted by hand: the reference for the arithmetic under test.
    let (mut year, mut month) = (1970, 0);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + i64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("ztf_{year}{:02}{:02}_programid1", month + 1, days + 1)
}

/// Makes the topic of a night so many days ago: twenty messages in each of two partitions.
fn night(stream: &Handle, days_ago: i64) -> String {
    let topic = topic(days_ago);
    stream.create_topic(&topic, 2).unwrap();
    for partition in 0..2 {
        send(stream, &topic, partition, 0..20);
    }
    topic
}

#[test]
fn nights_are_joined_as_they_appear_and_left_when_they_expire() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    let night = |days_ago| night(&stream, days_ago);
    let store = Arc::<Store>::default();
    let member = Member::start(
        input(&server.address().to_string(), &["ztf_{night}_programid1"]),
        &store,
    );
    wait_for("a word that there is none", || {
        !member.health().troubles.is_empty()
    });
    assert_eq!(
        member.health().troubles[0].kind,
        TroubleKind::Topic("{night}".into())
    );
    // Two nights before tonight are wanted, not three.
    let (too_old, oldest) = (night(3), night(2));
    wait_for("the oldest night", || store.len() == 40);
    assert!(member.health().troubles.is_empty());
    let yesterday = night(1);
    wait_for("the next night", || store.len() == 80);
    let tonight = night(0);
    wait_for("tonight", || store.len() == 120);
    stream.delete_topic(&oldest).unwrap();
    wait_for("the expired night to be left", || {
        member.health().partitions.len() == 4
    });
    send(&stream, &tonight, 0, 20..40);
    wait_for("what follows", || store.len() == 140);
    assert_eq!(store.values(&format!("kafka:test/{too_old}/0")).len(), 0);
    store.assert_whole(&oldest, 2, 20);
    store.assert_whole(&yesterday, 2, 20);
    assert_eq!(store.values(&format!("kafka:test/{tonight}/0")).len(), 40);
    let health = member.health();
    assert_eq!(
        (health.state, health.troubles),
        (SourceState::Reading, vec![])
    );
    member.stop();
    server.shutdown();
}

#[test]
fn a_night_before_the_window_that_was_begun_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    let night = |days_ago| night(&stream, days_ago);
    let (begun, finished, strange, tonight) = (night(4), night(5), night(6), night(0));
    let store = Arc::<Store>::default();
    // One partition in its middle, the other not begun with.
    store.set(&format!("kafka:test/{begun}/0"), 7, Some("6"));
    for partition in 0..2 {
        store.set(
            &format!("kafka:test/{finished}/{partition}"),
            20,
            Some("19"),
        );
    }
    let member = Member::start(
        input(&server.address().to_string(), &["ztf_{night}_programid1"]),
        &store,
    );
    wait_for("tonight and the rest of the old night", || {
        store.len() == 40 + 13 + 20
    });
    assert_eq!(store.values(&format!("kafka:test/{begun}/0"))[0], "7");
    wait_for("the old night to be left", || {
        let partitions = member.health().partitions;
        partitions
            .iter()
            .all(|partition| partition.topic == tonight)
    });
    assert!(store.values(&format!("kafka:test/{strange}/0")).is_empty());
    assert!(store.values(&format!("kafka:test/{finished}/0")).is_empty());
    member.stop();
    server.shutdown();
}

#[test]
fn a_topic_that_is_not_there_is_said_and_taken_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    stream.create_topic("there", 1).unwrap();
    send(&stream, "there", 0, 0..10);
    let store = Arc::<Store>::default();
    let member = Member::start(
        input(&server.address().to_string(), &["there", "missing"]),
        &store,
    );
    wait_for("what is there", || store.len() == 10);
    wait_for("a word about it", || !member.health().troubles.is_empty());
    assert!(member.health().troubles[0].text.contains("`missing`"));
    assert!(
        !stream.topics().iter().any(|(name, _)| name == "missing"),
        "asking must not create it"
    );
    stream.create_topic("missing", 1).unwrap();
    send(&stream, "missing", 0, 0..10);
    wait_for("both", || {
        store.len() == 20 && member.health().troubles.is_empty()
    });
    member.stop();
    server.shutdown();
}
