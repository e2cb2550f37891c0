//! Writers' schemas, and where they are found.

mod folder;
mod registry;
mod store;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use crate::avro::schema::{self, Record, SchemaError};
use crate::survey::{self, Survey};

pub use store::{SchemaLookupError, SchemaStore};

/// A schema as its writer wrote it.
///
/// Two schemas are the same when their JSON is, byte for byte: [`WriterSchema::fingerprint`] is XXH3-128 of it.
pub struct WriterSchema {
    json: String,
    fingerprint: u128,
    root: Arc<Record>,
    survey: Arc<str>,
    mapping: Option<&'static dyn Survey>,
    version: Option<String>,
}

impl WriterSchema {
    /// Reads a schema from its JSON. Every named type it uses must be defined in it.
    pub fn parse(json: &str) -> Result<WriterSchema, SchemaError> {
        let root = schema::parse(json)?;
        let mapping = survey::recognise(&root);
        let declared = declared_version(json);
        let version = match mapping {
            Some(mapping) => mapping.version(&root, declared.as_deref()),
            None => declared,
        };
        let survey = mapping.map_or_else(
            || survey::generic_name(&root).into(),
            |mapping| mapping.name().into(),
        );
        Ok(WriterSchema {
            fingerprint: fingerprint(json.as_bytes()),
            json: json.to_owned(),
            root,
            survey,
            mapping,
            version,
        })
    }

    /// XXH3-128 of the JSON as found.
    pub fn fingerprint(&self) -> u128 {
        self.fingerprint
    }

    /// The fingerprint as 32 hexadecimal digits.
    pub fn fingerprint_hex(&self) -> String {
        format!("{:032x}", self.fingerprint)
    }

    /// The JSON as found.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The survey's version, such as `4.02` or `11.0`, where the schema tells.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The survey: `ztf`, `lsst`, or a word from the schema's name.
    pub fn survey(&self) -> &Arc<str> {
        &self.survey
    }

    /// Whether there are common columns: whether the survey has a mapping.
    pub fn has_common_columns(&self) -> bool {
        self.mapping.is_some()
    }

    /// Full name of the outermost record.
    pub fn name(&self) -> &str {
        &self.root.name
    }

    pub(crate) fn root(&self) -> &Arc<Record> {
        &self.root
    }

    pub(crate) fn mapping(&self) -> Option<&'static dyn Survey> {
        self.mapping
    }
}

impl fmt::Debug for WriterSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "WriterSchema({} {}, {})",
            self.name(),
            self.version().unwrap_or("-"),
            self.fingerprint_hex()
        )
    }
}

impl PartialEq for WriterSchema {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

/// XXH3-128 of a schema's JSON.
pub(crate) fn fingerprint(json: &[u8]) -> u128 {
    xxh3_128(json)
}

fn declared_version(json: &str) -> Option<String> {
    let value: Value = serde_json::from_str(json).ok()?;
    value
        .get("version")
        .and_then(Value::as_str)
        .map(str::to_owned)
}
