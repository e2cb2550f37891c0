//! A producer of librdkafka.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as Error, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};

use super::output::{Output, TRANSACTION, Transport};
use super::{Cursor, Failure, Outgoing, Producer, lookup, murmur, topic};

/// How long one question to the cluster may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);
/// The cursor's record among the messages of a batch.
const CURSOR: usize = usize::MAX;

/// What librdkafka reports back.
#[derive(Default)]
pub(super) struct Reports {
    /// Index and error of messages that did not arrive.
    failed: Mutex<Vec<(usize, Code)>>,
    /// The last thing said about the connection as a whole.
    last: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters comes as an error as well, and is said by whoever gets it.
        tracing::debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: Error, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
        *lock(&self.last) = Some(reason.to_owned());
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        if let Err((error, message)) = result {
            let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
            tracing::debug!(topic = message.topic(), index, ?code, "not delivered");
            lock(&self.failed).push((index, code));
        }
    }
}

/// One producer, and what it knows of topics.
pub struct Connection {
    output: Output,
    producer: BaseProducer<Reports>,
    /// Topics that are there, and their partitions.
    topics: HashMap<Arc<str>, i32>,
    /// Messages of the batch so far, and since when it is open.
    sent: usize,
    /// Whether each is waited for before the next: several were refused together, and one of them is to be found.
    apart: bool,
    begun: Option<(Instant, SystemTime)>,
}

impl Connection {
    pub(super) fn new(output: Output) -> Result<Self, Failure> {
        Ok(Self {
            producer: producer(&output)?,
            output,
            topics: HashMap::new(),
            sent: 0,
            apart: false,
            begun: None,
        })
    }

    fn transactions(&self) -> bool {
        self.output.transport == Transport::Transactions
    }

    /// An error as what it means for the publisher. `doing` is what was asked for.
    fn failure(&self, doing: &str, error: &Error) -> Failure {
        let code = match error {
            Error::Transaction(error) => Some(error.code()),
            other => other.rdkafka_error_code(),
        };
        let last = lock(&self.producer.context().last).take();
        let said = last.map_or_else(String::new, |last| format!(" ({last})"));
        self.meaning(code, format!("{doing}: {error}{said}"))
    }

