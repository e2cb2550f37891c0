//! The thread of one webhook: reads its matches, sends them, and notes on disk how far it has come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::watch;

use super::courier::{Courier, Outcome, Patience};
use super::desk::HookDesk;
use super::hook::Hook;
use super::mail::Mail;
use super::shelf::{DeadLetter, Letter, MOST_DEAD, Progress, Shelf};
use super::tally::{Share, Tally};
use super::wait::Waiter;
use crate::http::live::feed::MatchFeed;
use crate::http::live::place::Places;
use crate::kept::Held;
use crate::source::now_us;

/// Longest wait for news that others could bring without telling.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The same while the archive is about to have something.
const LOOK_SOON: Duration = Duration::from_millis(500);
/// Wait after a disk or an archive that failed.
const BREATHER: Duration = Duration::from_secs(5);
/// How often it is noted that matches of other filters were passed.
const NOTE_PASSED: Duration = Duration::from_secs(30);

/// What a carrier is to do.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// Deliver, or rest if the webhook rests.
    Carry(Arc<Hook>),
    /// Deliver what is there, as long as it is taken, and end.
    Finish(Arc<Hook>),
    /// End.
    Leave,
}

/// What comes next.
enum Step {
    /// More of the same.
    On,
    /// Nothing before so long.
    Wait(Duration),
    /// Nothing before there are matches.
    Idle,
}

pub(super) struct Carrier {
    desk: Arc<HookDesk>,
    feed: Arc<MatchFeed>,
    hook: Arc<Hook>,
    orders: watch::Receiver<Order>,
    matches: watch::Receiver<u64>,
    courier: Courier,
    patience: Patience,
    shelf: Shelf,
    waiter: Waiter,
    mail: Option<Mail>,
    progress: Progress,
    /// Whether the disk has it.
    saved: bool,
    noted: Instant,
    /// When the next try is due.
    due: Option<Instant>,
    rested: bool,
    /// The webhook as it was before it was paused here: orders that speak of that are of before.
    before: Option<Arc<Hook>>,
    said: Option<String>,
    /// When this process began to deliver: failures of before say nothing of the time between.
    begun_us: i64,
    share: Share,
    /// Nobody else delivers while this is here.
    _lock: Arc<Held>,
}

impl Carrier {
    pub(super) fn new(
        (desk, feed): (Arc<HookDesk>, Arc<MatchFeed>),
        hook: Arc<Hook>,
        orders: watch::Receiver<Order>,
        patience: Patience,
        lock: Arc<Held>,
    ) -> Result<Self> {
        let shelf = desk.shelf(&hook.id);
        let progress = shelf.progress()?.unwrap_or_else(|| Progress {
            cursor: hook.after.clone(),
            ..Progress::default()
        });
        Ok(Self {
            courier: Courier::new(desk.reach(), &patience),
            waiter: Waiter::new()?,
            matches: feed.changes(),
            desk,
            feed,
            hook,
            orders,
            patience,
            shelf,
            mail: None,
            progress,
            saved: true,
            noted: Instant::now(),
            due: None,
            rested: false,
            before: None,
            said: None,
            begun_us: now_us(),
            share: Share::default(),
            _lock: lock,
        })
    }

    /// Delivers until it is told to end.
    pub(super) fn run(mut self) {
        loop {
            // What comes from here on is news, also while it is looked.
            self.matches.mark_unchanged();
            let order = self.orders.borrow_and_update().clone();
            let (hook, finish) = match order {
                Order::Leave => break,
                Order::Carry(hook) => (hook, false),
                Order::Finish(hook) => (hook, true),
            };
            let is_old = |before: &Arc<Hook>| Arc::ptr_eq(before, &hook);
            if !self.before.as_ref().is_some_and(is_old) {
                self.hook = hook;
            }
            let step = self.next();
            self.show();
            match step {
                Step::On => {}
                _ if finish => break,
                Step::Wait(time) => self.wait(time, false),
                Step::Idle => self.wait(LOOK_AGAIN, true),
            }
        }
        self.share.set(&self.desk.tally, 0, false);
    }

