//! Who joins a group: new members, known ones, and those that come back under their instance's name.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

use super::{Group, State};
use crate::group::member::{Member, new_id};
use crate::group::{Answer, Join, JoinAnswer, Joined, NotJoined};

impl Group {
    pub(in crate::group) fn join(
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

    pub(super) fn joined(&self, id: &str) -> Joined {
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
}
