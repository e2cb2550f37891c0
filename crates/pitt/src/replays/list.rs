//! Alerts with their places, as files of entries.
//!
//! An entry has 32 bytes, all numbers little-endian: `u32` file (index into [`Drawn::files`]), `u32` row of the packet there,
//! `u32` number of the record in the packet, `u16` survey (index into [`Drawn::surveys`]), `u16` version of the filter (index into
//! [`Drawn::versions`], 65535 without), `i64` alert, `i64` time of the match (microseconds since 1970, UTC; the least number
//! there is where that is not known).
//!
//! Alerts that are handed out as Avro are listed by the schema they were written with, a file for each, so that no chunk has two.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use pitt_archive::{PacketPlace, StoredRecord};
use serde::{Deserialize, Serialize};

use super::{Form, MOST_ENTRIES, Replay};

/// Bytes of an entry.
const ENTRY: usize = 32;
const NO_VERSION: u16 = u16::MAX;
const NO_TIME: i64 = i64::MIN;

/// What was drawn, beside the entries themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// Alerts.
    pub alerts: u64,
    /// Entries of each list: one an alert, or one a packet where packets are handed out.
    pub lists: Vec<u64>,
    /// Commit and number of the files of `packets`.
    pub files: Vec<(u64, u32)>,
    /// Surveys.
    pub surveys: Vec<String>,
    /// Versions of the filter.
    pub versions: Vec<String>,
}

impl Drawn {
    /// Entries of all lists.
    pub fn entries(&self) -> u64 {
        self.lists.iter().sum()
    }
}

/// That the filter took an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Index into [`Drawn::versions`].
    pub version: u16,
    /// When, microseconds since 1970, UTC.
    pub at_us: Option<i64>,
}

/// One alert of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where its packet is.
    pub place: PacketPlace,
    /// Number of its record there.
    pub record: u32,
    /// Index into [`Drawn::surveys`].
    pub survey: u16,
    /// The alert.
    pub alert_id: i64,
    /// That the filter took it, where one was asked for.
    pub taken: Option<Taken>,
}

/// Why no more can be listed.
#[derive(Debug, thiserror::Error)]
#[error(
    "the selection has more than {MOST_ENTRIES} alerts (narrow it by `night`, `survey`, `filter` or `sql`)"
)]
pub struct TooMany;

/// Lists that are being drawn.
pub struct Draft {
    folder: PathBuf,
    form: Form,
    /// Schema and file of each list.
    open: Vec<(Option<String>, BufWriter<File>)>,
    drawn: Drawn,
    last: Option<PacketPlace>,
}

impl Draft {
    /// Lists in this folder. `versions` are those of the filter.
    pub fn new(folder: &Path, form: Form, versions: Vec<String>) -> Self {
        Self {
            folder: folder.to_owned(),
            form,
            open: vec![],
            drawn: Drawn {
                versions,
                ..Drawn::default()
            },
            last: None,
        }
    }

    /// Adds a record; records come in the order of receipt.
    ///
    /// # Errors
    /// It is one too many, or cannot be written.
    pub fn add(&mut self, stored: &StoredRecord<'_>, taken: Option<Taken>) -> Result<()> {
        self.drawn.alerts += 1;
        if self.form == Form::Packets && self.last == Some(stored.place) {
            return Ok(());
        }
        self.last = Some(stored.place);
        ensure!(self.drawn.entries() < MOST_ENTRIES, TooMany);
        let bytes = self.entry(stored, taken)?;
        let list = self.list(stored.schema)?;
        self.drawn.lists[list] += 1;
        let written = self.open[list].1.write_all(&bytes);
        written.with_context(|| format!("cannot write into `{}`", self.folder.display()))
    }

    fn entry(&mut self, stored: &StoredRecord<'_>, taken: Option<Taken>) -> Result<[u8; ENTRY]> {
        let file = (stored.place.commit, stored.place.file);
        let files = &mut self.drawn.files;
        if files.last() != Some(&file) {
            files.push(file);
        }
        let file = u32::try_from(files.len() - 1)?;
        let surveys = &mut self.drawn.surveys;
        let known = surveys.iter().position(|known| known == stored.survey);
        let survey = known.unwrap_or_else(|| {
            surveys.push(stored.survey.to_owned());
            surveys.len() - 1
        });
        let version = taken.map_or(NO_VERSION, |taken| taken.version);
        let at_us = taken.and_then(|taken| taken.at_us).unwrap_or(NO_TIME);
        let mut bytes = [0; ENTRY];
        bytes[..4].copy_from_slice(&file.to_le_bytes());
        bytes[4..8].copy_from_slice(&u32::try_from(stored.place.row)?.to_le_bytes());
        bytes[8..12].copy_from_slice(&stored.record.to_le_bytes());
        bytes[12..14].copy_from_slice(&u16::try_from(survey)?.to_le_bytes());
        bytes[14..16].copy_from_slice(&version.to_le_bytes());
        bytes[16..24].copy_from_slice(&stored.alert_id.to_le_bytes());
        bytes[24..].copy_from_slice(&at_us.to_le_bytes());
        Ok(bytes)
    }

    /// The list that a record with this schema belongs to.
    fn list(&mut self, schema: Option<&str>) -> Result<usize> {
        let schema = schema.filter(|_| self.form == Form::Avro);
        let known = self.open.iter().position(|(of, _)| of.as_deref() == schema);
        if let Some(known) = known {
            return Ok(known);
        }
        let path = list_path(&self.folder, self.open.len());
        let file = File::create_new(&path);
        let file = file.with_context(|| format!("cannot make `{}`", path.display()))?;
        self.open
            .push((schema.map(str::to_owned), BufWriter::new(file)));
        self.drawn.lists.push(0);
        Ok(self.open.len() - 1)
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(self) -> Result<Drawn> {
        for (_, list) in self.open {
            let file = list
                .into_inner()
                .map_err(|error| anyhow!(error.into_error()));
            let synced = file.and_then(|file| Ok(file.sync_all()?));
            synced.with_context(|| format!("cannot write into `{}`", self.folder.display()))?;
        }
        Ok(self.drawn)
    }
}

fn list_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("list-{number}"))
}

