//! One member of a group.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::oneshot;

use super::{Join, JoinAnswer, NotJoined, ShareAnswer};

/// A member of a group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) host: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) share: Bytes,
    pub(super) session: Duration,
    pub(super) rebalance: Duration,
    /// Silent until then, it is gone.
    pub(super) deadline: Instant,
    pub(super) joining: Option<oneshot::Sender<JoinAnswer>>,
    pub(super) syncing: Option<oneshot::Sender<ShareAnswer>>,
}

impl Member {
    pub(super) fn new(
        join: Join,
        share: Bytes,
        joining: oneshot::Sender<JoinAnswer>,
        now: Instant,
    ) -> Self {
        let own = |(name, data): (String, Bytes)| (name, Bytes::copy_from_slice(&data));
        Self {
            instance: join.instance,
            client_id: join.client_id,
            host: join.host,
            protocols: join.protocols.into_iter().map(own).collect(),
            share,
            session: join.session,
            rebalance: join.rebalance.max(join.session),
            deadline: now + join.session,
            joining: Some(joining),
            syncing: None,
        }
    }

    pub(crate) fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols
            .iter()
            .find(|(name, _)| name == protocol)
            .map(|(_, data)| data)
    }

    pub(super) fn held(&self) -> usize {
        self.share.len()
            + self
                .protocols
                .iter()
                .map(|(name, data)| name.len() + data.len())
                .sum::<usize>()
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.deadline = now + self.session;
    }

    /// Silent too long, and not waiting on a living connection.
    pub(super) fn is_gone(&self, now: Instant) -> bool {
        let waits = self.joining.as_ref().is_some_and(|w| !w.is_closed())
            || self.syncing.as_ref().is_some_and(|w| !w.is_closed());
        now >= self.deadline && !waits
    }

    pub(super) fn answer_sync(&mut self, answer: ShareAnswer) {
        if let Some(waiting) = self.syncing.take() {
            // Who went away meanwhile will miss its heartbeat.
            let _ = waiting.send(answer);
        }
    }

    pub(super) fn refuse(&mut self, error: ResponseError) {
        self.answer_sync(Err(error));
        if let Some(waiting) = self.joining.take() {
            let _ = waiting.send(Err(NotJoined {
                error,
                member: String::new(),
            }));
        }
    }
}

/// An id that nobody else has, beginning with the client's name for itself.
pub(super) fn new_id(client_id: &str) -> String {
    let mut random = [0; 16];
    // Without randomness ids could repeat; the clock is then better than nothing.
    if SystemRandom::new().fill(&mut random).is_err() {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        random = now.as_nanos().to_be_bytes();
    }
    let client: String = client_id.chars().take(100).collect();
    format!("{client}-{:032x}", u128::from_be_bytes(random))
}
