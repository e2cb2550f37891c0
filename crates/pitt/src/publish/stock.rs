//! The matches of a lane: from memory, or from the archive.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pitt_alert::Packet;
use pitt_archive::{LoggedMatch, StoredPacket};
use pitt_kafka::publish::{Batch, Cursor, Feed, ResumeError};

use super::message::{Messages, now_us};
use super::ring::{Due, Newest, Ring};
use super::{Desk, restored};
use crate::pipeline::Stage;

/// Bytes of packets in one batch.
const BATCH_BYTES: usize = 32 << 20;
/// Matches whose packets are read from the archive together.
const READ_AT_ONCE: usize = 32;
/// How often the archive is asked while nothing comes: others may have committed matches of this lane.
const ASK: Duration = Duration::from_secs(1);
/// ... and while later ones wait in memory.
const ASK_SOON: Duration = Duration::from_millis(200);

/// The matches of one lane in the order of their numbers.
pub(crate) struct Stock<'a> {
    desk: &'a Desk,
    lane: u32,
    ring: Arc<Ring>,
    messages: Messages<'a>,
    /// When the archive last had nothing.
    empty_since: Option<Instant>,
    /// Times of receipt of the batch that is on its way.
    received_us: Vec<i64>,
    /// Whether more was waiting than that batch takes.
    behind: bool,
    /// The batch after it, made meanwhile, and the number that it follows on.
    ahead: Option<(u64, Made)>,
}

/// A batch, with the times of receipt of its alerts.
struct Made {
    batch: Batch,
    received_us: Vec<i64>,
    full: bool,
}

impl<'a> Stock<'a> {
    pub(crate) fn new(desk: &'a Desk, lane: u32, ring: Arc<Ring>) -> Self {
        Stock {
            desk,
            lane,
            ring,
            messages: desk.messages(),
            empty_since: None,
            received_us: vec![],
            behind: false,
            ahead: None,
        }
    }

    /// What the archive has after a number.
    fn stored(&mut self, seq: u64) -> Result<Vec<Due>, String> {
        let archive = &self.desk.archive;
        let limit = self.desk.settings.batch_messages;
        let logged = archive.matches_after(self.lane, seq, limit);
        let logged = logged.map_err(|error| error.to_string())?;
        let mut due: Vec<Due> = vec![];
        let mut room = BATCH_BYTES;
        for some in logged.chunks(READ_AT_ONCE) {
            let packets = self.packets(some)?;
            for (one, packet) in some.iter().zip(packets) {
                let size = packet.0.bytes.len();
                if size > room && !due.is_empty() {
                    return Ok(due);
                }
                room = room.saturating_sub(size);
                due.push(due_of(one, packet));
            }
        }
        Ok(due)
    }

    /// The packets of matches, each with the number of the alert's record in it.
    fn packets(&self, matches: &[LoggedMatch]) -> Result<Vec<(Packet, u32)>, String> {
        let archive = &self.desk.archive;
        let wanted: Vec<(&str, i64)> = matches.iter().map(|m| (&*m.survey, m.alert_id)).collect();
        let look = || archive.packets(&wanted).map_err(|error| error.to_string());
        let mut stored = look()?;
        if stored.iter().any(Option::is_none) {
            // Another process committed it: the index here follows when asked.
            archive.refresh().map_err(|error| error.to_string())?;
            stored = look()?;
        }
        let found = |(one, stored): (&LoggedMatch, Option<StoredPacket>)| {
            let stored = stored.ok_or_else(|| {
                format!(
                    "match {} of lane {}: alert {} of {} is not in the archive (run `pitt verify`)",
                    one.seq, self.lane, one.alert_id, one.survey
                )
            })?;
            let record = stored.record;
            Ok((stored.into_packet(), record))
        };
        matches.iter().zip(stored).map(found).collect()
    }

    fn due(&mut self, seq: u64) -> Result<Vec<Due>, String> {
        let limit = self.desk.settings.batch_messages;
        let patience = match self.ring.after(seq, limit, BATCH_BYTES) {
            Newest::Next(due) => return Ok(due),
            Newest::Later => ASK_SOON,
            Newest::Nothing => ASK,
        };
        let waited = self
            .empty_since
            .is_none_or(|since| since.elapsed() >= patience);
        if !waited && !self.desk.is_ending() {
            return Ok(vec![]);
        }
        let due = self.stored(seq)?;
        self.empty_since = due.is_empty().then(Instant::now);
        Ok(due)
    }

    /// Makes the messages of what follows on a number.
    fn make(&mut self, seq: u64) -> Result<Made, String> {
        let due = self.due(seq)?;
        let sizes = || due.iter().map(|one| one.packet.bytes.len());
        let room = BATCH_BYTES.saturating_sub(sizes().sum());
        let mut made = Made {
            full: due.len() == self.desk.settings.batch_messages
                || sizes().max().is_some_and(|largest| largest > room),
            batch: Batch {
                place: due.last().map(|last| last.seq.to_string()),
                mark: due
                    .last()
                    .map(|last| restored::mark(last.matched_us, &last.taken)),
                ..Batch::default()
            },
            received_us: vec![],
        };
        for one in &due {
            match self.messages.of_match(one) {
                Ok(Some(message)) => {
                    made.received_us.push(one.packet.received_us);
                    made.batch.messages.push(message);
                }
                Ok(None) => made.batch.kept_back += 1,
                Err(detail) => {
                    let (filter, alert) = (&*one.taken.filter, one.taken.alert_id);
                    tracing::error!(filter, alert, detail, "no message can be made of a match");
                    made.batch.refused.push(one.taken.filter.clone());
                }
            }
        }
        Ok(made)
    }
}

fn due_of(one: &LoggedMatch, (packet, record): (Packet, u32)) -> Due {
    Due {
        seq: one.seq,
        packet,
        record,
        taken: one.taken(),
        matched_us: one.matched_us,
    }
}

impl Feed for Stock<'_> {
    fn after(&mut self, place: Option<&str>) -> Result<Batch, String> {
        let seq = match place {
            None => 0,
            Some(place) => place
                .parse()
                .map_err(|_| format!("the cursor `{place}` is no number of a match"))?,
        };
        let made = match self.ahead.take() {
            Some((after, made)) if after == seq => made,
            _ => self.make(seq)?,
        };
        self.received_us = made.received_us;
        self.behind = made.full;
        Ok(made.batch)
    }

    /// A publisher that is behind makes the next batch while Kafka takes this one. One that is not waits for what comes, so that
    /// nothing lies ready while newer matches come.
    fn prepare(&mut self, place: &str) {
        let Ok(seq) = place.parse() else { return };
        if !self.behind || self.ahead.as_ref().is_some_and(|(after, _)| *after == seq) {
            return;
        }
        // What went wrong is said when the batch is asked for; that there was nothing may no longer hold by then.
        let made = self.make(seq).ok();
        let made = made.filter(|made| made.batch.place.is_some());
        self.ahead = made.map(|made| (seq, made));
    }

    fn resume(&mut self, cursor: &Cursor) -> Result<Option<Cursor>, ResumeError> {
        self.ahead = None;
        restored::resume(self.desk, self.lane, cursor)
    }

    fn published(&mut self, _: &Cursor) {
        let received = self.received_us.drain(..);
        self.desk
            .counters
            .add_times(Stage::Publish, received, now_us());
    }
}