    fn next(&mut self) -> Step {
        if self.hook.is_paused() {
            // What was read is read again, and what was to be tried is tried at once.
            self.mail = None;
            self.rested = true;
            return Step::Wait(LOOK_AGAIN);
        }
        if std::mem::take(&mut self.rested) {
            self.due = None;
            self.progress.tries = 0;
            self.progress.failing_since_us = None;
        }
        self.step().unwrap_or_else(|error| {
            let told = format!("{error:#}");
            if self.said.as_ref() != Some(&told) {
                tracing::warn!("webhook {} waits: {told}", self.hook.id);
                self.said = Some(told);
            }
            Step::Wait(BREATHER)
        })
    }

    fn step(&mut self) -> Result<Step> {
        if !self.saved {
            self.save()?;
        }
        if let Some(dead) = self.shelf.again()? {
            return self.carry_again(dead);
        }
        let now = Instant::now();
        if let Some(due) = self.due.filter(|due| *due > now) {
            return Ok(Step::Wait(due - now));
        }
        let letter = match self.progress.letter.clone() {
            Some(letter) => letter,
            None => match self.take_letter()? {
                Some(letter) => letter,
                None => {
                    return Ok(match &self.mail {
                        Some(mail) if mail.has_more() => Step::On,
                        Some(mail) if mail.waits() => Step::Wait(LOOK_SOON),
                        _ => Step::Idle,
                    });
                }
            },
        };
        self.carry(&letter)?;
        Ok(Step::On)
    }

    /// Takes the next batch and puts it on disk before anybody sees it.
    fn take_letter(&mut self) -> Result<Option<Letter>> {
        let mail = match &mut self.mail {
            Some(mail) => mail,
            none => {
                let place: Places =
                    self.progress.cursor.parse().with_context(|| {
                        format!("webhook {}: its cursor is damaged", self.hook.id)
                    })?;
                none.insert(Mail::open(&self.feed, place, &self.hook.filter))
            }
        };
        let letter = mail.next(self.progress.next)?;
        if letter.is_some() {
            self.progress.letter.clone_from(&letter);
            self.progress.next += 1;
            self.progress.tries = 0;
            self.save()?;
        } else if self.noted.elapsed() >= NOTE_PASSED {
            let place = mail.place().to_string();
            if place != self.progress.cursor {
                self.progress.cursor = place;
                self.save()?;
            }
        }
        Ok(letter)
    }

    fn carry(&mut self, letter: &Letter) -> Result<()> {
        match self.post(letter) {
            Outcome::Taken => {
                self.taken(letter);
                self.pass(letter)
            }
            Outcome::Later { reason, asked } => {
                self.progress.tries += 1;
                self.failed(&reason);
                if self.has_given_up() {
                    return self.rest(&format!(
                        "nothing was taken for long; the last time {reason}"
                    ));
                }
                if self.progress.tries >= self.patience.tries {
                    return self.give_up(letter, &reason);
                }
                let wait = self.patience.wait(self.progress.tries, asked);
                self.due = Some(Instant::now() + wait);
                self.progress.next_try_us = Some(now_us() + wait.as_micros() as i64);
                self.save()
            }
            Outcome::Never(reason) => {
                self.progress.tries += 1;
                self.failed(&reason);
                self.give_up(letter, &reason)
            }
            Outcome::Gone => {
                self.failed(GONE);
                self.rest(GONE)
            }
        }
    }

    /// Sends a dead letter once more.
    fn carry_again(&mut self, mut dead: DeadLetter) -> Result<Step> {
        dead.tries += 1;
        match self.post(&dead.letter) {
            Outcome::Taken => {
                self.taken(&dead.letter);
                self.save()?;
                self.shelf.settle(&dead.letter)?;
                return Ok(Step::On);
            }
            Outcome::Later { reason, .. } | Outcome::Never(reason) => dead.reason = reason,
            Outcome::Gone => {
                dead.reason = GONE.to_owned();
                self.rest(GONE)?;
            }
        }
        self.failed(&dead.reason);
        self.shelf.bury(&dead)?;
        self.save()?;
        Ok(Step::On)
    }

    fn post(&self, letter: &Letter) -> Outcome {
        let id = format!("{}-{}", self.hook.id, letter.number);
        self.courier.post(&self.hook, &id, &letter.body)
    }

