//! How an archive is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;

use crate::tables::PacketCompression;

/// How an archive is opened.
#[derive(Clone)]
pub struct ArchiveOptions {
    /// Creates the folder and the tables if they are not there; otherwise that is an error. Default: yes.
    pub create: bool,
    /// Folder of the index; default `index` in the archive.
    pub index: Option<PathBuf>,
    /// Memory for blocks of the index. Default: 64 MB.
    pub index_cache_bytes: u64,
    /// How packets are compressed. Default: Zstandard, level 1.
    pub compression: PacketCompression,
    /// A data file is closed when it has this size. Default: 512 MB.
    pub file_bytes: u64,
    /// A commit is due after this time. Default: 10 s.
    pub commit_every: Duration,
    /// A commit is due when this much is waiting. Default: 512 MB.
    pub commit_bytes: u64,
    /// Lets several processes write this archive at the same time, each in a lane of its own, and makes outcomes and
    /// match numbers durable with each append, before the commit. Default: no; a second writer is refused.
    pub claims: bool,
    /// Memory for rows that are appended and not committed yet, so that [`Archive::latest`](super::Archive::latest) has them. Default: 0, none are kept.
    pub fresh_bytes: usize,
    /// The store that the Delta logs go through; default: the file system, synced. For tests that let it fail.
    pub store: Option<Arc<dyn ObjectStore>>,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self {
            create: true,
            index: None,
            index_cache_bytes: 64 << 20,
            compression: PacketCompression::default(),
            file_bytes: 512 << 20,
            commit_every: Duration::from_secs(10),
            commit_bytes: 512 << 20,
            claims: false,
            fresh_bytes: 0,
            store: None,
        }
    }
}
