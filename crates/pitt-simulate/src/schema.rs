//! The reference schemas, built from the tables in `schema/*.txt`.
//!
//! Names, types and order of the fields are those the surveys publish; units and descriptions are ours. The tables are
//! terse so that they can be read and checked by eye; a test compares them with the surveys' own files.

use std::fmt::Write as _;
use std::sync::LazyLock;

/// Schema version of the simulated ZTF packets.
pub const ZTF_SCHEMA_VERSION: &str = "4.02";

/// Confluent id of the simulated LSST packets: 100 times the major version plus the minor version.
pub const LSST_SCHEMA_ID: u32 = 1100;

/// Schema version of the simulated LSST packets.
pub const LSST_SCHEMA_VERSION: &str = "11.0";

static ZTF: LazyLock<String> = LazyLock::new(|| {
    Tables::parse(include_str!("schema/ztf.txt")).json(&Naming {
        alert: "ztf",
        parts: "ztf.alert",
        version_key: "version",
        version: "\"4.02\"",
    })
});

static LSST: LazyLock<String> = LazyLock::new(|| {
    Tables::parse(include_str!("schema/lsst.txt")).json(&Naming {
        alert: "lsst.v11_0",
        parts: "lsst.v11_0",
        version_key: "confluent:version",
        version: "1100",
    })
});

/// Avro schema of the simulated ZTF packets: field names, types and order of ZTF's version 4.02.
#[must_use]
pub fn ztf_schema() -> &'static str {
    &ZTF
}

/// Confluent schema id and Avro schema of the simulated LSST packets: field names, types and order of LSST's version 11.0.
#[must_use]
pub fn lsst_schema() -> (u32, &'static str) {
    (LSST_SCHEMA_ID, &LSST)
}

/// How a survey names its records.
struct Naming {
    /// Namespace of the alert itself.
    alert: &'static str,
    /// Namespace of the records inside it.
    parts: &'static str,
    /// Key under which a record tells its version.
    version_key: &'static str,
    /// That version, as JSON.
    version: &'static str,
}

/// One line of a table.
struct Field {
    name: String,
    kind: String,
    doc: String,
}

/// One section of a table: a record.
struct Record {
    name: &'static str,
    doc: &'static str,
    fields: Vec<Field>,
}

/// A whole table; the last record is the alert.
struct Tables {
    records: Vec<Record>,
}

impl Tables {
    fn parse(text: &'static str) -> Self {
        let mut tables = Self {
            records: Vec::new(),
        };
        let mut banded: Option<Vec<&str>> = None;
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            match (line, &mut banded) {
                ("@bands", _) => banded = Some(Vec::new()),
                ("@end", lines) => {
                    let lines = lines.take().unwrap_or_default();
                    for band in ["u", "g", "r", "i", "z", "y"] {
                        lines
                            .iter()
                            .for_each(|line| tables.add(&line.replace("{b}", band)));
                    }
                }
                (line, Some(lines)) => lines.push(line),
                (line, None) => match line
                    .strip_prefix('[')
                    .and_then(|rest| rest.split_once("] "))
                {
                    Some((name, doc)) => tables.records.push(Record {
                        name,
                        doc,
                        fields: Vec::new(),
                    }),
                    None => tables.add(line),
                },
            }
        }
        tables
    }

    /// Adds a field to the last record; words that are not given are taken from an earlier field of the same name.
    fn add(&mut self, line: &str) {
        let mut words = line.splitn(4, ' ');
        let name = words.next().unwrap_or_default().to_owned();
        let kind = words.next().unwrap_or_default().to_owned();
        let doc = match (words.next(), words.next()) {
            (Some("-"), Some(text)) => text.to_owned(),
            (Some(unit), Some(text)) => format!("{text} [{}]", unit.replace('_', " ")),
            _ => self.doc_of(&name),
        };
        if let Some(record) = self.records.last_mut() {
            record.fields.push(Field { name, kind, doc });
        }
    }

    fn doc_of(&self, name: &str) -> String {
        let mut fields = self.records.iter().flat_map(|record| &record.fields);
        fields
            .find(|field| field.name == name)
            .map(|field| field.doc.clone())
            .unwrap_or_default()
    }

    fn json(&self, naming: &Naming) -> String {
        let mut out = String::new();
        let mut defined = Vec::new();
        if let Some(alert) = self.records.last() {
            self.record(alert, naming.alert, naming, &mut defined, &mut out);
        }
        out
    }

    fn record(
        &self,
        record: &Record,
        namespace: &str,
        naming: &Naming,
        defined: &mut Vec<&'static str>,
        out: &mut String,
    ) {
        defined.push(record.name);
        let Naming {
            version_key,
            version,
            ..
        } = naming;
        let (name, doc) = (record.name, record.doc);
        push(
            out,
            format_args!(
                r#"{{"type":"record","{version_key}":{version},"name":"{name}","namespace":"{namespace}","doc":"{doc}","fields":["#
            ),
        );
        for (at, field) in record.fields.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            push(
                out,
                format_args!(r#"{comma}{{"name":"{}","type":"#, field.name),
            );
            self.kind(&field.kind, naming, defined, out);
            let default = if field.kind.ends_with('?') {
                r#","default":null"#
            } else {
                ""
            };
            push(out, format_args!(r#"{default},"doc":"{}"}}"#, field.doc));
        }
        out.push_str("]}");
    }

    fn kind(&self, kind: &str, naming: &Naming, defined: &mut Vec<&'static str>, out: &mut String) {
        if let Some(inner) = kind.strip_suffix(['?', '!']) {
            out.push_str(r#"["null","#);
            self.kind(inner, naming, defined, out);
            out.push(']');
        } else if let Some(items) = kind.strip_prefix("[]") {
            out.push_str(r#"{"type":"array","items":"#);
            self.named(items, naming, defined, out);
            out.push('}');
        } else if let Some(name) = kind.strip_prefix(':') {
            self.named(name, naming, defined, out);
        } else if kind == "timestamp" {
            out.push_str(r#"{"type":"long","logicalType":"timestamp-micros"}"#);
        } else {
            push(out, format_args!(r#""{kind}""#));
        }
    }

    /// A record where it is first used, its name from then on.
    fn named(
        &self,
        name: &str,
        naming: &Naming,
        defined: &mut Vec<&'static str>,
        out: &mut String,
    ) {
        match self.records.iter().find(|record| record.name == name) {
            Some(record) if !defined.contains(&record.name) => {
                self.record(record, naming.parts, naming, defined, out);
            }
            _ => push(out, format_args!(r#""{}.{name}""#, naming.parts)),
        }
    }
}

/// Appends formatted text, which cannot fail in memory.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}
