//! A Kafka-compatible stream in one process, on disk, on one node.
//!
//! Producers and consumers of Apache Kafka connect to it unchanged: groups, committed offsets, idempotent producers,
//! every compression, transactions, messages of 10 MB. It keeps the producers' own record batches in append-only files and never
//! opens them. It is **not** a cluster: one node, no replication, no compaction, no topic ids. Past one machine the
//! answer is Apache Kafka.
//!
//! ```
//! use pitt_stream::{Record, Server, StreamConfig};
//!
//! # let folder = tempfile::tempdir()?;
//! let mut config = StreamConfig::new(folder.path());
//! config.address.set_port(0); // a free one; the default is 9092
//! let server = Server::bind(config)?;
//! let handle = server.handle();
//! handle.create_topic("alerts", 4)?;
//! let offset = handle.append("alerts", 0, &[Record::new("a packet").with_key("ZTF18abcdefg")])?;
//! assert_eq!((offset, handle.offsets("alerts", 0)?), (0, (0, 1)));
//! server.shutdown();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The parts, from the disk up: `batch` (a record batch's head), `log` (a partition: segments, index, retention),
//! `topics`, `offsets` and `transactions` (the folder), `group` (consumer groups, as a state machine in invented time), `frame` (requests, every
//! length checked before anything is allocated), `api` (an answer to each), `connection` and `server`.

mod api;
mod batch;
mod config;
mod connection;
mod error;
mod frame;
mod group;
mod handle;
mod lines;
mod log;
mod offsets;
mod record;
mod sasl;
mod server;
pub mod tls;
mod topics;
mod transactions;

pub use config::{Limits, Retention, StreamConfig, Sync, Tls, User, Writers};
pub use error::StreamError;
pub use frame::{FrameError, check_frame};
pub use handle::Handle;
pub use record::Record;
pub use server::Server;
