//! What can go wrong in the archive, with the values and what to do about it.

use std::path::{Path, PathBuf};

/// Every error of this floor.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The location is not a folder this build can write to.
    #[error(
        "`{location}` is not a folder (archives live in local folders; give a path or a file:// URL)"
    )]
    Location {
        /// What was given.
        location: String,
    },
    /// Reading or writing a file failed: full disk, read-only folder, missing file.
    #[error(
        "{path}: {source} (nothing committed is lost; free space or fix permissions and start again)"
    )]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The Delta log of a table refused.
    #[error("table `{table}`: {source} (nothing committed is lost; fix the cause and start again)")]
    Log {
        /// Name of the table.
        table: String,
        /// What the log said.
        source: Box<deltalake_core::DeltaTableError>,
    },
    /// A Parquet file cannot be written or read.
    #[error("{path}: {source} (run `pitt verify`)")]
    Parquet {
        /// The file.
        path: String,
        /// What the reader or writer said.
        source: parquet::errors::ParquetError,
    },
    /// Arrow data does not have the form the archive expects.
    #[error("table `{table}`: {source}")]
    Arrow {
        /// Name of the table.
        table: String,
        /// What arrow said.
        source: arrow_schema::ArrowError,
    },
    /// The index failed.
    #[error("index: {0} (delete the folder `index` and open the archive again: it is rebuilt)")]
    Index(#[from] fjall::Error),
    /// Another process has the index open, and this one wants to write.
    #[error("`{path}` is open in another process (one writer at a time: stop it first)")]
    InUse {
        /// The index folder.
        path: PathBuf,
    },
    /// Another writer has gone on from where this one stood: this one must stop. Nothing of its last batch is visible.
    #[error(
        "{place}: another writer has gone on from here (open a new writer, and read the source again from where the archive stands)"
    )]
    Fenced {
        /// The partition of a source, or the table, that the other one has.
        place: String,
    },
    /// A writer that failed or was fenced is used again.
    #[error("this writer has failed before (open the archive again to go on from the last commit)")]
    Poisoned,
    /// Packets do not follow on the stored ones.
    #[error(
        "partition `{partition}`: got offset {got}, the archive stands at {expected} (read the source again from {expected})"
    )]
    Gap {
        /// Partition of the source.
        partition: String,
        /// Offset of the packet given.
        got: i64,
        /// Offset that must come next.
        expected: i64,
    },
    /// Claims are to be let go that a living process may still make good.
    #[error(
        "partition `{partition}` is claimed by a running process, in lane {} (stop it first, or let it finish)",
        lanes.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    )]
    ClaimsHeld {
        /// Partition of the source.
        partition: String,
        /// Lanes of the processes.
        lanes: Vec<u32>,
    },
    /// Claims are to be let go where there are none.
    #[error(
        "nothing is claimed and left open in partition `{partition}` (`pitt claims list` shows where something is)"
    )]
    NoClaims {
        /// Partition of the source.
        partition: String,
    },
    /// A stored packet does not come back as it went in.
    #[error("{path}, row {row}: packet is damaged: {detail} (run `pitt verify`)")]
    Damaged {
        /// The file.
        path: String,
        /// Row in the file, from 0.
        row: u64,
        /// What is wrong.
        detail: String,
    },
    /// A table or file of the archive is not as this version writes it.
    #[error("table `{table}`: {detail} (run `pitt verify`)")]
    Format {
        /// Name of the table.
        table: String,
        /// What is wrong.
        detail: String,
    },
    /// A writer's schema is needed and not stored.
    #[error("schema {fingerprint} is not in the table `schemas` (run `pitt verify`)")]
    UnknownSchema {
        /// Fingerprint, hex.
        fingerprint: String,
    },
}

impl ArchiveError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn parquet(path: &Path) -> impl FnOnce(parquet::errors::ParquetError) -> Self {
        let path = path.display().to_string();
        move |source| Self::Parquet { path, source }
    }

    pub(crate) fn arrow(table: &str) -> impl FnOnce(arrow_schema::ArrowError) -> Self {
        let table = table.to_owned();
        move |source| Self::Arrow { table, source }
    }
}
