//! Packets from the simulator, at a chosen pace.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pitt_alert::{Packet, Position};
use pitt_simulate::{SimulationConfig, Simulator, Visit};

use super::{Outlet, Positions, SourceError, SourceReport, now_us};

/// Longest wait before the outlet is asked again whether to stop.
const NAP: Duration = Duration::from_millis(20);

/// Packets from the simulator.
///
/// The number of a packet counts all packets from the first visit on, so that the same settings give the same packet the
/// same position in every run. Where each visit began is noted in `<archive>/sources/<fingerprint>.visits`, lines of
/// `<visit> <number of its first packet>`: only a short cut past what the archive has; without it the packets are
/// made again and passed over.
pub struct Simulated {
    simulator: Simulator,
    partition: Arc<str>,
    notes: PathBuf,
    visit: u64,
    number: i64,
    start: i64,
    visits_per_night: u64,
    /// Packets a second; 0 for no limit.
    rate: f64,
}

impl Simulated {
    /// Prepares to go on where the archive stands.
    ///
    /// # Errors
    /// The folder of the notes cannot be made.
    pub fn open(
        config: SimulationConfig,
        sources: &Path,
        positions: &dyn Positions,
        rate: f64,
    ) -> Result<Self, SourceError> {
        let fingerprint = fingerprint(&config);
        let partition = format!("sim:{fingerprint}");
        let notes = sources.join(format!("{fingerprint}.visits"));
        std::fs::create_dir_all(sources).map_err(|source| SourceError::Manifest {
            path: sources.display().to_string(),
            source,
        })?;
        let start = positions.next_offset(&partition)?;
        let visits_per_night = u64::from(config.visits_per_night) * config.surveys.len() as u64;
        let mut simulator = Simulator::new(config);
        let (visit, number) = last_visit_before(&notes, start);
        simulator.seek(visit);
        let partition = partition.into();
        Ok(Self {
            simulator,
            partition,
            notes,
            visit,
            number,
            start,
            visits_per_night,
            rate,
        })
    }

    /// About how many packets of the night to come are in the archive already.
    pub fn done_of_night(&self) -> u64 {
        let visits = self.visit % self.visits_per_night;
        let known = u64::try_from(self.start - self.number).unwrap_or(0);
        visits * u64::from(self.simulator.config().alerts_per_visit) + known
    }

    /// Hands out packets to the end of the night that the archive stands in; the next run gives the next night.
    ///
    /// # Errors
    /// None at present.
    pub fn run(mut self, outlet: &mut dyn Outlet) -> Result<SourceReport, SourceError> {
        let mut report = SourceReport::default();
        let (begin, mut given) = (Instant::now(), 0u64);
        let mut last = None;
        while last.is_none_or(|last| self.visit < last) {
            let Some(visit) = self.simulator.next_visit() else {
                break;
            };
            self.note();
            self.visit += 1;
            let Visit { packets, .. } = visit;
            let ends = self.number + packets.len() as i64;
            if last.is_none() && ends > self.start {
                last = Some(
                    (self.visit - 1) / self.visits_per_night * self.visits_per_night
                        + self.visits_per_night,
                );
            }
            for packet in packets {
                let number = self.number;
                self.number += 1;
                if number < self.start {
                    report.passed_over += 1;
                    continue;
                }
                if self.wait(begin, given, outlet).is_break() {
                    return Ok(report);
                }
                given += 1;
                report.packets += 1;
                let name = format!("{}/{}", packet.survey, packet.truth.alert_id);
                let packet = Packet {
                    position: Position {
                        partition: self.partition.clone(),
                        offset: number,
                    },
                    name: name.into(),
                    received_us: now_us(),
                    bytes: packet.bytes,
                };
                if outlet.packet(packet).is_break() {
                    return Ok(report);
                }
            }
        }
        Ok(report)
    }

    fn wait(
        &self,
        begin: Instant,
        given: u64,
        outlet: &mut dyn Outlet,
    ) -> std::ops::ControlFlow<()> {
        if self.rate > 0.0 {
            let due = begin + Duration::from_secs_f64(given as f64 / self.rate);
            while let Some(left) = due
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero())
            {
                outlet.pause(left.min(NAP))?;
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    fn note(&self) {
        let line = format!("{} {}\n", self.visit, self.number);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.notes);
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            tracing::warn!(
                "{}: {error} (the next start will take longer)",
                self.notes.display()
            );
        }
    }
}

/// The last visit noted that begins at or before packet `start`.
fn last_visit_before(notes: &Path, start: i64) -> (u64, i64) {
    let text = std::fs::read_to_string(notes).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let visits = whole.lines().filter_map(|line| {
        let (visit, number) = line.split_once(' ')?;
        Some((visit.parse::<u64>().ok()?, number.parse::<i64>().ok()?))
    });
    visits
        .filter(|(_, number)| *number <= start)
        .max()
        .unwrap_or((0, 0))
}

/// What makes one simulation another: every setting but the number of nights, which only says where it ends.
fn fingerprint(config: &SimulationConfig) -> String {
    let endless = SimulationConfig {
        nights: 0,
        ..config.clone()
    };
    let text = format!("{} {endless:?}", env!("CARGO_PKG_VERSION"));
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    struct Take(Vec<Packet>, usize);

    impl Outlet for Take {
        fn packet(&mut self, packet: Packet) -> ControlFlow<()> {
            self.0.push(packet);
            if self.0.len() == self.1 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }

        fn pause(&mut self, _: Duration) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }

        fn flush(&mut self) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
    }

    fn take(sources: &Path, start: i64, most: usize) -> Vec<(i64, bytes::Bytes)> {
        let config = SimulationConfig {
            nights: 2,
            visits_per_night: 2,
            alerts_per_visit: 5,
            duplicates_per_million: 200_000,
            ..Default::default()
        };
        let source = Simulated::open(config, sources, &|_: &str| start, 0.0).unwrap();
        let mut outlet = Take(vec![], most);
        source.run(&mut outlet).unwrap();
        outlet
            .0
            .into_iter()
            .map(|packet| (packet.position.offset, packet.bytes))
            .collect()
    }

    #[test]
    fn goes_on_with_the_same_packets_at_the_same_positions() {
        let folder = tempfile::tempdir().unwrap();
        let night = take(folder.path(), 0, usize::MAX);
        assert!(night.len() > 20);
        assert_eq!(take(folder.path(), 7, usize::MAX), night[7..]);
        let fresh = tempfile::tempdir().unwrap();
        assert_eq!(take(fresh.path(), 13, 3), night[13..16]);
    }

    #[test]
    fn a_finished_night_is_followed_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let night = take(folder.path(), 0, usize::MAX).len() as i64;
        let next = take(folder.path(), night, usize::MAX);
        assert_eq!(next[0].0, night);
        assert!(next.len() >= 20);
    }
}
