//! The log of one partition: segments of record batches, append only.

mod open;
mod producers;
mod read;
mod retain;
mod seal;
mod segment;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::batch::{BatchError, BatchHeader, Ending, mark};
pub(crate) use producers::Aborted;
use producers::{Producers, Verdict};
pub(crate) use read::OutOfRange;
use segment::Segment;

/// Batches below this size are copied behind their new head and written at once `[bytes]`.
const COPIED: usize = 64 << 10;

/// What the logs of a server share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSettings {
    pub(crate) segment_bytes: u64,
    pub(crate) message_bytes: usize,
    pub(crate) sync_each: bool,
}

/// The log of one partition. File work happens in the caller's thread; see `Segment` for the format.
#[derive(Debug)]
pub(crate) struct Log {
    folder: PathBuf,
    settings: LogSettings,
    state: Mutex<State>,
    waiting: Mutex<Vec<Weak<Notify>>>,
}

#[derive(Debug)]
struct State {
    /// Ascending, never empty; the last one is written.
    segments: Vec<Segment>,
    producers: Producers,
    /// Whether something was appended since the last forcing to the disk.
    unsynced: bool,
    /// The topic was deleted or the server stopped: nothing may be written any more.
    closed: bool,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) offset: i64,
    pub(crate) start: i64,
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("the batch has {size} bytes, the limit is {limit} (raise `limits.message_bytes`)")]
    TooLarge { size: usize, limit: usize },
    #[error("a batch of this producer is missing before this one")]
    Gap,
    #[error("this batch was written before, too long ago to say where")]
    OldDuplicate,
    #[error("a newer instance of this producer has written")]
    Fenced,
    #[error("the topic was deleted, or the server has stopped")]
    Closed,
    #[error("the disk refused: {0}")]
    Disk(#[from] io::Error),
}

impl Log {
    /// Appends one batch of a producer and wakes who waits for it. A repeat of an idempotent producer is not
    /// appended again; its offset is returned.
    ///
    /// A batch of a transaction is taken from the producer (id, epoch) that has one open here, as its caller has found
    /// out, and no other batch is.
    pub(crate) fn append(
        &self,
        batch: &Bytes,
        transaction: Option<(i64, i16)>,
    ) -> Result<Appended, AppendError> {
        let limit = self.settings.message_bytes;
        if batch.len() > limit {
            return Err(AppendError::TooLarge {
                size: batch.len(),
                limit,
            });
        }
        let header = BatchHeader::check(batch)?;
        if header.is_transactional() != transaction.is_some() {
            return Err(BatchError::Transactional.into());
        }
        if transaction.is_some_and(|of| of != (header.producer_id, header.producer_epoch)) {
            return Err(AppendError::Fenced);
        }
        let appended = self.append_checked(header, batch)?;
        self.wake();
        Ok(appended)
    }

    fn append_checked(&self, header: BatchHeader, batch: &Bytes) -> Result<Appended, AppendError> {
        let mut state = self.state();
        if state.closed {
            return Err(AppendError::Closed);
        }
        let start = state.start();
        match state.producers.judge(&header) {
            Verdict::Append => {}
            Verdict::Duplicate(offset) => return Ok(Appended { offset, start }),
            Verdict::OldDuplicate => return Err(AppendError::OldDuplicate),
            Verdict::Gap => return Err(AppendError::Gap),
            Verdict::Fenced => return Err(AppendError::Fenced),
        }
        let offset = self.write(&mut state, header, batch)?;
        Ok(Appended { offset, start })
    }

    fn write(&self, state: &mut State, mut header: BatchHeader, batch: &Bytes) -> io::Result<i64> {
        let full = state.active().is_some_and(|s| {
            s.size > 0 && s.size + header.size as u64 > self.settings.segment_bytes
        });
        if full {
            self.roll(state)?;
        }
        header.base_offset = state.next();
        let State {
            segments,
            producers,
            ..
        } = state;
        let Some(active) = segments.last_mut() else {
            return Err(io::Error::other("the log has no segment"));
        };
        write_batch(active, &header, batch, self.settings.sync_each)?;
        let aborted = producers.remember(&header, header.ending(batch));
        active.aborted.extend(aborted);
        active.note(&header);
        active.appended = SystemTime::now();
        state.unsynced = !self.settings.sync_each;
        Ok(header.base_offset)
    }

