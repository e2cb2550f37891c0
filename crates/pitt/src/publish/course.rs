//! One publisher's thread, from start to end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pitt_kafka::publish::{Backoff, Cursor, Feed, Output, Progress, Publisher};

use super::Desk;
use super::noted;
use super::ring::Ring;

/// Longest wait for something new, before the feed is asked again.
const LOOK: Duration = Duration::from_millis(200);
/// How long an output that does not answer is waited for at the end of a run.
const PARTING: Duration = Duration::from_secs(15);
/// How often the cursor is noted in the archive's folder.
const NOTE: Duration = Duration::from_secs(1);

/// Publishes one feed until the run ends, or for ever what is there.
pub(crate) struct Course<'a, F> {
    desk: &'a Desk,
    name: String,
    publisher: Publisher<Output, F>,
    /// What wakes it; without one it looks now and then.
    ring: Option<&'a Arc<Ring>>,
    noted: Option<Instant>,
    /// Ends when there is nothing more, also before the run's end.
    only_what_is_there: bool,
}

impl<'a, F: Feed> Course<'a, F> {
    pub(crate) fn new(desk: &'a Desk, name: &str, feed: F, ring: Option<&'a Arc<Ring>>) -> Self {
        let known = noted::read(&desk.archive, name, &desk.settings.servers);
        let publisher = Publisher::new(desk.output(name), feed, Backoff::default(), known);
        Course {
            desk,
            name: name.to_owned(),
            publisher,
            ring,
            noted: None,
            only_what_is_there: false,
        }
    }

    /// Ends as soon as nothing is left.
    pub(crate) fn until_empty(mut self) -> Self {
        self.only_what_is_there = true;
        self
    }

    /// Publishes; returns at the run's end, or when another publisher has taken over.
    pub(crate) fn run(mut self) {
        let mut troubled = false;
        let mut given_up: Option<Instant> = None;
        loop {
            let begun = Instant::now();
            let ending = self.desk.is_ending();
            match self.publisher.step() {
                Progress::Published { counts } => {
                    self.well(&mut troubled);
                    self.desk.counters.output.well(&self.name, self.behind());
                    self.count(&counts);
                    self.note(false);
                    self.pause(self.desk.settings.pace().saturating_sub(begun.elapsed()));
                }
                Progress::Idle => {
                    self.well(&mut troubled);
                    self.desk
                        .counters
                        .output
                        .well(&self.name, self.behind().or(Some(0)));
                    self.note(true);
                    if ending || self.only_what_is_there {
                        self.desk.counters.output.ended(&self.name);
                        return;
                    }
                    self.wait(LOOK);
                }
                Progress::Waiting { pause, why, first } => {
                    self.desk
                        .counters
                        .output
                        .waiting(&self.name, &why, self.behind());
                    if first {
                        troubled = true;
                        tracing::warn!(
                            publisher = self.name,
                            "the output `{}` does not take messages: {why} (matches are kept, and published when it does)",
                            self.desk.settings.servers
                        );
                    }
                    let since = *given_up.get_or_insert_with(Instant::now);
                    if ending && since.elapsed() > PARTING {
                        tracing::warn!(
                            publisher = self.name,
                            "ending with matches that are not published; the next run publishes them"
                        );
                        return;
                    }
                    if !ending {
                        given_up = None;
                    }
                    self.pause(pause);
                }
                Progress::Fenced { why } => {
                    self.desk.counters.output.stopped(&self.name, &why);
                    tracing::error!(
                        publisher = self.name,
                        "another process publishes this archive's matches to `{}`: {why}. This one publishes no more; the archive goes on",
                        self.desk.settings.servers
                    );
                    return;
                }
            }
        }
    }

    /// Matches claimed and not yet published, if both ends are known.
    fn behind(&self) -> Option<u64> {
        let newest = self.ring?.newest()?;
        let published: u64 = self.publisher.cursor()?.place.parse().ok()?;
        Some(newest.saturating_sub(published))
    }

    fn well(&self, troubled: &mut bool) {
        if std::mem::take(troubled) {
            tracing::warn!(publisher = self.name, "the output takes messages again");
        }
    }

    fn count(&self, counts: &[(Arc<str>, u64)]) {
        // The relay's messages are nobody's matches.
        let counts = counts
            .iter()
            .filter(|_| self.ring.is_some() || self.only_what_is_there);
        for (label, count) in counts {
            self.desk.counters.of_filter(label).delivered.add(*count);
        }
    }

    /// Notes the cursor beside the archive, now and then or when nothing is left.
    fn note(&mut self, at_rest: bool) {
        let due = match self.noted {
            Some(at) => at.elapsed() >= NOTE,
            None => true,
        };
        let told = |cursor: &&Cursor| (due || at_rest) && !cursor.place.is_empty();
        let Some(cursor) = self.publisher.cursor().filter(told) else {
            return;
        };
        noted::write(
            &self.desk.archive,
            &self.name,
            &self.desk.settings.servers,
            cursor,
        );
        self.noted = Some(Instant::now());
    }

    /// Waits for as long as that, or until the run ends.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let was_ending = self.desk.is_ending();
        while Instant::now() < until && self.desk.is_ending() == was_ending {
            std::thread::sleep(
                until
                    .saturating_duration_since(Instant::now())
                    .min(LOOK / 4),
            );
        }
    }

    fn wait(&self, most: Duration) {
        match self.ring {
            Some(ring) => ring.wait(most),
            None => std::thread::sleep(most),
        }
    }
}
