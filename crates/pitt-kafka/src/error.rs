//! What can go wrong before anything flows. What goes wrong later is retried, and shows in a source's health.

use std::path::PathBuf;

/// Every error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// A setting that cannot be.
    #[error("`{setting}` is {found}, expected {expected}")]
    Setting {
        /// Its name.
        setting: String,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
    /// A setting of librdkafka that is not ours to change.
    #[error("`settings` has `{setting}`, which cannot be set: {why}")]
    Refused {
        /// librdkafka's name of it.
        setting: String,
        /// Why not, or what to use.
        why: String,
    },
    /// The client cannot be made: a setting that librdkafka does not know, a file of certificates that is not there.
    #[error("{what}: {source} (check `settings`, `ca` and `security`)")]
    Client {
        /// Of which input or output.
        what: String,
        /// What librdkafka said.
        source: rdkafka::error::KafkaError,
    },
    /// A file of a password cannot be read.
    #[error("cannot read the password in `{}`: {source}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread for {what}: {source}")]
    Thread {
        /// What for.
        what: String,
        /// Why.
        source: std::io::Error,
    },
}
