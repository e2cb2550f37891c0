//! Topics, producing and fetching, by the protocol.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest, EndTxnRequest,
    InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest,
};
use pitt_stream::{Record, Retention, Server, StreamConfig, StreamError, Writers};

use crate::client::{Client, batch, config, name, server};

fn list(client: &mut Client, topic: &str, timestamp: i64) -> (i64, i64) {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(0)
        .with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default()
        .with_name(name(topic))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![topic]);
    let found = &client.call(6, &request).topics[0].partitions[0];
    assert_eq!(found.error_code, 0);
    (found.timestamp, found.offset)
}

#[test]
fn says_which_versions_it_knows_even_to_newer_clients() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let mut client = Client::connect(server.address());
    let known = client.call(3, &ApiVersionsRequest::default());
    assert_eq!((known.error_code, known.api_keys.len()), (0, 26));
    // Version 99 is answered in version 0, with an error and the list.
    client
        .send_raw(&[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 1, 0, 0])
        .unwrap();
    let mut other = Client::connect(server.address());
    other.call(0, &ApiVersionsRequest::default());
}

#[test]
fn creates_lists_and_deletes_topics() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let mut client = Client::connect(server.address());
    let create = |topic: &str, partitions, replicas| {
        let topic = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(replicas);
        CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(1_000)
    };
    let mut code = |request: CreateTopicsRequest| client.call(6, &request).topics[0].error_code;
    assert_eq!(code(create("a", 3, 1)), 0);
    assert_eq!(
        code(create("a", 3, 1)),
        ResponseError::TopicAlreadyExists.code()
    );
    assert_eq!(
        code(create("../a", 3, 1)),
        ResponseError::InvalidTopicException.code()
    );
    assert_eq!(
        code(create("b", 3, 3)),
        ResponseError::InvalidReplicationFactor.code()
    );
    assert_eq!(
        code(create("b", 1_000_000, 1)),
        ResponseError::InvalidPartitions.code()
    );
    let listed = client.call(9, &MetadataRequest::default().with_topics(None));
    assert_eq!(
        (listed.topics.len(), listed.topics[0].partitions.len()),
        (1, 3)
    );
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![name("a")]);
    assert_eq!(client.call(5, &delete).responses[0].error_code, 0);
    assert!(server.handle().topics().is_empty());
    let gone = client.fetch("a", 0, 0, 0);
    assert_eq!(
        gone.error_code,
        ResponseError::UnknownTopicOrPartition.code()
    );
}

#[test]
fn numbers_what_is_produced_and_gives_it_back_as_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("t", 1).unwrap();
    let mut client = Client::connect(server.address());
    assert_eq!(client.produce("t", 0, batch(3, None)).base_offset, 0);
    assert_eq!(client.produce("t", 0, batch(2, None)).base_offset, 3);
    let fetched = client.fetch("t", 0, 1, 0);
    assert_eq!(fetched.high_watermark, 5);
    let bytes = fetched.records.unwrap();
    let (first, second) = (batch(3, None), batch(2, None));
    assert_eq!(bytes.len(), first.len() + second.len());
    assert_eq!(
        bytes[17..first.len()],
        first[17..],
        "all but offset and epoch is as it came"
    );
    assert_eq!(
        client.fetch("t", 0, 6, 0).error_code,
        ResponseError::OffsetOutOfRange.code()
    );
    assert_eq!(
        client.fetch("t", 1, 0, 0).error_code,
        ResponseError::UnknownTopicOrPartition.code()
    );
}

#[test]
fn refuses_damaged_batches() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("t", 1).unwrap();
    let mut client = Client::connect(server.address());
    let good = batch(3, None);
    let mut bad = good.to_vec();
    bad[70] ^= 1;
    for damaged in [
        Bytes::from(bad),
        good.slice(..40),
        Bytes::new(),
        [&good[..], &good[..]].concat().into(),
    ] {
        assert_eq!(
            client.produce("t", 0, damaged).error_code,
            ResponseError::CorruptMessage.code()
        );
    }
    assert_eq!(client.produce("t", 0, good).base_offset, 0);
}