    /// Ends a producer's transaction here, if it has one open: its records now count, or never will.
    pub(crate) fn end_transaction(
        &self,
        producer_id: i64,
        epoch: i16,
        ending: Ending,
        now_ms: i64,
    ) -> io::Result<()> {
        {
            let mut state = self.state();
            if state.closed || !state.producers.open.contains_key(&producer_id) {
                return Ok(());
            }
            let batch = mark(producer_id, epoch, ending, now_ms);
            let header = BatchHeader::read(&batch)
                .ok_or_else(|| io::Error::other("the mark has no head"))?;
            self.write(&mut state, header, &batch)?;
        }
        self.wake();
        Ok(())
    }

    /// Producers with an open transaction.
    pub(crate) fn in_transaction(&self) -> Vec<i64> {
        self.state().producers.open.keys().copied().collect()
    }

    /// The offset up to which every transaction has ended.
    pub(crate) fn stable(&self) -> i64 {
        self.state().stable()
    }

    /// Closes the written segment and begins the next one.
    ///
    /// The old file is forced to the disk first, so that only the last segment can ever be torn. The new file comes
    /// last: when something before it fails (a full disk), no empty file is left to stand between offsets.
    fn roll(&self, state: &mut State) -> io::Result<()> {
        let State {
            segments,
            producers,
            ..
        } = state;
        let Some(old) = segments.last_mut() else {
            return Ok(());
        };
        if let Some(file) = &old.file {
            file.sync_data()?;
        }
        seal::write(old, producers)?;
        let next = Segment::create(&self.folder, old.next)?;
        old.file = None;
        segments.push(next);
        Ok(())
    }

    /// Offset of the first record kept, and the offset the next one gets.
    pub(crate) fn range(&self) -> (i64, i64) {
        let state = self.state();
        (state.start(), state.next())
    }

    /// Bytes kept on disk.
    pub(crate) fn size(&self) -> u64 {
        self.state().segments.iter().map(|s| s.size).sum()
    }

    /// Forces what was appended to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let file: Option<Arc<File>> = {
            let mut state = self.state();
            let due = std::mem::take(&mut state.unsynced);
            state.active().filter(|_| due).and_then(|s| s.file.clone())
        };
        file.map_or(Ok(()), |f| f.sync_data())
    }

    /// Refuses all further appends: the topic is being deleted.
    pub(crate) fn retire(&self) {
        self.state().closed = true;
        self.wake();
    }

    /// Refuses all further appends and describes the written segment, so that the next start need not read it.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.retire();
        let state = self.state();
        let Some(active) = state.active() else {
            return Ok(());
        };
        if let Some(file) = &active.file {
            file.sync_data()?;
        }
        seal::write(active, &state.producers)
    }

    /// Has `notify` told of the next append. Ask for the data after this call, then wait: nothing is missed.
    pub(crate) fn watch(&self, notify: &Arc<Notify>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= 64 && waiting.len().is_power_of_two() {
            waiting.retain(|w| w.strong_count() > 0);
        }
        waiting.push(Arc::downgrade(notify));
    }

    fn wake(&self) {
        let waiting =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for notify in waiting.iter().filter_map(Weak::upgrade) {
            notify.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn start(&self) -> i64 {
        self.segments.first().map_or(0, |s| s.base)
    }

    fn next(&self) -> i64 {
        self.active().map_or(0, |s| s.next)
    }

    /// No transaction is open below this offset.
    fn stable(&self) -> i64 {
        let oldest = self.producers.open.values().min().copied();
        oldest.map_or(self.next(), |first| first.max(self.start()))
    }

    fn active(&self) -> Option<&Segment> {
        self.segments.last()
    }
}

/// Writes a batch behind the last one. What a failed write (a full disk) left is cut off.
fn write_batch(
    segment: &Segment,
    header: &BatchHeader,
    batch: &Bytes,
    sync: bool,
) -> io::Result<()> {
    let Some(file) = &segment.file else {
        return Err(io::Error::other("the segment is closed"));
    };
    let head = header.numbered(header.base_offset);
    let written = write_parts(file, &head, &batch[head.len()..], segment.size);
    let written = written.and_then(|()| if sync { file.sync_data() } else { Ok(()) });
    written.inspect_err(|_| {
        // When this fails too, the next append overwrites the rest and a start cuts it.
        let _ = file.set_len(segment.size);
    })
}

fn write_parts(file: &File, head: &[u8], body: &[u8], at: u64) -> io::Result<()> {
    if body.len() < COPIED {
        return file.write_all_at(&[head, body].concat(), at);
    }
    file.write_all_at(head, at)?;
    file.write_all_at(body, at + head.len() as u64)
}
