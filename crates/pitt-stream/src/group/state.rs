//! One group as a state machine. Time comes in from outside, so that tests need not wait.

mod joining;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

use super::member::Member;
use super::{Answer, Share, ShareAnswer, Speaker};

/// Where a group stands between two assignments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// No members.
    #[default]
    Empty,
    /// Waiting for members to join.
    Joining,
    /// Waiting for the leader's division.
    Dividing,
    /// Everybody knows its share.
    Stable,
}

impl State {
    /// Kafka's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Joining => "PreparingRebalance",
            Self::Dividing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// A group of consumers.
#[derive(Debug, Default)]
pub(crate) struct Group {
    state: State,
    generation: i32,
    protocol_type: String,
    protocol: String,
    leader: String,
    members: BTreeMap<String, Member>,
    /// Ids given out whose owners have not come back yet, and until when they may.
    expected: HashMap<String, Instant>,
    /// While joining: not before, and not after.
    not_before: Option<Instant>,
    not_after: Option<Instant>,
}

impl Group {
    /// Begins to wait for everybody to join again.
    fn rebalance(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.state = State::Empty;
            self.generation += 1;
            return;
        }
        if self.state == State::Joining {
            return;
        }
        for member in self.members.values_mut() {
            member.answer_sync(Err(ResponseError::RebalanceInProgress));
        }
        self.state = State::Joining;
        let longest = self
            .members
            .values()
            .map(|m| m.rebalance)
            .max()
            .unwrap_or_default();
        self.not_after = Some(now + longest);
    }

    /// Ends the joining when nobody is missing, or when it took too long.
    fn try_complete(&mut self, now: Instant) {
        if self.state != State::Joining || self.not_before.is_some_and(|t| now < t) {
            return;
        }
        let late = self.not_after.is_some_and(|t| now >= t);
        let complete =
            self.expected.is_empty() && self.members.values().all(|m| m.joining.is_some());
        if !late && !complete {
            return;
        }
        self.members.retain(|_, m| m.joining.is_some());
        self.not_before = None;
        if self.members.is_empty() {
            return self.rebalance(now);
        }
        self.generation += 1;
        self.protocol = self.choose();
        if !self.members.contains_key(&self.leader) {
            self.leader = self.members.keys().next().cloned().unwrap_or_default();
        }
        self.state = State::Dividing;
        self.not_after = self
            .members
            .values()
            .map(|m| m.rebalance)
            .max()
            .map(|t| now + t);
        self.answer_joins(now);
    }

    fn answer_joins(&mut self, now: Instant) {
        let answers: Vec<_> = self.members.keys().map(|id| self.joined(id)).collect();
        for (member, answer) in self.members.values_mut().zip(answers) {
            member.heard(now);
            if let Some(waiting) = member.joining.take() {
                // Who went away meanwhile will miss its heartbeat.
                let _ = waiting.send(Ok(answer));
            }
        }
    }

