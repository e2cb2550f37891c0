//! The rows of the tables that are derived from the journal.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::Schema;
use pitt_alert::{Decoded, Packet};

use super::matched::{self, MatchRow};
use crate::archive::Inner;
use crate::derive::{self, ForcedRows};
use crate::error::ArchiveError;
use crate::journal::{Entry, Outcome};
use crate::shape;
use crate::stream::Stream;
use crate::tables::{self, FORCED, MATCHES, QUARANTINE};

/// What one commit writes to the derived tables.
pub(super) struct Derived {
    inner: Arc<Inner>,
    commit: u64,
    pub(super) streams: BTreeMap<String, Stream>,
    /// Newest forced point of an object and survey that this commit has.
    forced: HashMap<(String, String), f64>,
    /// Rows of the last append to the tables that [`Archive::latest`](crate::Archive::latest) has before the commit.
    pub(super) fresh: Vec<(String, RecordBatch)>,
}

impl Derived {
    pub(super) fn new(inner: Arc<Inner>, commit: u64) -> Self {
        Self {
            inner,
            commit,
            streams: BTreeMap::new(),
            forced: HashMap::new(),
            fresh: Vec::new(),
        }
    }

    pub(super) fn write(
        &mut self,
        entries: &[Entry],
        packets: &[Packet],
        decoded: &Decoded,
        matches: &[MatchRow],
    ) -> Result<(), ArchiveError> {
        self.fresh.clear();
        for batch in 0..decoded.batches.len() {
            self.write_alerts(batch, entries, decoded)?;
        }
        let stream = self.stream(MATCHES)?;
        let rows = matched::rows(matches, packets, decoded, stream.schema())?;
        stream.write(&rows)?;
        self.fresh.push((MATCHES.to_owned(), rows));
        if entries.iter().any(|e| e.outcome == Outcome::Quarantined) {
            let stream = self.stream(QUARANTINE)?;
            let rows = derive::quarantine_rows(entries, packets, decoded, stream.schema())?;
            stream.write(&rows)?;
        }
        Ok(())
    }

    fn write_alerts(
        &mut self,
        batch: usize,
        entries: &[Entry],
        decoded: &Decoded,
    ) -> Result<(), ArchiveError> {
        let alerts = &decoded.batches[batch];
        let rows = alerts.records.num_rows();
        if !alerts.schema.has_common_columns() || rows == 0 {
            return Ok(());
        }
        let stored = derive::stored_rows(batch, rows, entries);
        if stored.true_count() == 0 {
            return Ok(());
        }
        let columns = derive::alert_columns(&alerts.records, &stored)?;
        let name = tables::alerts(&alerts.survey);
        let stream = self.stream(&name)?;
        let grown = shape::merge(stream.schema().fields(), columns.schema().fields());
        if grown != *stream.schema().fields() {
            stream.grow(Arc::new(Schema::new(grown)))?;
        }
        let fitted =
            shape::conform(&columns, stream.schema()).map_err(ArchiveError::arrow(&name))?;
        stream.write(&fitted)?;
        self.fresh.push((name, fitted));
        self.write_forced(batch, &stored, decoded)
    }

    fn write_forced(
        &mut self,
        batch: usize,
        stored: &BooleanArray,
        decoded: &Decoded,
    ) -> Result<(), ArchiveError> {
        let inner = self.inner.clone();
        let index = inner.index();
        let pending = RefCell::new(std::mem::take(&mut self.forced));
        let mut rows = ForcedRows::default();
        rows.take(
            &decoded.batches[batch],
            stored,
            |object_id, survey| {
                let key = (object_id.to_owned(), survey.to_owned());
                if let Some(newest) = pending.borrow().get(&key) {
                    return Ok(*newest);
                }
                let newest = index
                    .as_ref()
                    .map(|i| i.newest_forced(object_id, survey))
                    .transpose()?;
                Ok(newest.flatten().unwrap_or(f64::NEG_INFINITY))
            },
            |object_id, survey, newest| {
                let key = (object_id.to_owned(), survey.to_owned());
                pending.borrow_mut().insert(key, newest);
            },
        )?;
        self.forced = pending.into_inner();
        let stream = self.stream(FORCED)?;
        let rows = rows.finish(stream.schema())?;
        stream.write(&rows)
    }

    fn stream(&mut self, name: &str) -> Result<&mut Stream, ArchiveError> {
        if !self.streams.contains_key(name) {
            let stream = new_stream(&self.inner, name, self.commit)?;
            self.streams.insert(name.to_owned(), stream);
        }
        self.streams.get_mut(name).ok_or(ArchiveError::Poisoned)
    }
}

/// A stream to a table, which for a survey seen for the first time does not exist yet.
pub(super) fn new_stream(inner: &Inner, name: &str, commit: u64) -> Result<Stream, ArchiveError> {
    let mut schema = match inner.tables().get(name) {
        Some(log) => log.schema()?,
        None => Arc::new(Schema::empty()),
    };
    if name == MATCHES {
        schema = matched::grown(&schema).unwrap_or(schema);
    }
    let folder = inner.site.root.join(name);
    std::fs::create_dir_all(&folder).map_err(ArchiveError::io(&folder))?;
    Ok(Stream::new(
        name,
        folder,
        schema,
        inner.options.clone(),
        commit,
    ))
}
