//! Streams from Kafka.
//!
//! Positions are those of the archive: partition `kafka:<name of the input>/<topic>/<number>`, and Kafka's offset. The group's
//! own offsets are only told, for lag monitors. What the consumer does is in [`pitt_kafka::consume`]; here its messages become packets,
//! and its questions go to the pipeline and the archive.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pitt_alert::{Packet, Position, SchemaLookupError, SchemaStore};
use pitt_kafka::consume::{
    Ask, Fingerprint, Gate, Healths, InputSettings, Intake, Message, Next, Query, Stand,
};

use crate::pipeline::{Counters, Stage};

use super::{Outlet, Positions, SourceError, SourceReport, now_us};

/// Longest wait for a message; a batch that is due closes as much later.
const TICK: Duration = Duration::from_millis(10);
/// How often the groups are told where the archive stands.
const ADVISE: Duration = Duration::from_secs(5);

/// Streams from Kafka, connecting since they were opened.
pub struct Kafka {
    intake: Intake,
    report: SourceReport,
    last: LastPackets,
    /// Whether something was handed out that may not be committed yet.
    handed_out: bool,
    advised: Instant,
    /// Where the times of messages on their way to us are counted.
    counters: Option<Arc<Counters>>,
}

impl Kafka {
    /// Starts the inputs. Nothing is read before [`Kafka::run`], which answers where to begin.
    ///
    /// A message whose schema id is not at hand waits, with its input, as long as the registry cannot be asked for it; an id
    /// that the registry does not know goes on, and into quarantine.
    ///
    /// # Errors
    /// A setting that librdkafka does not take.
    pub fn open(inputs: Vec<InputSettings>, schemas: &SchemaStore) -> Result<Self, SourceError> {
        let inputs = inputs
            .into_iter()
            .map(|input| (input, gate(schemas.clone())));
        Ok(Self {
            intake: Intake::start(inputs.collect())?,
            report: SourceReport::default(),
            last: LastPackets::default(),
            handed_out: false,
            advised: Instant::now(),
            counters: None,
        })
    }

    /// Counts how long each message was on its way to us, by the time that it bears.
    pub fn timed(mut self, counters: &Arc<Counters>) -> Self {
        self.counters = Some(counters.clone());
        self
    }

    /// How the inputs are, live, also after the end.
    pub fn healths(&self) -> Healths {
        self.intake.healths()
    }

    /// Hands out messages until nobody wants more; then has them committed and leaves the groups.
    pub fn run(mut self, positions: &dyn Positions, outlet: &mut dyn Outlet) -> SourceReport {
        while self.step(positions, outlet).is_continue() {}
        let committed = outlet.flush().is_continue();
        self.intake.finish(committed);
        self.report
    }

    fn step(&mut self, positions: &dyn Positions, outlet: &mut dyn Outlet) -> ControlFlow<()> {
        match self.intake.next(TICK) {
            Next::Message(message) => {
                self.handed_out = true;
                self.report.packets += 1;
                let sent_ms = message.timestamp_ms;
                let packet = packet(message);
                if let (Some(counters), Some(sent_ms)) = (&self.counters, sent_ms) {
                    let micros = packet
                        .received_us
                        .saturating_sub(sent_ms.saturating_mul(1000));
                    counters.stage(Stage::Arrival).add(micros, 1);
                }
                outlet.packet(packet)?;
            }
            Next::Nothing => outlet.pause(Duration::ZERO)?,
            Next::Ask(Ask::Release(release)) => {
                let flushed = self.flush(outlet);
                release.answer(flushed.is_continue());
                flushed?;
            }
            Next::Ask(Ask::Positions(query)) => {
                self.flush(outlet)?;
                let stands = self.last.stands(&query, positions);
                query.answer(stands);
            }
            Next::Ask(Ask::Look(query)) => {
                let stands = committed(&query, positions);
                query.answer(stands);
            }
        }
        if self.advised.elapsed() >= ADVISE {
            self.advise(positions);
        }
        ControlFlow::Continue(())
    }

    fn flush(&mut self, outlet: &mut dyn Outlet) -> ControlFlow<()> {
        if self.handed_out {
            outlet.flush()?;
            self.handed_out = false;
        }
        ControlFlow::Continue(())
    }

