//! Bulk replays: a selection of the archive, handed out again in chunks that are acknowledged.
//!
//! | module | what |
//! |---|---|
//! | [`choose`] | from what was asked to the alerts it covers |
//! | [`list`] | these alerts with their places, on disk |
//! | [`store`] | the replays of an archive: kept, acknowledged, expired |
//! | [`chunk`] | one chunk as JSON lines, an Avro file or a tarball |
//!
//! What a replay covers is drawn once, when it is made, as a list of places in the table `packets`. Data files never change, so
//! a chunk is the same bytes whenever it is asked for, whatever comes into the archive meanwhile. Nothing is kept in memory:
//! a replay goes on after a restart, and in any process that has the archive open.
//!
//! # On disk
//!
//! | file below `<archive>/replays/<id>/` | holds |
//! |---|---|
//! | `replay.json` | a [`Replay`]; written last, and whole or not at all |
//! | `list-<n>` | entries of 32 bytes ([`list`]), in the order in which they are handed out |
//! | `acknowledged` | the number of each chunk acknowledged, `u32`, little-endian; synced before that is answered. Bytes that are no whole number at its end are what a crash left, and are cut off |
//!
//! A folder whose name begins with a dot is being made, or was when a crash came.

pub mod choose;
pub mod chunk;
pub mod list;
pub mod store;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use store::Replays;

/// Version of what is on disk.
pub const FORMAT: u32 = 1;
/// Alerts a chunk when not said otherwise.
pub const USUAL_CHUNK: u32 = 1_000;
/// Most alerts a chunk.
pub const MOST_CHUNK: u32 = 10_000;
/// Most chunks of a replay.
pub const MOST_CHUNKS: u64 = 100_000;
/// Most entries in the lists of all replays together: 320 MB on disk.
pub const MOST_ENTRIES: u64 = 10_000_000;
/// Most alerts chosen by a filter or by SQL, which are held in memory while the list is drawn.
pub const MOST_CHOSEN: usize = 1_000_000;
/// Most replays of one owner.
pub const MOST_EACH: usize = 10;
/// Most replays.
pub const MOST_REPLAYS: usize = 100;
/// A replay is kept for so many days after it was made or a chunk of it was acknowledged.
pub const KEPT_DAYS: i64 = 7;

/// What was asked for: alerts to which all of this applies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Taken by this filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Of this night, YYYYMMDD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub night: Option<i32>,
    /// Among the rows of this query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// Of this survey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub survey: Option<String>,
}

/// What a chunk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A JSON object a line, as streams publish it.
    #[default]
    Json,
    /// An Avro container file with the writer's schema and the annotation `pitt`; all alerts of a chunk have one schema.
    Avro,
    /// A tarball of the packets, byte for byte as they were received.
    Packets,
}

/// A replay: what it covers, and how it is handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Version of what is on disk, [`FORMAT`].
    pub version: u32,
    /// Its id, which cannot be guessed.
    pub id: String,
    /// Name of the token it was made with.
    pub owner: String,
    /// When it was made, microseconds since 1970, UTC.
    pub created_us: i64,
    /// What was asked for.
    pub asked: Asked,
    /// What a chunk is.
    pub form: Form,
    /// Whether messages bring the stamps.
    pub stamps: bool,
    /// Entries a chunk.
    pub chunk: u32,
    /// What was drawn.
    pub drawn: list::Drawn,
}

impl Replay {
    /// How many chunks there are; they count from 0.
    pub fn chunks(&self) -> u64 {
        let lists = self.drawn.lists.iter();
        lists
            .map(|entries| entries.div_ceil(self.chunk.into()))
            .sum()
    }
}
