//! The index: where an alert is, what points an object has, which objects are near.
//!
//! An embedded key-value store (`fjall`) in `<archive>/index` (`index-<lane>` for further processes that write). It holds nothing that the tables do not: it follows
//! their data files in order, remembers in the same atomic batch how far it has come, and can be deleted at any
//! time. One process at a time can have it open.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `meta` | table | table id, commit, file number: all files up to this one are in the index |
//! | `id` | survey, alert id | commit and number of the `packets` file, row of the packet, record |
//! | `lc` | object, time, alert id | survey, band, flux, error |
//! | `pos` | HEALPix cell of order 29, object, survey | right ascension, declination |
//! | `object` | object, survey | number of alerts, last time, last position |
//! | `forced` | object, survey | time of the newest forced point |
//!
//! Numbers in keys are big-endian with the sign flipped, so that bytes sort as numbers do; text ends in a zero
//! byte. After a process crash the index is as of the last batch; after a power cut it may be behind and
//! catches up when it is opened.

mod follow;
mod keys;
mod lookup;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::delta::{DeltaLog, TableFile};
use crate::error::ArchiveError;
use crate::{crash, tables};

/// Write buffer of a keyspace: small, because recovery replays it at 60,000 entries a second.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// Journal kept at most, for the same reason.
const JOURNAL_BYTES: u64 = 64 << 20;

/// Time that closing may spend on flushing.
const FLUSH_AT_CLOSING: Duration = Duration::from_secs(5);

/// An open index.
pub(crate) struct Index {
    db: Database,
    folder: PathBuf,
    meta: Keyspace,
    id: Keyspace,
    lc: Keyspace,
    pos: Keyspace,
    object: Keyspace,
    forced: Keyspace,
}

impl Index {
    /// Opens the index, or `None` when another process has it.
    pub(crate) fn open(folder: &Path, cache_bytes: u64) -> Result<Option<Self>, ArchiveError> {
        std::fs::create_dir_all(folder).map_err(ArchiveError::io(folder))?;
        let opened = Database::builder(folder)
            .cache_size(cache_bytes)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open();
        let db = match opened {
            Ok(db) => db,
            Err(fjall::Error::Locked) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let keyspace = |name: &str| {
            db.keyspace(name, || {
                KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES)
            })
        };
        Ok(Some(Self {
            meta: keyspace("meta")?,
            id: keyspace("id")?,
            lc: keyspace("lc")?,
            pos: keyspace("pos")?,
            object: keyspace("object")?,
            forced: keyspace("forced")?,
            folder: folder.to_owned(),
            db,
        }))
    }

    /// Folder of the index.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether what the index has of a table is a beginning of that table.
    pub(crate) fn fits(&self, table: &DeltaLog, files: &[TableFile]) -> Result<bool, ArchiveError> {
        let Some(mark) = self.watermark(&table.name)? else {
            return Ok(true);
        };
        Ok(mark.table_id == table.id() && files.iter().any(|f| keys::order(&f.name) == mark.file))
    }

    /// Takes in the files that the index does not have yet; `files` are in order.
    pub(crate) fn follow(
        &self,
        table: &DeltaLog,
        files: &[TableFile],
    ) -> Result<u64, ArchiveError> {
        let done = self.watermark(&table.name)?.map(|mark| mark.file);
        let mut rows = 0;
        for file in files
            .iter()
            .filter(|f| done.is_none_or(|d| keys::order(&f.name) > d))
        {
            let mut batch = self.db.batch().durability(Some(PersistMode::Buffer));
            match table.name.as_str() {
                tables::PACKETS => self.add_packets(&mut batch, file)?,
                tables::FORCED => self.add_forced(&mut batch, file)?,
                _ => self.add_alerts(&mut batch, file)?,
            }
            batch.insert(
                &self.meta,
                table.name.as_bytes(),
                keys::watermark(table.id(), &file.name),
            );
            crash::point("index-before-batch");
            batch.commit()?;
            crash::point("index-after-batch");
            rows += file.rows;
        }
        Ok(rows)
    }

    fn watermark(&self, table: &str) -> Result<Option<Watermark>, ArchiveError> {
        let value = self.meta.get(table.as_bytes())?;
        Ok(value.and_then(|v| keys::read_watermark(&v)))
    }
}

impl Drop for Index {
    /// Leaves little to replay for the next opening, which would else take seconds. Gives up after a while: on a full
    /// disk nothing can be flushed, and the journal has it all.
    fn drop(&mut self) {
        let keyspaces = [
            &self.meta,
            &self.id,
            &self.lc,
            &self.pos,
            &self.object,
            &self.forced,
        ];
        if keyspaces
            .iter()
            .any(|keyspace| keyspace.rotate_memtable().is_err())
        {
            return;
        }
        let deadline = Instant::now() + FLUSH_AT_CLOSING;
        while keyspaces
            .iter()
            .any(|keyspace| keyspace.sealed_memtable_count() > 0)
            && Instant::now() < deadline
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// How far the index has followed a table.
pub(crate) struct Watermark {
    pub(crate) table_id: String,
    pub(crate) file: (u64, u32),
}
