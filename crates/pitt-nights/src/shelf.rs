//! Which nights are here.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checksums::Md5;
use crate::error::NightsError;
use crate::listing::Release;
use crate::transfer::note_path;

/// The folder `<archive>/nights`: one note a night, and what is on its way.
///
/// | file | what |
/// |---|---|
/// | `ztf_public_20181129.json` | [`Shelved`]: what became of the night |
/// | `ztf_public_20181129.tar.gz.part` | a tarball on its way; `.part.json` beside it says from where |
/// | `ztf_public_20181129.tar.gz.part.wrong-checksum` | one that was not what it should be |
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: PathBuf,
}

/// What became of a night.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelved {
    /// YYYYMMDD, as in the file's name.
    pub night: i32,
    /// Where it came from.
    pub url: String,
    /// Partition of the archive's ledger under which its packets stand.
    pub partition: String,
    /// Checksum of the tarball; of the listed one while it is not whole.
    pub md5: Option<Md5>,
    /// Bytes of the tarball.
    pub size: u64,
    /// Packets in it.
    pub packets: u64,
    /// Members that were not taken, and why.
    pub refused: Vec<String>,
    /// How often it was begun from its first byte: 1 unless a checksum was wrong.
    pub attempt: u32,
    /// Whether all its packets are in the archive.
    pub complete: bool,
}

impl Shelf {
    /// The shelf in `folder`, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(&self) -> Result<(), NightsError> {
        std::fs::create_dir_all(&self.folder).map_err(NightsError::disk(&self.folder))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file into which a night is fetched.
    pub fn part(&self, release: &Release) -> PathBuf {
        self.folder.join(format!("{}.part", release.name))
    }

    /// Bytes of a night that are here already.
    pub fn begun(&self, release: &Release) -> u64 {
        std::fs::metadata(self.part(release)).map_or(0, |file| file.len())
    }

    /// What became of a night; `None` when it was never begun.
    ///
    /// # Errors
    /// Its note cannot be read.
    pub fn get(&self, night: i32) -> Result<Option<Shelved>, NightsError> {
        let path = self.note(night);
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| NightsError::Note {
                    path,
                    reason: error.to_string(),
                }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(NightsError::Disk { path, source }),
        }
    }

    /// All nights begun, the oldest first.
    ///
    /// # Errors
    /// The folder or a note cannot be read. A folder that does not exist has none.
    pub fn all(&self) -> Result<Vec<Shelved>, NightsError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(NightsError::disk(&self.folder)(error)),
        };
        let mut nights: Vec<i32> = entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name();
                let name = name.to_str()?.strip_prefix("ztf_public_")?;
                name.strip_suffix(".json")?.parse().ok()
            })
            .collect();
        nights.sort_unstable();
        let shelved = nights.into_iter().map(|night| self.get(night));
        shelved.filter_map(Result::transpose).collect()
    }

    /// Notes what became of a night, durably and in one step.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn put(&self, shelved: &Shelved) -> Result<(), NightsError> {
        let path = self.note(shelved.night);
        let new = path.with_extension("json.new");
        let text = serde_json::to_string_pretty(shelved).unwrap_or_default();
        let write = || -> std::io::Result<()> {
            use std::io::Write;
            let mut file = std::fs::File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            std::fs::File::open(&self.folder)?.sync_all()
        };
        write().map_err(NightsError::disk(&path))
    }

    /// Takes a night's tarball off the shelf: into the folder `keep`, or away.
    ///
    /// # Errors
    /// It cannot be moved or removed.
    pub fn clear(&self, release: &Release, keep: Option<&Path>) -> Result<(), NightsError> {
        let part = self.part(release);
        let _ = std::fs::remove_file(note_path(&part));
        match keep {
            Some(folder) => keep_file(&part, folder, &release.name),
            None if part.exists() => std::fs::remove_file(&part).map_err(NightsError::disk(&part)),
            None => Ok(()),
        }
    }

    fn note(&self, night: i32) -> PathBuf {
        self.folder.join(format!("ztf_public_{night}.json"))
    }
}

/// Moves a file, also to another file system.
fn keep_file(part: &Path, folder: &Path, name: &str) -> Result<(), NightsError> {
    let kept = folder.join(name);
    let moved = std::fs::create_dir_all(folder).and_then(|()| {
        std::fs::rename(part, &kept).or_else(|_| {
            let copy = folder.join(format!("{name}.part"));
            std::fs::copy(part, &copy)?;
            std::fs::rename(&copy, &kept)?;
            std::fs::remove_file(part)
        })
    });
    moved.map_err(NightsError::disk(&kept))
}
