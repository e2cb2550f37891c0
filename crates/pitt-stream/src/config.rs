//! Settings of the endpoint. They are inert: nothing is opened before [`Server::bind`](crate::Server::bind).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What to serve, where, to whom, and how much of it to keep.
#[derive(Clone, Debug)]
pub struct StreamConfig {
    /// Where to listen. Port 0 takes a free one. Default `127.0.0.1:9092`.
    pub address: SocketAddr,
    /// The host name or address told to clients, when it differs from `address` (behind a name or a NAT).
    pub advertised_host: Option<String>,
    /// The port told to clients, when it differs from `address`.
    pub advertised_port: Option<u16>,
    /// Listen on addresses that other machines reach. Default no: anything but loopback is then refused.
    pub allow_remote: bool,
    /// Where topics and committed offsets are kept. Created when absent; one server at a time.
    pub folder: PathBuf,
    /// How much of each partition is kept.
    pub retention: Retention,
    /// A group's offsets are forgotten when it has had no members and committed nothing for so long; `None` keeps them
    /// for ever. Default 90 days.
    pub keep_offsets: Option<Duration>,
    /// A segment file is closed and a new one begun above this size `[bytes]`. Default 256 MiB.
    pub segment_bytes: u64,
    /// When appended records are forced to the disk.
    pub sync: Sync,
    /// Who may write.
    pub writers: Writers,
    /// Who may connect; without users everybody who reaches the address.
    pub users: Vec<User>,
    /// Certificate and key, to serve TLS only.
    pub tls: Option<Tls>,
    /// Partitions of a topic that a client's first use creates; `None` creates no topic by itself. Default 1.
    pub auto_create_partitions: Option<u32>,
    /// How long a new group waits for further members before its first assignment. Default 200 ms.
    pub initial_rebalance_delay: Duration,
    /// Bounds on what clients can make the server hold.
    pub limits: Limits,
}

impl StreamConfig {
    /// The defaults: `127.0.0.1:9092`, everything kept, local programs may read and write.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 9092)),
            advertised_host: None,
            advertised_port: None,
            allow_remote: false,
            folder: folder.into(),
            retention: Retention::default(),
            keep_offsets: Some(Duration::from_hours(90 * 24)),
            segment_bytes: 256 << 20,
            sync: Sync::Every(Duration::from_secs(1)),
            writers: Writers::Loopback,
            users: Vec::new(),
            tls: None,
            auto_create_partitions: Some(1),
            initial_rebalance_delay: Duration::from_millis(200),
            limits: Limits::default(),
        }
    }
}

/// How much of each partition is kept. Whole segments go, oldest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// Drop what was **appended** longer ago than this. The records' own timestamps do not count: a night of last
    /// year, replayed today, is kept as long as tonight's.
    pub time: Option<Duration>,
    /// Drop the oldest segments of a partition above this size `[bytes]`.
    pub bytes: Option<u64>,
}

/// When appended records are forced to the disk.
///
/// | setting | process killed | system crash or power cut |
/// |---|---|---|
/// | `Never` | nothing acknowledged is lost | what the system had not yet written is lost |
/// | `Every(t)` | nothing acknowledged is lost | at most the last `t` is lost |
/// | `EachRequest` | nothing acknowledged is lost | nothing acknowledged is lost, if the disk keeps its promises |
///
/// In every case a torn end is cut off at the next start, and what is left is whole batches in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Leave it to the operating system, as Apache Kafka does.
    Never,
    /// In the background, this often.
    Every(Duration),
    /// Before each acknowledgement. Costs about a factor of two in throughput, more on slow disks.
    EachRequest,
}

/// Who may write (produce, create and delete topics, delete groups). Committing a group's offsets is reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// No client at all: only this process, by the [`Handle`](crate::Handle).
    Nobody,
    /// Clients on this machine; with `users` also those that `may_write`. Everybody else reads.
    Loopback,
    /// Every client, or with `users` those that `may_write`.
    Anyone,
}

/// Somebody who may connect, by SASL PLAIN or SCRAM-SHA-256 or -512.
#[derive(Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password. It is kept in memory only.
    pub password: String,
    /// Whether this user may write; see [`Writers`].
    pub may_write: bool,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("may_write", &self.may_write)
            .finish_non_exhaustive()
    }
}

/// PEM files of the server's certificate chain and private key.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate and those that lead to its root.
    pub certificates: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Bounds on what clients can make the server hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; further ones are closed at once. Default 500.
    pub connections: usize,
    /// Largest produced batch of records `[bytes]`, as compressed by its producer. Default 12 MiB: a 10 MB message fits.
    pub message_bytes: usize,
    /// Largest request that produces `[bytes]`. Default 32 MiB.
    pub produce_frame_bytes: usize,
    /// Largest other request `[bytes]`. Default 1 MiB.
    pub frame_bytes: usize,
    /// Largest answer to a fetch `[bytes]`, apart from a single larger batch. Default 16 MiB.
    pub fetch_bytes: usize,
    /// Request and fetch bytes held at once over all connections `[bytes]`. Who comes later waits. Default 256 MiB.
    pub memory_bytes: usize,
    /// A request must arrive, and an answer be taken, with at least some progress in this time. Default 30 s.
    pub stall: Duration,
    /// A connection that asks nothing for this long is closed. Default 10 min.
    pub idle: Duration,
    /// A new connection must have authenticated within this time. Default 10 s.
    pub handshake: Duration,
    /// Topics. Default 10,000.
    pub topics: usize,
    /// Partitions of one topic. Default 256.
    pub partitions: usize,
    /// Groups with members. Default 1,000.
    pub groups: usize,
    /// Members of one group. Default 256.
    pub members: usize,
    /// Committed offsets kept, over all groups. Default 1,000,000.
    pub committed_offsets: usize,
    /// Transactional ids; one unused for a week is forgotten. Default 10,000.
    pub transactional_ids: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 500,
            message_bytes: 12 << 20,
            produce_frame_bytes: 32 << 20,
            frame_bytes: 1 << 20,
            fetch_bytes: 16 << 20,
            memory_bytes: 256 << 20,
            stall: Duration::from_secs(30),
            idle: Duration::from_mins(10),
            handshake: Duration::from_secs(10),
            topics: 10_000,
            partitions: 256,
            groups: 1_000,
            members: 256,
            committed_offsets: 1_000_000,
            transactional_ids: 10_000,
        }
    }
}
