//! Layers of settings over each other, each value with its origin.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, DEFAULT, Settings, kafka};
use crate::suggest;

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The embedded default file.
    Default,
    /// A file, with the line.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(to, "default"),
            Self::File(file, line) => write!(to, "{}, line {line}", file.display()),
            Self::Environment(name) => write!(to, "environment {name}"),
            Self::Flag(flag) => write!(to, "flag {flag}"),
        }
    }
}

/// One setting.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Dotted key.
    pub key: String,
    /// Effective value.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// A key, its value and the byte where the key stands.
struct Found {
    key: String,
    value: Value,
    at: usize,
    is_table: bool,
    /// Of an array of tables: each key in it, and where it stands.
    inner: Vec<(String, usize)>,
}

/// The key that is an array of tables.
const TABLES: &str = "kafka";

/// All settings, one entry each.
pub(super) struct Layers(Vec<Entry>);

impl Layers {
    pub(super) fn defaults() -> Result<Self, ConfigError> {
        let found = parse(DEFAULT, Path::new("default.toml"))?;
        let entries = found.into_iter().filter(|found| !found.is_table);
        Ok(Self(
            entries
                .map(|found| Entry {
                    key: found.key,
                    value: found.value,
                    origin: Origin::Default,
                })
                .collect(),
        ))
    }

    pub(super) fn file(&mut self, file: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Unreadable {
            file: file.into(),
            source,
        })?;
        for found in parse(&text, file)? {
            let origin = Origin::File(file.into(), line_of(&text, found.at));
            if found.key == TABLES {
                for (key, at) in &found.inner {
                    check_inner(key, &Origin::File(file.into(), line_of(&text, *at)))?;
                }
            }
            if found.is_table {
                self.check_section(&found.key, &origin)?;
            } else {
                self.set(&found.key, found.value, origin)?;
            }
        }
        Ok(())
    }

    pub(super) fn environment(
        &mut self,
        read: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        for index in 0..self.0.len() {
            let key = self.0[index].key.clone();
            let name = format!("PITT_{}", key.replace('.', "_").to_uppercase());
            if let Some(text) = read(&name) {
                let value = from_environment(&text, &self.0[index].value);
                self.set(&key, value, Origin::Environment(name))?;
            }
        }
        Ok(())
    }

    pub(super) fn flag(&mut self, key: &str, value: Value) -> Result<(), ConfigError> {
        let last = match key {
            "source.paths" => "from",
            _ => key.rsplit('.').next().unwrap_or(key),
        };
        self.set(key, value, Origin::Flag(format!("--{last}")))
    }

    pub(super) fn settings(&self) -> Result<Settings, ConfigError> {
        let mut root = toml::Table::new();
        for entry in &self.0 {
            match entry.key.split_once('.') {
                None => drop(root.insert(entry.key.clone(), entry.value.clone())),
                Some((section, key)) => {
                    let table = root
                        .entry(section)
                        .or_insert_with(|| toml::Table::new().into());
                    if let Some(table) = table.as_table_mut() {
                        table.insert(key.to_owned(), entry.value.clone());
                    }
                }
            }
        }
        root.try_into()
            .map_err(|error: toml::de::Error| ConfigError::Syntax {
                place: "settings".into(),
                message: error.message().to_owned(),
            })
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.0
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        let Some(entry) = self.0.iter_mut().find(|entry| entry.key == key) else {
            return Err(self.unknown(key, &origin));
        };
        let fitted = if key == TABLES {
            fit_tables(value)
        } else {
            fit(value, &entry.value)
        };
        entry.value = fitted.map_err(|(found, expected)| ConfigError::WrongType {
            place: origin.to_string(),
            key: key.to_owned(),
            found,
            expected,
        })?;
        entry.origin = origin;
        Ok(())
    }

    fn check_section(&self, section: &str, origin: &Origin) -> Result<(), ConfigError> {
        let known = self.0.iter().any(|entry| {
            entry
                .key
                .split_once('.')
                .is_some_and(|(before, _)| before == section)
        });
        if known {
            Ok(())
        } else {
            Err(self.unknown(section, origin))
        }
    }

    fn unknown(&self, key: &str, origin: &Origin) -> ConfigError {
        let keys = self.0.iter().map(|entry| entry.key.as_str());
        let sections = keys.clone().filter_map(|key| Some(key.split_once('.')?.0));
        let hint = if key.contains('.') {
            suggest::hint(key, keys)
        } else {
            suggest::hint(key, keys.chain(sections))
        };
        ConfigError::UnknownKey {
            place: origin.to_string(),
            key: key.to_owned(),
            hint,
        }
    }
}

