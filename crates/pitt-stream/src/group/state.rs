//! One group as a state machine. Time comes in from outside, so that tests need not wait.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

use super::member::{Member, new_id};
use super::{Answer, Join, JoinAnswer, Joined, NotJoined, Share, ShareAnswer, Speaker};

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
    pub(super) fn join(
        &mut self,
        join: Join,
        delay: Duration,
        max: usize,
        now: Instant,
    ) -> Answer<JoinAnswer> {
        let (id, join) = match self.admit(join, max, now) {
            Ok(admitted) => admitted,
            Err(refusal) => return Answer::Now(Err(refusal)),
        };
        if let Some(answer) = self.joined_already(&id, &join, now) {
            return answer;
        }
        let first = self.state == State::Empty;
        self.protocol_type.clone_from(&join.protocol_type);
        let (sender, receiver) = oneshot::channel();
        let share = self
            .members
            .remove(&id)
            .map(|m| m.share)
            .unwrap_or_default();
        self.members
            .insert(id, Member::new(join, share, sender, now));
        if first {
            self.not_before = Some(now + delay);
        }
        self.rebalance(now);
        self.try_complete(now);
        Answer::Later(receiver)
    }

    /// Finds out who is joining: its id, or why not.
    fn admit(&mut self, join: Join, max: usize, now: Instant) -> Result<(String, Join), NotJoined> {
        let refuse = |error, member: &str| {
            Err(NotJoined {
                error,
                member: member.to_owned(),
            })
        };
        if !self.accepts(&join) {
            return refuse(ResponseError::InconsistentGroupProtocol, &join.member);
        }
        if let Some(known) = join
            .instance
            .as_deref()
            .and_then(|i| self.member_of_instance(i))
        {
            return self.admit_instance(known, join);
        }
        if self.members.contains_key(&join.member) {
            return Ok((join.member.clone(), join));
        }
        let expected = self.expected.remove(&join.member).is_some();
        if !join.member.is_empty() && !expected {
            return refuse(ResponseError::UnknownMemberId, &join.member);
        }
        if self.members.len() + self.expected.len() >= max {
            return refuse(ResponseError::GroupMaxSizeReached, &join.member);
        }
        if expected {
            return Ok((join.member.clone(), join));
        }
        let id = new_id(&join.client_id);
        if join.ask_twice && join.instance.is_none() {
            self.expected.insert(id.clone(), now + join.session);
            return refuse(ResponseError::MemberIdRequired, &id);
        }
        Ok((id, join))
    }

    /// A static member comes back: under its id, or as a new process that takes the old one's place.
    fn admit_instance(&mut self, known: String, join: Join) -> Result<(String, Join), NotJoined> {
        if join.member == known {
            return Ok((known, join));
        }
        if !join.member.is_empty() {
            return Err(NotJoined {
                error: ResponseError::FencedInstanceId,
                member: join.member,
            });
        }
        let id = new_id(&join.client_id);
        if let Some(mut old) = self.members.remove(&known) {
            old.refuse(ResponseError::FencedInstanceId);
            self.members.insert(id.clone(), old);
            if self.leader == known {
                self.leader.clone_from(&id);
            }
        }
        Ok((id, join))
    }

    fn accepts(&self, join: &Join) -> bool {
        if self.members.is_empty() {
            return true;
        }
        let others: Vec<_> = self
            .members
            .iter()
            .filter(|(id, _)| **id != join.member)
            .map(|(_, m)| m)
            .collect();
        let shared =
            |(name, _): &(String, Bytes)| others.iter().all(|m| m.metadata(name).is_some());
        join.protocol_type == self.protocol_type && join.protocols.iter().any(shared)
    }

    /// The answer for a member that asks again without having changed, while nothing is to be rebalanced.
    fn joined_already(
        &mut self,
        id: &str,
        join: &Join,
        now: Instant,
    ) -> Option<Answer<JoinAnswer>> {
        let settled = match self.state {
            State::Stable => id != self.leader,
            State::Dividing => true,
            State::Empty | State::Joining => false,
        };
        let member = self
            .members
            .get_mut(id)
            .filter(|m| settled && m.protocols == join.protocols)?;
        member.heard(now);
        Some(Answer::Now(Ok(self.joined(id))))
    }

    fn joined(&self, id: &str) -> Joined {
        let of = |(id, m): (&String, &Member)| {
            (
                id.clone(),
                m.instance.clone(),
                m.metadata(&self.protocol).cloned().unwrap_or_default(),
            )
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member: id.to_owned(),
            members: if id == self.leader {
                self.members.iter().map(of).collect()
            } else {
                Vec::new()
            },
        }
    }

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
