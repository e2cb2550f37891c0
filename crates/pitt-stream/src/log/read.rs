//! Reading a partition's log: whole batches from an offset, and the offset of a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{BatchHeader, first_at};
use crate::log::segment::{INDEX_EVERY, Segment, header_at};
use crate::log::{Aborted, Log, State};

/// Whole batches. The first may begin before the offset asked for: clients skip.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) batches: Bytes,
    /// Offset of the first record kept.
    pub(crate) start: i64,
    /// Offset the next record gets.
    pub(crate) next: i64,
    /// Every transaction below this offset has ended.
    pub(crate) stable: i64,
    /// Aborted transactions with records among the batches, by their first offset.
    pub(crate) aborted: Vec<Aborted>,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutOfRange {
    #[error("offsets {start} to {next} are kept")]
    Offset { start: i64, next: i64 },
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// A stretch of a segment to read, taken while the log was locked and read while it is not.
struct Stretch {
    file: Arc<File>,
    from: u64,
    end: u64,
    /// Where the next segment begins; `None` for the last one.
    following: Option<i64>,
}

impl Log {
    /// Reads whole batches from `offset` on, at most `max_bytes` `[bytes]` of them, but one at least if
    /// `one_at_least`, however large; only what is `committed`, on demand.
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        one_at_least: bool,
        committed: bool,
    ) -> Result<Slice, OutOfRange> {
        let mut at = offset;
        loop {
            let (mut slice, stretch) = {
                let state = self.state();
                let slice = state.bounds(at)?;
                let stretch = state.holding(at, |s| s.position_before(at))?;
                (slice, stretch)
            };
            if committed && at >= slice.stable {
                return Ok(slice);
            }
            let batches = stretch.batches_from(at, max_bytes, one_at_least)?;
            match stretch.following {
                // The rest of a damaged segment is passed over.
                Some(following) if batches.is_none() => at = following,
                _ => {
                    slice.batches = batches.unwrap_or_default();
                    if committed {
                        slice.keep_committed(&self.state(), at);
                    }
                    return Ok(slice);
                }
            }
        }
    }

    /// Finds the first record whose timestamp is at or after `timestamp` `[ms]`: (timestamp, offset), `None` when all
    /// are earlier.
    pub(crate) fn offset_at(&self, timestamp: i64) -> io::Result<Option<(i64, i64)>> {
        let stretch = {
            let state = self.state();
            let Some(segment) = state.segments.iter().find(|s| s.latest >= timestamp) else {
                return Ok(None);
            };
            state.holding(segment.base, |s| s.position_before_time(timestamp))?
        };
        stretch.first_at(timestamp)
    }

    /// The record with the largest timestamp: (timestamp, offset of its batch), as Kafka's `-3` asks.
    pub(crate) fn latest_time(&self) -> io::Result<Option<(i64, i64)>> {
        let latest = self
            .state()
            .segments
            .iter()
            .map(|s| s.latest)
            .max()
            .filter(|t| *t > i64::MIN);
        latest.map_or(Ok(None), |t| self.offset_at(t))
    }
}

impl Slice {
    /// Drops what is not settled, and names the aborted transactions among the rest, which begins with `offset`.
    fn keep_committed(&mut self, state: &State, offset: i64) {
        let (mut length, mut end) = (0, offset);
        while let Some(header) = self.batches.get(length..).and_then(BatchHeader::read)
            && header.base_offset < self.stable
        {
            length += header.size;
            end = header.next_offset();
        }
        self.batches.truncate(length);
        let ended = state.segments.iter().filter(|s| s.next > offset);
        let aborted = ended.flat_map(|s| &s.aborted);
        self.aborted = aborted
            .filter(|a| a.last >= offset && a.first < end)
            .copied()
            .collect();
        self.aborted.sort_unstable_by_key(|a| a.first);
    }
}

