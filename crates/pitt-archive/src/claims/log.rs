//! The file of claims: appended to by one process at a time, read by all.
//!
//! `claims/log`: the 8 bytes `PITTCLM1`, a generation (8 bytes), and records, each its length (4 bytes), the CRC-32
//! of its bytes (4 bytes), and those bytes ([`Record`]). A record is synced before what it claims is written.
//!
//! | after | the file has |
//! |---|---|
//! | a process crash, also while writing | every record written whole; half a record at its end, which the next writer cuts |
//! | a power cut | every record that was synced; what does not agree with its CRC and all after it is cut |
//!
//! When most of it is committed the rest is written to a new file of the next generation, which takes the old
//! one's name. Whoever finds another generation than the one it read begins again, and reads first what has been committed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::record::Record;
use crate::crash;
use crate::error::ArchiveError;
use crate::folder::sync_folder;
use crate::turns::Held;

const MAGIC: &[u8; 8] = b"PITTCLM1";
const HEADER: u64 = 16;

/// The claim log, as far as this process has read it.
pub(super) struct ClaimLog {
    folder: PathBuf,
    path: PathBuf,
    generation: Option<u64>,
    read_to: u64,
}

/// The lock under which claims are read and made.
pub(super) struct Turn {
    _held: Held,
}

/// What reading gave.
pub(super) enum News {
    /// The records since the last time.
    Records(Vec<Record>),
    /// Another generation: what was read before is no longer the beginning of this. Nothing has been read.
    Another,
}

impl ClaimLog {
    pub(super) fn new(root: &Path) -> Self {
        let folder = root.join("claims");
        Self {
            path: folder.join("log"),
            folder,
            generation: None,
            read_to: 0,
        }
    }

    /// Waits for the lock.
    pub(super) fn lock(&self) -> Result<Turn, ArchiveError> {
        let held = Held::wait(&self.folder.join("claims.lock"))?;
        Ok(Turn { _held: held })
    }

    fn io(&self) -> impl FnOnce(std::io::Error) -> ArchiveError + '_ {
        ArchiveError::io(&self.path)
    }

    /// Bytes of the file that have been read.
    pub(super) fn bytes(&self) -> u64 {
        self.read_to
    }

    /// Takes whatever generation there is for the one to read, from its beginning.
    pub(super) fn begin_again(&mut self) {
        self.generation = None;
        self.read_to = 0;
    }

    /// Reads what has been added, and cuts what a crash left half written.
    pub(super) fn read(&mut self, _turn: &Turn) -> Result<News, ArchiveError> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(self.none());
            }
            Err(error) => return Err(self.io()(error)),
        };
        let mut header = [0; HEADER as usize];
        file.read_exact(&mut header).map_err(self.io())?;
        let generation = generation_of(&header).ok_or_else(|| ArchiveError::Format {
            table: "claims".to_owned(),
            detail: format!("{} does not begin as a log of claims", self.path.display()),
        })?;
        match self.generation {
            None => {
                self.generation = Some(generation);
                self.read_to = HEADER;
            }
            Some(known) if known != generation => return Ok(News::Another),
            Some(_) => {}
        }
        file.seek(SeekFrom::Start(self.read_to))
            .map_err(self.io())?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(self.io())?;
        let (records, end) = records_in(&bytes);
        self.read_to += end as u64;
        if end < bytes.len() {
            tracing::warn!(path = %self.path.display(), "cut a claim that a crash left half written");
            self.cut()?;
        }
        let records = records.into_iter().map(|(record, _)| record);
        Ok(News::Records(records.collect()))
    }

    fn none(&self) -> News {
        match self.generation {
            Some(_) => News::Another,
            None => News::Records(Vec::new()),
        }
    }

    fn cut(&self) -> Result<(), ArchiveError> {
        let file = OpenOptions::new().write(true).open(&self.path);
        let file = file.map_err(self.io())?;
        file.set_len(self.read_to).map_err(self.io())?;
        file.sync_all().map_err(self.io())
    }

    /// Adds a record, durably; all before it must have been read under the same lock.
    pub(super) fn append(&mut self, turn: &Turn, record: &Record) -> Result<(), ArchiveError> {
        if self.generation.is_none() {
            self.replace(turn, &[])?;
        }
        let bytes = framed(&record.to_bytes());
        let added = self.add(&bytes);
        if added.is_err() {
            // A full disk: what was written of it goes again. If that fails too, the next writer cuts it.
            let _ = self.cut();
        }
        added.map_err(self.io())?;
        self.read_to += bytes.len() as u64;
        Ok(())
    }

    fn add(&self, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        let (head, rest) = bytes.split_at(bytes.len() / 2);
        file.write_all(head)?;
        crash::point("claim-half");
        file.write_all(rest)?;
        crash::point("claim-unsynced");
        file.sync_data()
    }

    /// Drops the records that are not wanted any more, in a file of the next generation.
    pub(super) fn shorten(
        &mut self,
        turn: &Turn,
        wanted: impl Fn(&[Record]) -> Vec<bool>,
    ) -> Result<(), ArchiveError> {
        let bytes = std::fs::read(&self.path).map_err(self.io())?;
        let bytes = bytes.get(HEADER as usize..).unwrap_or_default();
        let mut kept = Vec::new();
        let (records, places): (Vec<_>, Vec<_>) = records_in(bytes).0.into_iter().unzip();
        for (place, wanted) in places.into_iter().zip(wanted(&records)) {
            if wanted {
                kept.extend(&bytes[place]);
            }
        }
        self.replace(turn, &kept)
    }

    /// Writes other records in place of all, in a file of the next generation.
    pub(super) fn rewrite(&mut self, turn: &Turn, records: &[Record]) -> Result<(), ArchiveError> {
        let bytes: Vec<u8> = records
            .iter()
            .flat_map(|record| framed(&record.to_bytes()))
            .collect();
        self.replace(turn, &bytes)
    }

    fn replace(&mut self, _turn: &Turn, records: &[u8]) -> Result<(), ArchiveError> {
        // Not one more than the last: were the file deleted by hand, an old generation would come again.
        let generation = uuid::Uuid::new_v4().as_u64_pair().0;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(generation.to_le_bytes());
        bytes.extend(records);
        let fresh = self.folder.join(".log-new");
        let written = File::create(&fresh).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()?;
            crash::point("claims-before-name");
            std::fs::rename(&fresh, &self.path)?;
            crash::point("claims-after-name");
            sync_folder(&self.folder)
        });
        written.map_err(self.io())?;
        self.generation = Some(generation);
        self.read_to = bytes.len() as u64;
        Ok(())
    }
}

