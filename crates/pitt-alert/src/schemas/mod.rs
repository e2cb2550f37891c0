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

    /// The id under which this schema is published where its survey gives it none, as ZTF does not.
    ///
    /// `2^30 + 2^18 v + f`: `v` is 100 times the major version plus the minor (`4.02` is 402), 0 when the schema tells none
    /// and 4095 at most, `f` the last 18 bits of the [fingerprint](Self::fingerprint). So the same schema has the same id
    /// everywhere and always, a later version a larger one, and none is an id that a registry would give within its first
    /// thousand million. It is a positive 32-bit number, as Confluent's wire format needs.
    pub fn derived_id(&self) -> u32 {
        let version = self.version.as_deref().and_then(hundredfold).unwrap_or(0);
        (1 << 30) | (version.min(0xfff) << 18) | (self.fingerprint & 0x3_ffff) as u32
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

/// 100 times the major version plus the minor.
fn hundredfold(version: &str) -> Option<u32> {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    let (major, minor) = (major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?);
    major.checked_mul(100)?.checked_add(minor)
}

fn declared_version(json: &str) -> Option<String> {
    let value: Value = serde_json::from_str(json).ok()?;
    value
        .get("version")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(version: &str) -> WriterSchema {
        let json = format!(
            r#"{{"type":"record","name":"alert","version":"{version}","fields":[{{"name":"a","type":"int"}}]}}"#
        );
        WriterSchema::parse(&json).unwrap()
    }

    #[test]
    fn a_derived_id_is_positive_fixed_and_grows_with_the_version() {
        let ids: Vec<u32> = ["", "1.3", "3.3", "4.01", "4.02", "40.95", "9999.1"]
            .map(|version| schema(version).derived_id())
            .to_vec();
        assert_eq!(ids[4], (1 << 30) + (402 << 18) + (ids[4] & 0x3_ffff));
        assert!(
            ids.windows(2).take(5).all(|pair| pair[0] < pair[1]),
            "{ids:?}"
        );
        assert!(ids.iter().all(|id| i32::try_from(*id).is_ok()));
        assert_eq!(ids[4], schema("4.02").derived_id());
        assert_eq!(ids[6] >> 18, (1 << 12) + 0xfff);
    }
}
