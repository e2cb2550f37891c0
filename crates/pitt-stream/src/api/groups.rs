//! The requests of consumer groups.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, GroupId, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Hangup, NODE, Session, code, off_runtime, text};
use crate::group::{Answer, Group, Join, JoinAnswer, NotJoined, Speaker, State};

/// Kafka's numbers of the things that have a coordinator.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

impl Session {
    /// The coordinator of every group and every transactional id is always here.
    pub(super) fn find_coordinator(
        &self,
        request: FindCoordinatorRequest,
        version: i16,
    ) -> FindCoordinatorResponse {
        let (host, port) = self.host_and_port();
        let known = [GROUP, TRANSACTION].contains(&request.key_type);
        let error = (!known).then_some(ResponseError::InvalidRequest);
        if version < 4 {
            return FindCoordinatorResponse::default()
                .with_error_code(code(error))
                .with_node_id(NODE.into())
                .with_host(host)
                .with_port(port);
        }
        let one = |key: StrBytes| {
            Coordinator::default()
                .with_key(key)
                .with_node_id(NODE.into())
                .with_host(host.clone())
                .with_port(port)
                .with_error_code(code(error))
        };
        let coordinators = request.coordinator_keys.into_iter().map(one).collect();
        FindCoordinatorResponse::default().with_coordinators(coordinators)
    }

    pub(super) async fn join_group(
        &mut self,
        request: JoinGroupRequest,
        client_id: String,
        version: i16,
    ) -> Result<JoinGroupResponse, Hangup> {
        let session = millis(request.session_timeout_ms);
        let join = Join {
            group: request.group_id.0.to_string(),
            member: request.member_id.to_string(),
            instance: request.group_instance_id.map(|i| i.to_string()),
            client_id,
            host: self.peer.ip().to_string(),
            session,
            rebalance: if version == 0 {
                session
            } else {
                millis(request.rebalance_timeout_ms)
            },
            protocol_type: request.protocol_type.to_string(),
            protocols: request
                .protocols
                .into_iter()
                .map(|p| (p.name.to_string(), p.metadata))
                .collect(),
            ask_twice: version >= 4,
        };
        let unknown = NotJoined {
            error: ResponseError::UnknownMemberId,
            member: join.member.clone(),
        };
        let answer = match self.shared.groups.join(join, Instant::now()) {
            Answer::Now(answer) => answer,
            Answer::Later(later) => self.unless_gone(later).await?.unwrap_or(Err(unknown)),
        };
        Ok(join_response(answer, version))
    }

    pub(super) async fn sync_group(
        &mut self,
        request: SyncGroupRequest,
    ) -> Result<SyncGroupResponse, Hangup> {
        let speaker = Speaker {
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            generation: request.generation_id,
        };
        let shares = request
            .assignments
            .iter()
            .map(|a| (a.member_id.to_string(), a.assignment.clone()))
            .collect();
        let answer =
            match self
                .shared
                .groups
                .sync(&request.group_id.0, speaker, shares, Instant::now())
            {
                Answer::Now(answer) => answer,
                Answer::Later(later) => self
                    .unless_gone(later)
                    .await?
                    .unwrap_or(Err(ResponseError::UnknownMemberId)),
            };
        Ok(match answer {
            Ok(share) => SyncGroupResponse::default()
                .with_protocol_type(Some(text(share.protocol_type)))
                .with_protocol_name(Some(text(share.protocol)))
                .with_assignment(share.assignment),
            Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
        })
    }

    pub(super) fn heartbeat(&self, request: &HeartbeatRequest) -> HeartbeatResponse {
        let speaker = Speaker {
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            generation: request.generation_id,
        };
        let answer = self
            .shared
            .groups
            .heartbeat(&request.group_id.0, speaker, Instant::now());
        HeartbeatResponse::default().with_error_code(code(answer.err()))
    }

    pub(super) fn leave_group(
        &self,
        request: LeaveGroupRequest,
        version: i16,
    ) -> LeaveGroupResponse {
        let groups = &self.shared.groups;
        if version < 3 {
            let left = groups.leave(&request.group_id.0, &request.member_id, None);
            return LeaveGroupResponse::default().with_error_code(code(left.err()));
        }
        let members = request.members.into_iter().map(|m| {
            let left = groups.leave(
                &request.group_id.0,
                &m.member_id,
                m.group_instance_id.as_deref(),
            );
            MemberResponse::default()
                .with_member_id(m.member_id)
                .with_group_instance_id(m.group_instance_id)
                .with_error_code(code(left.err()))
        });
        LeaveGroupResponse::default().with_members(members.collect())
    }

