//! Topics that were deleted and made again with the same name.

use std::sync::Arc;

use pitt_kafka::consume::{InputSettings, TroubleKind};
use pitt_stream::{Handle, Server};

use crate::ground::{Member, Store, input, send, server, wait_for};

const PARTITION: &str = "kafka:test/a/0";

fn settings(server: &Server) -> InputSettings {
    input(&server.address().to_string(), &["a"])
}

/// Topic `a` of one partition with these numbers, in place of the one that is there.
fn renew(stream: &Handle, numbers: std::ops::Range<usize>) {
    if stream.topics().iter().any(|(name, _)| name == "a") {
        stream.delete_topic("a").unwrap();
    }
    stream.create_topic("a", 1).unwrap();
    send(stream, "a", 0, numbers);
}

fn wait_until_held(member: &Member) {
    wait_for("a word about it", || {
        let kind = TroubleKind::Position(PARTITION.into());
        let troubles = member.health().troubles;
        let trouble = troubles.iter().find(|trouble| trouble.kind == kind);
        trouble.is_some_and(|trouble| {
            trouble.text.contains("another message at 9") && trouble.text.contains("`name`")
        })
    });
}

#[test]
fn a_topic_that_was_made_again_is_held_and_said_however_long_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    renew(&stream, 0..10);
    let store = Arc::<Store>::default();
    let member = Member::start(settings(&server), &store);
    wait_for("the first topic", || store.len() == 10);
    member.stop();

    // Longer than the old one, and just as long.
    for numbers in [100..130, 200..210] {
        renew(&stream, numbers);
        let member = Member::start(settings(&server), &store);
        wait_until_held(&member);
        send(&stream, "a", 0, 300..310);
        wait_until_held(&member);
        assert_eq!(store.len(), 10, "nothing is read, nothing passed over");
        member.stop();
    }
    // Under another name all of it is read.
    let mut another = settings(&server);
    another.name = "another".into();
    let member = Member::start(another, &store);
    wait_for("the new topic", || {
        store.values("kafka:another/a/0").len() == 20
    });
    member.stop();
    server.shutdown();
}

#[test]
fn the_topic_that_was_read_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    renew(&stream, 0..10);
    let store = Arc::<Store>::default();
    for end in [10, 20, 30] {
        let member = Member::start(settings(&server), &store);
        wait_for("what is new", || store.len() == end);
        assert!(member.health().troubles.is_empty());
        member.stop();
        send(&stream, "a", 0, end..end + 10);
    }
    store.assert_whole("a", 1, 30);
    server.shutdown();
}

#[test]
fn one_that_ended_too_early_and_grows_past_with_others_stays_held_until_it_has_ours() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    renew(&stream, 0..5);
    let store = Arc::<Store>::default();
    store.set(PARTITION, 10, Some("9"));
    let member = Member::start(settings(&server), &store);
    wait_for("a word about its end", || {
        let troubles = member.health().troubles;
        troubles
            .iter()
            .any(|trouble| trouble.text.contains("ends at 5"))
    });
    send(&stream, "a", 0, 100..110);
    wait_until_held(&member);
    assert_eq!(store.len(), 0);
    member.stop();
    // Restored at the other end, it is read on.
    renew(&stream, 0..15);
    let member = Member::start(settings(&server), &store);
    wait_for("the rest", || store.len() == 5);
    assert_eq!(store.values(PARTITION)[0], "10");
    assert!(member.health().troubles.is_empty());
    member.stop();
    server.shutdown();
}
