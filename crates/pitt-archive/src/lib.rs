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
mod part;
mod read;
mod recover;
mod scan;
mod shape;
mod stream;
pub mod tables;
mod writer;

pub use answer::{ConeHit, Point, StoredPacket};
pub use archive::{Archive, ArchiveOptions, TableSnapshot};
pub use delta::TableFile;
pub use error::ArchiveError;
pub use folder::SyncedFolder;
pub use part::PartName;
pub use tables::PacketCompression;
pub use writer::{AppendReport, CommitReport, Match, Writer};
