//! What this process has appended and not committed yet, as rows of the tables, so that its readers need not wait for the commit.
//!
//! Kept are the very batches that went to the files of `alerts/<survey>` and `matches`. A table's rows are dropped in the same moment
//! in which its commit becomes visible, under one lock: whoever looks finds each row once, in memory or in a file.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};

use arrow_array::{RecordBatch, UInt32Array, new_null_array};
use arrow_schema::ArrowError;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;

use crate::archive::{Archive, Inner, TableSnapshot};
use crate::delta::DeltaLog;
use crate::error::ArchiveError;
use crate::recover;
use crate::shape;
use crate::tables::PACKETS;
use crate::writer::{Span, table};

/// Rows up to which batches that follow each other are put together: lonely alerts would else be a batch each.
const TOGETHER: usize = 1000;
/// The same as a part of all memory: rows are let go by whole batches.
const PARTS: usize = 16;

/// A table as it stands, with what this process has appended to it and not committed yet.
#[derive(Debug, Clone)]
pub struct Latest {
    /// What is committed. Its schema has room for the fresh rows too, so that files may lack columns of it. A table that no commit
    /// has made yet stands at version 0, without files.
    pub table: TableSnapshot,
    /// Rows that no file has, in the columns of the schema and in the order in which the commit will have them. Only of
    /// `alerts/<survey>` and `matches`, and only as many as [`ArchiveOptions::fresh_bytes`](crate::ArchiveOptions::fresh_bytes) allows.
    pub fresh: Vec<RecordBatch>,
}

/// How much is kept in memory until the commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FreshCounts {
    /// Rows kept now.
    pub rows: u64,
    /// Memory they take `[bytes]`.
    pub bytes: u64,
    /// Rows that did not fit and could be read from their commit on only, since the archive was opened.
    pub let_go: u64,
}

/// The rows kept.
#[derive(Default)]
pub(crate) struct Fresh {
    most_bytes: usize,
    tables: BTreeMap<String, Kept>,
    let_go: u64,
    /// Where the rows begin in each partition of the sources.
    from: BTreeMap<String, i64>,
    /// Version of `packets` at which no other process had committed of these partitions.
    checked: Option<u64>,
    /// Whether their own commit has begun to become visible.
    committing: bool,
}

/// Rows of one table, each batch with its size `[bytes]`.
#[derive(Default)]
struct Kept {
    batches: VecDeque<(RecordBatch, usize)>,
    bytes: usize,
}

impl Kept {
    fn push(&mut self, rows: RecordBatch, most_bytes: usize) -> Result<(), ArrowError> {
        let small = rows.num_rows() < TOGETHER / 2;
        let joins = |(last, bytes): &(RecordBatch, usize)| {
            small
                && *bytes < most_bytes / PARTS
                && last.num_rows() + rows.num_rows() <= TOGETHER
                && last.schema_ref() == rows.schema_ref()
        };
        let rows = match self.batches.pop_back_if(|last| joins(last)) {
            Some((last, bytes)) => {
                self.bytes -= bytes;
                concat_batches(last.schema_ref(), [&last, &rows])?
            }
            // The decoder makes room for many rows: a few would hold on to all of it.
            None if small => tight(&rows)?,
            None => rows,
        };
        let bytes = rows.get_array_memory_size();
        self.bytes += bytes;
        self.batches.push_back((rows, bytes));
        Ok(())
    }

    /// Drops the oldest batch; says how many rows it had.
    fn let_go(&mut self) -> u64 {
        let Some((rows, bytes)) = self.batches.pop_front() else {
            return 0;
        };
        self.bytes -= bytes;
        rows.num_rows() as u64
    }

    fn rows(&self) -> u64 {
        let rows = self.batches.iter().map(|(rows, _)| rows.num_rows() as u64);
        rows.sum()
    }
}

/// A copy that takes no more memory than it needs.
fn tight(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let all = UInt32Array::from_iter_values(0..rows.num_rows() as u32);
    take_record_batch(rows, &all)
}

impl Fresh {
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            ..Self::default()
        }
    }

    fn bytes(&self) -> usize {
        self.tables.values().map(|kept| kept.bytes).sum()
    }

    fn keep(&mut self, name: String, rows: RecordBatch) {
        let number = rows.num_rows() as u64;
        let kept = self.tables.entry(name.clone()).or_default();
        if let Err(error) = kept.push(rows, self.most_bytes) {
            tracing::error!("{number} rows of {name} can be read from their commit on: {error}");
            self.let_go += number;
        }
        while self.bytes() > self.most_bytes {
            let largest = self.tables.values_mut().max_by_key(|kept| kept.bytes);
            self.let_go += largest.map_or(0, Kept::let_go);
        }
    }

    /// Their commit begins to become visible: from now on `packets` has passed their positions.
    pub(crate) fn committing(&mut self) {
        self.committing = true;
    }

    /// A table's rows are in its files.
    pub(crate) fn committed(&mut self, name: &str) {
        self.tables.remove(name);
    }

    /// All rows are in files, or in nobody's hands.
    pub(crate) fn clear(&mut self) {
        self.tables.clear();
        self.from.clear();
        self.checked = None;
        self.committing = false;
    }

    /// Drops everything if another process has committed of what was appended here: it has taken over a partition, and what it read
    /// again is in the files. This process's writer will learn of it at its next append or commit.
    fn check(&mut self, packets: &DeltaLog) -> Result<(), ArchiveError> {
        if self.committing || self.checked == Some(packets.version()) {
            return Ok(());
        }
        for (partition, from) in &self.from {
            if packets.txn(partition)?.unwrap_or(0) > *from {
                self.clear();
                return Ok(());
            }
        }
        self.checked = Some(packets.version());
        Ok(())
    }

    /// A table's rows.
    fn of(&self, name: &str) -> Vec<RecordBatch> {
        let kept = self.tables.get(name).map(|kept| kept.batches.iter());
        kept.into_iter()
            .flatten()
            .map(|(rows, _)| rows.clone())
            .collect()
    }
}