#[test]
fn an_idempotent_producer_writes_nothing_twice_and_leaves_no_gap() {
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path());
    first.handle().create_topic("t", 1).unwrap();
    let mut client = Client::connect(first.address());
    let ids = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let given = client.call(4, &ids);
    assert_eq!((given.error_code, given.producer_epoch), (0, 0));
    let id = given.producer_id.0;
    assert!(id > 0);
    assert_eq!(
        client
            .produce("t", 0, batch(2, Some((id, 0, 0))))
            .base_offset,
        0
    );
    assert_eq!(
        client
            .produce("t", 0, batch(2, Some((id, 0, 0))))
            .base_offset,
        0
    );
    let gap = client.produce("t", 0, batch(1, Some((id, 0, 5))));
    assert_eq!(
        gap.error_code,
        ResponseError::OutOfOrderSequenceNumber.code()
    );
    first.shutdown();
    let second = server(folder.path());
    let mut client = Client::connect(second.address());
    assert_eq!(
        client
            .produce("t", 0, batch(2, Some((id, 0, 0))))
            .base_offset,
        0,
        "known after a restart"
    );
    assert_eq!(
        client
            .produce("t", 0, batch(1, Some((id, 0, 2))))
            .base_offset,
        2
    );
    assert!(
        client.call(4, &ids).producer_id.0 > id,
        "ids are never given out again"
    );
}

fn init(client: &mut Client, before: (i64, i16)) -> (i16, (i64, i16)) {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(name("x")))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(before.0.into())
        .with_producer_epoch(before.1);
    let answer = client.call(4, &request);
    (
        answer.error_code,
        (answer.producer_id.0, answer.producer_epoch),
    )
}

#[test]
fn a_transactional_id_is_given_on_epoch_by_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let mut client = Client::connect(server.address());
    let (_, (id, first)) = init(&mut client, (-1, -1));
    assert_eq!(init(&mut client, (id, first)), (0, (id, first + 1)));
    // Asked again, because the answer was lost.
    assert_eq!(init(&mut client, (id, first)), (0, (id, first + 1)));
    assert_eq!(init(&mut client, (-1, -1)), (0, (id, first + 2)));
    let fenced = ResponseError::ProducerFenced.code();
    assert_eq!(init(&mut client, (id, first)).0, fenced);
    server.shutdown();
    let again = crate::client::server(folder.path());
    let mut client = Client::connect(again.address());
    assert_eq!(init(&mut client, (-1, -1)), (0, (id, first + 3)));
}

#[test]
fn what_does_not_belong_to_an_open_transaction_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("t", 1).unwrap();
    let mut client = Client::connect(server.address());
    let (_, (id, epoch)) = init(&mut client, (-1, -1));
    let invalid = ResponseError::InvalidTxnState.code();
    // As if it were no transaction's, and before its partition was added.
    assert_eq!(
        client.produce("t", 0, in_transaction(id, epoch)).error_code,
        invalid
    );
    let end = EndTxnRequest::default()
        .with_transactional_id(name("x"))
        .with_producer_id(id.into())
        .with_producer_epoch(epoch)
        .with_committed(true);
    assert_eq!(client.call(3, &end).error_code, invalid);
    let stranger = end.with_producer_epoch(epoch + 1);
    let fenced = ResponseError::ProducerFenced.code();
    assert_eq!(client.call(3, &stranger).error_code, fenced);
    let older = ResponseError::InvalidProducerEpoch.code();
    assert_eq!(client.call(1, &stranger).error_code, older);
    assert_eq!(server.handle().offsets("t", 0).unwrap(), (0, 0));
}

/// A batch of one record that says it belongs to a transaction.
fn in_transaction(id: i64, epoch: i16) -> Bytes {
    let mut batch = batch(1, Some((id, epoch, 0))).to_vec();
    batch[22] |= 0x10;
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

#[test]
fn a_waiting_fetch_is_woken_by_an_append() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let handle = server.handle();
    handle.create_topic("t", 1).unwrap();
    let mut client = Client::connect(server.address());
    let begun = Instant::now();
    assert!(client.fetch("t", 0, 0, 100).records.unwrap().is_empty());
    assert!(
        begun.elapsed() >= Duration::from_millis(100),
        "waits when nothing is there"
    );
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        handle.append("t", 0, &[Record::new("now")]).unwrap()
    });
    let begun = Instant::now();
    assert!(!client.fetch("t", 0, 0, 10_000).records.unwrap().is_empty());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    writer.join().unwrap();
}

