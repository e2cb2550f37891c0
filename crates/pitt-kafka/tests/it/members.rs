//! Several programs of one group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pitt_kafka::consume::Gate;

use crate::ground::{Member, Store, input, send, server, wait_for};

const PARTITIONS: usize = 6;

#[test]
fn programs_that_come_go_and_die_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    stream.create_topic("a", PARTITIONS).unwrap();
    let settings = input(&server.address().to_string(), &["a"]);
    let store = Arc::<Store>::default();
    let ended = Arc::new(AtomicBool::new(false));
    let sender = {
        let (stream, ended) = (stream.clone(), ended.clone());
        std::thread::spawn(move || {
            let mut number = 0;
            while !ended.load(Ordering::SeqCst) {
                for partition in 0..PARTITIONS {
                    send(&stream, "a", partition as i32, number..number + 5);
                }
                number += 5;
                std::thread::sleep(Duration::from_millis(5));
            }
            number
        })
    };
    let parts = |member: &Member| member.health().partitions.len();
    let first = Member::start(settings.clone(), &store);
    wait_for("the first to have all", || parts(&first) == PARTITIONS);
    let second = Member::start(settings.clone(), &store);
    wait_for("a share", || parts(&first) == 3 && parts(&second) == 3);
    first.kill();
    wait_for("the second to have all", || parts(&second) == PARTITIONS);
    let third = Member::start(settings.clone(), &store);
    let fourth = Member::start(settings, &store);
    wait_for("shares", || {
        [&second, &third, &fourth]
            .iter()
            .all(|member| parts(member) == 2)
    });
    second.stop();
    third.kill();
    wait_for("the fourth to have all", || parts(&fourth) == PARTITIONS);
    ended.store(true, Ordering::SeqCst);
    let each = sender.join().unwrap();
    wait_for("all messages", || store.len() == PARTITIONS * each);
    assert_eq!(fourth.fenced(), 0);
    fourth.stop();
    store.assert_whole("a", PARTITIONS, each);
    server.shutdown();
}

#[test]
fn partitions_that_the_group_gave_away_are_not_written_twice() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let stream = server.handle();
    stream.create_topic("a", 1).unwrap();
    send(&stream, "a", 0, 0..100);
    let settings = input(&server.address().to_string(), &["a"]);
    let store = Arc::<Store>::default();
    let asleep = Arc::new(AtomicBool::new(false));
    let sleeper = asleep.clone();
    // Longer than the poll interval: what a program stopped by its machine does.
    let gate: Gate = Box::new(move |message| {
        if message == b"50" && !sleeper.swap(true, Ordering::SeqCst) {
            std::thread::sleep(Duration::from_secs(12));
        }
        Ok(())
    });
    let first = Member::of(vec![(settings.clone(), gate)], &store);
    wait_for("the sleep", || asleep.load(Ordering::SeqCst));
    let second = Member::start(settings, &store);
    wait_for("the second to go on", || store.len() == 100);
    send(&stream, "a", 0, 100..150);
    wait_for("all messages", || store.len() == 150);
    wait_for("the first to be back", || first.health().rebalances >= 2);
    store.assert_whole("a", 1, 150);
    first.stop();
    second.stop();
    server.shutdown();
}

#[test]
fn programs_that_end_at_the_same_moment_all_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("a", PARTITIONS).unwrap();
    let settings = input(&server.address().to_string(), &["a"]);
    let (ended, ends) = std::sync::mpsc::channel();
    for round in 0..4 {
        let store = Arc::<Store>::default();
        let members = [(); 3].map(|()| Member::start(settings.clone(), &store));
        // In the last rounds the group is still dividing its partitions.
        if round < 2 {
            let shared = |member: &Member| member.health().partitions.len() == 2;
            wait_for("shares", || members.iter().all(shared));
        } else {
            wait_for("a share", || !members[0].health().partitions.is_empty());
        }
        for member in members {
            let ended = ended.clone();
            std::thread::spawn(move || {
                member.stop();
                let _ = ended.send(());
            });
        }
        for _ in 0..3 {
            assert!(
                ends.recv_timeout(Duration::from_secs(60)).is_ok(),
                "one does not end (round {round})"
            );
        }
    }
    server.shutdown();
}