    /// The protocol that all support and most prefer.
    fn choose(&self) -> String {
        let supported = |name: &str| self.members.values().all(|m| m.metadata(name).is_some());
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| supported(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes
            .into_iter()
            .max_by_key(|(_, n)| *n)
            .map(|(name, _)| name.to_owned())
            .unwrap_or_default()
    }

    pub(super) fn sync(
        &mut self,
        speaker: Speaker<'_>,
        shares: HashMap<String, Bytes>,
        now: Instant,
    ) -> Answer<ShareAnswer> {
        if let Err(error) = self.hear(speaker, now) {
            return Answer::Now(Err(error));
        }
        match self.state {
            State::Empty => Answer::Now(Err(ResponseError::UnknownMemberId)),
            State::Joining => Answer::Now(Err(ResponseError::RebalanceInProgress)),
            State::Stable => Answer::Now(Ok(self.share(speaker.member))),
            State::Dividing if speaker.member == self.leader => {
                self.divide(shares);
                Answer::Now(Ok(self.share(speaker.member)))
            }
            State::Dividing => {
                let (sender, receiver) = oneshot::channel();
                if let Some(member) = self.members.get_mut(speaker.member) {
                    member.syncing = Some(sender);
                }
                Answer::Later(receiver)
            }
        }
    }

    fn divide(&mut self, mut shares: HashMap<String, Bytes>) {
        self.state = State::Stable;
        self.not_after = None;
        for (id, member) in &mut self.members {
            // Kept apart from the request's buffer, which would otherwise stay whole for as long as the share.
            member.share = Bytes::copy_from_slice(&shares.remove(id).unwrap_or_default());
        }
        let answers: Vec<_> = self.members.keys().map(|id| self.share(id)).collect();
        for (member, answer) in self.members.values_mut().zip(answers) {
            member.answer_sync(Ok(answer));
        }
    }

    fn share(&self, id: &str) -> Share {
        let assignment = self
            .members
            .get(id)
            .map(|m| m.share.clone())
            .unwrap_or_default();
        Share {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment,
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        speaker: Speaker<'_>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        self.hear(speaker, now)?;
        if self.state == State::Joining {
            Err(ResponseError::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    pub(super) fn may_commit(
        &mut self,
        speaker: Speaker<'_>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if speaker.generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        self.hear(speaker, now)?;
        if self.state == State::Dividing {
            Err(ResponseError::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    pub(super) fn leave(
        &mut self,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), ResponseError> {
        let known = instance.and_then(|i| self.member_of_instance(i));
        let id = match (&known, member) {
            (Some(known), "") => known.clone(),
            (Some(known), id) if id != known => return Err(ResponseError::FencedInstanceId),
            (_, id) => id.to_owned(),
        };
        if self.expected.remove(&id).is_some() {
            return Ok(());
        }
        self.members
            .remove(&id)
            .ok_or(ResponseError::UnknownMemberId)?;
        let now = Instant::now();
        self.rebalance(now);
        self.try_complete(now);
        Ok(())
    }

    /// Checks who speaks and notes that it lives.
    fn hear(&mut self, speaker: Speaker<'_>, now: Instant) -> Result<(), ResponseError> {
        let known = speaker.instance.and_then(|i| self.member_of_instance(i));
        if known.is_some_and(|known| known != speaker.member) {
            return Err(ResponseError::FencedInstanceId);
        }
        let generation = self.generation;
        let member = self
            .members
            .get_mut(speaker.member)
            .ok_or(ResponseError::UnknownMemberId)?;
        if speaker.generation != generation {
            return Err(ResponseError::IllegalGeneration);
        }
        member.heard(now);
        Ok(())
    }

    /// Drops who was silent too long, also while the group rebalances: a killed consumer must not hold the others up.
    pub(super) fn tick(&mut self, id: &str, now: Instant) {
        self.expected.retain(|_, until| now < *until);
        let unsynced = self.state == State::Dividing && self.not_after.is_some_and(|t| now >= t);
        let leader = self.leader.clone();
        let gone: HashSet<String> = self
            .members
            .iter()
            .filter(|(id, m)| m.is_gone(now) || (unsynced && m.syncing.is_none() && **id == leader))
            .map(|(id, _)| id.clone())
            .collect();
        for member in &gone {
            tracing::debug!("group `{id}`: member `{member}` is gone");
            self.members.remove(member);
        }
        if !gone.is_empty() {
            self.rebalance(now);
        }
        self.try_complete(now);
    }

    fn member_of_instance(&self, instance: &str) -> Option<String> {
        self.members
            .iter()
            .find(|(_, m)| m.instance.as_deref() == Some(instance))
            .map(|(id, _)| id.clone())
    }

    /// Bytes its members have told.
    pub(super) fn held(&self) -> usize {
        self.members.values().map(Member::held).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn is_expecting(&self) -> bool {
        !self.expected.is_empty()
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    pub(crate) fn protocol(&self) -> &str {
        &self.protocol
    }

    pub(crate) fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }
}
