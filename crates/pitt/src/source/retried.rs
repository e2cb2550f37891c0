//! Packets out of quarantine: those that can be read by now.
//!
//! A packet that could not be read (its schema was unknown, say) is tried again with the schemas at hand. What decodes is
//! handed out under a position of its own, partition [`PARTITION`], and so becomes one more row of the journal; the row of
//! the first time stays. What still cannot be read stays where it is.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use pitt_alert::{Decoder, Packet, Position};

use super::{Outlet, SourceReport, now_us};

/// Partition of all packets tried again.
pub const PARTITION: &str = "retry:quarantine";

/// One packet in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it came from.
    pub position: Position,
    /// Its name, for people.
    pub name: String,
    /// Why it is there: a stable code.
    pub reason: String,
    /// The packet as it came.
    pub bytes: bytes::Bytes,
}

impl Quarantined {
    /// The name under which it is tried again; tells where it was first.
    pub fn retry_name(&self) -> String {
        let Position { partition, offset } = &self.position;
        format!("{} (again, from {partition}@{offset})", self.name)
    }
}

/// Tries packets again, in the order given.
pub struct Retried<'a> {
    decoder: Decoder,
    next: i64,
    done: &'a HashSet<String>,
    report: SourceReport,
    unread: BTreeMap<String, u64>,
}

impl<'a> Retried<'a> {
    /// Decodes with `decoder`; positions go on at `next`; names in `done` were read on an earlier try.
    pub fn new(decoder: Decoder, next: i64, done: &'a HashSet<String>) -> Self {
        Self {
            decoder,
            next,
            done,
            report: SourceReport::default(),
            unread: BTreeMap::new(),
        }
    }

    /// Tries one; hands it out if all of it can be read. `false` when nobody wants more.
    pub fn offer(&mut self, quarantined: &Quarantined, outlet: &mut dyn Outlet) -> bool {
        let name: Arc<str> = quarantined.retry_name().into();
        if self.done.contains(&*name) {
            self.report.passed_over += 1;
            return true;
        }
        let position = Position {
            partition: PARTITION.into(),
            offset: self.next,
        };
        let packet = Packet {
            position,
            name,
            received_us: now_us(),
            bytes: quarantined.bytes.clone(),
        };
        let decoded = self.decoder.decode(std::slice::from_ref(&packet));
        if let Some(rejected) = decoded.rejected.first() {
            *self
                .unread
                .entry(rejected.reason.as_str().to_owned())
                .or_default() += 1;
            return true;
        }
        self.next += 1;
        self.report.packets += 1;
        outlet.packet(packet).is_continue()
    }

    /// What was handed out, and how many could not be read for which reason.
    pub fn finish(self) -> (SourceReport, BTreeMap<String, u64>) {
        (self.report, self.unread)
    }
}
