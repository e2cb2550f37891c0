//! pitt-archive
#![allow(dead_code, reason = "being built")]

mod answer;
mod archive;
mod book;
mod crash;
mod delta;
mod derive;
mod error;
mod folder;
mod index;
mod journal;
mod ledger;
mod part;
mod read;
mod recover;
mod replay;
mod scan;
mod shape;
mod stream;
pub mod tables;
pub mod verify;
mod writer;

pub use answer::{ConeHit, Point, StoredPacket};
pub use archive::{Archive, ArchiveOptions, TableSnapshot};
pub use delta::TableFile;
pub use error::ArchiveError;
pub use folder::SyncedFolder;
pub use ledger::{Ledger, LedgerLine};
pub use part::PartName;
pub use replay::{Replay, ReplayPlace, Replayed};
pub use tables::PacketCompression;
pub use verify::VerifyReport;
pub use writer::{AppendReport, CommitReport, Match, Writer};
