//! The list of a folder's packet files, which gives each a number for ever.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::SourceError;

/// The packet files of one folder in the order of their discovery.
///
/// # Format
/// `<archive>/sources/<hash of the path>.list`, text. Line 1 is `pitt-sources 1 <absolute path>`. Each further line is the
/// path of one file below that folder; bytes other than printable ASCII, and `%`, are written `%XX`. The number of a
/// file is its line's, counted from 0 after the first line.
///
/// Lines are only ever appended, the new files of one look sorted by name, and are fsynced before the first of them
/// is read: a number that the archive has seen means the same file after any crash. A last line without its newline
/// was never used and is cut off.
#[derive(Debug)]
pub struct Manifest {
    path: PathBuf,
    root: PathBuf,
    names: Vec<PathBuf>,
    known: HashSet<PathBuf>,
    kept: usize,
}

const TITLE: &str = "pitt-sources 1 ";

impl Manifest {
    /// Opens the list of `root`, an absolute folder, kept under `sources`; an empty one if there is none.
    ///
    /// # Errors
    /// It cannot be read or written, or is something else.
    pub fn open(sources: &Path, root: &Path) -> Result<Self, SourceError> {
        let hash = xxhash_rust::xxh3::xxh3_64(root.as_os_str().as_bytes());
        let path = sources.join(format!("{hash:016x}.list"));
        let mut manifest = Self {
            path,
            root: root.into(),
            names: vec![],
            known: HashSet::default(),
            kept: 0,
        };
        if manifest.path.exists() {
            manifest.read()?;
            manifest.kept = manifest.names.len();
        } else {
            fs::create_dir_all(sources).map_err(|source| manifest.failed(source))?;
            let title = format!("{TITLE}{}\n", escape(root));
            manifest
                .write(title.as_bytes())
                .map_err(|source| manifest.failed(source))?;
            File::open(sources)
                .and_then(|folder| folder.sync_all())
                .ok();
        }
        Ok(manifest)
    }

    /// Checks that the list is the one by which an archive has counted `next` files.
    ///
    /// # Errors
    /// It held fewer when it was opened: it was lost, and the numbers would now mean other files.
    pub fn check(&self, next: usize) -> Result<(), SourceError> {
        if next <= self.kept {
            return Ok(());
        }
        if self.kept == 0 {
            // Begun anew just now: it must not pass for the lost one the next time.
            let _ = fs::remove_file(&self.path);
        }
        Err(SourceError::LostManifest {
            path: self.path.display().to_string(),
            folder: self.root.display().to_string(),
            kept: self.kept,
            next,
        })
    }

    /// Adds the files not yet known, sorted by name, and returns how many they are. They are on disk when it returns.
    ///
    /// # Errors
    /// The list cannot be written.
    pub fn add(&mut self, found: Vec<PathBuf>) -> Result<usize, SourceError> {
        let mut new: Vec<PathBuf> = found
            .into_iter()
            .filter(|name| !self.known.contains(name))
            .collect();
        new.sort();
        new.dedup();
        let lines: String = new.iter().map(|name| escape(name) + "\n").collect();
        if !lines.is_empty() {
            self.write(lines.as_bytes())
                .map_err(|source| self.failed(source))?;
        }
        let count = new.len();
        self.known.extend(new.iter().cloned());
        self.names.extend(new);
        Ok(count)
    }

    /// The files in order, relative to the folder.
    pub fn names(&self) -> &[PathBuf] {
        &self.names
    }

    fn read(&mut self) -> Result<(), SourceError> {
        let bytes = fs::read(&self.path).map_err(|source| self.failed(source))?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        if whole < bytes.len() {
            let file = OpenOptions::new().write(true).open(&self.path);
            file.and_then(|file| file.set_len(whole as u64))
                .map_err(|source| self.failed(source))?;
        }
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let mut lines = text.lines();
        let title = format!("{TITLE}{}", escape(&self.root));
        match lines.next() {
            Some(first) if first == title => {}
            None => {
                return self
                    .write(format!("{title}\n").as_bytes())
                    .map_err(|e| self.failed(e));
            }
            Some(first) => return Err(self.foreign(1, format!("it begins with `{first}`"))),
        }
        for (index, line) in lines.enumerate() {
            let name = unescape(line)
                .ok_or_else(|| self.foreign(index + 2, format!("`{line}` is no file name")))?;
            self.known.insert(name.clone());
            self.names.push(name);
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn failed(&self, source: std::io::Error) -> SourceError {
        SourceError::Manifest {
            path: self.path.display().to_string(),
            source,
        }
    }

    fn foreign(&self, line: usize, what: String) -> SourceError {
        SourceError::ForeignManifest {
            path: self.path.display().to_string(),
            line,
            what,
        }
    }
}

fn escape(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f..=0xff => text.push_str(&format!("%{byte:02X}")),
            printable => text.push(char::from(*printable)),
        }
    }
    text
}

fn unescape(line: &str) -> Option<PathBuf> {
    let (mut bytes, mut rest) = (vec![], line.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    (!bytes.is_empty()).then(|| std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(manifest: &Manifest) -> Vec<String> {
        manifest
            .names()
            .iter()
            .map(|name| name.display().to_string())
            .collect()
    }

    #[test]
    fn numbers_stay_when_files_come_later() {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new("/nights");
        let mut manifest = Manifest::open(folder.path(), root).unwrap();
        assert_eq!(manifest.add(vec!["c".into(), "b".into()]).unwrap(), 2);
        let mut again = Manifest::open(folder.path(), root).unwrap();
        assert_eq!(
            again
                .add(vec!["a".into(), "b".into(), "new\nline %".into()])
                .unwrap(),
            2
        );
        assert_eq!(names(&again), ["b", "c", "a", "new\nline %"]);
        assert_eq!(
            names(&Manifest::open(folder.path(), root).unwrap()),
            names(&again)
        );
    }

    #[test]
    fn a_torn_last_line_was_never_used() {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new("/nights");
        let mut manifest = Manifest::open(folder.path(), root).unwrap();
        manifest.add(vec!["a".into()]).unwrap();
        manifest.write(b"hal").unwrap();
        let mut again = Manifest::open(folder.path(), root).unwrap();
        assert_eq!(names(&again), ["a"]);
        again.add(vec!["half".into()]).unwrap();
        assert_eq!(
            names(&Manifest::open(folder.path(), root).unwrap()),
            ["a", "half"]
        );
    }
}
