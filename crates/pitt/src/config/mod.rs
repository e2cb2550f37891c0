//! Settings: one commented default file, and what overrides it.
//!
//! Four layers, weakest first: the [embedded file](DEFAULT), the user's file, environment variables `PITT_*`, flags.
//! Reading settings opens nothing but the file itself. An unknown key is an error that names the nearest known one.

mod http;
pub mod kafka;
mod layers;
mod output;
mod push;
mod ranges;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use http::{HttpSettings, ReadAccess};
use kafka::KafkaInput;
use layers::Layers;
pub use layers::{Entry, Origin};
pub use output::OutputSettings;
pub use push::PushSettings;

/// The default file, which is the reference as well.
pub const DEFAULT: &str = include_str!("default.toml");

/// The file that is read when none is named.
pub const USUAL_FILE: &str = "pitt.toml";

/// What can be wrong with settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read settings file `{}`: {source}", file.display())]
    Unreadable {
        /// The file named.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// File and line.
        place: String,
        /// What the parser says.
        message: String,
    },
    /// No such key.
    #[error("{place}: unknown setting `{key}`{hint}")]
    UnknownKey {
        /// File and line, or variable.
        place: String,
        /// The key as written, dotted.
        key: String,
        /// The nearest known key.
        hint: String,
    },
    /// A value of another type.
    #[error("{place}: `{key}` is {found}, expected {expected}")]
    WrongType {
        /// File and line, or variable.
        place: String,
        /// The key, dotted.
        key: String,
        /// What stands there.
        found: String,
        /// What should stand there.
        expected: &'static str,
    },
    /// A value out of range.
    #[error("{place}: `{key}` is {found}, expected {expected}")]
    OutOfRange {
        /// File and line, variable or flag.
        place: String,
        /// The key, dotted.
        key: &'static str,
        /// What stands there.
        found: String,
        /// What should stand there.
        expected: &'static str,
    },
}

/// Every setting, as the default file documents them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Folder of the archive.
    pub archive: String,
    /// Folder of filters; empty for none.
    pub filters: String,
    /// Folder of `.avsc` files; empty for none.
    pub schema_dir: String,
    /// Address of a schema registry; empty for none.
    pub registry: String,
    /// Address of ZTF's public nights.
    pub archive_url: String,
    /// What is read.
    pub source: SourceSettings,
    /// Streams that are read.
    pub kafka: Vec<KafkaInput>,
    /// How it is worked on.
    pub pipeline: PipelineSettings,
    /// When it becomes durable.
    pub commit: CommitSettings,
    /// The HTTP port.
    pub http: HttpSettings,
    /// Where matches are published.
    pub output: OutputSettings,
    /// Webhooks.
    pub push: PushSettings,
    /// Limits of a query.
    pub query: QuerySettings,
}

/// `[source]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// Folders, packet files and tarballs.
    pub paths: Vec<PathBuf>,
    /// Whether to stay for new files.
    pub follow: bool,
    /// Seconds between two looks at a followed folder.
    pub rescan_s: f64,
    /// Largest file that is taken for a packet, MB.
    pub max_file_mb: u64,
}

/// `[pipeline]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineSettings {
    /// Threads that decode and filter; 0 chooses.
    pub workers: usize,
    /// Most packets in a batch.
    pub batch_alerts: usize,
    /// Most megabytes in a batch.
    pub batch_mb: usize,
    /// Longest wait of a batch's first packet, ms.
    pub batch_ms: u64,
    /// Length of each queue, batches.
    pub queue_batches: usize,
}

/// `[commit]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitSettings {
    /// Longest time between commits, s.
    pub every_s: f64,
    /// Most megabytes of packets between commits.
    pub every_mb: u64,
}

/// `[query]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuerySettings {
    /// Most rows returned.
    pub max_rows: usize,
    /// Most memory that all queries hold together, MB.
    pub memory_mb: usize,
    /// Longest run, s.
    pub timeout_s: f64,
}

/// Settings, and where each came from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The values.
    pub settings: Settings,
    /// One entry a setting, in the order of the default file.
    pub entries: Vec<Entry>,
}

