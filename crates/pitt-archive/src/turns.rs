//! Locks between the processes that write one archive.
//!
//! Each is a file that a process holds by `flock`, so that its death, also by `kill -9`, lets it go. A process that is
//! stopped while it holds one holds up the others until it goes on or is killed; no lock is ever taken from a living one.
//!
//! | file | held | by |
//! |---|---|---|
//! | `lanes/writers.lock` | as long as a writer is open | a writer without claims alone, writers with claims together |
//! | `lanes/<n>.lock` | as long as the archive is open | the process whose lane that is; its session stands in it |
//! | `lanes/turn.lock` | during a commit, and while a crashed one is completed | one process |
//! | `claims/claims.lock` | while a claim is made | one process |

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::ArchiveError;

/// Folder of the lanes.
pub(crate) const LANES: &str = "lanes";
/// Time after which waiting for a lock is said.
const LONG: Duration = Duration::from_secs(10);

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
}

fn open(path: &Path) -> Result<File, ArchiveError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(ArchiveError::io(folder))?;
    }
    let mut options = OpenOptions::new();
    let options = options.create(true).read(true).write(true).truncate(false);
    options.open(path).map_err(ArchiveError::io(path))
}

fn free(path: &Path, tried: Result<(), TryLockError>) -> Result<bool, ArchiveError> {
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(ArchiveError::io(path)(error)),
    }
}

impl Held {
    /// Takes a lock alone; `None` when somebody has it.
    pub(crate) fn try_alone(path: &Path) -> Result<Option<Self>, ArchiveError> {
        let file = open(path)?;
        Ok(free(path, file.try_lock())?.then_some(Self { file }))
    }

    /// Takes a lock together with others; `None` when somebody has it alone.
    pub(crate) fn try_together(path: &Path) -> Result<Option<Self>, ArchiveError> {
        let file = open(path)?;
        Ok(free(path, file.try_lock_shared())?.then_some(Self { file }))
    }

    /// Takes a lock alone, when it is free.
    pub(crate) fn wait(path: &Path) -> Result<Self, ArchiveError> {
        let file = open(path)?;
        let (started, mut said) = (Instant::now(), false);
        while !free(path, file.try_lock())? {
            let waited = started.elapsed();
            if waited > LONG && !said {
                said = true;
                tracing::warn!(path = %path.display(), "waiting for the process that holds this lock");
            }
            std::thread::sleep(if waited < Duration::from_millis(50) {
                Duration::from_millis(1)
            } else {
                Duration::from_millis(5)
            });
        }
        Ok(Self { file })
    }

    /// Goes on holding it, but lets others hold it too.
    pub(crate) fn share(self, path: &Path) -> Result<Self, ArchiveError> {
        self.file.lock_shared().map_err(ArchiveError::io(path))?;
        Ok(self)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing alone would leave the lock with a child that was forked a moment ago and has not begun its own program.
        let _ = self.file.unlock();
    }
}

/// The lane of a process: whose numbers its matches get, and which index is its own.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) number: u32,
    /// Drawn when the lane was taken; it stands in the file of the lock, and in what this process claims.
    pub(crate) session: u64,
    _held: Held,
}

impl Lane {
    /// Takes a lane if no process has it.
    pub(crate) fn take(root: &Path, number: u32) -> Result<Option<Self>, ArchiveError> {
        let path = lane_file(root, number);
        let Some(mut held) = Held::try_alone(&path)? else {
            return Ok(None);
        };
        let session = uuid::Uuid::new_v4().as_u64_pair().0;
        let noted = held.file.set_len(0).and_then(|()| held.file.rewind());
        noted
            .and_then(|()| write!(held.file, "{session:016x}"))
            .map_err(ArchiveError::io(&path))?;
        Ok(Some(Self {
            number,
            session,
            _held: held,
        }))
    }
}

fn lane_file(root: &Path, number: u32) -> PathBuf {
    root.join(LANES).join(format!("{number}.lock"))
}

/// Who has a lane now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// No process.
    Nobody,
    /// The process of this session, or one that publishes what it has left.
    Session(u64),
    /// A process that does not say which.
    Somebody,
}

/// Who has a lane now.
pub(crate) fn holder(root: &Path, number: u32) -> Result<Holder, ArchiveError> {
    let path = lane_file(root, number);
    if !path.exists() || Held::try_alone(&path)?.is_some() {
        return Ok(Holder::Nobody);
    }
    let text = std::fs::read_to_string(&path).map_err(ArchiveError::io(&path))?;
    let session = u64::from_str_radix(text.trim(), 16);
    Ok(session.map_or(Holder::Somebody, Holder::Session))
}

/// Takes the turn to commit.
pub(crate) fn turn(root: &Path) -> Result<Held, ArchiveError> {
    Held::wait(&root.join(LANES).join("turn.lock"))
}

fn writers(root: &Path) -> PathBuf {
    root.join(LANES).join("writers.lock")
}

/// The right to write; `alone` says that no other process has it at this moment.
pub(crate) struct Writers {
    pub(crate) alone: bool,
    held: Held,
}

impl Writers {
    /// Becomes the only writer, if there is none.
    pub(crate) fn alone(root: &Path) -> Result<Option<Self>, ArchiveError> {
        let held = Held::try_alone(&writers(root))?;
        Ok(held.map(|held| Self { alone: true, held }))
    }

    /// Becomes a writer beside others; `None` while there is one that wants to be alone.
    pub(crate) fn together(root: &Path) -> Result<Option<Self>, ArchiveError> {
        if let Some(first) = Self::alone(root)? {
            return Ok(Some(first));
        }
        // Another may be alone for a moment, as the first of several.
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(held) = Held::try_together(&writers(root))? {
                return Ok(Some(Self { alone: false, held }));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Lets others write too.
    pub(crate) fn share(self, root: &Path) -> Result<Self, ArchiveError> {
        Ok(Self {
            alone: false,
            held: self.held.share(&writers(root))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_alone_and_writers_together_exclude_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let first = Writers::together(root).unwrap().unwrap();
        assert!(first.alone && Writers::alone(root).unwrap().is_none());
        let first = first.share(root).unwrap();
        let second = Writers::together(root).unwrap().unwrap();
        assert!(!second.alone && Writers::alone(root).unwrap().is_none());
        drop((first, second));
        assert!(Writers::alone(root).unwrap().is_some());
    }

    #[test]
    fn a_lane_belongs_to_one() {
        let folder = tempfile::tempdir().unwrap();
        let lane = Lane::take(folder.path(), 0).unwrap();
        assert!(lane.is_some() && Lane::take(folder.path(), 0).unwrap().is_none());
        assert!(Lane::take(folder.path(), 1).unwrap().is_some());
        let session = lane.as_ref().unwrap().session;
        let held = holder(folder.path(), 0).unwrap();
        assert_eq!(held, Holder::Session(session));
        drop(lane);
        assert_eq!(holder(folder.path(), 0).unwrap(), Holder::Nobody);
        assert_eq!(holder(folder.path(), 7).unwrap(), Holder::Nobody);
        assert!(Lane::take(folder.path(), 0).unwrap().is_some());
    }
}
