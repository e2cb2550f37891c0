//! Consumer groups: who is a member, and which assignment holds.
//!
//! The classic protocol: members join, one of them leads and divides the partitions, all fetch their share, then beat.
//! The server never looks into members' metadata and assignments.

mod member;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

pub(crate) use state::{Group, State};

/// Session timeouts that members may ask for.
const SESSION: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_hours(1);

/// Metadata and assignments of all groups together `[bytes]`; who would join beyond is refused.
const HELD: usize = 64 << 20;

/// A member's wish to join.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    /// Name of the group.
    pub(crate) group: String,
    /// Empty for a new member.
    pub(crate) member: String,
    /// Name under which a static member comes back after a restart.
    pub(crate) instance: Option<String>,
    /// What the client calls itself, for people.
    pub(crate) client_id: String,
    /// Address it comes from, for people.
    pub(crate) host: String,
    /// It is taken for dead when it was not heard for so long.
    pub(crate) session: Duration,
    /// It has so long to join again when the group divides anew.
    pub(crate) rebalance: Duration,
    /// `consumer`, for all that read topics; one for the whole group.
    pub(crate) protocol_type: String,
    /// Names and metadata, best first.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Whether a new member must come again with the id it was given, so that a lost answer leaves no ghost.
    pub(crate) ask_twice: bool,
}

/// The answer to a member that joined.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    /// Number of this division, which every request must name.
    pub(crate) generation: i32,
    /// Of the whole group.
    pub(crate) protocol_type: String,
    /// The way of dividing that all members know.
    pub(crate) protocol: String,
    /// Id of the member that divides.
    pub(crate) leader: String,
    /// Id of the one that joined.
    pub(crate) member: String,
    /// Ids, instances and metadata of all members; for the leader only.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

/// The answer to a member that asked for its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Of the whole group.
    pub(crate) protocol_type: String,
    /// The way it was divided.
    pub(crate) protocol: String,
    /// What the member is to read, in the words of that protocol.
    pub(crate) assignment: Bytes,
}

/// A member that could not join, and the id it has been given if it is to come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotJoined {
    /// Why.
    pub(crate) error: ResponseError,
    /// The id given; empty for none.
    pub(crate) member: String,
}

pub(crate) type JoinAnswer = Result<Joined, NotJoined>;
pub(crate) type ShareAnswer = Result<Share, ResponseError>;

/// An answer at once, or later.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    Now(T),
    Later(oneshot::Receiver<T>),
}

/// Who says something in a group: member id, static instance, and the generation it believes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker<'a> {
    /// Id of the member.
    pub(crate) member: &'a str,
    /// Name of a static member.
    pub(crate) instance: Option<&'a str>,
    /// The division it knows of.
    pub(crate) generation: i32,
}

/// All groups of a server. They are in memory only: after a restart members join again.
#[derive(Debug)]
pub(crate) struct Groups {
    by_id: Mutex<HashMap<String, Group>>,
    initial_delay: Duration,
    max_groups: usize,
    max_members: usize,
    /// Bytes that members had told of themselves at the last tick.
    held: AtomicUsize,
}

impl Groups {
    pub(crate) fn new(initial_delay: Duration, max_groups: usize, max_members: usize) -> Self {
        Self {
            by_id: Mutex::default(),
            initial_delay,
            max_groups,
            max_members,
            held: AtomicUsize::new(0),
        }
    }

    /// A member joins or joins again.
    pub(crate) fn join(&self, join: Join, now: Instant) -> Answer<JoinAnswer> {
        let refuse = |error| {
            Answer::Now(Err(NotJoined {
                error,
                member: join.member.clone(),
            }))
        };
        if !valid_id(&join.group) {
            return refuse(ResponseError::InvalidGroupId);
        }
        if !SESSION.contains(&join.session) {
            return refuse(ResponseError::InvalidSessionTimeout);
        }
        if join.protocols.is_empty() || join.protocol_type.is_empty() {
            return refuse(ResponseError::InconsistentGroupProtocol);
        }
        let full = self.held.load(Ordering::Relaxed) > HELD;
        let mut groups = self.lock();
        if full || groups.len() >= self.max_groups && !groups.contains_key(&join.group) {
            return refuse(ResponseError::GroupMaxSizeReached);
        }
        let group = groups.entry(join.group.clone()).or_default();
        group.join(join, self.initial_delay, self.max_members, now)
    }

    /// A member asks for its share; the leader brings everybody's.
    pub(crate) fn sync(
        &self,
        group: &str,
        speaker: Speaker<'_>,
        shares: HashMap<String, Bytes>,
        now: Instant,
    ) -> Answer<ShareAnswer> {
        match self.lock().get_mut(group) {
            Some(group) => group.sync(speaker, shares, now),
            None => Answer::Now(Err(ResponseError::UnknownMemberId)),
        }
    }

    pub(crate) fn heartbeat(
        &self,
        group: &str,
        speaker: Speaker<'_>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let mut groups = self.lock();
        groups
            .get_mut(group)
            .ok_or(ResponseError::UnknownMemberId)?
            .heartbeat(speaker, now)
    }

    pub(crate) fn leave(
        &self,
        group: &str,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), ResponseError> {
        let mut groups = self.lock();
        groups
            .get_mut(group)
            .ok_or(ResponseError::UnknownMemberId)?
            .leave(member, instance)
    }

    /// Whether `speaker` may commit offsets now. Who is in no group may, while the group has no members.
    pub(crate) fn may_commit(
        &self,
        group: &str,
        speaker: Speaker<'_>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if !valid_id(group) {
            return Err(ResponseError::InvalidGroupId);
        }
        match self.lock().get_mut(group) {
            Some(group) => group.may_commit(speaker, now),
            None if speaker.generation < 0 => Ok(()),
            None => Err(ResponseError::UnknownMemberId),
        }
    }

    /// Forgets a group without members; `GroupIdNotFound` when nothing was there.
    pub(crate) fn delete(&self, group: &str) -> Result<(), ResponseError> {
        let mut groups = self.lock();
        match groups.get(group) {
            Some(found) if !found.is_empty() => Err(ResponseError::NonEmptyGroup),
            Some(_) => {
                groups.remove(group);
                Ok(())
            }
            None => Err(ResponseError::GroupIdNotFound),
        }
    }

    /// Lets time pass: members that were silent too long go, rebalances that waited long enough end.
    pub(crate) fn tick(&self, now: Instant) {
        let mut groups = self.lock();
        groups.retain(|id, group| {
            group.tick(id, now);
            !group.is_empty() || group.is_expecting()
        });
        self.held
            .store(groups.values().map(Group::held).sum(), Ordering::Relaxed);
    }

    /// Shows a group, if it has members or had some a moment ago.
    pub(crate) fn show<T>(&self, group: &str, show: impl FnOnce(&Group) -> T) -> Option<T> {
        self.lock().get(group).map(show)
    }

    /// Ids, protocol types and states of all groups.
    pub(crate) fn list(&self) -> Vec<(String, String, State)> {
        let groups = self.lock();
        groups
            .iter()
            .map(|(id, g)| (id.clone(), g.protocol_type().to_owned(), g.state()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Group>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn valid_id(group: &str) -> bool {
    (1..=255).contains(&group.len())
}
