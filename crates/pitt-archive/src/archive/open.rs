//! Opening an archive: its folder, its tables, the lane and the index of this process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};

use super::{Archive, ArchiveOptions, Inner};
use crate::delta::{DeltaLog, Site};
use crate::error::ArchiveError;
use crate::fresh::Fresh;
use crate::index::Index;
use crate::read::OpenFiles;
use crate::tables::{self, ALERTS, PACKETS};
use crate::turns::{self, Lane};

/// Processes that can write one archive at the same time.
const MOST_LANES: u32 = 1000;
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

pub(super) fn open_tables(
    site: &Site,
    create: bool,
) -> Result<BTreeMap<String, DeltaLog>, ArchiveError> {
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
pub(super) fn survey_tables(site: &Site) -> Result<Vec<String>, ArchiveError> {
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