/// All keys of a file in the order they stand there: tables of the first level, and values of both levels.
fn parse(text: &str, file: &Path) -> Result<Vec<Found>, ConfigError> {
    let syntax = |message: &str, span: Option<Range<usize>>| ConfigError::Syntax {
        place: Origin::File(
            file.into(),
            line_of(text, span.map_or(0, |span| span.start)),
        )
        .to_string(),
        message: message.to_owned(),
    };
    let values: toml::Table =
        toml::from_str(text).map_err(|error| syntax(error.message(), error.span()))?;
    let spans = DeTable::parse(text).map_err(|error| syntax(error.message(), error.span()))?;
    let mut found = vec![];
    for (key, value) in spans.get_ref() {
        let (name, at) = (key.get_ref().to_string(), key.span().start);
        let is_table = matches!(value.get_ref(), DeValue::Table(_));
        let inner = inner_keys(value.get_ref());
        if let DeValue::Table(table) = value.get_ref() {
            for (inner, _) in table {
                let key = format!("{name}.{}", inner.get_ref());
                let value = values
                    .get(&name)
                    .and_then(|table| table.get(inner.get_ref().as_ref()));
                let value = value.cloned().unwrap_or(Value::Boolean(false));
                found.push(Found {
                    key,
                    value,
                    at: inner.span().start,
                    is_table: false,
                    inner: vec![],
                });
            }
        }
        let value = values.get(&name).cloned().unwrap_or(Value::Boolean(false));
        found.push(Found {
            key: name,
            value,
            at,
            is_table,
            inner,
        });
    }
    found.sort_by_key(|found| found.at);
    Ok(found)
}

/// The keys of an array of tables.
fn inner_keys(value: &DeValue<'_>) -> Vec<(String, usize)> {
    let tables = value.as_array().into_iter().flatten();
    let tables = tables.filter_map(|item| item.get_ref().as_table());
    let keys = tables.flat_map(|table| table.keys());
    keys.map(|key| (key.get_ref().to_string(), key.span().start))
        .collect()
}

/// Whether a table of [`TABLES`] may have this key.
fn check_inner(key: &str, origin: &Origin) -> Result<(), ConfigError> {
    let known = kafka::template();
    if known.contains_key(key) {
        return Ok(());
    }
    Err(ConfigError::UnknownKey {
        place: origin.to_string(),
        key: format!("{TABLES}.{key}"),
        hint: suggest::hint(key, known.keys().map(String::as_str)),
    })
}

/// Tables whose values have the types of the template's.
fn fit_tables(value: Value) -> Result<Value, (String, &'static str)> {
    let Value::Array(items) = value else {
        return Err((value.to_string(), "tables [[kafka]]"));
    };
    let template = kafka::template();
    let mut tables = vec![];
    for item in items {
        let Value::Table(table) = item else {
            return Err((item.to_string(), "tables [[kafka]]"));
        };
        let mut fitted = toml::Table::new();
        for (key, value) in table {
            let value = match template.get(&key) {
                Some(default) => {
                    let told = |(found, expected)| (format!("{{ {key} = {found} }}"), expected);
                    fit(value, default).map_err(told)?
                }
                None => value,
            };
            fitted.insert(key, value);
        }
        tables.push(Value::Table(fitted));
    }
    Ok(Value::Array(tables))
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// `value` as the type that `default` has, or what was found and what is expected.
fn fit(value: Value, default: &Value) -> Result<Value, (String, &'static str)> {
    let expected = match (default, &value) {
        (Value::Float(_), Value::Integer(whole)) => return Ok(Value::Float(*whole as f64)),
        (Value::Array(_), Value::Array(items)) if items.iter().all(Value::is_str) => {
            return Ok(value);
        }
        (Value::Array(_), _) => "a list of texts",
        (Value::Integer(_), Value::Integer(number)) if *number < 0 => "a number not below 0",
        (default, value) if default.same_type(value) => return Ok(value.clone()),
        (Value::Integer(_), _) => "a whole number",
        (Value::Float(_), _) => "a number",
        (Value::Boolean(_), _) => "true or false",
        _ => "a text",
    };
    Err((value.to_string(), expected))
}

/// Text of a variable as the type that `default` has; a list is separated by colons. What does not fit stays text, for [`fit`] to refuse.
fn from_environment(text: &str, default: &Value) -> Value {
    let parsed = match default {
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Float(_) => text.parse().ok().map(Value::Float),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(_) => Some(Value::Array(text.split(':').map(Value::from).collect())),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}