    fn advise(&mut self, positions: &dyn Positions) {
        self.advised = Instant::now();
        let mut stands = vec![];
        for partition in self.intake.partitions() {
            match positions.next_offset(&partition) {
                Ok(next) if next > 0 => stands.push((partition, next)),
                Ok(_) => {}
                Err(error) => return tracing::debug!("the groups are not told: {error}"),
            }
        }
        self.intake.advise(&stands);
    }
}

/// Where the archive stands; `None` where it has nothing.
fn stands(query: &Query, positions: &dyn Positions) -> Result<Vec<Option<i64>>, String> {
    let partitions: Vec<&str> = query.partitions().iter().map(|name| &**name).collect();
    let stands = positions.next_offsets(&partitions);
    let stands = stands.map_err(|error| error.to_string())?.into_iter();
    Ok(stands.map(|next| Some(next).filter(|n| *n > 0)).collect())
}

/// The same, for those who only look.
fn committed(query: &Query, positions: &dyn Positions) -> Result<Vec<Option<Stand>>, String> {
    let stands = stands(query, positions)?.into_iter();
    let stand = |next| Stand { next, last: None };
    Ok(stands.map(|next| next.map(stand)).collect())
}

/// The packets before the places where partitions were begun with. They never change, and may be long to look for.
#[derive(Default)]
struct LastPackets(HashMap<Position, Option<Fingerprint>>);

impl LastPackets {
    /// Where the archive stands, with the packets before.
    fn stands(
        &mut self,
        query: &Query,
        positions: &dyn Positions,
    ) -> Result<Vec<Option<Stand>>, String> {
        let stands = stands(query, positions)?;
        let before = |(partition, next): (&Arc<str>, &Option<i64>)| {
            Some(Position {
                partition: partition.clone(),
                offset: (*next)? - 1,
            })
        };
        let before: Vec<Option<Position>> =
            query.partitions().iter().zip(&stands).map(before).collect();
        self.learn(before.iter().flatten(), positions)?;
        let stand = |(next, before): (Option<i64>, Option<Position>)| {
            Some(Stand {
                next: next?,
                last: self.0.get(&before?).copied().flatten(),
            })
        };
        Ok(stands.into_iter().zip(before).map(stand).collect())
    }

    /// Asks for those that are not known yet.
    fn learn<'a>(
        &mut self,
        wanted: impl Iterator<Item = &'a Position>,
        positions: &dyn Positions,
    ) -> Result<(), String> {
        let new: Vec<Position> = wanted
            .filter(|one| !self.0.contains_key(one))
            .cloned()
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let found = positions.fingerprints(&new);
        let found = found.map_err(|error| error.to_string())?.into_iter();
        let found = found.map(|found| {
            found.map(|found| Fingerprint {
                size: found.size,
                crc32: found.crc32,
            })
        });
        self.0.extend(new.into_iter().zip(found));
        Ok(())
    }
}

fn packet(message: Message) -> Packet {
    let Message {
        topic,
        number,
        offset,
        ..
    } = &message;
    Packet {
        name: format!("{topic}[{number}]@{offset}").into(),
        position: Position {
            partition: message.partition,
            offset: message.offset,
        },
        received_us: now_us(),
        bytes: message.payload,
    }
}

/// Lets messages pass whose schema is at hand, or which nobody knows.
fn gate(schemas: SchemaStore) -> Gate {
    let mut last = None;
    Box::new(move |message| {
        let Some(id) = pitt_alert::frame::wire_schema_id(message).filter(|id| last != Some(*id))
        else {
            return Ok(());
        };
        match schemas.get(id) {
            Err(error @ SchemaLookupError::Silent { .. }) => {
                return Err(format!("{error}; the input waits, asking again"));
            }
            Err(_) => {}
            Ok(_) => last = Some(id),
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registry_that_is_silent_holds_a_message() {
        let schemas = SchemaStore::new();
        let mut gate_of = gate(schemas.clone());
        // Unknown to everybody: quarantine is the place for it.
        assert_eq!(gate_of(&[0, 0, 0, 1, 44, 2]), Ok(()));
        // Nobody listens on the discard port.
        let mut gate_of = gate(schemas.with_registry("http://127.0.0.1:9"));
        let error = gate_of(&[0, 0, 0, 1, 44, 2]).unwrap_err();
        assert!(
            error.contains("300") && error.contains("127.0.0.1:9"),
            "{error}"
        );
        assert_eq!(
            gate_of(b"Obj\x01"),
            Ok(()),
            "a container has its schema with it"
        );
        assert_eq!(gate_of(b""), Ok(()));
    }
}