/// The entries of a chunk; `None` when there is no such chunk.
///
/// # Errors
/// The list cannot be read.
pub fn entries(folder: &Path, replay: &Replay, chunk: u64) -> Result<Option<Vec<Entry>>> {
    let size = u64::from(replay.chunk);
    let mut before = 0;
    for (number, &entries) in replay.drawn.lists.iter().enumerate() {
        let chunks = entries.div_ceil(size);
        if chunk < before + chunks {
            let first = (chunk - before) * size;
            let path = list_path(folder, number);
            let read = read(&path, first, size.min(entries - first), &replay.drawn);
            let read = read.with_context(|| format!("cannot read `{}`", path.display()))?;
            return Ok(Some(read));
        }
        before += chunks;
    }
    Ok(None)
}

fn read(path: &Path, first: u64, count: u64, drawn: &Drawn) -> Result<Vec<Entry>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(first * ENTRY as u64))?;
    let mut bytes = vec![0; usize::try_from(count)? * ENTRY];
    file.read_exact(&mut bytes)?;
    let entry = |bytes: &[u8]| entry(bytes, drawn).context("an entry is damaged");
    bytes.chunks_exact(ENTRY).map(entry).collect()
}

fn entry(bytes: &[u8], drawn: &Drawn) -> Option<Entry> {
    let (numbers, wide) = bytes.split_at_checked(12)?;
    let short = |at: usize| {
        Some(u32::from_le_bytes(
            numbers.get(at..at + 4)?.try_into().ok()?,
        ))
    };
    let index = |at: usize| Some(u16::from_le_bytes(wide.get(at..at + 2)?.try_into().ok()?));
    let long = |at: usize| Some(i64::from_le_bytes(wide.get(at..at + 8)?.try_into().ok()?));
    let (commit, file) = *drawn.files.get(short(0)? as usize)?;
    let (version, at_us) = (index(2)?, long(12)?);
    let taken = Taken {
        version,
        at_us: Some(at_us).filter(|at| *at != NO_TIME),
    };
    Some(Entry {
        place: PacketPlace {
            commit,
            file,
            row: short(4)?.into(),
        },
        record: short(8)?,
        survey: index(0)?,
        alert_id: long(4)?,
        taken: Some(taken).filter(|_| version != NO_VERSION),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replays::{Asked, FORMAT};

    fn stored(row: u64, record: u32, schema: &str) -> StoredRecord<'_> {
        StoredRecord {
            place: PacketPlace {
                commit: 7 + row / 10,
                file: 1,
                row,
            },
            record,
            survey: if row.is_multiple_of(2) { "ztf" } else { "lsst" },
            alert_id: -5 + row as i64,
            night: None,
            schema: Some(schema),
        }
    }

    fn replay(form: Form, chunk: u32, drawn: Drawn) -> Replay {
        Replay {
            version: FORMAT,
            id: "a".into(),
            owner: "anna".into(),
            created_us: 0,
            asked: Asked::default(),
            form,
            stamps: false,
            chunk,
            drawn,
        }
    }

    #[test]
    fn entries_come_back_by_chunk_and_no_chunk_has_two_schemas() {
        let folder = tempfile::tempdir().unwrap();
        let mut draft = Draft::new(folder.path(), Form::Avro, vec!["v".into()]);
        for row in 0_u64..25 {
            let taken = (row != 3).then_some(Taken {
                version: 0,
                at_us: (row != 4).then_some(row as i64),
            });
            let schema = if row.is_multiple_of(5) { "b" } else { "a" };
            draft.add(&stored(row, 2, schema), taken).unwrap();
        }
        let replay = replay(Form::Avro, 4, draft.finish().unwrap());
        assert_eq!((replay.drawn.alerts, replay.chunks()), (25, 2 + 5));
        let all = |chunk| entries(folder.path(), &replay, chunk).unwrap();
        let rows: Vec<Vec<u64>> = (0..7)
            .map(|chunk| all(chunk).unwrap().iter().map(|e| e.place.row).collect())
            .collect();
        assert_eq!(rows[..2], [vec![0, 5, 10, 15], vec![20]]);
        assert_eq!(rows[2], [1, 2, 3, 4]);
        assert_eq!(rows[6], [21, 22, 23, 24]);
        assert!(all(7).is_none());
        let third = all(2).unwrap();
        assert_eq!(third[2].taken, None);
        assert_eq!(third[3].taken.unwrap().at_us, None);
        assert_eq!((third[0].alert_id, third[0].record), (-4, 2));
        assert_eq!(replay.drawn.surveys[usize::from(third[0].survey)], "lsst");
        assert_eq!(all(6).unwrap()[0].place.commit, 9);
    }

    #[test]
    fn a_packet_of_several_alerts_is_listed_once_where_packets_are_handed_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut draft = Draft::new(folder.path(), Form::Packets, vec![]);
        for (row, record) in [(0, 0), (0, 1), (2, 0)] {
            draft.add(&stored(row, record, "a"), None).unwrap();
        }
        let drawn = draft.finish().unwrap();
        assert_eq!((drawn.alerts, drawn.entries()), (3, 2));
    }
}
