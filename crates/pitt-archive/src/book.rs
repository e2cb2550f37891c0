//! The table `schemas`: every writer's schema and container header, each once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use bytes::Bytes;

use crate::archive::Archive;
use crate::delta::TableFile;
use crate::error::ArchiveError;
use crate::part::PartName;
use crate::read;
use crate::tables::SCHEMAS;

/// One row of `schemas`.
#[derive(Debug, Clone)]
pub(crate) struct BookRow {
    kind: &'static str,
    fingerprint: String,
    survey: Option<String>,
    version: Option<String>,
    wire_id: Option<i64>,
    json: Option<String>,
    bytes: Option<Bytes>,
}

/// A writer's schema that the archive has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSchema {
    /// Its fingerprint, 32 hexadecimal digits.
    pub fingerprint: String,
    /// The id that packets named it by; `None` when they brought it themselves.
    pub wire_id: Option<u32>,
    /// Its JSON as found.
    pub json: Arc<str>,
}

impl Archive {
    /// Every writer's schema that packets came with, once for each id, also those that the next commit will write down.
    /// In order of fingerprint and id.
    pub fn schemas(&self) -> Vec<StoredSchema> {
        let book = self.inner.book();
        let stored = |(fingerprint, wire_id, json): (&str, Option<i64>, Arc<str>)| StoredSchema {
            fingerprint: fingerprint.to_owned(),
            wire_id: wire_id.and_then(|id| u32::try_from(id).ok()),
            json,
        };
        let mut schemas: Vec<StoredSchema> = book.schemas().map(stored).collect();
        schemas.sort_by(|a, b| (&a.fingerprint, a.wire_id).cmp(&(&b.fingerprint, b.wire_id)));
        schemas
    }
}

/// What `schemas` holds, and what waits for the next commit.
#[derive(Default)]
pub(crate) struct Book {
    headers: HashMap<String, Bytes>,
    json: HashMap<String, Arc<str>>,
    wire: HashSet<(String, Option<i64>)>,
    waiting: Vec<BookRow>,
    files_read: HashSet<PartName>,
}

impl Book {
    /// Reads files not read before.
    pub(crate) fn read(&mut self, files: &[TableFile]) -> Result<(), ArchiveError> {
        let columns = ["kind", "fingerprint", "wire_id", "json", "bytes"];
        for file in files {
            if !self.files_read.insert(file.name) {
                continue;
            }
            for rows in read::columns(&file.path, &columns)? {
                self.take_in(&rows?);
            }
        }
        Ok(())
    }

    fn take_in(&mut self, rows: &RecordBatch) {
        let text = |column: usize, i: usize| {
            let array = rows.column(column).as_string::<i32>();
            array.is_valid(i).then(|| array.value(i))
        };
        let wire_id = rows.column(2).as_primitive::<Int64Type>();
        let bytes = rows.column(4).as_binary::<i32>();
        for i in 0..rows.num_rows() {
            let fingerprint = text(1, i).unwrap_or_default().to_owned();
            if text(0, i) == Some("header") {
                self.waiting
                    .retain(|w| w.kind != "header" || w.fingerprint != fingerprint);
                self.headers
                    .insert(fingerprint, Bytes::copy_from_slice(bytes.value(i)));
            } else {
                let id = wire_id.is_valid(i).then(|| wire_id.value(i));
                self.waiting.retain(|w| {
                    w.kind != "schema" || w.fingerprint != fingerprint || w.wire_id != id
                });
                self.json.insert(
                    fingerprint.clone(),
                    Arc::from(text(3, i).unwrap_or_default()),
                );
                self.wire.insert((fingerprint, id));
            }
        }
    }

    /// Bytes of a container's header.
    pub(crate) fn header(&self, fingerprint: &str) -> Option<Bytes> {
        self.headers.get(fingerprint).cloned()
    }

    /// Every schema: fingerprint, registry ids it came under, JSON.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = (&str, Option<i64>, Arc<str>)> {
        self.wire
            .iter()
            .filter_map(|(print, id)| Some((print.as_str(), *id, self.json.get(print)?.clone())))
    }

    /// Notes a header for the next commit, if it is new.
    pub(crate) fn note_header(&mut self, fingerprint: &str, bytes: &Bytes) {
        if self.headers.contains_key(fingerprint) {
            return;
        }
        // Copied, or the header would hold on to the whole packet it came in.
        let bytes = Bytes::copy_from_slice(bytes);
        self.headers.insert(fingerprint.to_owned(), bytes.clone());
        self.waiting.push(BookRow {
            kind: "header",
            fingerprint: fingerprint.to_owned(),
            survey: None,
            version: None,
            wire_id: None,
            json: None,
            bytes: Some(bytes),
        });
    }

    /// Notes a writer's schema for the next commit, if it is new or comes under a new id.
    pub(crate) fn note_schema(&mut self, schema: &pitt_alert::WriterSchema, wire_id: Option<i64>) {
        let fingerprint = schema.fingerprint_hex();
        if !self.wire.insert((fingerprint.clone(), wire_id)) {
            return;
        }
        self.json
            .insert(fingerprint.clone(), Arc::from(schema.json()));
        self.waiting.push(BookRow {
            kind: "schema",
            fingerprint,
            survey: Some(schema.survey().to_string()),
            version: schema.version().map(str::to_owned),
            wire_id,
            json: Some(schema.json().to_owned()),
            bytes: None,
        });
    }

    /// Takes what waits for the next commit as rows of `schemas`.
    pub(crate) fn take_waiting(
        &mut self,
        schema: &SchemaRef,
    ) -> Result<Option<RecordBatch>, ArchiveError> {
        let rows = std::mem::take(&mut self.waiting);
        if rows.is_empty() {
            return Ok(None);
        }
        let text = |value: fn(&BookRow) -> Option<&str>| -> ArrayRef {
            Arc::new(rows.iter().map(value).collect::<StringArray>())
        };
        let columns = vec![
            text(|r| Some(r.kind)),
            text(|r| Some(&r.fingerprint)),
            text(|r| r.survey.as_deref()),
            text(|r| r.version.as_deref()),
            Arc::new(rows.iter().map(|r| r.wire_id).collect::<Int64Array>()),
            text(|r| r.json.as_deref()),
            Arc::new(
                rows.iter()
                    .map(|r| r.bytes.as_deref())
                    .collect::<BinaryArray>(),
            ),
        ];
        RecordBatch::try_new(schema.clone(), columns)
            .map(Some)
            .map_err(ArchiveError::arrow(SCHEMAS))
    }

    /// A file has been committed whose rows are known.
    pub(crate) fn skip_file(&mut self, name: PartName) {
        self.files_read.insert(name);
    }
}
