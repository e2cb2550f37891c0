//! Field names, types and order are those the surveys publish.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn data() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder =
        std::env::var_os("PITT_TEST_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    folder.join("ztf").is_dir().then_some(folder)
}

/// A record's fields as (name, type, has a null default); types of records by their name.
type Fields = Vec<(String, String, bool)>;

fn short(kind: &Value) -> String {
    match kind {
        Value::String(name) => name.rsplit('.').next().unwrap_or_default().to_owned(),
        Value::Array(branches) => branches.iter().map(short).collect::<Vec<_>>().join("|"),
        Value::Object(object) => match object["type"].as_str() {
            Some("array") => format!("[{}]", short(&object["items"])),
            Some("record") => short(&object["name"]),
            _ => format!(
                "{}:{}",
                short(&object["type"]),
                object.get("logicalType").map(short).unwrap_or_default()
            ),
        },
        _ => panic!("{kind}"),
    }
}

fn records(schema: &Value, found: &mut BTreeMap<String, Fields>) {
    match schema {
        Value::Array(branches) => branches.iter().for_each(|branch| records(branch, found)),
        Value::Object(object) if object["type"] == "record" => {
            let fields = object["fields"].as_array().unwrap();
            let list = fields
                .iter()
                .map(|field| {
                    let name = field["name"].as_str().unwrap().to_owned();
                    (
                        name,
                        short(&field["type"]),
                        field.get("default").is_some_and(Value::is_null),
                    )
                })
                .collect();
            found.insert(short(&object["name"]), list);
            fields
                .iter()
                .for_each(|field| records(&field["type"], found));
        }
        Value::Object(object) if object["type"] == "array" => records(&object["items"], found),
        _ => {}
    }
}

fn published(folder: &Path) -> BTreeMap<String, Fields> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "avsc")
        {
            let text = std::fs::read_to_string(&path).unwrap();
            records(&serde_json::from_str(&text).unwrap(), &mut found);
        }
    }
    found
}

fn ours(schema: &str) -> BTreeMap<String, Fields> {
    let mut found = BTreeMap::new();
    records(&serde_json::from_str(schema).unwrap(), &mut found);
    found
}

/// Asserts that the fields are equal; says how many were compared.
fn compare(schema: &str, folder: &str) -> String {
    let ours = ours(schema);
    let Some(data) = data() else {
        return "skipped: no published schemas (set PITT_TEST_DATA)".to_owned();
    };
    let mut theirs = published(&data.join(folder));
    // Published beside the others, but no part of an alert.
    theirs.remove("ssObject");
    assert_eq!(
        ours.keys().collect::<Vec<_>>(),
        theirs.keys().collect::<Vec<_>>()
    );
    for (record, fields) in &theirs {
        for (ours, theirs) in ours[record].iter().zip(fields) {
            assert_eq!(ours, theirs, "{folder} {record}");
        }
        assert_eq!(ours[record].len(), fields.len(), "{folder} {record}");
    }
    let fields = theirs.values().map(Vec::len).sum::<usize>();
    format!("{folder}: {} records, {fields} fields equal", theirs.len())
}

#[test]
fn ztf_has_the_published_fields() {
    println!(
        "{}",
        compare(pitt_simulate::ztf_schema(), "ztf/schemas/4.02")
    );
}

#[test]
fn lsst_has_the_published_fields() {
    println!(
        "{}",
        compare(pitt_simulate::lsst_schema().1, "lsst/schemas/11/0")
    );
}

#[test]
fn every_field_is_described() {
    for schema in [pitt_simulate::ztf_schema(), pitt_simulate::lsst_schema().1] {
        let value: Value = serde_json::from_str(schema).unwrap();
        let text = value.to_string();
        assert!(!text.contains(r#""doc":"""#), "a field has no words");
        assert!(!text.contains("{b}"), "a band was not filled in");
    }
    assert_eq!(ours(pitt_simulate::lsst_schema().1)["diaSource"].len(), 98);
    assert_eq!(ours(pitt_simulate::ztf_schema())["prv_candidate"].len(), 57);
}
