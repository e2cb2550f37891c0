//! `[output]`: where matches are published.

use std::path::PathBuf;
use std::time::Duration;

use pitt_kafka::publish::{TopicShape, check_topic};
use pitt_kafka::{Access, KafkaError};
use serde::Deserialize;

use super::kafka::flat;
use super::ranges::{Check, first_wrong};

/// `[output]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSettings {
    /// Addresses of the cluster; empty publishes nothing.
    pub servers: String,
    /// Goes before the name of a filter, and before `cursor` and `alerts-<survey>`.
    pub prefix: String,
    /// Form of the messages.
    pub format: String,
    /// Whether they bring the stamps.
    pub stamps: bool,
    /// Whether they are published in transactions.
    pub transactions: bool,
    /// How the whole stream is passed on; empty for not at all.
    pub relay: String,
    /// Where an output begins of which nothing is known.
    pub start: String,
    /// What to do when the output has matches that the archive has not, or others of the same number.
    pub restored: String,
    /// Partitions of topics made here.
    pub partitions: i32,
    /// Their copies; 0 for the cluster's default.
    pub replication: i32,
    /// How long they keep messages, days.
    pub retention_days: f64,
    /// Largest message, MB.
    pub max_message_mb: usize,
    /// Least time between two transactions, ms.
    pub batch_ms: u64,
    /// Most messages in one.
    pub batch_messages: usize,
    /// Memory for matches that wait, MB.
    pub memory_mb: usize,
    /// Kafka's word for TLS and signing in.
    pub security: String,
    /// Kafka's word for the way of signing in.
    pub mechanism: String,
    /// Who signs in.
    pub user: String,
    /// File of the password; empty for an environment variable.
    pub password_file: PathBuf,
    /// File of certificates to trust; empty for the system's.
    pub ca: PathBuf,
    /// Further settings of librdkafka.
    pub settings: toml::Table,
}

impl OutputSettings {
    /// Whether anything is published.
    pub fn is_on(&self) -> bool {
        !self.servers.is_empty()
    }

    /// How the cluster is reached, without the password.
    ///
    /// # Errors
    /// A word that is none, or a setting that cannot be.
    pub fn access(&self) -> Result<Access, KafkaError> {
        let ca = (!self.ca.as_os_str().is_empty()).then(|| self.ca.clone());
        let mut access = Access {
            servers: self.servers.clone(),
            ca,
            user: self.user.clone(),
            settings: flat(&self.settings),
            ..Access::default()
        };
        access.secure(&self.security, &self.mechanism)?;
        access.check()?;
        Ok(access)
    }

    /// How topics are made.
    pub fn shape(&self) -> TopicShape {
        const DAY_MS: f64 = 86_400_000.0;
        TopicShape {
            partitions: self.partitions,
            replication: if self.replication == 0 {
                -1
            } else {
                self.replication
            },
            retention_ms: (self.retention_days * DAY_MS) as i64,
        }
    }

    /// Largest message `[bytes]`.
    pub fn max_message_bytes(&self) -> usize {
        self.max_message_mb << 20
    }

    /// Least time between two transactions.
    pub fn pace(&self) -> Duration {
        Duration::from_millis(self.batch_ms)
    }

    /// The first setting out of range: key and what is expected.
    pub(super) fn out_of_range(&self) -> Option<(&'static str, &'static str)> {
        first_wrong(self.words().into_iter().chain(self.numbers()))
    }

    /// What is one of a few words.
    fn words(&self) -> [Check; 6] {
        let one_of = |value: &str, words: &[&str]| words.contains(&value);
        let format = one_of(&self.format, &["json", "avro", "schemaless"]);
        let relay = one_of(&self.relay, &["", "raw", "enriched"]);
        let start = one_of(&self.start, &["beginning", "now"]);
        let restored = one_of(&self.restored, &["refuse", "again"]);
        let prefix = self.prefix.is_empty() || check_topic(&self.prefix).is_ok();
        let security = !self.is_on() || self.access().is_ok();
        [
            ("output.format", format, "json, avro or schemaless"),
            ("output.relay", relay, "raw, enriched or empty"),
            ("output.start", start, "beginning or now"),
            ("output.restored", restored, "refuse or again"),
            ("output.prefix", prefix, "letters, digits, `.`, `_` and `-`"),
            (
                "output.security",
                security,
                "plaintext, ssl, sasl_plaintext or sasl_ssl, with `mechanism` and `user` that fit",
            ),
        ]
    }

    fn numbers(&self) -> [Check; 7] {
        let days = (0.01..=36_500.0).contains(&self.retention_days);
        let partitions = (1..=1000).contains(&self.partitions);
        let copies = (0..=10).contains(&self.replication);
        let largest = (1..=100).contains(&self.max_message_mb);
        let messages = (1..=50_000).contains(&self.batch_messages);
        let memory = (1..=16_384).contains(&self.memory_mb);
        [
            ("output.partitions", partitions, "1 to 1000"),
            ("output.replication", copies, "0 to 10"),
            ("output.retention_days", days, "0.01 to 36500"),
            ("output.max_message_mb", largest, "1 to 100"),
            ("output.batch_ms", self.batch_ms <= 10_000, "0 to 10000"),
            ("output.batch_messages", messages, "1 to 50000"),
            ("output.memory_mb", memory, "1 to 16384"),
        ]
    }
}
