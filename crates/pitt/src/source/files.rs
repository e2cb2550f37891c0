//! Folders of packets and tarballs, however deep.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pitt_alert::{Packet, Position};
use walkdir::WalkDir;

use super::manifest::Manifest;
use super::{Outlet, Positions, SourceError, SourceReport, now_us, tarball};

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

/// How files are read.
#[derive(Clone, Debug)]
pub struct FilesOptions {
    /// Folders, packet files, tarballs.
    pub paths: Vec<PathBuf>,
    /// Where the lists of discovered files are kept: `<archive>/sources`.
    pub sources: PathBuf,
    /// Stay for new files, looking every so often.
    pub follow: Option<Duration>,
    /// Larger files are not packets.
    pub max_file_bytes: u64,
}

/// Packets from files.
pub struct Files {
    options: FilesOptions,
    /// Manifest and next number of each folder with loose files.
    folders: BTreeMap<PathBuf, (Manifest, usize)>,
    /// First packet to read of each tarball; `None` once it was read.
    tarballs: BTreeMap<PathBuf, Option<i64>>,
    report: SourceReport,
}

/// What one look at the paths found.
#[derive(Default)]
struct Look {
    loose: BTreeMap<PathBuf, Vec<PathBuf>>,
    tarballs: Vec<PathBuf>,
    left_out: BTreeMap<String, u64>,
}

impl Files {
    /// Looks through the paths once, so that a wrong one is an error at once.
    ///
    /// # Errors
    /// A path does not exist, or the list of files cannot be kept.
    pub fn open(options: FilesOptions, positions: &dyn Positions) -> Result<Self, SourceError> {
        let mut files = Self {
            options,
            folders: BTreeMap::new(),
            tarballs: BTreeMap::new(),
            report: SourceReport::default(),
        };
        files.look()?;
        for (root, (manifest, next)) in &mut files.folders {
            let stands = positions.next_offset(&partition(root))?.max(0);
            *next = usize::try_from(stands).unwrap_or(usize::MAX);
            manifest.check(*next)?;
            files.report.passed_over += *next as u64;
        }
        for (path, next) in &mut files.tarballs {
            *next = Some(positions.next_offset(&format!("tar:{}", path.display()))?);
        }
        Ok(files)
    }

    /// Loose files still to be read; tarballs do not say how many packets they hold.
    pub fn waiting(&self) -> u64 {
        self.folders
            .values()
            .map(|(manifest, next)| (manifest.names().len() - next) as u64)
            .sum()
    }

    /// Hands out every packet, then ends, or stays if it follows.
    ///
    /// # Errors
    /// A path is gone, or the list of files cannot be kept.
    pub fn run(mut self, outlet: &mut dyn Outlet) -> Result<SourceReport, SourceError> {
        while self.loose(outlet).is_continue() && self.packed(outlet).is_continue() {
            let Some(wait) = self.options.follow else {
                break;
            };
            if outlet.pause(wait).is_break() {
                break;
            }
            self.look()?;
        }
        Ok(self.report)
    }

    fn packed(&mut self, outlet: &mut dyn Outlet) -> ControlFlow<()> {
        for (path, start) in &mut self.tarballs {
            if let Some(start) = start.take() {
                let bytes = self.options.max_file_bytes;
                tarball::read(path, start, bytes, outlet, &mut self.report)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn loose(&mut self, outlet: &mut dyn Outlet) -> ControlFlow<()> {
        for (root, (manifest, next)) in &mut self.folders {
            let partition: Arc<str> = partition(root).into();
            for name in &manifest.names()[*next..] {
                let packet = Packet {
                    position: Position {
                        partition: partition.clone(),
                        offset: *next as i64,
                    },
                    name: name.to_string_lossy().into(),
                    received_us: now_us(),
                    bytes: content(&root.join(name), &mut self.report),
                };
                *next += 1;
                self.report.packets += 1;
                outlet.packet(packet)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn look(&mut self) -> Result<(), SourceError> {
        let mut look = Look::default();
        for path in &self.options.paths {
            look.path(path, self.options.max_file_bytes)?;
        }
        for (root, names) in look.loose {
            let (manifest, _) = match self.folders.entry(root) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => {
                    let manifest = Manifest::open(&self.options.sources, new.key())?;
                    new.insert((manifest, 0))
                }
            };
            manifest.add(names)?;
        }
        for path in look.tarballs {
            self.tarballs.entry(path).or_insert(Some(0));
        }
        self.report.left_out = look.left_out;
        Ok(())
    }
}

impl Look {
    fn path(&mut self, path: &Path, max_bytes: u64) -> Result<(), SourceError> {
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
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    tracing::error!("{error} (left out)");
                    continue;
                }
            };
            if !entry.file_type().is_file() {
                continue;
            }
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            match kind(entry.path()) {
                Kind::Tarball => self.tarballs.push(entry.into_path()),
                Kind::Packet if size <= max_bytes => {
                    let name = entry
                        .path()
                        .strip_prefix(&root)
                        .unwrap_or(entry.path())
                        .to_owned();
                    self.loose.entry(root.clone()).or_default().push(name);
                }
                _ => *self.left_out.entry(ending(entry.path())).or_default() += 1,
            }
        }
        Ok(())
    }
}

fn partition(root: &Path) -> String {
    format!("dir:{}", root.display())
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

/// A file's bytes. One that cannot be read comes out empty, and so is counted, in quarantine.
fn content(path: &Path, report: &mut SourceReport) -> Bytes {
    match std::fs::read(path) {
        Ok(bytes) => bytes.into(),
        Err(error) => {
            tracing::error!("cannot read packet `{}`: {error}", path.display());
            report.damaged.push(format!("{}: {error}", path.display()));
            Bytes::new()
        }
    }
}
