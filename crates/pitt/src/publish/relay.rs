//! The whole stream, passed on in the order of the journal.

use std::time::Duration;

use pitt_archive::tables::PACKETS;
use pitt_archive::{ArchiveError, Replay, ReplayPlace, Replayed};
use pitt_kafka::publish::{Batch, Cursor, Feed, ResumeError};

use super::course::Course;
use super::message::Messages;
use super::{Desk, restored};

/// Bytes of packets in one batch.
const BATCH_BYTES: usize = 16 << 20;
/// How often a process that does not have the lock looks whether it is free.
const LOOK: Duration = Duration::from_millis(500);

/// Passes the stream on while this process has the lock; one process of an archive does.
pub(super) fn run(desk: &Desk) {
    let path = desk.archive.folder().join("delivered").join("relay.lock");
    let opened = std::fs::create_dir_all(desk.archive.folder().join("delivered"))
        .and_then(|()| std::fs::File::create(&path));
    let lock = match opened {
        Ok(lock) => lock,
        Err(error) => {
            tracing::error!(%error, file = %path.display(), "the stream is not passed on");
            return;
        }
    };
    while lock.try_lock().is_err() {
        if desk.is_ending() {
            return;
        }
        std::thread::sleep(LOOK);
    }
    let journal = Journal {
        desk,
        messages: desk.messages(),
        raw: desk.settings.relay == "raw",
        reading: None,
        seen: None,
    };
    Course::new(desk, "relay", journal, None).run();
}

/// Stored alerts in the order of receipt.
struct Journal<'a> {
    desk: &'a Desk,
    messages: Messages<'a>,
    raw: bool,
    reading: Option<Reading>,
    /// Version of the journal that was read to its end.
    seen: Option<u64>,
}

/// A reader, the place it stands at, and the version of the journal it reads.
struct Reading {
    place: Option<ReplayPlace>,
    reader: Replay,
    version: Option<u64>,
}

impl Journal<'_> {
    /// Begins to read after a place; `None` when the journal has not grown since it was read to its end.
    fn open(&self, place: Option<ReplayPlace>) -> Result<Option<Reading>, ArchiveError> {
        let archive = &self.desk.archive;
        archive.follow()?;
        let version = archive.snapshot(PACKETS)?.map(|journal| journal.version);
        if version == self.seen {
            return Ok(None);
        }
        Ok(Some(Reading {
            place,
            reader: archive.replay(place)?,
            version,
        }))
    }

    /// Takes packets until the batch is full; gives the place after the last, if there is any, and marks the batch with it.
    fn fill(
        &mut self,
        batch: &mut Batch,
        reading: &mut Reading,
    ) -> Result<Option<ReplayPlace>, String> {
        let (mut room, mut last) = (BATCH_BYTES, None);
        while batch.messages.len() < self.desk.settings.batch_messages && room > 0 {
            let Some(replayed) = reading.reader.next() else {
                break;
            };
            let replayed = replayed.map_err(|error| error.to_string())?;
            room = room.saturating_sub(replayed.packet.bytes.len());
            self.add(&replayed, batch);
            last = Some(replayed.place);
            let packet = &replayed.packet;
            batch.mark = Some(restored::mark_of_packet(
                packet.received_us,
                &packet.position,
            ));
        }
        Ok(last)
    }

    fn add(&mut self, replayed: &Replayed, batch: &mut Batch) {
        // As it came, a packet is one message, however many alerts it holds.
        let numbers = if self.raw { 1 } else { replayed.stored.len() };
        for &number in &replayed.stored[..numbers.min(replayed.stored.len())] {
            match self.messages.of_alert(&replayed.packet, number, self.raw) {
                Ok(message) => batch.messages.push(message),
                Err(detail) => {
                    let packet = &*replayed.packet.name;
                    tracing::error!(packet, detail, "an alert cannot be passed on");
                    batch.refused.push("relay".into());
                }
            }
        }
    }
}

impl Feed for Journal<'_> {
    fn after(&mut self, place: Option<&str>) -> Result<Batch, String> {
        let place = place.map(place_of).transpose()?;
        let mut batch = Batch::default();
        let mut stands = self.reading.take().filter(|reading| reading.place == place);
        loop {
            let reading = match stands.take() {
                Some(reading) => Some(reading),
                None => self.open(place).map_err(|error| error.to_string())?,
            };
            let Some(mut reading) = reading else {
                return Ok(batch);
            };
            if let Some(last) = self.fill(&mut batch, &mut reading)? {
                batch.place = Some(last.to_string());
                // More may follow in what is being read.
                reading.place = Some(last);
                self.reading = Some(reading);
                return Ok(batch);
            }
            // Read to its end; the journal may have grown meanwhile.
            self.seen = reading.version;
        }
    }

    fn resume(&mut self, cursor: &Cursor) -> Result<Option<Cursor>, ResumeError> {
        let place = place_of(&cursor.place).map_err(ResumeError::Foreign)?;
        restored::resume_relay(self.desk, place, cursor)
    }

    fn published(&mut self, _: &Cursor) {}
}

fn place_of(text: &str) -> Result<ReplayPlace, String> {
    let place = text.parse();
    place.map_err(|_| format!("the cursor `{text}` is no place in the journal"))
}
