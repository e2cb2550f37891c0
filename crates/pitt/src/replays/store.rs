//! The replays of an archive: made, acknowledged, taken away.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use ring::rand::{SecureRandom, SystemRandom};

use super::list::{self, Drawn, Entry};
use super::{FORMAT, KEPT_DAYS, MOST_CHUNKS, MOST_EACH, MOST_ENTRIES, MOST_REPLAYS, Replay};
use crate::kept::{self, Held, READABLE};

const HEAD: &str = "replay.json";
const ACKNOWLEDGED: &str = "acknowledged";
const LOCK: &str = ".lock";
/// How the name of a folder begins in which one is being made.
const DRAFT: &str = ".draft-";
/// After this time nobody is making it any more.
const STALE: Duration = Duration::from_secs(3600);
const DAY_US: i64 = 86_400_000_000;

/// Why a replay cannot be made or asked.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is none of this id.
    #[error(
        "there is no replay `{0}` (it may have expired: one is kept for {KEPT_DAYS} days after its last acknowledgement)"
    )]
    Unknown(String),
    /// It has no such chunk.
    #[error("there is no chunk {chunk}: the replay has {chunks}, which count from 0")]
    NoChunk {
        /// The chunk asked for.
        chunk: u64,
        /// How many there are.
        chunks: u64,
    },
    /// There are too many.
    #[error("{0} (take away one that is done: DELETE /api/v1/replays/ID)")]
    Full(String),
    /// The chunks are too small.
    #[error(
        "the selection makes {0} chunks, {MOST_CHUNKS} are the most (make them larger with `chunk`)"
    )]
    TooManyChunks(u64),
}

/// A replay, and how far it is.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The replay.
    pub replay: Replay,
    /// Chunks that are acknowledged.
    pub acknowledged: BTreeSet<u32>,
    /// When it is taken away, microseconds since 1970, UTC.
    pub expires_us: i64,
}

impl Standing {
    /// The first chunk that is not acknowledged.
    pub fn next(&self) -> Option<u64> {
        let free =
            |chunk: &u64| u32::try_from(*chunk).is_ok_and(|c| !self.acknowledged.contains(&c));
        (0..self.replay.chunks()).find(free)
    }
}

/// The replays of an archive.
pub struct Replays {
    folder: PathBuf,
}

impl Replays {
    /// Those of the archive in this folder.
    pub fn of(archive: &Path) -> Self {
        Self {
            folder: archive.join("replays"),
        }
    }

    /// Makes one: `draw` is given the folder for its lists. Nothing is left of one that fails.
    ///
    /// # Errors
    /// There are too many already, `draw` fails, or it cannot be written.
    pub fn make(
        &self,
        mut replay: Replay,
        draw: impl FnOnce(&Path) -> Result<Drawn>,
    ) -> Result<Standing> {
        {
            let _turn = self.turn()?;
            self.tidy(replay.created_us)?;
            self.has_room(&replay)?;
        }
        replay.id = new_id()?;
        replay.version = FORMAT;
        let draft = self.folder.join(format!("{DRAFT}{}", replay.id));
        let made = fs::create_dir(&draft).map_err(|error| unwritten(&draft, error));
        let kept = made.and_then(|()| {
            replay.drawn = draw(&draft)?;
            self.keep(&replay, &draft)
        });
        if kept.is_err() {
            fs::remove_dir_all(&draft).ok();
        }
        kept?;
        self.find(&replay.id)
    }

    fn keep(&self, replay: &Replay, draft: &Path) -> Result<()> {
        let chunks = replay.chunks();
        ensure!(chunks <= MOST_CHUNKS, ReplayError::TooManyChunks(chunks));
        kept::write(
            &draft.join(HEAD),
            &serde_json::to_vec_pretty(replay)?,
            READABLE,
        )?;
        let _turn = self.turn()?;
        // Others may have been made while this one was drawn.
        self.has_room(replay)?;
        let place = self.folder.join(&replay.id);
        fs::rename(draft, &place)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// All of them, the oldest first.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn all(&self, now_us: i64) -> Result<Vec<Standing>> {
        let mut all = vec![];
        for id in self.ids()? {
            // One may be taken away meanwhile.
            if let Ok(standing) = self.find(&id) {
                all.push(standing);
            }
        }
        all.retain(|standing| standing.expires_us > now_us);
        all.sort_by(|a, b| {
            (a.replay.created_us, &a.replay.id).cmp(&(b.replay.created_us, &b.replay.id))
        });
        Ok(all)
    }