    fn meaning(&self, code: Option<Code>, why: String) -> Failure {
        // What ended the producer is the cause; messages thrown out with it are the consequence.
        let (code, why) = match self.producer.client().fatal_error() {
            Some((code, told)) => (Some(code), format!("{why}: {told}")),
            None => (code, why),
        };
        match code {
            Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch) => {
                // A transaction that was open for too long was ended by the cluster, with the same words.
                let slept = self.begun.is_some_and(|(begun, at)| {
                    // The first clock stands still while the machine sleeps.
                    begun.elapsed().max(at.elapsed().unwrap_or_default()) >= TRANSACTION
                });
                if slept {
                    Failure::Broken(why)
                } else {
                    Failure::Fenced(why)
                }
            }
            Some(Code::UnsupportedFeature | Code::UnsupportedVersion) if self.transactions() => {
                Failure::Unsupported(why)
            }
            Some(Code::TransactionalIdAuthorizationFailed) => Failure::Broken(format!(
                "{why} (allow the user to write under the transactional id `{}`, or set `output.transactions = false`)",
                self.output.id
            )),
            _ => Failure::Broken(why),
        }
    }

    /// Makes sure that a topic is there; gives its partitions.
    fn partitions(&mut self, name: &Arc<str>) -> Result<i32, Failure> {
        if let Some(partitions) = self.topics.get(name) {
            return Ok(*partitions);
        }
        let partitions = self.ensure(&[name], false)?[0];
        self.topics.insert(name.clone(), partitions);
        Ok(partitions)
    }

    fn ensure(&self, names: &[&str], cursors: bool) -> Result<Vec<i32>, Failure> {
        let config = self
            .output
            .producer_config()
            .map_err(|error| Failure::Broken(error.to_string()))?;
        let made = if cursors {
            topic::Made::cursors(&self.output)
        } else {
            topic::Made::messages(&self.output)
        };
        topic::ensure(&self.producer, &config, names, &made)
            .map_err(|(doing, error)| self.failure(&doing, &error))
    }

    /// Waits until everything sent has arrived.
    fn arrived(&mut self) -> Result<(), Failure> {
        let failed = self.settled()?;
        let refused: Vec<_> = failed.iter().filter(|one| is_refusal(one)).collect();
        match (&refused[..], failed.first()) {
            ([], None) => Ok(()),
            ([], Some(&(_, code))) => {
                Err(self.meaning(Some(code), format!("a message was not taken: {code}")))
            }
            ([(index, code)], _) => Err(self.refused(Some((*index, *code)), &failed)),
            // One that is refused takes others with it that went the same way.
            (_, _) => {
                self.apart = true;
                Err(self.refused(None, &failed))
            }
        }
    }

    /// Waits until nothing is under way; gives what failed. In a transaction one that is refused takes the others with it, and their
    /// reports may come first: so all are waited for.
    fn settled(&self) -> Result<Vec<(usize, Code)>, Failure> {
        let until = Instant::now() + TRANSACTION;
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(POLL);
            if Instant::now() > until {
                let waiting = self.producer.in_flight_count();
                return Err(Failure::Broken(format!(
                    "{waiting} messages were not acknowledged within {TRANSACTION:?}"
                )));
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(std::mem::take(&mut *lock(&self.producer.context().failed)))
    }

    /// A refusal, with those that arrived for good in spite of it.
    fn refused(&self, message: Option<(usize, Code)>, failed: &[(usize, Code)]) -> Failure {
        let there = |index: &usize| !failed.iter().any(|(of, _)| of == index);
        let taken = match self.transactions() {
            true => vec![],
            false => (0..self.sent).filter(there).collect(),
        };
        Failure::Refused {
            message: message.map(|(index, code)| (index, code.to_string())),
            taken,
        }
    }

    /// Hands a record to librdkafka, making room if its queue is full.
    fn enqueue(&self, mut record: BaseRecord<'_, [u8], [u8], usize>) -> Result<(), Failure> {
        let until = Instant::now() + TRANSACTION;
        loop {
            let (error, back) = match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
            if code == Code::QueueFull && Instant::now() < until {
                record = back;
                self.producer.poll(POLL);
                continue;
            }
            let own = (back.delivery_opaque, code);
            if !is_refusal(&own) {
                return Err(self.failure("cannot send", &error));
            }
            let mut failed = self.settled()?;
            failed.push(own);
            return Err(self.refused(Some(own), &failed));
        }
    }

    fn send_cursor(&mut self, cursor: &Cursor) -> Result<(), Failure> {
        let value = cursor.to_json();
        let record = BaseRecord::with_opaque_to(&self.output.cursors, CURSOR)
            .partition(0)
            .key(self.output.id.as_bytes())
            .payload(value.as_bytes());
        self.enqueue(record)
    }

    /// Commits, for as long as the cluster asks to try again.
    fn commit_transaction(&self) -> Result<(), Failure> {
        let until = Instant::now() + TRANSACTION;
        loop {
            match self.producer.commit_transaction(PATIENCE) {
                Ok(()) => return Ok(()),
                Err(Error::Transaction(error))
                    if error.is_retriable() && Instant::now() < until =>
                {
                    tracing::debug!(%error, "commit again");
                }
                Err(error) => return Err(self.failure("cannot commit", &error)),
            }
        }
    }

    fn open_transactions(&self) -> Result<(), Failure> {
        if !self.transactions() {
            return Ok(());
        }
        let opened = self.producer.init_transactions(PATIENCE);
        opened.map_err(|error| self.failure("cannot open transactions", &error))
    }

    /// Takes back what is under way.
    fn purge(&self) {
        self.producer
            .purge(PurgeConfig::default().queue().inflight());
        let until = Instant::now() + Duration::from_secs(1);
        while self.producer.in_flight_count() > 0 && Instant::now() < until {
            self.producer.poll(POLL);
        }
        lock(&self.producer.context().failed).clear();
    }
}

