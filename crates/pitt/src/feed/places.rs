//! Where a source stands in a stream, found from the stream itself.
//!
//! Each message carries the place of its packet in the header `pitt-source`: a fingerprint of the source's partition,
//! `@`, and the packet's number there. So the place is on the disk in the same write as the message. To find the places at a
//! start without reading the whole stream, `<stream>/sources/<topic>.json` notes them now and then, after the
//! messages they speak of were forced to the disk; only what came after the note is read. Without it all is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use pitt_alert::Position;
use pitt_stream::{Handle, Record};
use serde::{Deserialize, Serialize};

use crate::source::{Positions, SourceError};

/// The header with the packet's place.
pub const HEADER: &str = "pitt-source";
/// Bytes of the stream read at once.
const READ: usize = 16 << 20;

/// How far sources have been sent into one topic. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Places {
    known: Arc<Mutex<Known>>,
    file: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    /// For each partition of the topic the offset up to which it was looked at.
    offsets: Vec<i64>,
    /// For each source's partition, by fingerprint, the next packet to send.
    next: BTreeMap<String, i64>,
}

impl Places {
    /// Finds the places of `topic`, whose partitions exist.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub fn find(handle: &Handle, topic: &str, partitions: usize, sources: &Path) -> Result<Self> {
        let file = sources.join(format!("{topic}.json"));
        let noted = fs::read(&file).ok();
        let noted = noted.and_then(|text| serde_json::from_slice(&text).ok());
        let mut known: Known = noted.unwrap_or_default();
        known.offsets.resize(partitions, 0);
        for partition in 0..partitions {
            known
                .read_on(handle, topic, partition)
                .with_context(|| format!("cannot find where the sources stand in `{topic}`"))?;
        }
        let known = Arc::new(Mutex::new(known));
        Ok(Self { known, file })
    }

    /// Takes note of a packet that was sent.
    pub fn sent(&self, position: &Position) {
        self.known()
            .raise(&fingerprint(&position.partition), position.offset);
    }

    /// Notes on the disk where the sources stand, for a quick start. Everything sent is forced there first.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn note(&self, handle: &Handle, topic: &str) -> Result<()> {
        handle.sync();
        let mut known = self.known();
        for (partition, offset) in known.offsets.iter_mut().enumerate() {
            *offset = handle.offsets(topic, i32::try_from(partition)?)?.1;
        }
        let new = self.file.with_extension("new");
        fs::write(&new, serde_json::to_vec(&*known)?)?;
        Ok(fs::rename(&new, &self.file)?)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn read_on(&mut self, handle: &Handle, topic: &str, partition: usize) -> Result<()> {
        let number = i32::try_from(partition)?;
        let (start, next) = handle.offsets(topic, number)?;
        let mut at = self.offsets[partition];
        if at < start || at > next {
            // Dropped meanwhile, or another stream than the note's.
            at = start;
        }
        while at < next {
            let (records, after) = handle.read(topic, number, at, READ)?;
            for (_, record) in &records {
                self.note_record(record);
            }
            if after == at {
                break;
            }
            at = after;
        }
        self.offsets[partition] = next;
        Ok(())
    }

    fn note_record(&mut self, record: &Record) {
        let place = record.header(HEADER);
        let place = place.and_then(|v| std::str::from_utf8(v).ok()?.split_once('@'));
        if let Some((source, number)) = place.and_then(|(s, n)| Some((s, n.parse().ok()?))) {
            self.raise(source, number);
        }
    }

    fn raise(&mut self, source: &str, number: i64) {
        let next = number.saturating_add(1);
        match self.next.get_mut(source) {
            Some(known) => *known = next.max(*known),
            None => drop(self.next.insert(source.to_owned(), next)),
        }
    }
}

impl Positions for Places {
    fn next_offset(&self, partition: &str) -> Result<i64, SourceError> {
        let known = self.known();
        Ok(known
            .next
            .get(&fingerprint(partition))
            .copied()
            .unwrap_or(0))
    }
}

/// The header's text for a packet at `position`.
pub fn text(position: &Position) -> String {
    format!("{}@{}", fingerprint(&position.partition), position.offset)
}

/// A source's partition holds a path, which is nothing to tell to readers.
fn fingerprint(partition: &str) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(partition.as_bytes()))
}