#[test]
fn finds_the_ends_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let handle = server.handle();
    handle.create_topic("t", 1).unwrap();
    for i in 0..10 {
        let record = Record {
            timestamp_ms: Some(1_000 * i),
            ..Record::new("x")
        };
        handle.append("t", 0, &[record.clone(), record]).unwrap();
    }
    let mut client = Client::connect(server.address());
    assert_eq!(list(&mut client, "t", -2).1, 0);
    assert_eq!(list(&mut client, "t", -1).1, 20);
    assert_eq!(list(&mut client, "t", 3_500), (4_000, 8));
    assert_eq!(list(&mut client, "t", 9_001), (-1, -1));
}

#[test]
fn acks_0_is_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    server.handle().create_topic("t", 1).unwrap();
    let mut client = Client::connect(server.address());
    let data = kafka_protocol::messages::produce_request::PartitionProduceData::default()
        .with_records(Some(batch(1, None)));
    let topic = kafka_protocol::messages::produce_request::TopicProduceData::default()
        .with_name(name("t"))
        .with_partition_data(vec![data]);
    client
        .send(
            9,
            &ProduceRequest::default()
                .with_acks(0)
                .with_topic_data(vec![topic]),
        )
        .unwrap();
    // The next answer is that of the next request.
    client.call(3, &ApiVersionsRequest::default());
    assert_eq!(server.handle().offsets("t", 0).unwrap(), (0, 1));
}

#[test]
fn read_only_clients_read() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::bind(StreamConfig {
        writers: Writers::Nobody,
        ..config(folder.path())
    })
    .unwrap();
    let handle = server.handle();
    handle.create_topic("t", 1).unwrap();
    handle.append("t", 0, &[Record::new("x")]).unwrap();
    let mut client = Client::connect(server.address());
    let refused = client.produce("t", 0, batch(1, None));
    assert_eq!(
        refused.error_code,
        ResponseError::TopicAuthorizationFailed.code()
    );
    let unknown = MetadataRequest::default().with_topics(Some(vec![
        kafka_protocol::messages::metadata_request::MetadataRequestTopic::default()
            .with_name(Some(name("new"))),
    ]));
    let code = client
        .call(9, &unknown.with_allow_auto_topic_creation(true))
        .topics[0]
        .error_code;
    assert_eq!(code, ResponseError::UnknownTopicOrPartition.code());
    assert!(!client.fetch("t", 0, 0, 0).records.unwrap().is_empty());
}

#[test]
fn old_segments_are_dropped_and_the_start_moves() {
    let folder = tempfile::tempdir().unwrap();
    let retention = Retention {
        time: None,
        bytes: Some(50_000),
    };
    let server = Server::bind(StreamConfig {
        retention,
        segment_bytes: 10_000,
        ..config(folder.path())
    })
    .unwrap();
    let handle = server.handle();
    handle.create_topic("t", 1).unwrap();
    for _ in 0..100 {
        handle
            .append("t", 0, &[Record::new(vec![0; 2_000])])
            .unwrap();
    }
    handle.retain();
    let (start, next) = handle.offsets("t", 0).unwrap();
    assert!(start > 50 && next == 100 && handle.size("t").unwrap() < 70_000);
    let mut client = Client::connect(server.address());
    let gone = client.fetch("t", 0, 0, 0);
    assert_eq!(
        (gone.error_code, gone.log_start_offset),
        (ResponseError::OffsetOutOfRange.code(), start)
    );
}

#[test]
fn a_folder_is_served_once_and_other_machines_are_kept_out_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path());
    assert!(matches!(
        Server::bind(config(folder.path())),
        Err(StreamError::FolderInUse(_))
    ));
    let taken = StreamConfig {
        address: first.address(),
        ..config(&folder.path().join("other"))
    };
    assert!(matches!(
        Server::bind(taken),
        Err(StreamError::Listen { .. })
    ));
    let mut open = config(&folder.path().join("open"));
    open.address.set_ip([0, 0, 0, 0].into());
    let error = Server::bind(open).unwrap_err();
    assert_eq!(
        error.to_string(),
        "address `0.0.0.0:0` is reachable from other machines (set `allow_remote`, and consider `users` and `tls`)"
    );
}

#[test]
fn a_handle_that_outlives_its_server_neither_writes_nor_holds_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = server(folder.path());
    let handle = first.handle();
    handle.create_topic("t", 1).unwrap();
    handle.append("t", 0, &[Record::new("x")]).unwrap();
    first.shutdown();
    let second = server(folder.path());
    let error = handle.append("t", 0, &[Record::new("late")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "t[0]: the topic was deleted, or the server has stopped"
    );
    assert_eq!(
        second.handle().append("t", 0, &[Record::new("y")]).unwrap(),
        1
    );
}