impl Inner {
    pub(crate) fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rows of the tables that `wanted` names, beside their logs.
    fn fresh_rows(
        &self,
        tables: &BTreeMap<String, DeltaLog>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Vec<RecordBatch>>, ArchiveError> {
        let mut fresh = self.fresh();
        fresh.check(table(tables, PACKETS)?)?;
        let names = fresh.tables.keys().filter(|name| wanted(name));
        Ok(names.map(|name| (name.clone(), fresh.of(name))).collect())
    }

    /// Keeps what one append brought, by table; `spans` is all that is appended and not committed.
    pub(crate) fn keep_fresh(
        &self,
        rows: Vec<(String, RecordBatch)>,
        spans: &BTreeMap<String, Span>,
    ) {
        if self.options.fresh_bytes == 0 {
            return;
        }
        let mut fresh = self.fresh();
        for (partition, span) in spans {
            if !fresh.from.contains_key(partition) {
                fresh.from.insert(partition.clone(), span.from);
                fresh.checked = None;
            }
        }
        for (name, rows) in rows {
            if rows.num_rows() > 0 {
                fresh.keep(name, rows);
            }
        }
    }
}

impl Archive {
    /// The tables that `wanted` names as they stand, with what this process has appended and not committed yet; all as of one moment.
    ///
    /// # Errors
    ///
    /// When a table cannot be read.
    pub fn latest(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Latest>, ArchiveError> {
        let mut found = Vec::new();
        {
            // No commit becomes visible while this is held. Whoever appends waits for the rows alone, not for the lists of files.
            let tables = self.inner.tables();
            let rows = self.inner.fresh_rows(&tables, &wanted)?;
            let names: BTreeSet<&String> = tables.keys().chain(rows.keys()).collect();
            for name in names.into_iter().filter(|name| wanted(name)) {
                let log = tables.get(name);
                let committed = log.map(|log| TableSnapshot::of(name, log)).transpose()?;
                let fresh = rows.get(name).cloned().unwrap_or_default();
                found.push((name.clone(), committed, fresh));
            }
        }
        let found = found.into_iter();
        let latest = found.map(|(name, committed, fresh)| latest(name, committed, fresh));
        latest.filter_map(Result::transpose).collect()
    }

    /// Names of the surveys of which alerts are stored, or appended here and not committed yet.
    pub fn latest_surveys(&self) -> BTreeSet<String> {
        let tables = self.inner.tables();
        let fresh = self.inner.fresh();
        let names = tables.keys().chain(fresh.tables.keys());
        let surveys = names.filter_map(|name| name.strip_prefix("alerts/"));
        surveys.map(str::to_owned).collect()
    }

    /// How much is kept in memory until the next commit.
    pub fn fresh_counts(&self) -> FreshCounts {
        let fresh = self.inner.fresh();
        FreshCounts {
            rows: fresh.tables.values().map(Kept::rows).sum(),
            bytes: fresh.bytes() as u64,
            let_go: fresh.let_go,
        }
    }
}

/// A table with its fresh rows, fitted to the schema that it will have with them; `None` if there is neither.
fn latest(
    name: String,
    committed: Option<TableSnapshot>,
    fresh: Vec<RecordBatch>,
) -> Result<Option<Latest>, ArchiveError> {
    let Some(newest) = fresh.last().map(RecordBatch::schema) else {
        return Ok(committed.map(|table| Latest { table, fresh }));
    };
    let mut table = committed.unwrap_or_else(|| TableSnapshot {
        name,
        version: 0,
        schema: newest.clone(),
        files: Vec::new(),
    });
    // A stream's schema grows, so that the newest rows have every column.
    if let Some(grown) = recover::grown(&table.name, &table.schema, &newest) {
        table.schema = grown;
    }
    // The same schema by pointer, which `fit` sees at once.
    if table.schema == newest {
        table.schema = newest;
    }
    let fit = |rows: &RecordBatch| fit(&table, rows).map_err(ArchiveError::arrow(&table.name));
    let fresh = fresh.iter().map(fit).collect::<Result<_, _>>()?;
    Ok(Some(Latest { table, fresh }))
}

/// Rows in the columns of a table that has grown since.
fn fit(table: &TableSnapshot, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    if Arc::ptr_eq(rows.schema_ref(), &table.schema) {
        return Ok(rows.clone());
    }
    if table.name.starts_with("alerts/") {
        return shape::conform(rows, &table.schema);
    }
    let columns = table.schema.fields().iter().map(|field| {
        let own = rows.column_by_name(field.name()).cloned();
        own.unwrap_or_else(|| new_null_array(field.data_type(), rows.num_rows()))
    });
    RecordBatch::try_new(table.schema.clone(), columns.collect())
}
