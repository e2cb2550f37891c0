//! How far each publisher got, noted beside the archive.
//!
//! `<archive>/delivered/<lane or relay>.json`: the cursor as the output has committed it, noted after that, at most once a
//! second. So it may lag behind what is published, and is never ahead. It tells people and `pitt verify` what was delivered, and is
//! where a publisher goes on if the output has lost its topic of cursors. Deleting it does no harm as long as that topic is there.

use std::path::{Path, PathBuf};

use pitt_archive::Archive;
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
