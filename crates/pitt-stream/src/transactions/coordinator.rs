//! What happens to a transaction, from its producer's first word to its marks in the partitions.

use std::io;
use std::sync::TryLockError;
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;

use super::{FORGOTTEN_AFTER, Known, State, Transaction, by_group, lock, now_ms};
use crate::batch::Ending;
use crate::offsets::{Committed, now_s};
use crate::server::Shared;

/// No transaction may stay open longer `[ms]`, as in Kafka.
const LONGEST_MS: u32 = 900_000;
/// Offsets that one transaction may bring.
const OFFSETS: usize = 100_000;

/// A producer: its id and epoch.
pub(crate) type Producer = (i64, i16);

impl Shared {
    /// Gives a transactional id to a producer and shuts out whoever had it. `before` is who the producer was, if it goes
    /// on after an error of its own.
    pub(crate) fn init_transactions(
        &self,
        id: &str,
        timeout_ms: i32,
        before: Option<Producer>,
    ) -> Result<Producer, ResponseError> {
        let timeout_ms = u32::try_from(timeout_ms).unwrap_or(0);
        if !(1..=LONGEST_MS).contains(&timeout_ms) {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let known = self.transactions.get_or_begin(id)?;
        let mut known = lock(&known);
        if let Some((producer_id, epoch)) = before {
            let t = &known.transaction;
            if producer_id == t.producer_id && t.given_up == Some(epoch) && t.state == State::Empty
            {
                // The answer to the same question was lost on its way.
                return Ok((t.producer_id, t.epoch));
            }
            if (producer_id, epoch) != (t.producer_id, t.epoch) {
                return Err(ResponseError::ProducerFenced);
            }
        }
        let mut next = self.next_epoch(&known.transaction)?;
        if !known.transaction.is_at_rest() {
            let ending = match known.transaction.state {
                State::Committing => Ending::Commit,
                _ => Ending::Abort,
            };
            let epoch = known.transaction.epoch.saturating_add(1);
            self.finish(&mut known, ending, epoch)?;
            next = self.next_epoch(&known.transaction)?;
        }
        next.given_up = before.map(|(_, epoch)| epoch);
        next.timeout_ms = timeout_ms;
        let producer = (next.producer_id, next.epoch);
        self.keep_transaction(&mut known, next)?;
        Ok(producer)
    }

    /// The transaction's id at rest under a new epoch, or under a new producer id when the epochs are used up.
    fn next_epoch(&self, now: &Transaction) -> Result<Transaction, ResponseError> {
        let mut next = Transaction {
            producer_id: now.producer_id,
            epoch: now.epoch.saturating_add(1),
            ..Transaction::default()
        };
        if now.producer_id < 0 || now.epoch >= i16::MAX - 2 {
            next.producer_id = self.topics.new_producer_id().map_err(|error| {
                tracing::error!("no producer id: {error}");
                ResponseError::CoordinatorNotAvailable
            })?;
            next.epoch = 0;
        }
        Ok(next)
    }

    /// Takes partitions, which exist, into a producer's transaction and begins it if need be.
    pub(crate) fn add_to_transaction(
        &self,
        id: &str,
        producer: Producer,
        partitions: &[(String, i32)],
    ) -> Result<(), ResponseError> {
        self.change(id, producer, |t| {
            t.partitions.extend(partitions.iter().cloned());
            Ok(())
        })
    }

    /// Takes a group's offsets into a producer's transaction: they count once it commits.
    pub(crate) fn add_offsets(
        &self,
        id: &str,
        producer: Producer,
        offsets: Vec<(String, String, i32, Committed)>,
    ) -> Result<(), ResponseError> {
        self.change(id, producer, |t| {
            if t.state != State::Ongoing {
                return Err(ResponseError::InvalidTxnState);
            }
            for new in offsets {
                let place = |o: &(String, String, i32, Committed)| {
                    (o.0.as_str(), o.1.as_str(), o.2) == (new.0.as_str(), new.1.as_str(), new.2)
                };
                match t.offsets.iter_mut().find(|o| place(o)) {
                    Some(old) => *old = new,
                    None => t.offsets.push(new),
                }
            }
            if t.offsets.len() > OFFSETS {
                return Err(ResponseError::PolicyViolation);
            }
            Ok(())
        })
    }

    /// Changes a transaction that is open or can be.
    fn change(
        &self,
        id: &str,
        (producer_id, epoch): Producer,
        change: impl FnOnce(&mut Transaction) -> Result<(), ResponseError>,
    ) -> Result<(), ResponseError> {
        let known = self.transactions.get(id);
        let known = known.ok_or(ResponseError::InvalidProducerIdMapping)?;
        let mut known = lock(&known);
        known.transaction.check(producer_id, epoch)?;
        let mut next = known.transaction.clone();
        change(&mut next)?;
        match next.state {
            State::Committing | State::Aborting => {
                return Err(ResponseError::ConcurrentTransactions);
            }
            State::Ongoing => {}
            State::Empty | State::Committed | State::Aborted => {
                next.state = State::Ongoing;
                known.begun = Instant::now();
            }
        }
        if next == known.transaction {
            return Ok(());
        }
        self.keep_transaction(&mut known, next)
    }

    /// Ends a producer's transaction as it asks.
    pub(crate) fn end_transaction(
        &self,
        id: &str,
        (producer_id, epoch): Producer,
        ending: Ending,
    ) -> Result<(), ResponseError> {
        let known = self.transactions.get(id);
        let known = known.ok_or(ResponseError::InvalidProducerIdMapping)?;
        let mut known = lock(&known);
        known.transaction.check(producer_id, epoch)?;
        match (known.transaction.state, ending) {
            (State::Ongoing, _)
            | (State::Committing, Ending::Commit)
            | (State::Aborting, Ending::Abort) => self.finish(&mut known, ending, epoch),
            // Asked again, because the answer was lost.
            (State::Committed, Ending::Commit) | (State::Aborted, Ending::Abort) => Ok(()),
            _ => Err(ResponseError::InvalidTxnState),
        }
    }

    /// Decides how a transaction ends, then makes it so in every partition and group. What fails on the way is done
    /// again, by its producer or by [`Shared::tend_transactions`].
    fn finish(&self, known: &mut Known, ending: Ending, epoch: i16) -> Result<(), ResponseError> {
        let (deciding, done) = match ending {
            Ending::Commit => (State::Committing, State::Committed),
            Ending::Abort => (State::Aborting, State::Aborted),
        };
        if known.transaction.state != deciding {
            let decided = Transaction {
                state: deciding,
                epoch,
                ..known.transaction.clone()
            };
            self.keep_transaction(known, decided)?;
        }
        if let Err(error) = self.carry_out(&known.transaction, ending) {
            tracing::error!("transaction `{}` cannot be ended yet: {error}", known.id);
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        let ended = Transaction {
            state: done,
            partitions: Default::default(),
            offsets: Vec::new(),
            ..known.transaction.clone()
        };
        self.keep_transaction(known, ended)
    }

    fn carry_out(&self, transaction: &Transaction, ending: Ending) -> io::Result<()> {
        for (topic, partition) in &transaction.partitions {
            let topic = self.topics.get(topic);
            // A topic may have been deleted meanwhile.
            if let Some(log) = topic.as_ref().and_then(|t| t.partition(*partition)) {
                let (producer_id, epoch) = (transaction.producer_id, transaction.epoch);
                log.end_transaction(producer_id, epoch, ending, now_ms())?;
            }
        }
        if ending == Ending::Commit {
            let mut offsets = lock(&self.offsets);
            for (group, commits) in by_group(&transaction.offsets) {
                offsets.commit(&group, commits)?;
            }
        }
        Ok(())
    }

    fn keep_transaction(&self, known: &mut Known, next: Transaction) -> Result<(), ResponseError> {
        let id = known.id.clone();
        self.transactions.keep(known, next).map_err(|error| {
            tracing::error!("transaction `{id}` cannot be kept: {error}");
            ResponseError::CoordinatorNotAvailable
        })
    }

    /// Completes what was decided before a crash, and aborts what no transactional id knows of.
    pub(crate) fn recover_transactions(&self) {
        self.tend_transactions(Instant::now());
        let all = self.transactions.all();
        let owners: std::collections::HashSet<i64> = all
            .iter()
            .map(|k| lock(k).transaction.clone())
            .filter(|t| !t.is_at_rest())
            .map(|t| t.producer_id)
            .collect();
        for topic in self.topics.all() {
            for (index, log) in topic.partitions.iter().enumerate() {
                for producer in log.in_transaction() {
                    if owners.contains(&producer) {
                        continue;
                    }
                    tracing::warn!("{}[{index}]: a stray transaction is aborted", topic.name);
                    if let Err(error) = log.end_transaction(producer, 0, Ending::Abort, now_ms()) {
                        tracing::error!("{}[{index}]: it cannot be: {error}", topic.name);
                    }
                }
            }
        }
    }

    /// Aborts transactions that take too long, completes those that could not be, forgets unused ids. Who is at work
    /// now is left for the next time.
    pub(crate) fn tend_transactions(&self, now: Instant) {
        for known in self.transactions.all() {
            let mut known = match known.try_lock() {
                Ok(known) => known,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            let t = &known.transaction;
            let timeout = Duration::from_millis(u64::from(t.timeout_ms));
            // What failed was logged where it did, and is tried again.
            let _ = match t.state {
                State::Committing => {
                    let epoch = t.epoch;
                    self.finish(&mut known, Ending::Commit, epoch)
                }
                State::Aborting => {
                    let epoch = t.epoch;
                    self.finish(&mut known, Ending::Abort, epoch)
                }
                State::Ongoing if now.duration_since(known.begun) >= timeout => {
                    tracing::warn!("transaction `{}` took too long: aborted", known.id);
                    let epoch = t.epoch.saturating_add(1);
                    self.finish(&mut known, Ending::Abort, epoch)
                }
                State::Ongoing => Ok(()),
                _ if now_s().saturating_sub(t.changed_s) > FORGOTTEN_AFTER.as_secs() => {
                    self.forget_transactional_id(&known)
                }
                _ => Ok(()),
            };
        }
    }

    fn forget_transactional_id(&self, known: &Known) -> Result<(), ResponseError> {
        // Just begun and not kept yet.
        if known.transaction.producer_id < 0 {
            return Ok(());
        }
        let forgotten = self.transactions.forget(&known.id);
        forgotten.map_err(|_| ResponseError::CoordinatorNotAvailable)
    }
}
