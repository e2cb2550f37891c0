//! The list of tarballs that were read to their end, so that they need not be unpacked again to find that out.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::look::FileState;
use super::manifest::{escape, unescape};

/// Tarballs read to their end.
///
/// # Format
/// `<archive>/sources/tarballs.list`, text. Line 1 is `pitt-tarballs 1`. Each further line is the number of packets, the
/// size in bytes, the time of last change in nanoseconds since 1970 and the absolute path, escaped as in a
/// [manifest](super::manifest::Manifest); of several lines for a path the last counts.
///
/// It is only ever a hint: a tarball is passed over when the archive stands behind its last packet and the
/// file has neither grown nor been touched. Without the list, or with lines lost or torn, tarballs are unpacked again
/// and give no packet twice. So lines are appended without further care.
#[derive(Debug)]
pub(super) struct Finished {
    path: PathBuf,
    known: HashMap<PathBuf, (FileState, i64)>,
}

const TITLE: &str = "pitt-tarballs 1";

impl Finished {
    /// Reads the list kept under `sources`, if there is one.
    pub(super) fn open(sources: &Path) -> Self {
        let path = sources.join("tarballs.list");
        let text = fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let ours = lines.next() == Some(TITLE);
        let known = lines.filter(|_| ours).filter_map(line).collect();
        Self { path, known }
    }

    /// How many packets a tarball holds, if it was read to its end and is as it was then.
    pub(super) fn packets(&self, tarball: &Path, state: FileState) -> Option<i64> {
        let (then, packets) = self.known.get(tarball)?;
        (*then == state).then_some(*packets)
    }

    /// Remembers one.
    pub(super) fn add(&mut self, tarball: &Path, state: FileState, packets: i64) {
        self.known.insert(tarball.to_owned(), (state, packets));
        if let Err(error) = self.append(tarball, state, packets) {
            tracing::warn!("{}: {error} (not remembered)", self.path.display());
        }
    }

    fn append(&self, tarball: &Path, state: FileState, packets: i64) -> std::io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        let title = match file.metadata()?.len() {
            0 => format!("{TITLE}\n"),
            _ => String::new(),
        };
        let FileState { bytes, modified_ns } = state;
        let tarball = escape(tarball);
        let lines = format!("{title}{packets} {bytes} {modified_ns} {tarball}\n");
        file.write_all(lines.as_bytes())
    }
}

/// One line; `None` for one that was torn.
fn line(line: &str) -> Option<(PathBuf, (FileState, i64))> {
    let mut words = line.splitn(4, ' ');
    let packets = words.next()?.parse().ok()?;
    let state = FileState {
        bytes: words.next()?.parse().ok()?,
        modified_ns: words.next()?.parse().ok()?,
    };
    Some((unescape(words.next()?)?, (state, packets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tarball_is_known_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let state = FileState {
            bytes: 7,
            modified_ns: -5,
        };
        let night = Path::new("/nights/a b%.tar");
        Finished::open(folder.path()).add(night, state, 12);
        let mut again = Finished::open(folder.path());
        assert_eq!(again.packets(night, state), Some(12));
        let grown = FileState { bytes: 8, ..state };
        assert_eq!(again.packets(night, grown), None);
        again.add(night, grown, 13);
        let last = Finished::open(folder.path());
        assert_eq!(last.packets(night, grown), Some(13));
    }

    #[test]
    fn a_torn_line_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("tarballs.list");
        fs::write(&list, format!("{TITLE}\n1 2 3 /a\n4 5")).unwrap();
        let finished = Finished::open(folder.path());
        let state = FileState {
            bytes: 2,
            modified_ns: 3,
        };
        assert_eq!(finished.packets(Path::new("/a"), state), Some(1));
        assert_eq!(finished.known.len(), 1);
    }
}