impl Config {
    /// Puts the layers together. `file` is the one named with `-c`; without it `./pitt.toml` is read if it is there.
    ///
    /// `flags` are pairs of dotted key and value given on the command line.
    ///
    /// # Errors
    /// The first thing wrong with the file, the environment or a flag.
    pub fn load(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        flags: Vec<(&'static str, toml::Value)>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::defaults()?;
        let usual = Path::new(USUAL_FILE);
        match file {
            Some(file) => layers.file(file)?,
            None if usual.is_file() => layers.file(usual)?,
            None => {}
        }
        layers.environment(environment)?;
        for (key, value) in flags {
            layers.flag(key, value)?;
        }
        let settings = layers.settings()?;
        let config = Self {
            settings,
            entries: layers.into_entries(),
        };
        config.check_ranges()?;
        let place = config.entries.iter().find(|entry| entry.key == "kafka");
        let place = place.map_or_else(String::new, |entry| entry.origin.to_string());
        kafka::check(&config.settings.kafka, &place)?;
        Ok(config)
    }

    /// Whether a setting still has its default.
    pub fn is_default(&self, key: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.key == key && entry.origin == Origin::Default)
    }

    fn check_ranges(&self) -> Result<(), ConfigError> {
        match self.settings.out_of_range() {
            Some((key, expected)) => Err(self.out_of_range(key, expected)),
            None => Ok(()),
        }
    }

    fn out_of_range(&self, key: &'static str, expected: &'static str) -> ConfigError {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        ConfigError::OutOfRange {
            place: entry.map_or_else(String::new, |entry| entry.origin.to_string()),
            key,
            found: entry.map_or_else(String::new, |entry| entry.value.to_string()),
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_text(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pitt.toml");
        std::fs::write(&file, text).unwrap();
        let shown = file.display().to_string();
        Config::load(Some(&file), |_| None, vec![]).map_err(|error| match error {
            ConfigError::UnknownKey { place, key, hint } => ConfigError::UnknownKey {
                place: place.replace(&shown, "pitt.toml"),
                key,
                hint,
            },
            ConfigError::WrongType {
                place,
                key,
                found,
                expected,
            } => ConfigError::WrongType {
                place: place.replace(&shown, "pitt.toml"),
                key,
                found,
                expected,
            },
            ConfigError::OutOfRange {
                place,
                key,
                found,
                expected,
            } => ConfigError::OutOfRange {
                place: place.replace(&shown, "pitt.toml"),
                key,
                found,
                expected,
            },
            other => other,
        })
    }

    #[test]
    fn the_default_file_is_complete() {
        let config = from_text("").unwrap();
        assert_eq!(config.settings.pipeline.batch_alerts, 1000);
        assert!(
            config
                .entries
                .iter()
                .all(|entry| entry.origin == Origin::Default)
        );
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = from_text("[pipeline]\nworkers = 2\nbatch_alert = 3\n").unwrap_err();
        insta::assert_snapshot!(error, @"pitt.toml, line 3: unknown setting `pipeline.batch_alert` (did you mean `pipeline.batch_alerts`?)");
        let error = from_text("[pipelines]\nworkers = 2\n").unwrap_err();
        insta::assert_snapshot!(error, @"pitt.toml, line 1: unknown setting `pipelines` (did you mean `pipeline`?)");
    }

    #[test]
    fn a_wrong_type_and_a_wrong_range_say_where() {
        let error = from_text("[commit]\nevery_s = \"ten\"\n").unwrap_err();
        insta::assert_snapshot!(error, @r#"pitt.toml, line 2: `commit.every_s` is "ten", expected a number"#);
        let error = from_text("\n[pipeline]\nbatch_alerts = 0\n").unwrap_err();
        insta::assert_snapshot!(error, @"pitt.toml, line 3: `pipeline.batch_alerts` is 0, expected 1 to 100000");
        let error = from_text("registry = \"localhost:8081\"\n").unwrap_err();
        insta::assert_snapshot!(error, @r#"pitt.toml, line 1: `registry` is "localhost:8081", expected http://HOST:PORT or https://HOST"#);
    }

    #[test]
    fn later_layers_win() {
        let environment = |name: &str| (name == "PITT_PIPELINE_WORKERS").then(|| "7".to_owned());
        let flags = vec![("archive", toml::Value::from("elsewhere"))];
        let config = Config::load(None, environment, flags).unwrap();
        assert_eq!(config.settings.pipeline.workers, 7);
        assert_eq!(config.settings.archive, "elsewhere");
        assert!(!config.is_default("archive") && config.is_default("commit.every_s"));
    }
}
