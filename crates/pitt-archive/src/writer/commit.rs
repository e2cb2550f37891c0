//! The commit: in which order what was appended becomes durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};

use super::{CommitReport, Open, Writer, positions};
use crate::archive::Inner;
use crate::delta::{Addition, DeltaLog};
use crate::error::ArchiveError;
use crate::feed::void_txn;
use crate::stream::Stream;
use crate::tables::{COMMITS, DERIVED, FORCED, MANIFEST, PACKETS, POSITIONS, SCHEMAS, lane_txn};
use crate::{crash, recover, shape, turns};

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
        close_derived(&mut open)?;
        let mut beside = self.beside.take();
        let turn = match &mut beside {
            Some(beside) => self.take_turn(beside, &mut open)?,
            None => turns::turn(&self.inner.site.root)?,
        };
        let manifest = manifest(&open);
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
        self.inner.fresh().clear();
        drop(turn);
        if beside.is_none() {
            self.follow(&open)?;
        }
        let report = CommitReport {
            commit: self.commit,
            rows: open.rows,
            bytes: bytes + open.packets.bytes(),
        };
        let next = open.positions.into_iter();
        self.next.extend(next.map(|(p, span)| (p, span.next)));
        self.complete_to = self.commit;
        self.commit += 1;
        if let Some(beside) = &mut beside {
            self.settle(beside)?;
        }
        self.beside = beside;
        crash::point("indexed");
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
        for part in &stream.finished {
            self.inner.book().skip_file(part.name);
        }
        Ok(())
    }

    fn commit_packets(&self, open: &Open) -> Result<(), ArchiveError> {
        let mut txns: Vec<(String, i64)> = open
            .positions
            .iter()
            .map(|(partition, span)| (partition.clone(), span.next))
            .collect();
        txns.push((COMMITS.to_owned(), self.commit as i64));
        txns.extend(self.number_txns(open)?);
        let mut tables = self.inner.tables();
        table_mut(&mut tables, PACKETS)?.commit(Addition {
            parts: &open.packets.finished,
            txns,
            schema: None,
        })?;
        self.inner.fresh().committing();
        Ok(())
    }

    /// What a commit says of match numbers: the last of each lane that it has any of, and those that no match will have.
    fn number_txns(&self, open: &Open) -> Result<Vec<(String, i64)>, ArchiveError> {
        let mut last = open.seqs.clone();
        let mut txns = Vec::new();
        for run in open.void.chunk_by(|a, b| a.0 == b.0 && a.1 + 1 == b.1) {
            let ((lane, first), (_, end)) = (run[0], run[run.len() - 1]);
            txns.push((void_txn(lane, first), end as i64));
            let last = last.entry(lane).or_default();
            *last = end.max(*last);
        }
        for (lane, seq) in last {
            // A number given before a crash may be committed after later ones.
            let seq = seq.max(self.inner.last_seq(lane)?);
            txns.push((lane_txn(lane), seq as i64));
        }
        Ok(txns)
    }

    fn follow(&self, open: &Open) -> Result<(), ArchiveError> {
        let _following = self.inner.following();
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

impl Open {
    /// Lets everything open be of another commit.
    pub(super) fn renumber(&mut self, commit: u64) -> Result<(), ArchiveError> {
        self.packets.renumber(commit)?;
        for stream in self.derived.streams.values_mut() {
            stream.renumber(commit)?;
        }
        Ok(())
    }
}

/// Makes the derived files durable; drops streams without rows.
fn close_derived(open: &mut Open) -> Result<(), ArchiveError> {
    for stream in open.derived.streams.values_mut() {
        stream.close()?;
    }
    open.derived
        .streams
        .retain(|_, stream| !stream.finished.is_empty());
    Ok(())
}

/// The derived files, by table.
fn manifest(open: &Open) -> String {
    let named = open.derived.streams.iter().map(|(name, stream)| {
        let names = stream.finished.iter().map(|p| p.name.to_string());
        (name.clone(), names.collect::<Vec<_>>().into())
    });
    serde_json::Value::Object(named.collect()).to_string()
}

fn commit_derived(
    inner: &Inner,
    name: &str,
    stream: &Stream,
    commit: u64,
) -> Result<(), ArchiveError> {
    let mut tables = inner.tables();
    let parts = &stream.finished;
    recover::commit_parts_to(inner, &mut tables, (name, commit), parts, stream.schema())?;
    // Under the same lock: whoever looks has the rows from memory or from the files, never from both.
    inner.fresh().committed(name);
    Ok(())
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
