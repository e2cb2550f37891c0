//! Hostile and broken clients harm nobody.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, EndTxnRequest, MetadataRequest, ProduceRequest, TxnOffsetCommitRequest,
};
use pitt_stream::{Limits, Record, Server, StreamConfig, check_frame};
use proptest::prelude::*;

use crate::client::{Client, batch, config, fetch, frame, name, server};

fn limited(folder: &std::path::Path, limits: Limits) -> Server {
    Server::bind(StreamConfig {
        limits,
        ..config(folder)
    })
    .unwrap()
}

#[test]
fn bad_frames_close_their_connection_only() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let mut good = Client::connect(server.address());
    good.call(3, &ApiVersionsRequest::default());
    let huge = [0x7f, 0xff, 0xff, 0xff];
    let negative = [0xff, 0xff, 0xff, 0xff];
    let metadata_of_two_billion = [
        0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0x7f, 0xff, 0xff, 0xff,
    ];
    let unknown = [0, 0, 0, 10, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    let short = [0, 0, 0, 1, 0];
    let page = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let frames: [&[u8]; 6] = [
        &huge,
        &negative,
        &metadata_of_two_billion,
        &unknown,
        &short,
        page,
    ];
    for bytes in frames {
        let mut bad = Client::connect(server.address());
        bad.send_raw(bytes).unwrap();
        assert!(bad.is_closed(), "{bytes:?}");
    }
    good.call(3, &ApiVersionsRequest::default());
}

#[test]
fn only_requests_that_produce_may_be_large() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let mut bad = Client::connect(server.address());
    bad.send_raw(&[0, 0x20, 0, 0, 0, 3, 0, 9]).unwrap();
    assert!(bad.is_closed());
}

#[test]
fn connections_beyond_the_limit_are_closed_and_free_places_are_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = limited(
        folder.path(),
        Limits {
            connections: 20,
            ..Limits::default()
        },
    );
    let mut open: Vec<_> = (0..20).map(|_| Client::connect(server.address())).collect();
    for client in &mut open {
        client.call(3, &ApiVersionsRequest::default());
    }
    let refused: Vec<_> = (0..500)
        .map(|_| TcpStream::connect(server.address()))
        .collect();
    assert!(Client::connect(server.address()).is_closed());
    drop(refused);
    open.truncate(10);
    wait_until(|| server.handle().connections() == 10);
    Client::connect(server.address()).call(3, &ApiVersionsRequest::default());
}

#[test]
fn half_open_and_stalled_connections_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let short = Duration::from_millis(300);
    let limits = Limits {
        stall: short,
        idle: short,
        handshake: short,
        ..Limits::default()
    };
    let server = limited(folder.path(), limits);
    let mut silent = Client::connect(server.address());
    let mut stalled = Client::connect(server.address());
    stalled.send_raw(&[0, 0, 1, 0, 0, 3]).unwrap();
    assert!(silent.is_closed() && stalled.is_closed());
    wait_until(|| server.handle().connections() == 0);
}

#[test]
fn a_client_that_hangs_up_while_it_waits_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("t", 1).unwrap();
    for _ in 0..10 {
        let mut client = Client::connect(server.address());
        client.send(12, &fetch("t", 0, 0, 60_000)).unwrap();
    }
    wait_until(|| server.handle().connections() == 0);
}

#[test]
fn stops_at_once_with_clients_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("t", 1).unwrap();
    let mut client = Client::connect(server.address());
    client.send(12, &fetch("t", 0, 0, 60_000)).unwrap();
    wait_until(|| server.handle().connections() == 1);
    let begun = Instant::now();
    server.shutdown();
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(client.is_closed());
}

#[test]
fn clients_that_take_no_answers_do_not_starve_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        memory_bytes: 32 << 20,
        ..Limits::default()
    };
    let server = limited(folder.path(), limits);
    let handle = server.handle();
    handle.create_topic("t", 1).unwrap();
    handle
        .append("t", 0, &[Record::new(vec![7; 9 << 20])])
        .unwrap();
    let stalled: Vec<_> = (0..6)
        .map(|_| {
            let mut client = Client::connect(server.address());
            client.send(12, &fetch("t", 0, 0, 0)).unwrap();
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    let mut good = Client::connect(server.address());
    assert!(good.fetch("t", 0, 0, 0).records.unwrap().len() > 9 << 20);
    drop(stalled);
}

fn wait_until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited too long");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn good_frames() -> Vec<Vec<u8>> {
    let metadata = MetadataRequest::default().with_topics(None);
    vec![
        frame(12, &fetch("t", 0, 0, 0), 1),
        frame(4, &fetch("t", 0, 0, 0), 1),
        frame(9, &metadata, 1),
        frame(1, &metadata, 1),
        frame(9, &ProduceRequest::default(), 1),
        frame(3, &ApiVersionsRequest::default(), 1),
        frame(3, &EndTxnRequest::default(), 1),
        frame(3, &transaction_offsets(), 1),
        frame(0, &transaction_offsets(), 1),
    ]
}

fn transaction_offsets() -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition::default().with_committed_metadata(None);
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![partition]);
    TxnOffsetCommitRequest::default().with_topics(vec![topic])
}

/// A long walk of changes, several to a frame, each time the same: what fuzzing does when it is run.
#[test]
fn a_hundred_thousand_mutations_are_read_without_harm() {
    let (mut state, mut read) = (0x9e37_79b9_7f4a_7c15_u64, 0);
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let frames = good_frames();
    for _ in 0..100_000 {
        let mut bytes = frames[random(frames.len())].clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
                1 => bytes[at] ^= 1 << random(8),
                2 => bytes.insert(at, u8::try_from(random(256)).unwrap()),
                _ => bytes.truncate(at + 1),
            }
        }
        read += usize::from(check_frame(&bytes).is_ok());
    }
    assert!(read > 1_000, "only {read} were still requests");
}

#[test]
fn two_thousand_connections_are_served_and_their_silence_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        connections: 2_100,
        ..Limits::default()
    };
    let server = limited(folder.path(), limits);
    server.handle().create_topic("t", 1).unwrap();
    let mut crowd = Vec::new();
    for i in 0..1_900 {
        // Both ends are in this process: as many as it may open.
        let Ok(mut stream) = TcpStream::connect(server.address()) else {
            println!("only {i} sockets could be opened");
            break;
        };
        if i % 2 == 0 {
            // Half a request, and never the rest.
            stream.write_all(&[0, 0, 1, 0, 0]).unwrap();
        }
        crowd.push(stream);
    }
    assert!(crowd.len() >= 400, "{}", crowd.len());
    wait_until(|| server.handle().connections() >= crowd.len());
    let mut client = Client::connect(server.address());
    assert_eq!(client.produce("t", 0, batch(3, None)).error_code, 0);
    assert_eq!(client.fetch("t", 0, 0, 1_000).high_watermark, 3);
    println!("{} connections", crowd.len());
    drop(crowd);
    wait_until(|| server.handle().connections() == 1);
}

#[test]
fn good_frames_pass() {
    for bytes in good_frames() {
        check_frame(&bytes).unwrap();
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(key in 0_u8..70, version in 0_u8..13, rest: Vec<u8>) {
        let _ = check_frame(&[&[0, key, 0, version, 0, 0, 0, 1, 0, 0][..], &rest].concat());
    }

    #[test]
    fn changed_frames_are_read_without_harm(which in 0..9_usize, at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut bytes = good_frames().swap_remove(which);
        let i = at.index(bytes.len());
        bytes[i] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = check_frame(&bytes);
    }
}
