//! Packets out of a tarball, gzipped or not.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::ops::ControlFlow;
use std::path::{Component, Path};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use pitt_alert::{Packet, Position, left_out};

use super::look::{Kind, kind};
use super::{Outlet, SourceReport, now_us};

/// Length of a member for which room is made before its bytes are there.
const TRUSTED_BYTES: u64 = 1 << 20;

/// How far a tarball was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// Number of the next packet.
    pub(super) next: i64,
    /// Why that is not all there is.
    pub(super) damage: Option<String>,
}

/// Reads a tarball from its packet number `start` on. Damage ends it.
pub(super) fn read(
    path: &Path,
    start: i64,
    max_bytes: u64,
    outlet: &mut dyn Outlet,
    report: &mut SourceReport,
) -> ControlFlow<(), Read> {
    let mut reader = Reader {
        partition: partition(path).into(),
        name: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        number: 0,
        start,
        max_bytes,
        refused: None,
    };
    let damage = match reader.run(path, outlet, report) {
        Ok(flow) => {
            flow?;
            (reader.number < start).then(|| {
                format!("{start} packets were read before (another file of that name? give it a name of its own)")
            })
        }
        Err(error) => Some(format!("{error} (the rest of this tarball is not read)")),
    };
    let damage = damage.map(|damage| {
        let told = format!(
            "{} after {} packets: {damage}",
            path.display(),
            reader.number
        );
        tracing::error!("{told}");
        told
    });
    ControlFlow::Continue(Read {
        next: reader.number.max(start),
        damage,
    })
}

/// The partition of a tarball's packets.
pub(super) fn partition(path: &Path) -> String {
    format!("tar:{}", path.display())
}

/// Hands out the packets of one tarball.
pub(super) struct Reader {
    /// Partition of the packets.
    pub(super) partition: Arc<str>,
    /// The tarball's name, for people.
    pub(super) name: String,
    /// Number of the next packet.
    pub(super) number: i64,
    /// The first packet to hand out.
    pub(super) start: i64,
    /// Larger members are no packets.
    pub(super) max_bytes: u64,
    /// For tarballs of strangers: which members were not taken, and why. `None` passes over what is no packet.
    pub(super) refused: Option<Vec<String>>,
}

impl Reader {
    fn run(
        &mut self,
        path: &Path,
        outlet: &mut dyn Outlet,
        report: &mut SourceReport,
    ) -> io::Result<ControlFlow<()>> {
        let file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let zipped = path.extension().is_some_and(|ending| ending != "tar");
        let bytes: Box<dyn io::Read> = if zipped {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        self.members(bytes, outlet, report)
    }

    /// Reads an unpacked tarball to its end.
    pub(super) fn members(
        &mut self,
        bytes: impl io::Read,
        outlet: &mut dyn Outlet,
        report: &mut SourceReport,
    ) -> io::Result<ControlFlow<()>> {
        let mut archive = tar::Archive::new(bytes);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let member = entry.path()?.into_owned();
            if let Some(refused) = &mut self.refused
                && let Some(why) = objection(entry.header().entry_type(), &member)
            {
                refused.push(format!("{}: {why}", member.display()));
                continue;
            }
            if !entry.header().entry_type().is_file() || kind(&member) != Kind::Packet {
                continue;
            }
            let number = self.number;
            if number < self.start {
                self.number += 1;
                report.passed_over += 1;
                continue;
            }
            let size = entry.size();
            let bytes = self.content(&mut entry, size, &member)?;
            self.number += 1;
            report.packets += 1;
            let packet = Packet {
                position: Position {
                    partition: self.partition.clone(),
                    offset: number,
                },
                name: format!("{}/{}", self.name, member.display()).into(),
                received_us: now_us(),
                bytes,
            };
            if outlet.packet(packet).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// A member's bytes. For one too large to be a packet its stand-in comes, and so it is counted, in quarantine.
    ///
    /// A tarball that ends in the member is damaged: the member has no position yet, and is read when it is whole.
    fn content(&self, entry: &mut impl io::Read, size: u64, member: &Path) -> io::Result<Bytes> {
        if size > self.max_bytes {
            // Stepped over to its end, which must be there for its position to be used up.
            let passed = io::copy(&mut entry.take(size), &mut io::sink())?;
            whole(passed, size, member)?;
            let limit = self.max_bytes >> 20;
            let member = member.display();
            tracing::error!(
                "{}/{member}: larger than {limit} MB (raise `source.max_file_mb`)",
                self.name
            );
            return Ok(left_out(size));
        }
        // As large as it says, within reason: growing step by step copies it twice and keeps up to twice the room.
        let room = size.min(TRUSTED_BYTES) as usize;
        let mut bytes = Vec::with_capacity(room);
        entry.take(size).read_to_end(&mut bytes)?;
        whole(bytes.len() as u64, size, member)?;
        Ok(bytes.into())
    }
}

/// What speaks against taking a member of a stranger's tarball. Nothing is ever unpacked under its name; a name or a link
/// that leaves the folder still tells that this is not the file it seems to be.
fn objection(what: tar::EntryType, member: &Path) -> Option<&'static str> {
    let leaves = |part| !matches!(part, Component::Normal(_) | Component::CurDir);
    if what.is_symlink() || what.is_hard_link() {
        Some("a link")
    } else if member.components().any(leaves) {
        Some("its name leaves the folder")
    } else if what.is_file() && kind(member) != Kind::Packet {
        Some("no packet by its name")
    } else {
        None
    }
}

/// Refuses a member of which only some bytes are there.
fn whole(there: u64, size: u64, member: &Path) -> io::Result<()> {
    if there == size {
        return Ok(());
    }
    let member = member.display();
    let told = format!("ends within {member} (is it still being written?)");
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, told))
}