    pub(super) fn describe_groups(&self, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
        let one = |id: GroupId| {
            let described = self.shared.groups.show(&id.0, describe);
            described
                .unwrap_or_else(|| self.without_members(&id.0))
                .with_group_id(id)
        };
        DescribeGroupsResponse::default().with_groups(request.groups.into_iter().map(one).collect())
    }

    fn without_members(&self, group: &str) -> DescribedGroup {
        let offsets = self
            .shared
            .offsets
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = offsets.of_group(group).next().is_some();
        DescribedGroup::default().with_group_state(text(if known {
            State::Empty.name()
        } else {
            "Dead"
        }))
    }

    /// Groups with members, and those that have committed offsets.
    pub(super) fn list_groups(&self, request: &ListGroupsRequest) -> ListGroupsResponse {
        let mut listed = self.shared.groups.list();
        {
            let offsets = self
                .shared
                .offsets
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let silent = offsets
                .groups()
                .filter(|g| !listed.iter().any(|(id, ..)| id == *g));
            let silent: Vec<_> = silent
                .map(|g| (g.clone(), "consumer".to_owned(), State::Empty))
                .collect();
            listed.extend(silent);
        }
        let wanted = &request.states_filter;
        let groups = listed
            .into_iter()
            .filter(|(_, _, state)| {
                wanted.is_empty() || wanted.iter().any(|w| w.eq_ignore_ascii_case(state.name()))
            })
            .map(|(id, kind, state)| {
                ListedGroup::default()
                    .with_group_id(text(id).into())
                    .with_protocol_type(text(kind))
                    .with_group_state(text(state.name()))
            });
        ListGroupsResponse::default().with_groups(groups.collect())
    }

    pub(super) async fn delete_groups(&self, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
        let mut results = Vec::with_capacity(request.groups_names.len());
        for id in request.groups_names {
            let error = if self.may_write() {
                let (shared, group) = (Arc::clone(&self.shared), id.0.to_string());
                let done = off_runtime(move || shared.delete_group(&group)).await;
                done.map_or(Some(ResponseError::UnknownServerError), Result::err)
            } else {
                Some(ResponseError::GroupAuthorizationFailed)
            };
            results.push(
                DeletableGroupResult::default()
                    .with_group_id(id)
                    .with_error_code(code(error)),
            );
        }
        DeleteGroupsResponse::default().with_results(results)
    }
}

fn describe(group: &Group) -> DescribedGroup {
    let members = group.members().iter().map(|(id, m)| {
        DescribedGroupMember::default()
            .with_member_id(text(&**id))
            .with_group_instance_id(m.instance.clone().map(text))
            .with_client_id(text(&*m.client_id))
            .with_client_host(text(&*m.host))
            .with_member_metadata(m.metadata(group.protocol()).cloned().unwrap_or_default())
            .with_member_assignment(m.share.clone())
    });
    DescribedGroup::default()
        .with_group_state(text(group.state().name()))
        .with_protocol_type(text(group.protocol_type()))
        .with_protocol_data(text(group.protocol()))
        .with_members(members.collect())
}

fn join_response(answer: JoinAnswer, version: i16) -> JoinGroupResponse {
    let joined = match answer {
        Ok(joined) => joined,
        Err(NotJoined { error, member }) => {
            return JoinGroupResponse::default()
                .with_error_code(error.code())
                .with_generation_id(-1)
                .with_protocol_name((version < 7).then(|| text("")))
                .with_member_id(text(member));
        }
    };
    let members = joined.members.into_iter().map(|(id, instance, metadata)| {
        JoinGroupResponseMember::default()
            .with_member_id(text(id))
            .with_group_instance_id(instance.filter(|_| version >= 5).map(text))
            .with_metadata(metadata)
    });
    JoinGroupResponse::default()
        .with_generation_id(joined.generation)
        .with_protocol_type((version >= 7).then(|| text(joined.protocol_type)))
        .with_protocol_name(Some(text(joined.protocol)))
        .with_leader(text(joined.leader))
        .with_member_id(text(joined.member))
        .with_members(members.collect())
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
