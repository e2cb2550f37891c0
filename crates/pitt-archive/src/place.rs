//! Places in the table `packets`: of a packet, of a record in one, and between two rows.
//!
//! Data files never change and are never taken away, so a place means the same for as long as the archive is there.

use std::fmt;
use std::str::FromStr;

use crate::error::ArchiveError;
use crate::part::PartName;
use crate::tables::PACKETS;

/// Where a packet is: commit and file of the table `packets`, and the row there that holds its bytes, from 0.
///
/// Places are in the order of receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketPlace {
    /// Commit that brought the file.
    pub commit: u64,
    /// Number of the file in the commit.
    pub file: u32,
    /// Row in the file.
    pub row: u64,
}

impl PacketPlace {
    /// A row of a file.
    pub(crate) fn of(file: PartName, row: u64) -> Self {
        Self {
            commit: file.commit,
            file: file.number,
            row,
        }
    }

    /// The file: commit, and number in it.
    pub(crate) fn in_file(&self) -> (u64, u32) {
        (self.commit, self.file)
    }
}

/// Where an alert is: its packet, and which of the packet's records is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordPlace {
    pub(crate) packet: PacketPlace,
    /// Number of the record in the packet, from 0.
    pub(crate) record: u32,
}

/// A place between two rows of `packets`, behind what has been read: where reading goes on.
///
/// Not the place of a packet ([`PacketPlace`]): it counts the rows before it, so that one that stands behind the last row of a
/// file is behind all of it. Written as `commit/file/row`; cursors in Kafka's topics and replays keep it in that form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplayPlace {
    /// Commit that brought the file.
    pub(crate) commit: u64,
    /// Number of the file in the commit.
    pub(crate) file: u32,
    /// Rows of the file up to here.
    pub(crate) row: u64,
}

/// `commit/file/row`.
impl fmt::Display for ReplayPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.commit, self.file, self.row)
    }
}

impl FromStr for ReplayPlace {
    type Err = ArchiveError;

    fn from_str(text: &str) -> Result<Self, ArchiveError> {
        let mut parts = text.splitn(3, '/');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let place = (number(), number(), number());
        let place =
            match place {
                (Some(commit), Some(file), Some(row)) => u32::try_from(file)
                    .ok()
                    .map(|file| Self { commit, file, row }),
                _ => None,
            };
        place.ok_or_else(|| ArchiveError::Format {
            table: PACKETS.to_owned(),
            detail: format!("`{text}` is no place in it (commit/file/row)"),
        })
    }
}
