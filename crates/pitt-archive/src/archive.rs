//! An open archive: its tables, its index, and the questions it answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use object_store::ObjectStore;
use pitt_alert::{Position, SchemaStore};

use crate::answer::{ConeHit, Point, StoredPacket};
use crate::book::Book;
use crate::delta::{DeltaLog, Site, TableFile};
use crate::error::ArchiveError;
use crate::fresh::Fresh;
use crate::index::{Index, Location};
use crate::read::{self, JoinedPacket, OpenFiles};
use crate::scan;
use crate::tables::{self, ALERTS, COMMITS, PACKETS, PacketCompression, SCHEMAS};
use crate::turns::{self, Lane};
use crate::writer::table;

/// Processes that can write one archive at the same time.
const MOST_LANES: u32 = 1000;

/// How an archive is opened.
#[derive(Clone)]
pub struct ArchiveOptions {
    /// Creates the folder and the tables if they are not there; otherwise that is an error. Default: yes.
    pub create: bool,
    /// Folder of the index; default `index` in the archive.
    pub index: Option<PathBuf>,
    /// Memory for blocks of the index. Default: 64 MB.
    pub index_cache_bytes: u64,
    /// How packets are compressed. Default: Zstandard, level 1.
    pub compression: PacketCompression,
    /// A data file is closed when it has this size. Default: 512 MB.
    pub file_bytes: u64,
    /// A commit is due after this time. Default: 10 s.
    pub commit_every: Duration,
    /// A commit is due when this much is waiting. Default: 512 MB.
    pub commit_bytes: u64,
    /// Lets several processes write this archive at the same time, each in a lane of its own, and makes outcomes and
    /// match numbers durable with each append, before the commit. Default: no; a second writer is refused.
    pub claims: bool,
    /// Memory for rows that are appended and not committed yet, so that [`Archive::latest`] has them. Default: 0, none are kept.
    pub fresh_bytes: usize,
    /// The store that the Delta logs go through; default: the file system, synced. For tests that let it fail.
    pub store: Option<Arc<dyn ObjectStore>>,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self {
            create: true,
            index: None,
            index_cache_bytes: 64 << 20,
            compression: PacketCompression::default(),
            file_bytes: 512 << 20,
            commit_every: Duration::from_secs(10),
            commit_bytes: 512 << 20,
            claims: false,
            fresh_bytes: 0,
            store: None,
        }
    }
}

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
    pub(crate) site: Site,
    pub(crate) options: Arc<ArchiveOptions>,
    pub(crate) tables: Mutex<BTreeMap<String, DeltaLog>>,
    pub(crate) writing: AtomicBool,
    pub(crate) lane: Option<Lane>,
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
    /// Opens the archive in a folder, by path or `file://` URL.
    ///
    /// When another process has the index open, this one can still read: it looks alerts up by scanning the
    /// tables, pruned by their statistics ([`Archive::has_index`] tells), and cannot write.
    ///
    /// # Errors
    ///
    /// When the location is no folder or cannot be created, or a table cannot be read.
    pub fn open(location: &str, options: ArchiveOptions) -> Result<Self, ArchiveError> {
        let root = folder_of(location, options.create)?;
        let site = Site::new(&root, options.store.clone())?;
        let (lane, index) = own_index(&root, &options)?;
        let tables = if options.create && !has_tables(&root) {
            // Several processes may be the first.
            let _turn = turns::turn(&root)?;
            open_tables(&site, true)?
        } else {
            open_tables(&site, options.create)?
        };
        let inner = Inner {
            tables: Mutex::new(tables),
            lane,
            site,
            fresh: Mutex::new(Fresh::new(options.fresh_bytes)),
            options: Arc::new(options),
            writing: AtomicBool::new(false),
            index: RwLock::new(index),
            following: Mutex::default(),
            packet_files: RwLock::default(),
            open_files: OpenFiles::new(256),
            book: Mutex::default(),
        };
        let archive = Self {
            inner: Arc::new(inner),
        };
        archive.inner.catch_up()?;
        Ok(archive)
    }

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

    /// Reads what other processes have committed since.
    pub fn refresh(&self) -> Result<(), ArchiveError> {
        {
            let mut tables = lock(&self.inner.tables);
            let newer = open_tables(&self.inner.site, false)?;
            *tables = newer;
        }
        self.inner.catch_up()
    }

    /// Takes in what other processes have committed since, from where this one stood; says whether that was anything.
    ///
    /// Cheaper than [`Archive::refresh`]: for a process that looks again and again.
    pub fn follow(&self) -> Result<bool, ArchiveError> {
        let versions = |tables: &BTreeMap<String, DeltaLog>| {
            let versions = tables
                .iter()
                .map(|(name, log)| (name.clone(), log.version()));
            versions.collect::<BTreeMap<_, _>>()
        };
        let before = versions(&self.inner.tables());
        self.inner.update_tables()?;
        if versions(&self.inner.tables()) == before {
            return Ok(false);
        }
        self.inner.catch_up()?;
        Ok(true)
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

    /// One alert's packet, byte for byte as it was received; `None` if it is not stored.
    pub fn packet(
        &self,
        survey: &str,
        alert_id: i64,
    ) -> Result<Option<StoredPacket>, ArchiveError> {
        Ok(self.packets(&[(survey, alert_id)])?.pop().flatten())
    }

    /// Packets of many alerts, in the order asked for. Quicker than one by one where they are near each other, as alerts are that were
    /// received together.
    pub fn packets(
        &self,
        wanted: &[(&str, i64)],
    ) -> Result<Vec<Option<StoredPacket>>, ArchiveError> {
        let mut places = Vec::with_capacity(wanted.len());
        for (survey, alert_id) in wanted {
            places.push(match &*self.inner.index() {
                Some(index) => index.locate(survey, *alert_id)?,
                None => scan::locate(self, survey, *alert_id)?,
            });
        }
        let mut files: BTreeMap<(u64, u32), BTreeSet<u64>> = BTreeMap::new();
        for at in places.iter().flatten() {
            let rows = files.entry((at.commit, at.number)).or_default();
            rows.insert(at.row);
        }
        let mut joined = HashMap::new();
        for ((commit, number), rows) in files {
            let rows: Vec<u64> = rows.into_iter().collect();
            let packets = self.inner.join_rows((commit, number), &rows)?;
            joined.extend(rows.iter().map(|row| (commit, number, *row)).zip(packets));
        }
        let stored = |((survey, alert_id), at): (&(&str, i64), Option<Location>)| {
            let at = at?;
            let packet = joined.get(&(at.commit, at.number, at.row))?.clone();
            Some(packet.stored(survey, *alert_id, at.record))
        };
        Ok(wanted.iter().zip(places).map(stored).collect())
    }

    /// The packets of an alert id, in every survey that has it.
    pub fn find(&self, alert_id: i64) -> Result<Vec<StoredPacket>, ArchiveError> {
        let mut found = Vec::new();
        for survey in self.surveys() {
            found.extend(self.packet(&survey, alert_id)?);
        }
        Ok(found)
    }

    /// An object's detections, one from each of its alerts, in order of time.
    pub fn light_curve(&self, object_id: &str) -> Result<Vec<Point>, ArchiveError> {
        match &*self.inner.index() {
            Some(index) => index.light_curve(object_id),
            None => scan::light_curve(self, object_id),
        }
    }

    /// Objects within a radius of a position, nearest first.
    ///
    /// | argument | unit | meaning |
    /// |---|---|---|
    /// | `ra`, `dec` | deg (ICRS) | center |
    /// | `radius_arcsec` | arcsec | up to a few degrees; larger areas are a query on `alerts` |
    pub fn cone(
        &self,
        ra: f64,
        dec: f64,
        radius_arcsec: f64,
    ) -> Result<Vec<ConeHit>, ArchiveError> {
        match &*self.inner.index() {
            Some(index) => index.cone(ra, dec, radius_arcsec),
            None => scan::cone(self, ra, dec, radius_arcsec),
        }
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

    /// Deletes the index and makes it again from the tables; returns the rows read.
    pub fn rebuild_index(&self) -> Result<u64, ArchiveError> {
        let _following = self.inner.following();
        self.inner.rebuild_index()
    }
}

/// The folder a location names, canonical.
pub(crate) fn folder_of(location: &str, create: bool) -> Result<PathBuf, ArchiveError> {
    let path = location.strip_prefix("file://").unwrap_or(location);
    let path = PathBuf::from(path);
    if location.contains("://") && !location.starts_with("file://") || path.is_file() {
        return Err(ArchiveError::Location {
            location: location.to_owned(),
        });
    }
    if create {
        std::fs::create_dir_all(&path).map_err(ArchiveError::io(&path))?;
    }
    path.canonicalize().map_err(ArchiveError::io(&path))
}

/// Whether all tables that every archive has are there.
fn has_tables(root: &Path) -> bool {
    let log = |name: &str| root.join(name).join("_delta_log");
    tables::fixed().iter().all(|(name, _)| log(name).is_dir())
}

fn open_tables(site: &Site, create: bool) -> Result<BTreeMap<String, DeltaLog>, ArchiveError> {
    let mut tables = BTreeMap::new();
    for (name, schema) in tables::fixed() {
        let opened = if create {
            Some(DeltaLog::open_or_create(site, name, &schema)?)
        } else {
            DeltaLog::open(site, name)?
        };
        tables.extend(opened.map(|log| (name.to_owned(), log)));
    }
    if !tables.contains_key(PACKETS) {
        return Err(ArchiveError::Format {
            table: PACKETS.to_owned(),
            detail: format!("{} holds no archive", site.root.display()),
        });
    }
    for name in survey_tables(site)? {
        tables.extend(DeltaLog::open(site, &name)?.map(|log| (name, log)));
    }
    Ok(tables)
}

/// Names of the tables of alerts that have a folder.
fn survey_tables(site: &Site) -> Result<Vec<String>, ArchiveError> {
    let folder = site.root.join(ALERTS);
    let surveys = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ArchiveError::io(&folder)(error)),
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.map_err(ArchiveError::io(&folder))?;
        Ok(tables::alerts(&entry.file_name().to_string_lossy()))
    };
    surveys.map(name).collect()
}

