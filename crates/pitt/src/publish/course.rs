//! One publisher's thread, from start to end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pitt_kafka::publish::{Backoff, Cursor, Feed, Output, Progress, Publisher, Whose};

use super::Desk;
use super::noted;
use super::ring::Ring;

/// Longest wait for something new, before the feed is asked again.
const LOOK: Duration = Duration::from_millis(200);
/// How long an output that does not answer is waited for at the end of a run.
const PARTING: Duration = Duration::from_secs(15);
/// How often the cursor is noted in the archive's folder.
const NOTE: Duration = Duration::from_secs(1);

/// How a course ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With the run, or with the last message.
    Over,
    /// For good: this process is not to publish this feed.
    Stopped,
}

/// Publishes one feed until the run ends, or for ever what is there.
pub(crate) struct Course<'a, F> {
    desk: &'a Desk,
    name: String,
    publisher: Publisher<Output, F>,
    /// What wakes it; without one it looks now and then.
    ring: Option<&'a Arc<Ring>>,
    noted: Option<Instant>,
    /// On which side something is wrong that has been said.
    troubled: Option<Whose>,
    /// Since when the output has not answered, while the run ends.
    unanswered: Option<Instant>,
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
            troubled: None,
            unanswered: None,
            only_what_is_there: false,
        }
    }

    /// Ends as soon as nothing is left.
    pub(crate) fn until_empty(mut self) -> Self {
        self.only_what_is_there = true;
        self
    }

    /// Publishes; returns at the run's end, or when it is not to publish this feed.
    pub(crate) fn run(mut self) -> End {
        loop {
            let begun = Instant::now();
            let ending = self.desk.is_ending();
            match self.publisher.step() {
                Progress::Published { counts } => {
                    self.well(self.behind());
                    self.count(&counts);
                    self.note(false);
                    self.pause(self.desk.settings.pace().saturating_sub(begun.elapsed()));
                }
                Progress::Idle => {
                    self.well(self.behind().or(Some(0)));
                    self.note(true);
                    if ending || self.only_what_is_there {
                        self.desk.counters.output.ended(&self.name);
                        return End::Over;
                    }
                    self.wait(LOOK);
                }
                Progress::Waiting {
                    pause, why, whose, ..
                } => {
                    self.trouble(whose, &why);
                    if self.gives_up(ending) {
                        return End::Over;
                    }
                    self.pause(pause);
                }
                Progress::Fenced { why } => {
                    let servers = &self.desk.settings.servers;
                    return self.stop(&why, &format!(
                        "another process publishes this archive's matches to `{servers}`: {why}. This one publishes no more; the archive goes on"
                    ));
                }
                Progress::Foreign { why } => {
                    return self.stop(
                        &why,
                        &format!("nothing is published: {why}. The archive goes on"),
                    );
                }
            }
        }
    }

    fn stop(&self, why: &str, said: &str) -> End {
        self.desk.counters.output.stopped(&self.name, why);
        tracing::error!(publisher = self.name, "{said}");
        End::Stopped
    }

    /// Shows what is wrong, and says it once.
    fn trouble(&mut self, whose: Whose, why: &str) {
        let (servers, behind) = (&self.desk.settings.servers, self.behind());
        let output = &self.desk.counters.output;
        let known = self.troubled.replace(whose) == Some(whose);
        match whose {
            Whose::Output => {
                output.waiting(&self.name, why, behind);
                if !known {
                    tracing::warn!(
                        publisher = self.name,
                        "the output `{servers}` does not take messages: {why} (matches are kept, and published when it does)"
                    );
                }
            }
            Whose::Feed => {
                let why = format!("the archive cannot be read: {why}");
                output.waiting(&self.name, &why, behind);
                if !known {
                    tracing::warn!(
                        publisher = self.name,
                        "{why} (nothing is wrong with the output; tried again)"
                    );
                }
            }
        }
    }

    /// Whether a run that ends has waited long enough.
    fn gives_up(&mut self, ending: bool) -> bool {
        let since = *self.unanswered.get_or_insert_with(Instant::now);
        if !ending {
            self.unanswered = None;
            return false;
        }
        let enough = since.elapsed() > PARTING;
        if enough {
            tracing::warn!(
                publisher = self.name,
                "ending with matches that are not published; the next run publishes them"
            );
        }
        enough
    }

    /// Matches claimed and not yet published, if both ends are known.
    fn behind(&self) -> Option<u64> {
        let newest = self.ring?.newest()?;
        let published: u64 = self.publisher.cursor()?.place.parse().ok()?;
        Some(newest.saturating_sub(published))
    }

    fn well(&mut self, behind: Option<u64>) {
        match self.troubled.take() {
            Some(Whose::Output) => {
                tracing::warn!(publisher = self.name, "the output takes messages again");
            }
            Some(Whose::Feed) => {
                tracing::warn!(publisher = self.name, "the archive can be read again");
            }
            None => {}
        }
        self.desk.counters.output.well(&self.name, behind);
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
