//! `[[kafka]]`: streams of alerts to read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pitt_kafka::consume::InputSettings;
use pitt_kafka::{Access, KafkaError};
use serde::{Deserialize, Serialize};
use toml::Value;

use super::ConfigError;

/// One `[[kafka]]`, as the default file documents it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaInput {
    /// What the archive calls the cluster.
    pub name: String,
    /// Addresses of the cluster.
    pub servers: String,
    /// Names of topics, and patterns with `{night}`.
    pub topics: Vec<String>,
    /// Nights before tonight's, for patterns.
    pub nights: u32,
    /// Consumer group; empty for one of this archive's own.
    pub group: String,
    /// Where to begin in partitions of which the archive has nothing.
    pub start: String,
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
    /// Most megabytes of messages that wait.
    pub buffer_mb: usize,
    /// Further settings of librdkafka.
    pub settings: toml::Table,
}

impl Default for KafkaInput {
    fn default() -> Self {
        Self {
            name: "kafka".into(),
            servers: String::new(),
            topics: vec![],
            nights: 7,
            group: String::new(),
            start: "earliest".into(),
            security: "plaintext".into(),
            mechanism: "SCRAM-SHA-512".into(),
            user: String::new(),
            password_file: PathBuf::new(),
            ca: PathBuf::new(),
            buffer_mb: 64,
            settings: toml::Table::new(),
        }
    }
}

impl KafkaInput {
    /// What the consumer is told, without the password. `group` is taken if none is set.
    ///
    /// # Errors
    /// A word that is none, or a setting that cannot be.
    pub fn input(&self, group: &str) -> Result<InputSettings, KafkaError> {
        let path = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
        let mut access = Access {
            servers: self.servers.clone(),
            ca: path(&self.ca),
            user: self.user.clone(),
            settings: flat(&self.settings),
            ..Access::default()
        };
        access.secure(&self.security, &self.mechanism)?;
        let group = if self.group.is_empty() {
            group
        } else {
            &self.group
        };
        let settings = InputSettings {
            name: self.name.clone(),
            access,
            topics: self.topics.clone(),
            nights: self.nights,
            group: group.to_owned(),
            start: self.start.parse()?,
            buffer_bytes: self.buffer_mb << 20,
        };
        settings.check()?;
        Ok(settings)
    }
}

/// The password of a client called `name` whose password may be in a file: the file's first line, else
/// `PITT_<KIND>_PASSWORD_<NAME>`, else `PITT_<KIND>_PASSWORD`.
///
/// # Errors
/// The file cannot be read, or there is no password at all.
pub fn password(
    kind: &str,
    name: &str,
    file: &std::path::Path,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<String, ConfigError> {
    if !file.as_os_str().is_empty() {
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Unreadable {
            file: file.into(),
            source,
        })?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    let general = format!("PITT_{kind}_PASSWORD");
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let own = format!("{general}_{}", name.chars().map(letter).collect::<String>());
    environment(&own)
        .or_else(|| environment(&general))
        .ok_or_else(|| ConfigError::OutOfRange {
            place: format!("{} `{name}`", kind.to_lowercase()),
            key: "password_file",
            found: "empty".into(),
            expected: "a file, or the password in the environment: PITT_KAFKA_PASSWORD_<NAME>, PITT_OUTPUT_PASSWORD",
        })
}

/// librdkafka's settings by their names with dots, whether the dots were quoted or made tables.
pub fn flat(table: &toml::Table) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => settings.extend(
                flat(inner)
                    .into_iter()
                    .map(|(rest, value)| (format!("{key}.{rest}"), value)),
            ),
            Value::String(text) => drop(settings.insert(key.clone(), text.clone())),
            other => drop(settings.insert(key.clone(), other.to_string())),
        }
    }
    settings
}

/// A setting as it may be shown: what librdkafka is told of passwords, keys and secrets is veiled.
pub fn veiled(value: &Value) -> Value {
    let secret = |key: &str| {
        let found = ["password", "secret", "key.pem", "oauthbearer.config"];
        key != "password_file" && found.iter().any(|word| key.contains(word))
    };
    match value {
        Value::Array(items) => Value::Array(items.iter().map(veiled).collect()),
        Value::Table(table) => Value::Table(
            table
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) if secret(key) && !text.is_empty() => {
                        (key.clone(), Value::from("(set)"))
                    }
                    other => (key.clone(), veiled(other)),
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Every key of one `[[kafka]]` with its default.
pub(super) fn template() -> toml::Table {
    toml::Table::try_from(KafkaInput::default()).unwrap_or_default()
}

/// Checks all inputs together, without opening anything.
///
/// # Errors
/// The first that cannot be, by its name.
pub(super) fn check(inputs: &[KafkaInput], place: &str) -> Result<(), ConfigError> {
    for (at, input) in inputs.iter().enumerate() {
        let wrong = |message: String| ConfigError::Syntax {
            place: place.to_owned(),
            message: format!("kafka input `{}`: {message}", input.name),
        };
        if inputs[..at].iter().any(|other| other.name == input.name) {
            return Err(wrong(
                "the name is given twice (`name` tells the archive where alerts came from)".into(),
            ));
        }
        if !(1..=4096).contains(&input.buffer_mb) {
            return Err(wrong(format!(
                "`buffer_mb` is {}, expected 1 to 4096",
                input.buffer_mb
            )));
        }
        input
            .input("pitt")
            .map_err(|error| wrong(error.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_librdkafka_keep_their_names_with_and_without_quotes() {
        let table =
            "session.timeout.ms = 3000\n\"check.crcs\" = false\nssl.key.password = \"x\"".parse();
        let flat = flat(&table.unwrap());
        assert_eq!(flat["session.timeout.ms"], "3000");
        assert_eq!(
            (&*flat["check.crcs"], &*flat["ssl.key.password"]),
            ("false", "x")
        );
    }

    #[test]
    fn secrets_are_veiled_also_below_tables() {
        let text = "password_file = \"p\"\nsettings = { \"ssl.key.password\" = \"hush\", ssl.keystore.password = \"hush\" }";
        let shown = veiled(&Value::Table(text.parse().unwrap())).to_string();
        assert!(
            !shown.contains("hush") && shown.contains("(set)"),
            "{shown}"
        );
        assert!(shown.contains("password_file = \"p\""), "{shown}");
    }

    #[test]
    fn a_password_comes_from_the_file_or_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "secret\n").unwrap();
        let none = |_: &str| None;
        assert_eq!(password("KAFKA", "ztf", &file, none).unwrap(), "secret");
        let named = |name: &str| (name == "PITT_KAFKA_PASSWORD_MY_ZTF").then(|| "named".to_owned());
        let empty = std::path::Path::new("");
        assert_eq!(password("KAFKA", "my-ztf", empty, named).unwrap(), "named");
        assert!(password("KAFKA", "ztf", empty, none).is_err());
    }
}
