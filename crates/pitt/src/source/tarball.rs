//! Packets out of a tarball, gzipped or not.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use pitt_alert::{Packet, Position};

use super::files::{Kind, kind};
use super::{Outlet, SourceReport, now_us};

/// Reads a tarball from its packet number `start` on. Damage ends it and is reported.
pub(super) fn read(
    path: &Path,
    start: i64,
    max_bytes: u64,
    outlet: &mut dyn Outlet,
    report: &mut SourceReport,
) -> ControlFlow<()> {
    let mut reader = Reader {
        partition: format!("tar:{}", path.display()).into(),
        name: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        number: 0,
        start,
        max_bytes,
    };
    match reader.run(path, outlet, report) {
        Ok(flow) => flow,
        Err(error) => {
            let place = format!("{} after {} packets", path.display(), reader.number);
            tracing::error!("{place}: {error} (the rest of this tarball is not read)");
            report.damaged.push(format!("{place}: {error}"));
            ControlFlow::Continue(())
        }
    }
}

struct Reader {
    partition: Arc<str>,
    name: String,
    number: i64,
    start: i64,
    max_bytes: u64,
}

impl Reader {
    fn run(
        &mut self,
        path: &Path,
        outlet: &mut dyn Outlet,
        report: &mut SourceReport,
    ) -> std::io::Result<ControlFlow<()>> {
        let file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let zipped = path.extension().is_some_and(|ending| ending != "tar");
        let bytes: Box<dyn Read> = if zipped {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        let mut archive = tar::Archive::new(bytes);
        for entry in archive.entries()? {
            let mut entry = entry?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let member = entry.path()?.into_owned();
            if kind(&member) != Kind::Packet {
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

    /// A member's bytes. One too large to be a packet comes out empty, and so is counted, in quarantine.
    ///
    /// A tarball that ends in the member is damaged: the member has no position yet, and is read when it is whole.
    fn content(&self, entry: &mut impl Read, size: u64, member: &Path) -> std::io::Result<Bytes> {
        let mut bytes = vec![];
        entry.take(self.max_bytes + 1).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < size.min(self.max_bytes) {
            let kind = std::io::ErrorKind::UnexpectedEof;
            let told = format!(
                "ends within {} (is it still being written?)",
                member.display()
            );
            return Err(std::io::Error::new(kind, told));
        }
        if bytes.len() as u64 > self.max_bytes {
            let limit = self.max_bytes >> 20;
            tracing::error!(
                "{}/{}: larger than {limit} MB (raise `source.max_file_mb`)",
                self.name,
                member.display()
            );
            bytes.clear();
        }
        Ok(bytes.into())
    }
}