fn generation_of(header: &[u8; HEADER as usize]) -> Option<u64> {
    let (magic, generation) = header.split_first_chunk::<8>()?;
    let generation = u64::from_le_bytes(generation.try_into().ok()?);
    (magic == MAGIC).then_some(generation)
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 8);
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(crc32fast::hash(payload).to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// The records in bytes, with where they stand, and where the last whole one ends.
fn records_in(bytes: &[u8]) -> (Vec<(Record, std::ops::Range<usize>)>, usize) {
    let (mut records, mut at) = (Vec::new(), 0);
    while let Some((record, end)) = record_at(bytes, at) {
        records.push((record, at..end));
        at = end;
    }
    (records, at)
}

fn record_at(bytes: &[u8], at: usize) -> Option<(Record, usize)> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let end = (at + 8).checked_add(word(at)? as usize)?;
    let payload = bytes.get(at + 8..end)?;
    if crc32fast::hash(payload) != word(at + 4)? {
        return None;
    }
    Some((Record::from_bytes(payload)?, end))
}

/// Every whole record of an archive's log, for those that only look.
pub(super) fn peek(root: &Path) -> Vec<Record> {
    let bytes = std::fs::read(root.join("claims").join("log")).unwrap_or_default();
    let records = bytes.get(HEADER as usize..).map(records_in);
    let records = records.map(|(records, _)| records).unwrap_or_default();
    records.into_iter().map(|(record, _)| record).collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::some;
    use super::*;

    fn news(log: &mut ClaimLog) -> Vec<Record> {
        let turn = log.lock().unwrap();
        match log.read(&turn).unwrap() {
            News::Records(records) => records,
            News::Another => panic!("another generation"),
        }
    }

    #[test]
    fn a_record_torn_at_any_byte_is_cut_and_the_log_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = ClaimLog::new(folder.path());
        assert!(news(&mut log).is_empty());
        let turn = log.lock().unwrap();
        log.append(&turn, &some(1, 0)).unwrap();
        let first = log.bytes();
        log.append(&turn, &some(1, 5)).unwrap();
        drop(turn);
        let whole = std::fs::read(&log.path).unwrap();
        for end in first as usize..whole.len() {
            std::fs::write(&log.path, &whole[..end]).unwrap();
            let mut other = ClaimLog::new(folder.path());
            assert_eq!(news(&mut other), [some(1, 0)]);
            let turn = other.lock().unwrap();
            other.append(&turn, &some(2, 5)).unwrap();
            drop(turn);
            let mut third = ClaimLog::new(folder.path());
            assert_eq!(news(&mut third), [some(1, 0), some(2, 5)], "{end}");
        }
        // A record whose bytes did not all reach the disk.
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        std::fs::write(&log.path, &damaged).unwrap();
        assert_eq!(news(&mut ClaimLog::new(folder.path())), [some(1, 0)]);
    }

    #[test]
    fn one_reads_what_others_add_and_notices_a_new_generation() {
        let folder = tempfile::tempdir().unwrap();
        let (mut a, mut b) = (ClaimLog::new(folder.path()), ClaimLog::new(folder.path()));
        assert!(news(&mut a).is_empty());
        let turn = a.lock().unwrap();
        a.append(&turn, &some(1, 0)).unwrap();
        a.append(&turn, &some(1, 5)).unwrap();
        drop(turn);
        assert_eq!(news(&mut b).len(), 2);
        let turn = b.lock().unwrap();
        b.append(&turn, &some(2, 10)).unwrap();
        drop(turn);
        assert_eq!(news(&mut a), [some(2, 10)]);
        let turn = a.lock().unwrap();
        a.shorten(&turn, |records| {
            records.iter().map(|r| r.writer == 2).collect()
        })
        .unwrap();
        assert!(matches!(b.read(&turn).unwrap(), News::Another));
        b.begin_again();
        drop(turn);
        assert_eq!(news(&mut b), [some(2, 10)]);
        assert!(news(&mut a).is_empty());
    }
}
