//! The process dies in the middle of writing; nothing that was acknowledged is lost.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use pitt_stream::{Server, StreamConfig};

use crate::client::{Client, batch, config, name};

const FOLDER: &str = "PITT_STREAM_TEST_FOLDER";
const PORT: &str = "PITT_STREAM_TEST_PORT";
const ADDRESS: &str = "listening on ";

/// Not a test: the server that the tests below start as a child and kill.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let mut config = StreamConfig {
        segment_bytes: 100_000,
        ..config(&folder)
    };
    if let Some(port) = std::env::var(PORT).ok().and_then(|p| p.parse().ok()) {
        config.address.set_port(port);
    }
    let server = Server::bind(config).unwrap();
    println!("\n{ADDRESS}{}", server.address());
    // Ends when the parent kills it or goes away.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

/// A server in a process of its own, killed when dropped.
pub(crate) struct Killed {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Killed {
    fn start(folder: &Path) -> Self {
        Self::start_at(folder, 0)
    }

    /// Serves on a port of one's choice; 0 takes a free one.
    pub(crate) fn start_at(folder: &Path, port: u16) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--nocapture"])
            .env(FOLDER, folder)
            .env(PORT, port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let address = lines
            .into_iter()
            .find_map(|l| l.strip_prefix(ADDRESS)?.parse().ok())
            .unwrap();
        Self { process, address }
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Produces one record at a time, as an idempotent producer, until the server is gone: how many were acknowledged.
fn produce_until_gone(address: SocketAddr, producer: i64, from: i32) -> i32 {
    let mut client = Client::connect(address);
    let mut next = from;
    loop {
        let data =
            PartitionProduceData::default().with_records(Some(batch(1, Some((producer, 0, next)))));
        let topic = TopicProduceData::default()
            .with_name(name("t"))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_topic_data(vec![topic]);
        match client.try_call(9, &request) {
            Ok(answer) => {
                let answer = &answer.responses[0].partition_responses[0];
                assert_eq!(
                    (answer.error_code, answer.base_offset),
                    (0, i64::from(next)),
                    "in order, once each"
                );
                next += 1;
            }
            Err(_) => return next,
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Killed::start(folder.path());
    let mut client = Client::connect(server.address);
    let topic = kafka_protocol::messages::create_topics_request::CreatableTopic::default()
        .with_name(name("t"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let create = kafka_protocol::messages::CreateTopicsRequest::default().with_topics(vec![topic]);
    assert_eq!(client.call(6, &create).topics[0].error_code, 0);
    let ids = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let producer = client.call(4, &ids).producer_id.0;
    drop(server);
    let mut acknowledged = 0;
    for kill in 0..10 {
        let server = Killed::start(folder.path());
        let killing = Arc::new(AtomicBool::new(false));
        let (address, flag) = (server.address, Arc::clone(&killing));
        let writer = std::thread::spawn(move || {
            let n = produce_until_gone(address, producer, acknowledged);
            assert!(flag.load(Ordering::Acquire), "the server ended by itself");
            n
        });
        std::thread::sleep(Duration::from_millis(60 + 25 * kill));
        killing.store(true, Ordering::Release);
        drop(server);
        acknowledged = writer.join().unwrap();
    }
    let server = Server::bind(config(folder.path())).unwrap();
    let (start, next) = server.handle().offsets("t", 0).unwrap();
    // The last record may have been written without its answer having arrived.
    let written = i32::try_from(next).unwrap();
    assert!(
        start == 0 && (acknowledged..=acknowledged + 1).contains(&written),
        "{acknowledged} {written}"
    );
    assert!(acknowledged > 100, "{acknowledged}");
    println!("10 kills, {acknowledged} acknowledged, {written} kept");
}