/// The lane and the index of this process. Without claims there is no lane: whoever opens the index may write.
fn own_index(
    root: &Path,
    options: &ArchiveOptions,
) -> Result<(Option<Lane>, Option<Index>), ArchiveError> {
    let first = options.index.clone().unwrap_or_else(|| root.join("index"));
    if !options.claims {
        return Ok((None, Index::open(&first, options.index_cache_bytes)?));
    }
    for number in 0..MOST_LANES {
        let Some(lane) = Lane::take(root, number)? else {
            continue;
        };
        let mut folder = first.clone().into_os_string();
        if number > 0 {
            folder.push(format!("-{number}"));
        }
        // One that a reader has open is left to it.
        if let Some(index) = Index::open(Path::new(&folder), options.index_cache_bytes)? {
            return Ok((Some(lane), Some(index)));
        }
    }
    Err(ArchiveError::InUse {
        path: root.join(turns::LANES),
    })
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

    /// Waits until no other thread lets the index follow.
    pub(crate) fn following(&self) -> MutexGuard<'_, ()> {
        lock(&self.following)
    }

    /// Brings everything derived in memory and the index up to the tables.
    pub(crate) fn catch_up(&self) -> Result<(), ArchiveError> {
        let _following = self.following();
        let listed = self.list_indexed()?;
        {
            let tables = self.tables();
            if let Some(schemas) = tables.get(SCHEMAS) {
                self.book().read(&schemas.files()?)?;
            }
            let mut stale = false;
            if let Some(index) = &*self.index() {
                for (table, files) in &listed {
                    stale |= !index.fits(&tables[table], files)?;
                }
            }
            if stale {
                tracing::warn!("the index does not belong to the tables: it is made again");
                drop(tables);
                self.rebuild_index()?;
                return Ok(());
            }
        }
        self.follow(&listed).map(drop)
    }

    /// The tables the index follows, with their files; also notes where the files of `packets` are.
    fn list_indexed(&self) -> Result<Vec<(String, Vec<TableFile>)>, ArchiveError> {
        let tables = self.tables();
        let mut listed = Vec::new();
        for (name, log) in tables.iter() {
            if name == PACKETS || name == tables::FORCED || name.starts_with("alerts/") {
                listed.push((name.clone(), log.files()?));
            }
        }
        for (name, files) in &listed {
            if name == PACKETS {
                self.note_packet_files(files);
            }
        }
        Ok(listed)
    }

    pub(crate) fn note_packet_files(&self, files: &[TableFile]) {
        let mut known = self
            .packet_files
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.extend(
            files
                .iter()
                .map(|f| ((f.name.commit, f.name.number), f.path.clone())),
        );
    }

    /// Reads what others have committed, also tables that are new.
    pub(crate) fn update_tables(&self) -> Result<(), ArchiveError> {
        let mut tables = self.tables();
        for log in tables.values_mut() {
            log.update()?;
        }
        for name in survey_tables(&self.site)? {
            if !tables.contains_key(&name) {
                tables.extend(DeltaLog::open(&self.site, &name)?.map(|log| (name, log)));
            }
        }
        Ok(())
    }

    /// The number of the last commit, 0 when there is none, and the files of `packets`.
    pub(crate) fn last_commit(&self) -> Result<(u64, Vec<TableFile>), ArchiveError> {
        let tables = self.tables();
        let packets = table(&tables, PACKETS)?;
        let last = packets.txn(COMMITS)?.unwrap_or(0).unsigned_abs();
        Ok((last, packets.files()?))
    }

    fn follow(&self, listed: &[(String, Vec<TableFile>)]) -> Result<u64, ArchiveError> {
        let mut rows = 0;
        for (table, files) in listed {
            rows += self.follow_table(table, files)?;
        }
        Ok(rows)
    }

    /// Lets the index take in a table's files.
    pub(crate) fn follow_table(
        &self,
        table: &str,
        files: &[TableFile],
    ) -> Result<u64, ArchiveError> {
        let tables = self.tables();
        match (&*self.index(), tables.get(table)) {
            (Some(index), Some(log)) => index.follow(log, files),
            _ => Ok(0),
        }
    }

    fn rebuild_index(&self) -> Result<u64, ArchiveError> {
        {
            let mut index = self.index_mut();
            let Some(open) = index.take() else {
                return Err(ArchiveError::InUse {
                    path: self.site.root.join("index"),
                });
            };
            let folder = open.folder().to_owned();
            drop(open);
            std::fs::remove_dir_all(&folder).map_err(ArchiveError::io(&folder))?;
            *index = Index::open(&folder, self.options.index_cache_bytes)?;
        }
        self.follow(&self.list_indexed()?)
    }

    /// The packet at a place.
    pub(crate) fn read_packet(
        &self,
        survey: &str,
        alert_id: i64,
        at: Location,
    ) -> Result<Option<StoredPacket>, ArchiveError> {
        let joined = self.join_rows((at.commit, at.number), &[at.row])?.pop();
        Ok(joined.map(|joined| joined.stored(survey, alert_id, at.record)))
    }

    /// Where a file of packets is. One that is committed at this moment may be in the log and not yet among those noted.
    fn packet_path(&self, (commit, number): (u64, u32)) -> Result<PathBuf, ArchiveError> {
        let noted = {
            let files = self
                .packet_files
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            files.get(&(commit, number)).cloned()
        };
        if let Some(path) = noted {
            return Ok(path);
        }
        let files = table(&self.tables(), PACKETS)?.files()?;
        let named = |file: &TableFile| (file.name.commit, file.name.number) == (commit, number);
        let found = files.into_iter().find(named).map(|file| file.path);
        found.ok_or_else(|| ArchiveError::Format {
            table: PACKETS.to_owned(),
            detail: format!("no file {commit}-{number} in the log"),
        })
    }

    /// Puts together the packets in rows of a file, which ascend.
    pub(crate) fn join_rows(
        &self,
        file: (u64, u32),
        rows: &[u64],
    ) -> Result<Vec<JoinedPacket>, ArchiveError> {
        let path = self.packet_path(file)?;
        let batches = self.open_files.packet_rows(&path, rows)?;
        let book = self.book();
        let each = batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(move |i| (batch, i)));
        let join = |(row, (batch, i)): (&u64, (&RecordBatch, usize))| {
            let damaged = |detail: String| ArchiveError::Damaged {
                path: path.display().to_string(),
                row: *row,
                detail,
            };
            let joined = read::join_row(batch, i, |id| book.header(id)).map_err(damaged)?;
            joined.ok_or_else(|| damaged("the row carries no packet".to_owned()))
        };
        rows.iter().zip(each).map(join).collect()
    }
}

impl JoinedPacket {
    fn stored(self, survey: &str, alert_id: i64, record: u32) -> StoredPacket {
        StoredPacket {
            survey: survey.to_owned(),
            alert_id,
            bytes: self.bytes,
            schema: self.schema,
            position: Position {
                partition: self.partition.into(),
                offset: self.offset,
            },
            record,
            name: self.name.into(),
            received_us: self.received_us,
        }
    }
}
