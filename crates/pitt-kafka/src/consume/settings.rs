//! What an input is told.

use std::str::FromStr;

use rdkafka::ClientConfig;

use super::topics::Topics;
use crate::access::Access;
use crate::error::KafkaError;

/// One input: a cluster, topics of it, and the group that shares them.
#[derive(Clone, Debug)]
pub struct InputSettings {
    /// What the archive calls the cluster, in `kafka:<name>/<topic>/<number>`. It outlives a change of address.
    pub name: String,
    /// How to get there.
    pub access: Access,
    /// Topics: names, and patterns with `{night}`.
    pub topics: Vec<String>,
    /// For patterns: how many nights before tonight's.
    pub nights: u32,
    /// Consumer group. Programs of one group share the partitions.
    pub group: String,
    /// Where to begin in a partition of which nothing is stored yet.
    pub start: Start,
    /// Most bytes of messages that wait between the consumer and whoever takes them. At this mark the consumer waits, and
    /// pauses its partitions if that takes long; librdkafka holds up to 64 MiB more.
    pub buffer_bytes: usize,
}

/// Where to begin in a partition of which nothing is stored yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message kept.
    #[default]
    Earliest,
    /// After the newest one. The place is noted in the group at once, so that a partition that changes hands before its
    /// first message loses none.
    Latest,
    /// Where the group has committed; at the oldest message where it has not.
    Group,
    /// At the first message of this time or later, milliseconds UTC since 1970.
    At(i64),
}

impl FromStr for Start {
    type Err = KafkaError;

    fn from_str(text: &str) -> Result<Self, KafkaError> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            "group" => Ok(Self::Group),
            time => super::time::parse_ms(time)
                .map(Self::At)
                .ok_or_else(|| KafkaError::Setting {
                    setting: "start".into(),
                    found: format!("`{text}`"),
                    expected: "earliest, latest, group, or a time such as 2026-11-22T03:00:00Z"
                        .into(),
                }),
        }
    }
}

/// Refused in `settings`, each with the reason.
const REFUSED: [(&str, &str); 10] = [
    (
        "enable.auto.commit",
        "positions are stored with the alerts, and the group is told afterwards",
    ),
    (
        "enable.auto.offset.store",
        "positions are stored with the alerts, and the group is told afterwards",
    ),
    (
        "isolation.level",
        "messages of aborted transactions must not be taken for alerts",
    ),
    ("group.protocol", "tried with the classic protocol only"),
    (
        "group.instance.id",
        "two programs with one settings file would put each other out of the group",
    ),
    (
        "enable.partition.eof",
        "the end of a partition is no message",
    ),
    (
        "allow.auto.create.topics",
        "a mistyped topic must not be created",
    ),
    (
        "statistics.interval.ms",
        "lag is computed from the statistics",
    ),
    ("log.queue", "the log goes to ours"),
    ("test.mock.num.brokers", "for tests of librdkafka only"),
];

/// How often librdkafka tells where partitions end, for the lag.
const STATISTICS_MS: &str = "2000";

impl InputSettings {
    /// Checks what can be checked without opening anything.
    ///
    /// # Errors
    /// The first thing that cannot be.
    pub fn check(&self) -> Result<(), KafkaError> {
        let wrong = |setting: &str, found: &str, expected: &str| {
            Err(KafkaError::Setting {
                setting: setting.into(),
                found: format!("`{found}`"),
                expected: expected.into(),
            })
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return wrong("name", &self.name, "letters, digits, `-`, `_` and `.`");
        }
        if self.group.is_empty() {
            return wrong("group", &self.group, "the name of a consumer group");
        }
        self.access.check()?;
        Topics::new(&self.topics, self.nights)?;
        self.access
            .apply_settings(&mut ClientConfig::new(), &REFUSED)
    }

    /// librdkafka's settings of this input. Figures: measured with 1.2 GB over four partitions of 60 kB messages.
    pub(super) fn client(&self) -> Result<ClientConfig, KafkaError> {
        let mut config = self.access.client();
        config
            .set("group.id", &self.group)
            .set("client.id", format!("pitt-{}", self.name))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A position that has expired is said and counted, not silently replaced.
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("statistics.interval.ms", STATISTICS_MS)
            // A topic that comes or goes leaves the others of the group where they are.
            .set("partition.assignment.strategy", "cooperative-sticky")
            // 4 MiB: 706 to 1,241 MB/s. 1 MiB: 620 to 810. 10 MiB, which people copy for the sake of big messages: 197 to
            // 273, and it is not needed for them, a larger message always comes alone.
            .set("fetch.message.max.bytes", "4194304")
            // The bound on memory: the program stays at 36 to 65 MB. No clear effect on speed.
            .set("queued.max.messages.kbytes", "65536")
            // A quarter more CPU, and a damaged message is noticed before it is stored.
            .set("check.crcs", "true");
        self.access.apply_settings(&mut config, &REFUSED)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> InputSettings {
        InputSettings {
            name: "ztf".into(),
            access: Access {
                servers: "127.0.0.1:9092".into(),
                ..Access::default()
            },
            topics: vec!["ztf_{night}_programid1".into()],
            nights: 3,
            group: "pitt".into(),
            start: Start::Earliest,
            buffer_bytes: 1 << 20,
        }
    }

    #[test]
    fn what_would_break_exactly_once_is_refused_with_a_reason() {
        let mut input = settings();
        input.check().unwrap();
        input
            .access
            .settings
            .insert("enable.auto.commit".into(), "true".into());
        let error = input.check().unwrap_err().to_string();
        assert!(error.contains("`enable.auto.commit`") && error.contains("stored with the alerts"));
        input.access.settings = [("sasl.password".to_owned(), "x".to_owned())].into();
        assert!(
            input
                .check()
                .unwrap_err()
                .to_string()
                .contains("use `password_file`")
        );
    }

    #[test]
    fn further_settings_win_over_the_usual_ones() {
        let mut input = settings();
        input
            .access
            .settings
            .insert("check.crcs".into(), "false".into());
        let config = input.client().unwrap();
        assert_eq!(config.get("check.crcs"), Some("false"));
        assert_eq!(config.get("fetch.message.max.bytes"), Some("4194304"));
    }

    #[test]
    fn beginnings_are_words_or_times() {
        assert_eq!("latest".parse::<Start>().unwrap(), Start::Latest);
        assert_eq!(
            "2026-11-22T03:00:00Z".parse::<Start>().unwrap(),
            Start::At(1_795_316_400_000)
        );
        assert!("yesterday".parse::<Start>().is_err());
        let mut input = settings();
        input.name = "my cluster".into();
        assert!(input.check().is_err());
    }
}
