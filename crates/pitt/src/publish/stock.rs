//! The matches of a lane: from memory, or from the archive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pitt_alert::Packet;
use pitt_archive::{LoggedMatch, Match};
use pitt_kafka::publish::{Batch, Cursor, Feed, ResumeError};

use super::message::{Messages, now_us};
use super::ring::{Due, Newest, Ring};
use super::{Desk, restored};
use crate::pipeline::Stage;

/// Bytes of packets in one batch.
const BATCH_BYTES: usize = 16 << 20;
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
        for one in logged {
            let packet = match due.last() {
                Some(last) if same(&last.taken, &one) => (last.packet.clone(), last.record),
                _ => self.packet(&one)?,
            };
            let size = packet.0.bytes.len();
            if size > room && !due.is_empty() {
                break;
            }
            room = room.saturating_sub(size);
            due.push(Due {
                seq: one.seq,
                packet: packet.0,
                record: packet.1,
                taken: Match {
                    survey: one.survey,
                    alert_id: one.alert_id,
                    filter: one.filter,
                    version: one.version,
                },
                matched_us: one.matched_us,
            });
        }
        Ok(due)
    }

    fn packet(&self, one: &LoggedMatch) -> Result<(Packet, u32), String> {
        let archive = &self.desk.archive;
        let look = || archive.packet(&one.survey, one.alert_id);
        let mut stored = look().map_err(|error| error.to_string())?;
        if stored.is_none() {
            // Another process committed it: the index here follows when asked.
            archive.refresh().map_err(|error| error.to_string())?;
            stored = look().map_err(|error| error.to_string())?;
        }
        let stored = stored.ok_or_else(|| {
            format!(
                "match {} of lane {}: alert {} of {} is not in the archive (run `pitt verify`)",
                one.seq, self.lane, one.alert_id, one.survey
            )
        })?;
        let packet = Packet {
            position: stored.position,
            name: stored.name,
            received_us: stored.received_us,
            bytes: stored.bytes,
        };
        Ok((packet, stored.record))
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
}

fn same(taken: &Match, logged: &LoggedMatch) -> bool {
    taken.alert_id == logged.alert_id && taken.survey == logged.survey
}

impl Feed for Stock<'_> {
    fn after(&mut self, place: Option<&str>) -> Result<Batch, String> {
        let seq = match place {
            None => 0,
            Some(place) => place
                .parse()
                .map_err(|_| format!("the cursor `{place}` is no number of a match"))?,
        };
        let due = self.due(seq)?;
        let mut batch = Batch {
            place: due.last().map(|last| last.seq.to_string()),
            mark: due
                .last()
                .map(|last| restored::mark(last.matched_us, &last.taken)),
            ..Batch::default()
        };
        self.received_us.clear();
        for one in &due {
            match self.messages.of_match(one) {
                Ok(Some(message)) => {
                    self.received_us.push(one.packet.received_us);
                    batch.messages.push(message);
                }
                Ok(None) => batch.kept_back += 1,
                Err(detail) => {
                    let (filter, alert) = (&*one.taken.filter, one.taken.alert_id);
                    tracing::error!(filter, alert, detail, "no message can be made of a match");
                    batch.refused.push(one.taken.filter.clone());
                }
            }
        }
        Ok(batch)
    }

    fn resume(&mut self, cursor: &Cursor) -> Result<Option<Cursor>, ResumeError> {
        restored::resume(self.desk, self.lane, cursor)
    }

    fn published(&mut self, _: &Cursor) {
        let received = self.received_us.drain(..);
        self.desk
            .counters
            .add_times(Stage::Publish, received, now_us());
    }
}