    /// One of them.
    ///
    /// # Errors
    /// There is none of this id, or it cannot be read.
    pub fn find(&self, id: &str) -> Result<Standing> {
        let unknown = || ReplayError::Unknown(id.to_owned());
        let plain = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        ensure!(plain, unknown());
        let folder = self.folder.join(id);
        let text = match fs::read(folder.join(HEAD)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(unknown().into()),
            Err(error) => return Err(unread(&folder, error)),
        };
        let replay: Replay =
            serde_json::from_slice(&text).map_err(|error| unread(&folder, error))?;
        let acknowledged = acknowledged(&folder).map_err(|error| unread(&folder, error))?;
        let last_us = touched_us(&folder).map_or(replay.created_us, |us| us.max(replay.created_us));
        Ok(Standing {
            replay,
            acknowledged,
            expires_us: last_us.saturating_add(KEPT_DAYS * DAY_US),
        })
    }

    /// The entries of a chunk.
    ///
    /// # Errors
    /// There is no such chunk, or it cannot be read.
    pub fn entries(&self, replay: &Replay, chunk: u64) -> Result<Vec<Entry>> {
        let entries = list::entries(&self.folder.join(&replay.id), replay, chunk)?;
        let chunks = replay.chunks();
        Ok(entries.ok_or(ReplayError::NoChunk { chunk, chunks })?)
    }

    /// Notes that a chunk has arrived; once or more often.
    ///
    /// # Errors
    /// There is no such replay or chunk, or it cannot be written.
    pub fn acknowledge(&self, id: &str, chunk: u64) -> Result<Standing> {
        let _turn = self.turn()?;
        let standing = self.find(id)?;
        let chunks = standing.replay.chunks();
        let number = u32::try_from(chunk).ok().filter(|_| chunk < chunks);
        let number = number.ok_or(ReplayError::NoChunk { chunk, chunks })?;
        if !standing.acknowledged.contains(&number) {
            let folder = self.folder.join(id);
            append(&folder, number).map_err(|error| unwritten(&folder, error))?;
        }
        self.find(id)
    }

    /// Takes one away.
    ///
    /// # Errors
    /// There is none of this id, or it cannot be taken away.
    pub fn remove(&self, id: &str) -> Result<()> {
        let _turn = self.turn()?;
        self.find(id)?;
        self.discard(id)
    }

    /// One at a time changes what is there, also among processes.
    fn turn(&self) -> Result<Held> {
        Held::wait(&self.folder.join(LOCK))
    }

    /// Takes away what has expired, and what nobody goes on with.
    fn tidy(&self, now_us: i64) -> Result<()> {
        for id in self.ids()? {
            if self
                .find(&id)
                .is_ok_and(|standing| standing.expires_us <= now_us)
            {
                self.discard(&id)?;
            }
        }
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let draft = name.to_string_lossy().starts_with(DRAFT);
            // Without a head it is one that a crash kept from being taken away whole.
            let abandoned = draft || (path.is_dir() && !path.join(HEAD).exists());
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|at| at.elapsed().ok());
            if abandoned && age.is_some_and(|age| age > STALE) {
                fs::remove_dir_all(path).ok();
            }
        }
        Ok(())
    }

    /// Takes one away: the head first, without which it is none.
    fn discard(&self, id: &str) -> Result<()> {
        let folder = self.folder.join(id);
        let removed = fs::remove_file(folder.join(HEAD)).and_then(|()| fs::remove_dir_all(&folder));
        removed.map_err(|error| unwritten(&folder, error))
    }

    fn has_room(&self, new: &Replay) -> Result<()> {
        let all = self.all(new.created_us)?;
        let of_owner = all
            .iter()
            .filter(|one| one.replay.owner == new.owner)
            .count();
        let full = |told: String| Err(ReplayError::Full(told).into());
        if of_owner >= MOST_EACH {
            return full(format!(
                "`{}` has {of_owner} replays, the most there may be",
                new.owner
            ));
        }
        if all.len() >= MOST_REPLAYS {
            return full(format!(
                "there are {MOST_REPLAYS} replays, the most there may be"
            ));
        }
        let listed: u64 = all.iter().map(|one| one.replay.drawn.entries()).sum();
        if listed + new.drawn.entries() > MOST_ENTRIES {
            return full(format!(
                "all replays together would list more than {MOST_ENTRIES} alerts"
            ));
        }
        Ok(())
    }

    fn ids(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(unread(&self.folder, error)),
        };
        let names = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.filter(|name| !name.starts_with('.')).collect())
    }
}

fn unread(path: &Path, error: impl Into<anyhow::Error>) -> anyhow::Error {
    error
        .into()
        .context(format!("cannot read `{}`", path.display()))
}

fn unwritten(path: &Path, error: io::Error) -> anyhow::Error {
    anyhow::Error::new(error).context(format!("cannot write `{}`", path.display()))
}

