//! The commit: in which order what was appended becomes durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};

use super::{CommitReport, Open, Writer, positions};
use crate::archive::Inner;
use crate::delta::{Addition, DeltaLog};
use crate::error::ArchiveError;
use crate::stream::Stream;
use crate::tables::{COMMITS, DERIVED, FORCED, MANIFEST, PACKETS, POSITIONS, SCHEMAS, lane_txn};
use crate::{crash, recover, shape};

impl Writer {
    /// Makes everything appended durable and visible, with the positions.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Fenced`] when another writer has committed since this one started. After any error the
    /// writer is spent; what it reports as failed is either wholly there or not at all, and a new writer knows.
    pub fn commit(&mut self) -> Result<CommitReport, ArchiveError> {
        if self.failed {
            return Err(ArchiveError::Poisoned);
        }
        let Some(mut open) = self.open.take() else {
            return Ok(CommitReport::default());
        };
        self.failed = true;
        let mut bytes = 0;
        let manifest = close_derived(&mut open)?;
        let spans = positions::to_json(&open.positions);
        open.packets
            .close_with(&[(MANIFEST, manifest), (POSITIONS, spans)])?;
        crash::point("files-written");
        self.commit_schemas()?;
        crash::point("schemas-committed");
        self.commit_packets(&open)?;
        crash::point("packets-committed");
        for (name, stream) in &open.derived.streams {
            bytes += stream.bytes();
            commit_derived(&self.inner, name, stream, self.commit)?;
            crash::point("table-committed");
        }
        self.follow(&open)?;
        crash::point("indexed");
        let report = CommitReport {
            commit: self.commit,
            rows: open.rows,
            bytes: bytes + open.packets.bytes(),
        };
        let next = open.positions.into_iter();
        self.next.extend(next.map(|(p, span)| (p, span.next)));
        self.commit += 1;
        self.failed = false;
        Ok(report)
    }

    fn commit_schemas(&mut self) -> Result<(), ArchiveError> {
        let mut tables = self.inner.tables();
        let log = table_mut(&mut tables, SCHEMAS)?;
        let schema = log.schema()?;
        let Some(rows) = self.inner.book().take_waiting(&schema)? else {
            return Ok(());
        };
        let folder = log.folder().to_owned();
        let mut stream = Stream::new(
            SCHEMAS,
            folder,
            schema,
            self.inner.options.clone(),
            self.commit,
        );
        stream.write(&rows)?;
        stream.close()?;
        log.commit(Addition {
            parts: &stream.finished,
            txns: vec![(DERIVED.to_owned(), self.commit as i64)],
            schema: None,
        })?;
        self.inner.book().skip_file();
        Ok(())
    }

    fn commit_packets(&self, open: &Open) -> Result<(), ArchiveError> {
        let mut txns: Vec<(String, i64)> = open
            .positions
            .iter()
            .map(|(partition, span)| (partition.clone(), span.next))
            .collect();
        txns.push((COMMITS.to_owned(), self.commit as i64));
        if self.last_seq > 0 {
            txns.push((lane_txn(self.lane), self.last_seq as i64));
        }
        let mut tables = self.inner.tables();
        table_mut(&mut tables, PACKETS)?.commit(Addition {
            parts: &open.packets.finished,
            txns,
            schema: None,
        })?;
        Ok(())
    }

    fn follow(&self, open: &Open) -> Result<(), ArchiveError> {
        let streams = std::iter::once((PACKETS, &open.packets))
            .chain(open.derived.streams.iter().map(|(n, s)| (&n[..], s)));
        for (name, stream) in streams {
            let files: Vec<_> = stream.finished.iter().map(|p| p.as_table_file()).collect();
            if name == PACKETS {
                self.inner.note_packet_files(&files);
            }
            if name == PACKETS || name == FORCED || name.starts_with("alerts/") {
                self.inner.follow_table(name, &files)?;
            }
        }
        Ok(())
    }
}

/// Makes the derived files durable; returns the manifest, and drops streams without rows.
fn close_derived(open: &mut Open) -> Result<String, ArchiveError> {
    let mut manifest = serde_json::Map::new();
    for (name, stream) in &mut open.derived.streams {
        stream.close()?;
        let names: Vec<String> = stream.finished.iter().map(|p| p.name.to_string()).collect();
        if !names.is_empty() {
            manifest.insert(name.clone(), names.into());
        }
    }
    open.derived
        .streams
        .retain(|_, stream| !stream.finished.is_empty());
    Ok(serde_json::Value::Object(manifest).to_string())
}

fn commit_derived(
    inner: &Inner,
    name: &str,
    stream: &Stream,
    commit: u64,
) -> Result<(), ArchiveError> {
    recover::commit_parts(inner, name, &stream.finished, stream.schema(), commit)
}

pub(crate) fn table<'a>(
    tables: &'a BTreeMap<String, DeltaLog>,
    name: &str,
) -> Result<&'a DeltaLog, ArchiveError> {
    tables.get(name).ok_or_else(|| missing(name))
}

pub(crate) fn table_mut<'a>(
    tables: &'a mut BTreeMap<String, DeltaLog>,
    name: &str,
) -> Result<&'a mut DeltaLog, ArchiveError> {
    tables.get_mut(name).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> ArchiveError {
    ArchiveError::Format {
        table: name.to_owned(),
        detail: "the table is missing".to_owned(),
    }
}

/// Whether a table's schema must change to hold this one.
pub(crate) fn growth(now: &SchemaRef, then: &SchemaRef) -> Option<SchemaRef> {
    let grown = shape::merge(now.fields(), then.fields());
    (grown != *now.fields()).then(|| Arc::new(Schema::new(grown)))
}
