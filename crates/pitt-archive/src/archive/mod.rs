//! An open archive: its tables, its index, and the questions it answers.

mod follow;
mod objects;
mod open;
mod options;
mod packets;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arrow_schema::SchemaRef;
use pitt_alert::SchemaStore;

use crate::book::Book;
use crate::delta::{DeltaLog, Site, TableFile};
use crate::error::ArchiveError;
use crate::fresh::Fresh;
use crate::index::Index;
use crate::read::OpenFiles;
use crate::tables::{COMMITS, PACKETS, SCHEMAS};
use crate::turns::Lane;
use crate::writer::table;
pub(crate) use open::folder_of;
pub use options::ArchiveOptions;

/// A table as it stood at one version: what a query engine needs to read it.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    /// Name, such as `packets` or `alerts/ztf`.
    pub name: String,
    /// Delta version.
    pub version: u64,
    /// Schema; a file written earlier may lack columns of it, also in structs.
    pub schema: SchemaRef,
    /// Data files, oldest first.
    pub files: Vec<TableFile>,
}

impl TableSnapshot {
    pub(crate) fn of(name: &str, log: &DeltaLog) -> Result<Self, ArchiveError> {
        Ok(Self {
            name: name.to_owned(),
            version: log.version(),
            schema: log.schema()?,
            files: log.files()?,
        })
    }

    /// Rows in all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|f| f.rows).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }
}

/// An open archive; clones share it. Calls block and must not come from async code.
#[derive(Clone)]
pub struct Archive {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// Folder, and the store that Delta logs go through.
    pub(crate) site: Site,
    /// As it was opened.
    pub(crate) options: Arc<ArchiveOptions>,
    /// Logs of the tables by name, as last read or committed here.
    pub(crate) tables: Mutex<BTreeMap<String, DeltaLog>>,
    /// Whether this process has a writer.
    pub(crate) writing: AtomicBool,
    /// With claims: the lane that this process holds.
    pub(crate) lane: Option<Lane>,
    /// Rows that are appended and not committed yet.
    pub(crate) fresh: Mutex<Fresh>,
    index: RwLock<Option<Index>>,
    /// Held while the index follows the tables: a list of files must not be older than what the index has followed.
    following: Mutex<()>,
    packet_files: RwLock<HashMap<(u64, u32), PathBuf>>,
    open_files: OpenFiles,
    book: Mutex<Book>,
}

/// Locks also after a panic elsewhere: what is guarded is never left half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Archive {
    /// Folder of the archive.
    pub fn folder(&self) -> &Path {
        &self.inner.site.root
    }

    /// The lane of this process, when the archive was opened with claims: its matches are numbered in it.
    pub fn lane(&self) -> Option<u32> {
        self.inner.lane.as_ref().map(|lane| lane.number)
    }

    /// Whether the index is open here; if not, look-ups scan the tables.
    pub fn has_index(&self) -> bool {
        self.inner.index().is_some()
    }

    /// Names of the tables.
    pub fn tables(&self) -> Vec<String> {
        lock(&self.inner.tables).keys().cloned().collect()
    }

    /// A table's files and schema at the version last read or committed; `None` if there is no such table.
    pub fn snapshot(&self, table: &str) -> Result<Option<TableSnapshot>, ArchiveError> {
        let tables = lock(&self.inner.tables);
        let log = tables.get(table);
        log.map(|log| TableSnapshot::of(table, log)).transpose()
    }

    /// Version of a table as last read or committed: cheaper than a snapshot, to see whether that would be another.
    pub fn version(&self, table: &str) -> Option<u64> {
        lock(&self.inner.tables).get(table).map(DeltaLog::version)
    }

    /// Offset that follows the last one committed in a partition of a source, as last read; 0 for one never seen.
    pub fn committed_offset(&self, partition: &str) -> Result<i64, ArchiveError> {
        let tables = lock(&self.inner.tables);
        let next = tables.get(PACKETS).map(|log| log.txn(partition));
        Ok(next.transpose()?.flatten().unwrap_or(0))
    }

    /// Offsets that follow the last ones committed in partitions of sources, by whichever process; `None` for one never seen.
    ///
    /// Reads the log anew and leaves what this process knows of it as it is: a writer learns of others' commits in its own
    /// time, together with the index.
    pub fn committed_by_all(&self, partitions: &[&str]) -> Result<Vec<Option<i64>>, ArchiveError> {
        let log = DeltaLog::open(&self.inner.site, PACKETS)?;
        let next = |partition: &&str| log.as_ref().map_or(Ok(None), |log| log.txn(partition));
        partitions.iter().map(next).collect()
    }

    /// Surveys that have a table of alerts.
    pub fn surveys(&self) -> Vec<String> {
        let tables = lock(&self.inner.tables);
        let of_alerts = tables.keys().filter_map(|t| t.strip_prefix("alerts/"));
        of_alerts.map(str::to_owned).collect()
    }

    /// The stored writers' schemas, for decoding stored packets again.
    pub fn schema_store(&self) -> Result<SchemaStore, ArchiveError> {
        let store = SchemaStore::new();
        let book = lock(&self.inner.book);
        for (fingerprint, wire_id, json) in book.schemas() {
            let unusable = |detail: String| ArchiveError::Format {
                table: SCHEMAS.to_owned(),
                detail: format!("schema {fingerprint}: {detail}"),
            };
            match wire_id.and_then(|id| u32::try_from(id).ok()) {
                Some(id) => drop(
                    store
                        .insert(id, &json)
                        .map_err(|e| unusable(e.to_string()))?,
                ),
                None => drop(store.intern(&json).map_err(|e| unusable(e.to_string()))?),
            }
        }
        Ok(store)
    }
}

impl Inner {
    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Option<Index>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Option<Index>> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    pub(crate) fn tables(&self) -> MutexGuard<'_, BTreeMap<String, DeltaLog>> {
        lock(&self.tables)
    }

    /// The number of the last commit, 0 when there is none, and the files of `packets`.
    pub(crate) fn last_commit(&self) -> Result<(u64, Vec<TableFile>), ArchiveError> {
        let tables = self.tables();
        let packets = table(&tables, PACKETS)?;
        let last = packets.txn(COMMITS)?.unwrap_or(0).unsigned_abs();
        Ok((last, packets.files()?))
    }
}
