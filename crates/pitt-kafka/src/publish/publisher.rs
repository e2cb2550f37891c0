//! The course of publishing: what is done after what, and after what went wrong.

use std::sync::Arc;
use std::time::Duration;

use super::{Batch, Connect, Cursor, Failure, Feed, Producer};

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A batch is out.
    Published {
        /// Messages of each label, in the order of their first.
        counts: Vec<(Arc<str>, u64)>,
    },
    /// There is nothing to publish.
    Idle,
    /// Something went wrong. After this time it is tried again.
    Waiting {
        /// How long to wait.
        pause: Duration,
        /// What went wrong.
        why: String,
        /// Whether the step before was well: the time to say so.
        first: bool,
    },
    /// A newer publisher with the same id is at work; this one is done.
    Fenced {
        /// What was said.
        why: String,
    },
}

/// Growing pauses between attempts.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The first pause; each next one is twice as long.
    pub first: Duration,
    /// The longest.
    pub most: Duration,
}

impl Default for Backoff {
    /// Half a second to half a minute.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            most: Duration::from_secs(30),
        }
    }
}

/// Publishes a feed, step by step. It never waits by itself for longer than its producer does.
pub struct Publisher<C: Connect, F> {
    connect: C,
    feed: F,
    backoff: Backoff,
    producer: Option<C::Producer>,
    /// Where the feed stands on the other side; `None` while nobody knows.
    cursor: Option<Cursor>,
    /// A cursor that is known from elsewhere, for when the other side has lost its own.
    known: Option<Cursor>,
    pause: Option<Duration>,
    fenced: Option<String>,
}

impl<C: Connect, F: Feed> Publisher<C, F> {
    /// A publisher that has done nothing yet. `known` is the last cursor that this side remembers, if any: it counts where the
    /// topic of cursors has none.
    pub fn new(connect: C, feed: F, backoff: Backoff, known: Option<Cursor>) -> Self {
        Self {
            connect,
            feed,
            backoff,
            producer: None,
            cursor: None,
            known,
            pause: None,
            fenced: None,
        }
    }

    /// The feed.
    pub fn feed(&mut self) -> &mut F {
        &mut self.feed
    }

    /// How far it is published; `None` before the other side has answered.
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// Connects if need be, and publishes one batch if there is one.
    pub fn step(&mut self) -> Progress {
        if let Some(why) = &self.fenced {
            return Progress::Fenced { why: why.clone() };
        }
        match self.attempt() {
            Ok(progress) => {
                self.pause = None;
                progress
            }
            Err(failure) => self.recover(failure),
        }
    }

    fn attempt(&mut self) -> Result<Progress, Failure> {
        let mut producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.connect.connect()?,
        };
        // A producer that failed is dropped here; one that did not goes back.
        let outcome = self.work(&mut producer);
        if outcome.is_ok() {
            self.producer = Some(producer);
        }
        outcome
    }

    fn work(&mut self, producer: &mut C::Producer) -> Result<Progress, Failure> {
        if self.cursor.is_none() {
            self.cursor = Some(self.opened(producer.open()?));
        }
        let cursor = self.cursor.clone().unwrap_or_default();
        let place = Some(cursor.place.as_str()).filter(|place| !place.is_empty());
        let mut batch = self.feed.after(place).map_err(Failure::Broken)?;
        let Some(place) = batch.place.take() else {
            return Ok(Progress::Idle);
        };
        let next = self.deliver(producer, &mut batch, &cursor, place)?;
        self.feed.published(&next);
        self.cursor = Some(next);
        Ok(Progress::Published {
            counts: counts(&batch),
        })
    }

    /// Sends a batch and commits; messages that are refused leave it.
    fn deliver(
        &mut self,
        producer: &mut C::Producer,
        batch: &mut Batch,
        cursor: &Cursor,
        place: String,
    ) -> Result<Cursor, Failure> {
        let mut index = 0;
        while let Some(message) = batch.messages.get(index) {
            match producer.check(message) {
                Ok(()) => index += 1,
                Err(detail) => leave_out(batch, index, &detail),
            }
        }
        loop {
            let refused = batch.refused.iter().map(AsRef::as_ref);
            let counts = (batch.messages.len(), batch.kept_back);
            let next = cursor.followed_by(place.clone(), counts, refused);
            match self.transaction(producer, batch, &next) {
                Ok(()) => return Ok(next),
                Err(Failure::Refused { index, detail }) if index < batch.messages.len() => {
                    leave_out(batch, index, &detail);
                    producer.abort()?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    fn transaction(
        &mut self,
        producer: &mut C::Producer,
        batch: &Batch,
        next: &Cursor,
    ) -> Result<(), Failure> {
        producer.begin()?;
        for message in &batch.messages {
            producer.send(message)?;
        }
        self.feed.prepare(&next.place);
        producer.commit(next)
    }

    /// The cursor to go on from: the other side's, or the one known here if that side has none.
    fn opened(&self, found: Option<Cursor>) -> Cursor {
        match (found, &self.known) {
            (Some(found), _) => found,
            (None, Some(known)) => {
                tracing::warn!(
                    place = known.place,
                    "the topic of cursors has no record of this publisher: going on where this side remembers"
                );
                known.clone()
            }
            (None, None) => Cursor::default(),
        }
    }

    fn recover(&mut self, failure: Failure) -> Progress {
        let first = self.pause.is_none();
        // The next producer ends what this one left open and reads the cursor: whether the last commit came through is only
        // known over there.
        let remembered = self.cursor.take().filter(|cursor| !cursor.place.is_empty());
        self.known = remembered.or(self.known.take());
        match failure {
            Failure::Fenced(why) => {
                self.fenced = Some(why.clone());
                return Progress::Fenced { why };
            }
            Failure::Unsupported(why) if self.connect.without_transactions() => {
                tracing::warn!(
                    why,
                    "the output knows no transactions: a crash can repeat the last batch"
                );
                let pause = Duration::ZERO;
                return Progress::Waiting { pause, why, first };
            }
            _ => {}
        }
        let pause = self
            .pause
            .map_or(self.backoff.first, |last| (last * 2).min(self.backoff.most));
        self.pause = Some(pause);
        Progress::Waiting {
            pause,
            why: failure.to_string(),
            first,
        }
    }
}

fn leave_out(batch: &mut Batch, index: usize, detail: &str) {
    let message = batch.messages.remove(index);
    tracing::error!(
        topic = &*message.topic,
        label = &*message.label,
        bytes = message.value.len(),
        detail,
        "a message cannot be published and is left out"
    );
    batch.refused.push(message.label);
}

fn counts(batch: &Batch) -> Vec<(Arc<str>, u64)> {
    let mut counts: Vec<(Arc<str>, u64)> = vec![];
    for message in &batch.messages {
        match counts.iter_mut().find(|(label, _)| *label == message.label) {
            Some((_, count)) => *count += 1,
            None => counts.push((message.label.clone(), 1)),
        }
    }
    counts
}