/// 128 bits, hexadecimal.
fn new_id() -> Result<String> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes).ok();
    filled.context("the system gives no random numbers")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn acknowledged(folder: &Path) -> io::Result<BTreeSet<u32>> {
    let bytes = match fs::read(folder.join(ACKNOWLEDGED)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let numbers = bytes
        .chunks_exact(4)
        .filter_map(|bytes| bytes.try_into().ok());
    Ok(numbers.map(u32::from_le_bytes).collect())
}

/// Adds a chunk to those acknowledged, behind the last whole number.
fn append(folder: &Path, chunk: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let path = folder.join(ACKNOWLEDGED);
    let new = !path.exists();
    let mut file = options.create(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    file.set_len(length - length % 4)?;
    file.write_all(&chunk.to_le_bytes())?;
    file.sync_all()?;
    if new {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// When a chunk was acknowledged last.
fn touched_us(folder: &Path) -> Option<i64> {
    let modified: SystemTime = fs::metadata(folder.join(ACKNOWLEDGED))
        .ok()?
        .modified()
        .ok()?;
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replays::{Asked, Form};
    use crate::source::now_us;

    fn new(owner: &str, created_us: i64) -> Replay {
        Replay {
            version: FORMAT,
            id: String::new(),
            owner: owner.into(),
            created_us,
            asked: Asked::default(),
            form: Form::Packets,
            stamps: false,
            chunk: 1000,
            drawn: Drawn::default(),
        }
    }

    fn of(entries: u64) -> impl FnOnce(&Path) -> Result<Drawn> {
        move |_| {
            Ok(Drawn {
                alerts: entries,
                lists: vec![entries],
                ..Drawn::default()
            })
        }
    }

    fn refused(outcome: Result<Standing>) -> String {
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn chunks_are_acknowledged_in_any_order_and_as_often_as_one_likes() {
        let folder = tempfile::tempdir().unwrap();
        let replays = Replays::of(folder.path());
        let made = replays.make(new("anna", now_us()), of(4500)).unwrap();
        let id = &made.replay.id;
        assert_eq!((made.replay.chunks(), made.next()), (5, Some(0)));
        for chunk in [2, 0, 2, 4] {
            replays.acknowledge(id, chunk).unwrap();
        }
        // A crash in the middle of the next.
        let file = folder.path().join("replays").join(id).join(ACKNOWLEDGED);
        let mut torn = fs::read(&file).unwrap();
        assert_eq!(torn.len(), 12, "each is noted once");
        torn.extend([3, 0]);
        fs::write(&file, torn).unwrap();
        let again = Replays::of(folder.path());
        assert_eq!(again.find(id).unwrap().next(), Some(1));
        again.acknowledge(id, 1).unwrap();
        let last = again.acknowledge(id, 3).unwrap();
        assert_eq!((last.next(), last.acknowledged.len()), (None, 5));
        let error = refused(replays.acknowledge(id, 5));
        assert!(error.contains("no chunk 5: the replay has 5"), "{error}");
    }

    #[test]
    fn replays_are_bounded_in_number_in_size_and_in_age() {
        let folder = tempfile::tempdir().unwrap();
        let replays = Replays::of(folder.path());
        let now = now_us();
        for _ in 0..MOST_EACH {
            replays.make(new("anna", now), of(1)).unwrap();
        }
        let error = refused(replays.make(new("anna", now), of(1)));
        assert!(error.contains("`anna` has 10 replays"), "{error}");
        let first = replays.all(now).unwrap()[0].replay.id.clone();
        replays.remove(&first).unwrap();
        assert!(replays.find(&first).is_err());
        replays.make(new("anna", now), of(1)).unwrap();
        let error = refused(replays.make(new("ben", now), of(MOST_ENTRIES)));
        assert!(error.contains("list more than"), "{error}");
        let tiny = Replay {
            chunk: 1,
            ..new("ben", now)
        };
        let error = refused(replays.make(tiny, of(MOST_CHUNKS + 1)));
        assert!(error.contains("larger with `chunk`"), "{error}");
        let drafts = || {
            fs::read_dir(folder.path().join("replays"))
                .unwrap()
                .flatten()
        };
        let left = drafts().filter(|e| e.file_name().to_string_lossy().starts_with(DRAFT));
        assert_eq!(left.count(), 0, "nothing is left of one that failed");
        let later = now + KEPT_DAYS * DAY_US;
        assert!(replays.all(later).unwrap().is_empty());
        replays.make(new("anna", later), of(1)).unwrap();
        assert_eq!(replays.all(later).unwrap().len(), 1);
        assert_eq!(
            drafts().count(),
            2,
            "the others are taken away: one and the lock"
        );
    }

    #[test]
    fn an_id_is_a_name_and_no_path() {
        let folder = tempfile::tempdir().unwrap();
        let replays = Replays::of(folder.path());
        replays.make(new("anna", 0), of(1)).unwrap();
        for id in ["", ".", "..", ".lock", "../x", "a/b", "ffff"] {
            let error = refused(replays.find(id));
            assert!(error.contains("there is no replay"), "{id}: {error}");
        }
    }
}
