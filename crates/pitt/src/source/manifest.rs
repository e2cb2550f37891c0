//! The list of a folder's packet files, which gives each a number for ever.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
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
/// An open list is locked, so that two processes never number one folder's files. Nothing is written before files are
/// added, so that [`Manifest::check`] sees a list as it was found.
#[derive(Debug)]
pub struct Manifest {
    path: PathBuf,
    root: PathBuf,
    names: Vec<PathBuf>,
    known: HashSet<PathBuf>,
    /// Bytes of the file that are whole lines.
    whole: u64,
    file: File,
}

const TITLE: &str = "pitt-sources 1 ";

impl Manifest {
    /// Opens the list of `root`, an absolute folder, kept under `sources`; an empty one if there is none.
    ///
    /// # Errors
    /// It cannot be read or written, is something else, or another process has it open.
    pub fn open(sources: &Path, root: &Path) -> Result<Self, SourceError> {
        let hash = xxhash_rust::xxh3::xxh3_64(root.as_os_str().as_bytes());
        let path = sources.join(format!("{hash:016x}.list"));
        let failed = |source| SourceError::Manifest {
            path: path.display().to_string(),
            source,
        };
        fs::create_dir_all(sources).map_err(failed)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true);
        let file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) => {
                return Err(SourceError::BusyFolder {
                    folder: root.display().to_string(),
                });
            }
        }
        let mut manifest = Self {
            path,
            root: root.into(),
            names: vec![],
            known: HashSet::default(),
            whole: 0,
            file,
        };
        manifest.read()?;
        Ok(manifest)
    }

    /// Checks that the list is the one by which an archive has counted `next` files; to be asked before any is added.
    ///
    /// # Errors
    /// It holds fewer: it was lost or cut short, and the numbers would now mean other files.
    pub fn check(&self, next: usize) -> Result<(), SourceError> {
        let kept = self.names.len();
        if next <= kept {
            return Ok(());
        }
        Err(SourceError::LostManifest {
            path: self.path.display().to_string(),
            folder: self.root.display().to_string(),
            kept,
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
            self.write(&lines).map_err(|source| self.failed(source))?;
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

    /// Whether a file has its number.
    pub fn knows(&self, name: &Path) -> bool {
        self.known.contains(name)
    }

    fn read(&mut self) -> Result<(), SourceError> {
        let mut bytes = vec![];
        self.file
            .read_to_end(&mut bytes)
            .map_err(|source| self.failed(source))?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n');
        let whole = end.map_or(0, |at| at + 1);
        self.whole = whole as u64;
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let mut lines = text.lines();
        let title = self.title();
        match lines.next() {
            Some(first) if first == title => {}
            None => return Ok(()),
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

    fn title(&self) -> String {
        format!("{TITLE}{}", escape(&self.root))
    }

    /// Appends lines after the last whole one; a torn one is overwritten.
    fn write(&mut self, lines: &str) -> std::io::Result<()> {
        let new = self.whole == 0;
        let title = match new {
            true => self.title() + "\n",
            false => String::new(),
        };
        self.file.set_len(self.whole)?;
        self.file.seek(SeekFrom::Start(self.whole))?;
        self.file.write_all((title + lines).as_bytes())?;
        self.file.sync_all()?;
        self.whole = self.file.stream_position()?;
        match self.path.parent() {
            Some(folder) if new => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
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

/// A path as one word of a line.
pub(super) fn escape(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' | 0..=0x1f | 0x7f..=0xff => text.push_str(&format!("%{byte:02X}")),
            printable => text.push(char::from(*printable)),
        }
    }
    text
}

/// The path that a word stands for.
pub(super) fn unescape(line: &str) -> Option<PathBuf> {
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

    fn again(manifest: Manifest, folder: &Path) -> Manifest {
        let root = manifest.root.clone();
        drop(manifest);
        Manifest::open(folder, &root).unwrap()
    }

    fn begun(folder: &Path, files: &[&str]) -> Manifest {
        let mut manifest = Manifest::open(folder, Path::new("/nights")).unwrap();
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        assert_eq!(manifest.add(files.clone()).unwrap(), files.len());
        manifest
    }

    #[test]
    fn numbers_stay_when_files_come_later() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = again(begun(folder.path(), &["c", "b"]), folder.path());
        let found = vec!["a".into(), "b".into(), "new\nline %".into()];
        assert_eq!(manifest.add(found).unwrap(), 2);
        let all = ["b", "c", "a", "new\nline %"];
        assert_eq!(names(&manifest), all);
        assert_eq!(names(&again(manifest, folder.path())), all);
    }

    #[test]
    fn a_torn_last_line_was_never_used() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = begun(folder.path(), &["a"]);
        let list = manifest.path.clone();
        let torn = fs::read_to_string(&list).unwrap() + "hal";
        fs::write(&list, torn).unwrap();
        let mut manifest = again(manifest, folder.path());
        assert_eq!(names(&manifest), ["a"]);
        manifest.add(vec!["half".into()]).unwrap();
        assert_eq!(names(&again(manifest, folder.path())), ["a", "half"]);
    }

    #[test]
    fn a_list_cut_short_is_refused_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = begun(folder.path(), &["a", "b", "c"]);
        let list = manifest.path.clone();
        let whole = fs::read_to_string(&list).unwrap();
        fs::write(&list, whole.trim_end_matches("c\n")).unwrap();
        let mut manifest = again(manifest, folder.path());
        for _ in 0..2 {
            let refused = manifest.check(3).unwrap_err().to_string();
            assert!(refused.contains("lists 2 files"), "{refused}");
            manifest = again(manifest, folder.path());
        }
        assert!(manifest.check(2).is_ok());
    }

    #[test]
    fn one_process_numbers_the_files_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let held = begun(folder.path(), &["a"]);
        let refused = Manifest::open(folder.path(), Path::new("/nights")).unwrap_err();
        assert!(refused.to_string().contains("another"), "{refused}");
        drop(held);
        assert!(Manifest::open(folder.path(), Path::new("/nights")).is_ok());
    }
}