/// A producer that has done nothing yet.
fn producer(output: &Output) -> Result<BaseProducer<Reports>, Failure> {
    let config = output
        .producer_config()
        .map_err(|error| Failure::Broken(error.to_string()))?;
    config
        .create_with_context(Reports::default())
        .map_err(|error| Failure::Broken(format!("no producer: {error}")))
}

/// Whether a message failed that fails however often it is sent.
fn is_refusal((index, code): &(usize, Code)) -> bool {
    let refusal = matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::InvalidMessage
            | Code::InvalidRecord
            | Code::InvalidMessageSize
    );
    refusal && *index != CURSOR
}

impl Producer for Connection {
    fn open(&mut self) -> Result<Option<Cursor>, Failure> {
        self.open_transactions()?;
        let cursors = self.output.cursors.clone();
        self.ensure(&[&cursors], true)?;
        let names = self.output.topics.clone();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let partitions = self.ensure(&names, false)?;
        for (name, partitions) in names.iter().zip(partitions) {
            self.topics.insert((*name).into(), partitions);
        }
        lookup::cursor(&self.output).map_err(|error| match error {
            lookup::LookupError::Kafka(doing, error) => self.failure(doing, &error),
            other => Failure::Broken(other.to_string()),
        })
    }

    fn check(&self, message: &Outgoing) -> Result<(), String> {
        let headers = message.headers.iter();
        let headers: usize = headers
            .map(|(name, text)| name.len() + text.len() + 8)
            .sum();
        // Room for the batch around it, as librdkafka counts.
        let size = message.key.len() + message.value.len() + headers + 128;
        match size > self.output.max_message_bytes {
            true => Err(format!(
                "{size} bytes, at most {} (`output.max_message_mb`)",
                self.output.max_message_bytes
            )),
            false => Ok(()),
        }
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.sent = 0;
        lock(&self.producer.context().failed).clear();
        if self.transactions() {
            self.producer
                .begin_transaction()
                .map_err(|error| self.failure("cannot begin a transaction", &error))?;
        }
        self.begun = Some((Instant::now(), SystemTime::now()));
        Ok(())
    }

    fn send(&mut self, message: &Outgoing) -> Result<(), Failure> {
        let partitions = self.partitions(&message.topic)?;
        let headers = OwnedHeaders::new_with_capacity(message.headers.len());
        let headers = message
            .headers
            .iter()
            .fold(headers, |headers, (key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            });
        let record = BaseRecord::with_opaque_to(&message.topic, self.sent)
            .partition(murmur::partition(message.spread.as_bytes(), partitions))
            .key(message.key.as_ref())
            .payload(message.value.as_ref())
            .headers(headers);
        self.enqueue(record)?;
        self.sent += 1;
        if self.apart {
            return self.arrived();
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    fn commit(&mut self, cursor: &Cursor) -> Result<(), Failure> {
        if self.transactions() {
            self.send_cursor(cursor)?;
            self.arrived()?;
            self.commit_transaction()?;
        } else {
            self.arrived()?;
            self.send_cursor(cursor)?;
            self.arrived()?;
        }
        self.apart = false;
        self.begun = None;
        Ok(())
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.purge();
        if self.transactions() {
            self.producer
                .abort_transaction(PATIENCE)
                .map_err(|error| self.failure("cannot abort", &error))?;
            // The refused message has used up a number of its partition, and the cluster would refuse those that follow.
            self.producer = producer(&self.output)?;
            self.open_transactions()?;
        }
        self.begun = None;
        Ok(())
    }
}

impl Drop for Connection {
    /// A transaction left open would hold up readers until it times out.
    fn drop(&mut self) {
        if self.begun.is_some() && self.transactions() {
            self.purge();
            if let Err(error) = self.producer.abort_transaction(Duration::from_secs(2)) {
                tracing::debug!(%error, "the transaction is left to time out");
            }
        }
    }
}
