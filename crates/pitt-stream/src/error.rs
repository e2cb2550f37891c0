//! What can go wrong with the endpoint itself; what a client did wrong is answered to the client, in Kafka's codes.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the endpoint could not start, or why a call of its [`Handle`](crate::Handle) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The address is not of this machine alone and the settings do not say that this is meant.
    #[error(
        "address `{0}` is reachable from other machines (set `allow_remote`, and consider `users` and `tls`)"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`: {source} (is another server running there?)")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Another process serves the folder.
    #[error("`{}` is in use by another process (end it, or choose another folder)", .0.display())]
    FolderInUse(PathBuf),
    /// The folder was written by a newer version.
    #[error("`{}` has format {found}, this version reads {known} (use a newer version)", .path.display())]
    Format {
        /// The folder's description.
        path: PathBuf,
        /// The format found there.
        found: u32,
        /// The format of this version.
        known: u32,
    },
    /// A file could not be read or written.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A setting cannot be used.
    #[error("{0}")]
    Setting(String),
    /// There is no such topic.
    #[error("no topic `{0}` (create it first)")]
    UnknownTopic(String),
    /// The topic has no such partition.
    #[error("topic `{topic}` has no partition {partition} (it has {partitions}, counted from 0)")]
    UnknownPartition {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: i32,
        /// How many partitions the topic has.
        partitions: usize,
    },
    /// A topic of this name exists.
    #[error("topic `{0}` exists already")]
    TopicExists(String),
    /// A topic cannot have this name.
    #[error("`{0}` cannot be a topic's name (1 to 249 of a-z A-Z 0-9 . _ -)")]
    TopicName(String),
    /// A topic cannot have so many partitions, or the server cannot have so many topics.
    #[error("{asked} {what} are too many (at most {limit})")]
    TooMany {
        /// What there would be too many of.
        what: &'static str,
        /// How many were asked for.
        asked: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// Records could not be read.
    #[error("{topic}[{partition}]@{offset}: {reason}")]
    Read {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset asked for.
        offset: i64,
        /// Why not.
        reason: String,
    },
    /// Records could not be appended.
    #[error("{topic}[{partition}]: {reason}")]
    Append {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Why not.
        reason: String,
    },
}

impl StreamError {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File {
            action,
            path: path.into(),
            source,
        }
    }
}
