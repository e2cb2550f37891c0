//! The archive: every packet received, verbatim; its alerts as tables; exactly once; and quick answers.
//!
//! Truth is a folder of Delta Lake tables ([`tables`]) that any tool can read. `packets` is the journal of everything received;
//! its commits carry the positions of the sources, and all other tables are derived from it. An index beside them, which can
//! be deleted at any time, finds one alert, one object's light curve, and the objects in a cone.
//!
//! This floor is no query engine (that is `pitt-query`), reads no stream and decodes nothing by itself. Archives live in local
//! folders; calls block and must not come from async code. One process writes, or several that claim what they take
//! ([`ArchiveOptions::claims`]); others read at the same time.
//!
//! | after | the archive has |
//! |---|---|
//! | an error | every commit so far; the writer is spent, a new one stands at the last commit |
//! | a process crash, `kill -9` | every commit that returned, perhaps the one under way, whole; never half of one |
//! | a crash of the system, a power cut | the same: data files and log entries are synced before they are seen |
//!
//! What has been appended and not committed is visible nowhere on disk; with claims it is decided all the same. The process that
//! appended it may keep the rows of alerts and matches in memory for its own readers ([`Archive::latest`]).
//!
//! ```
//! use pitt_alert::{Decoder, Packet, SchemaStore};
//! use pitt_archive::{Archive, ArchiveOptions};
//! use pitt_simulate::{SimSurvey, SimulationConfig, Simulator};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().to_str().ok_or("path")?;
//! let config = SimulationConfig { alerts_per_visit: 5, surveys: vec![SimSurvey::Ztf], ..Default::default() };
//! let visit = Simulator::new(config).next_visit().ok_or("no visit")?;
//!
//! let archive = Archive::open(folder, ArchiveOptions::default())?;
//! let mut writer = archive.writer()?;
//! let mut packet = Packet::unplaced("simulated", visit.packets[0].bytes.clone());
//! packet.position.offset = writer.next_offset("simulated")?;
//! let decoded = Decoder::new(SchemaStore::new()).decode(&[packet.clone()]);
//! writer.append(&[packet.clone()], &decoded, &[])?;
//! writer.commit()?;
//!
//! let stored = archive.packet("ztf", visit.packets[0].truth.alert_id)?.ok_or("not stored")?;
//! assert_eq!(stored.bytes, packet.bytes);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod archive;
mod book;
mod claims;
mod crash;
mod delta;
mod derive;
mod error;
mod feed;
mod folder;
mod fresh;
mod groups;
mod index;
mod journal;
mod ledger;
mod numbered;
mod pages;
mod part;
mod pick;
mod place;
mod read;
mod received;
mod recover;
mod replay;
mod scan;
mod shape;
mod sink;
mod stream;
pub mod tables;
mod tally;
mod turns;
pub mod verify;
mod writer;

pub use answer::{ConeHit, Point, StoredPacket};
pub use archive::{Archive, ArchiveOptions, TableSnapshot};
pub use book::StoredSchema;
pub use claims::{ClaimBook, ClaimedPartition, ReleasedClaims};
pub use delta::TableFile;
pub use error::ArchiveError;
pub use feed::LoggedMatch;
pub use folder::SyncedFolder;
pub use fresh::{FreshCounts, Latest};
pub use ledger::{Ledger, LedgerLine};
pub use numbered::Numbered;
pub use part::PartName;
pub use pick::{PacketsAt, StoredRecord};
pub use place::{PacketPlace, ReplayPlace};
pub use received::Fingerprint;
pub use replay::{Replay, Replayed};
pub use tables::PacketCompression;
pub use tally::{NightCounts, TakenCounts, Tally};
pub use verify::VerifyReport;
pub use writer::{AppendReport, CommitReport, Match, NumberedMatch, Writer};
