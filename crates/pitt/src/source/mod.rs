//! Where packets come from: files, tarballs, the simulator.
//!
//! A source hands packets to an [`Outlet`] in an order that never changes, each with a position: a partition and a
//! number that ascends, by one except in Kafka. It begins where the archive stands, so a broker that was stopped, or killed, goes on
//! without a gap and without a doublet.
//!
//! | source | partition | number |
//! |---|---|---|
//! | loose files of a folder | `dir:<absolute path>` | line of the folder's [manifest](manifest::Manifest) |
//! | tarball | `tar:<absolute path>` | number of the packet among the tarball's packets |
//! | simulator | `sim:<fingerprint of its settings>` | number of the packet |
//! | public night of ZTF | `ztf-public:<night>/<checksum>` | number of the packet in its tarball |
//! | Kafka | `kafka:<name of the input>/<topic>/<number>` | Kafka's offset, which may skip numbers |
//! | quarantine, tried again | `retry:quarantine` | number of the packet read |

pub mod files;
mod finished;
pub mod kafka;
pub mod look;
pub mod manifest;
pub mod public_nights;
pub mod retried;
pub mod simulated;
mod tarball;

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pitt_alert::{Packet, Position};
use pitt_archive::Fingerprint;

/// Where a source hands its packets to. `Break` means: stop, nobody wants more.
pub trait Outlet {
    /// Takes a packet; blocks while the queue behind is full.
    fn packet(&mut self, packet: Packet) -> ControlFlow<()>;

    /// Called when there is no packet for the moment: closes a batch that is due, then waits.
    fn pause(&mut self, wait: Duration) -> ControlFlow<()>;

    /// Waits until everything handed out so far is committed: `Continue` promises it. A source calls it when the next
    /// packets of its partitions are to be somebody else's. Also allowed, and honoured, after `Break`.
    fn flush(&mut self) -> ControlFlow<()>;
}

/// The next position of a partition that the archive does not have yet.
pub trait Positions {
    /// 0 for a partition never seen.
    ///
    /// # Errors
    /// The archive cannot be read.
    fn next_offset(&self, partition: &str) -> Result<i64, SourceError>;

    /// The same for several partitions, counting what other programs have committed up to now.
    ///
    /// # Errors
    /// The archive cannot be read.
    fn next_offsets(&self, partitions: &[&str]) -> Result<Vec<i64>, SourceError> {
        let next = |partition: &&str| self.next_offset(partition);
        partitions.iter().map(next).collect()
    }

    /// What the packets at these positions were; `None` where that is not known.
    ///
    /// # Errors
    /// The archive cannot be read.
    fn fingerprints(
        &self,
        positions: &[Position],
    ) -> Result<Vec<Option<Fingerprint>>, SourceError> {
        Ok(vec![None; positions.len()])
    }
}

impl<F: Fn(&str) -> i64> Positions for F {
    fn next_offset(&self, partition: &str) -> Result<i64, SourceError> {
        Ok(self(partition))
    }
}

/// What a source has to say when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceReport {
    /// Packets handed out.
    pub packets: u64,
    /// Packets that the archive had already, and that were passed over.
    pub passed_over: u64,
    /// Files that are no packets, by ending: `.json` to 3.
    pub left_out: std::collections::BTreeMap<String, u64>,
    /// What could not be read, and how far it could.
    pub damaged: Vec<String>,
}

/// What can go wrong with a source as a whole.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A path that does not exist or cannot be looked into.
    #[error("cannot read `{path}`: {source} (check the path given with --from)")]
    Path {
        /// The path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The list of discovered files cannot be kept.
    #[error("cannot keep the list of discovered files `{path}`: {source}")]
    Manifest {
        /// Its file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The archive does not say where it stands.
    #[error("cannot find where the archive stands in `{partition}`: {source}")]
    Archive {
        /// The partition asked for.
        partition: String,
        /// Why.
        source: Box<pitt_archive::ArchiveError>,
    },
    /// The list of discovered files is shorter than what the archive has read by it.
    #[error(
        "`{path}` lists {kept} files of `{folder}`, of which the archive has read {next} (bring the archive's `sources` folder \
         back, or read the folder into another archive)"
    )]
    LostManifest {
        /// Its file.
        path: String,
        /// The folder it lists.
        folder: String,
        /// Files in it.
        kept: usize,
        /// Files that the archive has read.
        next: usize,
    },
    /// A stream cannot be read as it is set.
    #[error(transparent)]
    Kafka(#[from] pitt_kafka::KafkaError),
    /// Another run reads the folder.
    #[error(
        "`{folder}` is being read into this archive by another run (end that one, or give this one other folders)"
    )]
    BusyFolder {
        /// The folder.
        folder: String,
    },
    /// The list of discovered files was not written by us.
    #[error("`{path}`, line {line}: not a list of discovered files of this folder: {what}")]
    ForeignManifest {
        /// Its file.
        path: String,
        /// Where.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

/// Now, as every `*_us` column has it: microseconds UTC since 1970.
pub fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