impl State {
    /// An empty slice at `offset`, which must be kept here or be the next one.
    fn bounds(&self, offset: i64) -> Result<Slice, OutOfRange> {
        let (start, next) = (self.start(), self.next());
        if offset < start || offset > next {
            return Err(OutOfRange::Offset { start, next });
        }
        Ok(Slice {
            start,
            next,
            stable: self.stable(),
            ..Slice::default()
        })
    }

    /// The segment that holds `offset`, from where `begin` says.
    fn holding(&self, offset: i64, begin: impl Fn(&Segment) -> u64) -> io::Result<Stretch> {
        let after = self.segments.partition_point(|s| s.base <= offset).max(1);
        let segment = &self.segments[after - 1];
        Ok(Stretch {
            file: segment.reader()?,
            from: begin(segment),
            end: segment.size,
            following: self.segments.get(after).map(|s| s.base),
        })
    }
}

impl Stretch {
    /// The batches from the one with `offset` on; `None` when the stretch ends before.
    fn batches_from(
        &self,
        offset: i64,
        max_bytes: usize,
        one_at_least: bool,
    ) -> io::Result<Option<Bytes>> {
        if self.from >= self.end {
            return Ok(None);
        }
        let want = (max_bytes as u64)
            .saturating_add(INDEX_EVERY)
            .min(self.end - self.from);
        let buffer = self.exact(self.from, want)?;
        let Some((begin, first)) = find(&buffer, |h| h.next_offset() > offset) else {
            return self.beyond(offset, buffer.len(), max_bytes, one_at_least);
        };
        if first.size > max_bytes && !one_at_least {
            return Ok(Some(Bytes::new()));
        }
        if first.size > buffer.len() - begin {
            return self
                .exact(self.from + begin as u64, first.size as u64)
                .map(Some);
        }
        let end = begin + whole(&buffer[begin..], max_bytes).max(first.size);
        Ok(Some(buffer.slice(begin..end)))
    }

    /// Goes on by batch heads when the first read ended before `offset`, as it does behind a batch larger than it.
    fn beyond(
        &self,
        offset: i64,
        read: usize,
        max_bytes: usize,
        one: bool,
    ) -> io::Result<Option<Bytes>> {
        let mut position = self.from;
        while let Some(header) = header_at(&self.file, position, self.end)? {
            if header.next_offset() > offset {
                if header.size > max_bytes && !one {
                    return Ok(Some(Bytes::new()));
                }
                return self.exact(position, header.size as u64).map(Some);
            }
            position += header.size as u64;
        }
        tracing::trace!("no batch with offset {offset} in {read} bytes or behind them");
        Ok(None)
    }

    fn first_at(&self, timestamp: i64) -> io::Result<Option<(i64, i64)>> {
        let mut position = self.from;
        while let Some(header) = header_at(&self.file, position, self.end)? {
            if header.max_timestamp >= timestamp {
                let batch = self.exact(position, header.size as u64)?;
                return Ok(Some(first_at(&header, &batch, timestamp)));
            }
            position += header.size as u64;
        }
        Ok(None)
    }

    fn exact(&self, at: u64, length: u64) -> io::Result<Bytes> {
        let mut buffer = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut buffer, at)?;
        Ok(Bytes::from(buffer))
    }
}

/// The first batch in `buffer` that `wanted` accepts, and where it begins. It may reach beyond the buffer.
fn find(buffer: &[u8], wanted: impl Fn(&BatchHeader) -> bool) -> Option<(usize, BatchHeader)> {
    let mut at = 0;
    while let Some(header) = buffer.get(at..).and_then(BatchHeader::read) {
        if wanted(&header) {
            return Some((at, header));
        }
        at += header.size;
    }
    None
}

/// Length of the whole batches that `buffer` begins with, at most `max_bytes`.
fn whole(buffer: &[u8], max_bytes: usize) -> usize {
    let limit = buffer.len().min(max_bytes);
    let mut end = 0;
    while let Some(header) = buffer.get(end..).and_then(BatchHeader::read)
        && end + header.size <= limit
    {
        end += header.size;
    }
    end
}
