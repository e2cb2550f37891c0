//! An archive's packets as a source.

use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::Result;
use pitt_alert::Position;
use pitt_archive::Archive;

use crate::source::{Outlet, Positions, SourceReport};

/// Packets of an archive in the order of receipt, each once, also where the survey sent it twice.
///
/// The partition is `archive:<folder>`, the number counts its packets with a stored alert.
pub struct History {
    archive: Archive,
    partition: Arc<str>,
    start: i64,
    /// Only this night, YYYYMMDD.
    night: Option<i32>,
}

impl History {
    /// Prepares to go on where `positions` stands; only one night's packets if one is given, as YYYYMMDD.
    ///
    /// # Errors
    /// Where it stands cannot be read.
    pub fn open(archive: Archive, night: Option<i32>, positions: &dyn Positions) -> Result<Self> {
        let folder = std::fs::canonicalize(archive.folder())?;
        let of_night = night.map_or_else(String::new, |n| format!("#{n}"));
        let partition = format!("archive:{}{of_night}", folder.display());
        Ok(Self {
            archive,
            start: positions.next_offset(&partition)?,
            partition: partition.into(),
            night,
        })
    }

    /// Hands out every packet.
    ///
    /// # Errors
    /// The archive is damaged.
    pub fn run(self, outlet: &mut dyn Outlet) -> Result<SourceReport> {
        let mut report = SourceReport::default();
        let mut number = -1;
        for replayed in self.archive.replay(None)? {
            let replayed = replayed?;
            if self
                .night
                .is_some_and(|night| replayed.night != Some(night))
            {
                continue;
            }
            number += 1;
            if number < self.start {
                report.passed_over += 1;
                continue;
            }
            let mut packet = replayed.packet;
            packet.position = Position {
                partition: Arc::clone(&self.partition),
                offset: number,
            };
            report.packets += 1;
            if let ControlFlow::Break(()) = outlet.packet(packet) {
                break;
            }
        }
        Ok(report)
    }
}