    fn taken(&mut self, letter: &Letter) {
        Tally::add(&self.desk.tally.delivered, letter.matches);
        let progress = &mut self.progress;
        progress.delivered += letter.matches;
        progress.last_delivered_us = Some(now_us());
        progress.failing_since_us = None;
        progress.last_error = None;
        self.said = None;
        self.saved = false;
    }

    fn failed(&mut self, reason: &str) {
        Tally::add(&self.desk.tally.refused, 1);
        let progress = &mut self.progress;
        progress.failing_since_us.get_or_insert_with(now_us);
        progress.last_error = Some(reason.to_owned());
        self.saved = false;
        tracing::debug!("webhook {}: {reason}", self.hook.id);
    }

    fn has_given_up(&self) -> bool {
        let longest = self.patience.give_up.as_micros() as i64;
        let since = self.progress.failing_since_us;
        since.is_some_and(|since| now_us() - since.max(self.begun_us) >= longest)
    }

    /// Goes on after a batch, with the next one in the same write if there is one.
    fn pass(&mut self, letter: &Letter) -> Result<()> {
        self.progress.cursor.clone_from(&letter.end);
        self.progress.letter = None;
        self.progress.tries = 0;
        self.progress.next_try_us = None;
        self.due = None;
        self.saved = false;
        match self.take_letter()? {
            Some(_) => Ok(()),
            None => self.save(),
        }
    }

    /// Puts a batch to the dead letters and goes on; rests when there are too many.
    fn give_up(&mut self, letter: &Letter, reason: &str) -> Result<()> {
        let (letters, _) = self.shelf.dead();
        if letters >= MOST_DEAD {
            let told = format!(
                "{MOST_DEAD} batches were not taken, the last because {reason} (mend the receiver, then send them again or drop them, and resume)"
            );
            return self.rest(&told);
        }
        let dead = DeadLetter {
            letter: letter.clone(),
            reason: reason.to_owned(),
            tries: self.progress.tries,
            dead_us: now_us(),
        };
        self.shelf.bury(&dead)?;
        Tally::add(&self.desk.tally.dead, 1);
        let id = &self.hook.id;
        tracing::warn!(
            "webhook {id} of filter {}: batch {id}-{} of {} matches is a dead letter: {reason} (POST /api/v1/webhooks/{id}/dead/retry sends it again)",
            self.hook.filter,
            letter.number,
            letter.matches
        );
        self.pass(letter)
    }

    /// Lets the webhook rest; what is under way stays.
    fn rest(&mut self, reason: &str) -> Result<()> {
        self.progress.next_try_us = None;
        self.save()?;
        self.desk.pause(&self.hook.id, Some(reason))?;
        let mut hook = (*self.hook).clone();
        hook.paused_us = Some(now_us());
        self.before = Some(std::mem::replace(&mut self.hook, Arc::new(hook)));
        tracing::warn!(
            "webhook {} of filter {} is paused: {reason} (POST /api/v1/webhooks/{}/resume goes on)",
            self.hook.id,
            self.hook.filter,
            self.hook.id
        );
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        self.saved = false;
        self.shelf.save(&self.progress)?;
        self.saved = true;
        self.noted = Instant::now();
        Ok(())
    }

    /// Shows what waits.
    fn show(&mut self) {
        let read = self.mail.as_ref().map_or(0, Mail::waiting) as u64;
        let under_way = self
            .progress
            .letter
            .as_ref()
            .map_or(0, |letter| letter.matches);
        let failing = self.progress.failing_since_us.is_some();
        self.share.set(&self.desk.tally, read + under_way, failing);
    }

    /// Waits for other orders, for matches if wanted, and at most so long.
    fn wait(&mut self, longest: Duration, for_matches: bool) {
        let (orders, matches) = (&mut self.orders, &mut self.matches);
        let news = async {
            tokio::select! {
                _ = orders.changed() => {}
                _ = matches.changed(), if for_matches => {}
            }
        };
        self.waiter.until(news, longest);
    }
}

/// Why a webhook rests whose receiver is gone.
const GONE: &str = "the receiver answers 410: it wants no more";
