//! How far each publisher got, noted beside the archive.
//!
//! `<archive>/delivered/<lane or relay>.json`: the cursor as the output has committed it, noted after that, at most once a
//! second. So it may lag behind what is published, and is never ahead. It tells people and `pitt verify` what was delivered, and is
//! where a publisher goes on if the output has lost its topic of cursors. Deleting it does no harm as long as that topic is there.

use std::path::{Path, PathBuf};

use pitt_archive::{Archive, ArchiveError};
use pitt_kafka::publish::Cursor;
use serde::{Deserialize, Serialize};

use super::message::now_us;
use pitt_alert::message::rfc3339;

/// One publisher's note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Addresses of the output it speaks of.
    pub output: String,
    /// When it was noted, RFC 3339.
    pub noted: String,
    /// How far it is published.
    #[serde(flatten)]
    pub cursor: Cursor,
}

impl Noted {
    /// The number of the last match published; `None` for the relay.
    pub fn seq(&self) -> Option<u64> {
        self.cursor.place.parse().ok()
    }
}

/// How far the matches of one lane are delivered: what the archive has against what the output has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The lane.
    pub lane: u32,
    /// Addresses of the output.
    pub output: String,
    /// Number of the last match that is settled: published, refused or kept back.
    pub seq: u64,
    /// Matches up to it, as the archive has them.
    pub matches: u64,
    /// Of these, published,
    pub published: u64,
    /// refused,
    pub refused: u64,
    /// and kept back because their filters publish nothing.
    pub kept_back: u64,
    /// Matches after it: they wait.
    pub waiting: u64,
}

impl Delivery {
    /// Whether every match up to the last settled one is accounted for.
    pub fn balances(&self) -> bool {
        self.matches == self.published + self.refused + self.kept_back
    }
}

/// The deliveries of every lane that has a note.
///
/// # Errors
/// The matches cannot be read.
pub fn deliveries(archive: &Archive) -> Result<Vec<Delivery>, ArchiveError> {
    let mut deliveries = vec![];
    for (name, note) in noted(archive.folder()) {
        let (Ok(lane), Some(seq)) = (name.parse(), note.seq()) else {
            continue;
        };
        let mut delivery = Delivery {
            lane,
            output: note.output,
            seq,
            matches: 0,
            published: note.cursor.published,
            refused: note.cursor.refused.values().sum(),
            kept_back: note.cursor.kept_back,
            waiting: 0,
        };
        let mut last = 0;
        loop {
            let page = archive.matches_after(lane, last, PAGE)?;
            let Some(end) = page.last().map(|one| one.seq) else {
                break;
            };
            let settled = page.iter().filter(|one| one.seq <= seq).count();
            delivery.matches += settled as u64;
            delivery.waiting += (page.len() - settled) as u64;
            last = end;
        }
        deliveries.push(delivery);
    }
    Ok(deliveries)
}

/// Matches read at once.
const PAGE: usize = 50_000;

fn folder(archive: &Path) -> PathBuf {
    archive.join("delivered")
}

/// Every note of an archive: name of the publisher, and its note. Files that are none are left out.
pub fn noted(archive: &Path) -> Vec<(String, Noted)> {
    let entries = std::fs::read_dir(folder(archive)).into_iter().flatten();
    let mut notes: Vec<(String, Noted)> = entries
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let name = path
                .file_name()?
                .to_str()?
                .strip_suffix(".json")?
                .to_owned();
            let text = std::fs::read(&path).ok()?;
            Some((name, serde_json::from_slice(&text).ok()?))
        })
        .collect();
    notes.sort_by(|(a, _), (b, _)| a.cmp(b));
    notes
}

/// The cursor noted for this publisher and output.
pub(super) fn read(archive: &Archive, name: &str, output: &str) -> Option<Cursor> {
    let text = std::fs::read(folder(archive.folder()).join(format!("{name}.json"))).ok()?;
    let note: Noted = serde_json::from_slice(&text).ok()?;
    (note.output == output).then_some(note.cursor)
}

/// Notes a cursor that the output has committed. A note that cannot be written is only said: the output has the cursor.
pub(super) fn write(archive: &Archive, name: &str, output: &str, cursor: &Cursor) {
    let note = Noted {
        output: output.to_owned(),
        noted: rfc3339(now_us()),
        cursor: cursor.clone(),
    };
    let folder = folder(archive.folder());
    let (whole, part) = (
        folder.join(format!("{name}.json")),
        folder.join(format!("{name}.{}.part", std::process::id())),
    );
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(&part, serde_json::json!(note).to_string()))
        .and_then(|()| std::fs::rename(&part, &whole));
    if let Err(error) = written {
        tracing::warn!(%error, file = %whole.display(), "what was delivered could not be noted");
    }
}
