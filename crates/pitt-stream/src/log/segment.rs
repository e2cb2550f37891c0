//! One file of a partition's log, and its sparse index.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::batch::{BatchHeader, HEADER};
use crate::log::producers::{Aborted, Producers};

/// Bytes of a segment to one entry of its index: 24 bytes for each 64 KiB.
pub(crate) const INDEX_EVERY: u64 = 64 << 10;

/// A batch's place in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) offset: i64,
    pub(crate) position: u64,
    /// Largest timestamp of all batches of the segment before this place `[ms]`; `i64::MIN` for none.
    pub(crate) latest_before: i64,
}

/// Whole batches, one after the other, exactly as their producers sent them but for offset and epoch.
///
/// The file is named after its first offset. A batch is broken when it is cut short, its checksum differs or its
/// offset goes back; at a start the file that was being written is cut before its first broken batch. Closed
/// segments were forced to the disk before the next one was begun, and are not read again at a start when their
/// `.index` file fits.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base: i64,
    /// Offset after the last record.
    pub(crate) next: i64,
    pub(crate) size: u64,
    /// Largest timestamp `[ms]`; `i64::MIN` when empty.
    pub(crate) latest: i64,
    pub(crate) index: Vec<Entry>,
    /// Aborted transactions that ended here; they may have begun in an earlier segment.
    pub(crate) aborted: Vec<Aborted>,
    pub(crate) path: PathBuf,
    /// When the last batch was appended.
    pub(crate) appended: SystemTime,
    /// Open only while the segment is written; readers of closed segments open them for each read.
    pub(crate) file: Option<Arc<File>>,
}

impl Segment {
    /// Begins an empty segment, or opens what is there without reading it.
    pub(crate) fn create(folder: &Path, base: i64) -> io::Result<Self> {
        let path = folder.join(format!("{base:020}.log"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        Ok(Self {
            file: Some(Arc::new(file)),
            ..Self::closed(path, base)
        })
    }

    /// A segment with nothing known of its content.
    pub(crate) fn closed(path: PathBuf, base: i64) -> Self {
        Self {
            base,
            next: base,
            size: 0,
            latest: i64::MIN,
            index: Vec::new(),
            aborted: Vec::new(),
            path,
            appended: SystemTime::now(),
            file: None,
        }
    }

    /// Takes note of a batch that stands at the end of the file.
    pub(crate) fn note(&mut self, header: &BatchHeader) {
        let last = self.index.last();
        if last.is_none_or(|e| self.size - e.position >= INDEX_EVERY) {
            self.index.push(Entry {
                offset: header.base_offset,
                position: self.size,
                latest_before: self.latest,
            });
        }
        self.size += header.size as u64;
        self.next = header.next_offset();
        self.latest = self.latest.max(header.max_timestamp);
    }

    /// Where to begin looking for `offset`.
    pub(crate) fn position_before(&self, offset: i64) -> u64 {
        let i = self.index.partition_point(|e| e.offset <= offset);
        i.checked_sub(1).map_or(0, |i| self.index[i].position)
    }

    /// Where to begin looking for the first batch with a record at or after `timestamp` `[ms]`.
    pub(crate) fn position_before_time(&self, timestamp: i64) -> u64 {
        let i = self.index.partition_point(|e| e.latest_before < timestamp);
        i.checked_sub(1).map_or(0, |i| self.index[i].position)
    }

    /// The file, to read from.
    pub(crate) fn reader(&self) -> io::Result<Arc<File>> {
        match &self.file {
            Some(file) => Ok(Arc::clone(file)),
            None => File::open(&self.path).map(Arc::new),
        }
    }

    /// Reads the file from its start, checks every batch, notes the good ones and stops at the first broken one.
    ///
    /// Returns whether bytes follow the last good batch.
    pub(crate) fn scan(&mut self, producers: &mut Producers) -> io::Result<bool> {
        let file = self.reader()?;
        let length = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file.as_ref());
        let mut batch = Vec::new();
        while let Some(header) = next_whole(&mut reader, length - self.size, &mut batch)? {
            if header.base_offset < self.next {
                break;
            }
            let ending = header
                .is_control()
                .then(|| header.ending(&Bytes::copy_from_slice(&batch)))
                .flatten();
            self.aborted.extend(producers.remember(&header, ending));
            self.note(&header);
        }
        Ok(length > self.size)
    }

    /// The file with the index, beside the log file.
    pub(crate) fn index_path(&self) -> PathBuf {
        self.path.with_extension("index")
    }
}

/// Reads the next batch into `batch`; `None` when it is not whole and sound.
fn next_whole(
    reader: &mut impl Read,
    left: u64,
    batch: &mut Vec<u8>,
) -> io::Result<Option<BatchHeader>> {
    if left < HEADER as u64 {
        return Ok(None);
    }
    batch.resize(HEADER, 0);
    reader.read_exact(batch)?;
    let Some(header) = BatchHeader::read(batch).filter(|h| h.size as u64 <= left) else {
        return Ok(None);
    };
    batch.resize(header.size, 0);
    reader.read_exact(&mut batch[HEADER..])?;
    Ok(header.matches(batch).then_some(header))
}

/// Reads the head of the batch at `position`; `None` at or beyond `end`.
pub(crate) fn header_at(file: &File, position: u64, end: u64) -> io::Result<Option<BatchHeader>> {
    if position + HEADER as u64 > end {
        return Ok(None);
    }
    let mut head = [0; HEADER];
    file.read_exact_at(&mut head, position)?;
    let header = BatchHeader::read(&head).filter(|h| position + h.size as u64 <= end);
    header.map(Some).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("no batch at byte {position}"),
        )
    })
}
