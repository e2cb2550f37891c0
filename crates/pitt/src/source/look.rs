//! Looking through folders for packets and tarballs, and telling which files are whole.

use std::collections::{BTreeMap, HashMap};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use walkdir::{DirEntry, WalkDir};

use super::SourceError;

/// A file that was not touched for so long is whole, at first sight.
pub const SETTLED: Duration = Duration::from_secs(60);

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A packet: `.avro`, `.bin`, `.msg`, `.dat`.
    Packet,
    /// A tarball: `.tar`, `.tar.gz`, `.tgz`.
    Tarball,
    /// Something else: schemas, notes, hidden files.
    Other,
}

/// What a file is, by its name alone, so that a number given to a packet never changes its meaning.
pub fn kind(path: &Path) -> Kind {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if name.starts_with('.') {
        Kind::Other
    } else if ends(&[".avro", ".bin", ".msg", ".dat"]) {
        Kind::Packet
    } else if ends(&[".tar", ".tar.gz", ".tgz"]) {
        Kind::Tarball
    } else {
        Kind::Other
    }
}

/// By what one tells that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    pub(super) bytes: u64,
    /// Since 1970, ns; 0 where the file system does not tell.
    pub(super) modified_ns: i128,
}

impl FileState {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Self {
            bytes: metadata.len(),
            modified_ns: since_1970_ns(modified),
        }
    }

    pub(super) fn at(path: &Path) -> std::io::Result<Self> {
        Ok(Self::of(&std::fs::metadata(path)?))
    }
}

fn since_1970_ns(time: SystemTime) -> i128 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_nanos().cast_signed(),
        Err(before) => -before.duration().as_nanos().cast_signed(),
    }
}

/// Tells files that are whole from those still being written, which have no mark of it.
///
/// A file is taken for whole when it is as it was at the look before, or was not touched for [`SETTLED`].
#[derive(Debug, Default)]
pub(super) struct Settling {
    before: HashMap<PathBuf, FileState>,
    now: HashMap<PathBuf, FileState>,
}

impl Settling {
    /// Whether a file is whole; asked once a look.
    pub(super) fn is_whole(&mut self, path: &Path, state: FileState) -> bool {
        let long_ago = since_1970_ns(SystemTime::now()) - SETTLED.as_nanos().cast_signed();
        if state.modified_ns < long_ago || self.before.get(path) == Some(&state) {
            return true;
        }
        self.now.insert(path.to_owned(), state);
        false
    }

    /// Ends a look.
    pub(super) fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }
}

/// What one look at the paths found.
#[derive(Default)]
pub(super) struct Look {
    /// Packet files, by the folder named, relative to it.
    pub(super) loose: BTreeMap<PathBuf, Vec<(PathBuf, FileState)>>,
    pub(super) tarballs: Vec<(PathBuf, FileState)>,
    /// Files that are no packets, by ending.
    pub(super) left_out: BTreeMap<String, u64>,
    /// Files that are too large for packets.
    pub(super) too_large: Vec<PathBuf>,
}

impl Look {
    /// Looks through one path, a file or a folder.
    ///
    /// # Errors
    /// It does not exist, or cannot be looked into.
    pub(super) fn path(&mut self, path: &Path, max_bytes: u64) -> Result<(), SourceError> {
        let failed = |source| SourceError::Path {
            path: path.display().to_string(),
            source,
        };
        let path = std::fs::canonicalize(path).map_err(failed)?;
        let root = if path.is_file() {
            path.parent().unwrap_or(&path)
        } else {
            &path
        }
        .to_owned();
        if path.is_dir() {
            self.loose.entry(root.clone()).or_default();
        }
        for entry in WalkDir::new(&path).follow_links(true).sort_by_file_name() {
            match entry {
                Ok(entry) if entry.file_type().is_file() => self.file(&root, entry, max_bytes),
                Ok(_) => {}
                Err(error) => tracing::error!("{error} (left out)"),
            }
        }
        Ok(())
    }

    fn file(&mut self, root: &Path, entry: DirEntry, max_bytes: u64) {
        let state = match entry.metadata() {
            Ok(metadata) => FileState::of(&metadata),
            Err(error) => {
                tracing::error!("{error} (left out)");
                return;
            }
        };
        match kind(entry.path()) {
            Kind::Tarball => self.tarballs.push((entry.into_path(), state)),
            Kind::Packet if state.bytes > max_bytes => self.too_large.push(entry.into_path()),
            Kind::Packet => {
                let path = entry.path();
                let name = path.strip_prefix(root).unwrap_or(path).to_owned();
                let found = self.loose.entry(root.to_owned()).or_default();
                found.push((name, state));
            }
            Kind::Other => *self.left_out.entry(ending(entry.path())).or_default() += 1,
        }
    }
}

fn ending(path: &Path) -> String {
    match path.extension() {
        Some(ending) => format!(".{}", ending.to_string_lossy()),
        None => path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
    }
}
