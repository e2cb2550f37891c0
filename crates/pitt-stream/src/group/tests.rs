//! Groups in invented time.

use super::*;

const T: Duration = Duration::from_millis(1);

fn groups() -> Groups {
    Groups::new(200 * T, 10, 3)
}

fn join(member: &str, now: Instant, groups: &Groups) -> Answer<JoinAnswer> {
    let join = Join {
        group: "g".into(),
        member: member.into(),
        instance: None,
        client_id: "c".into(),
        host: "h".into(),
        session: 1_000 * T,
        rebalance: 300_000 * T,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"topics"))],
        ask_twice: false,
    };
    groups.join(join, now)
}

fn later<T>(answer: Answer<T>) -> oneshot::Receiver<T> {
    match answer {
        Answer::Later(receiver) => receiver,
        Answer::Now(_) => panic!("answered at once"),
    }
}

fn speaker(joined: &Joined) -> Speaker<'_> {
    Speaker {
        member: &joined.member,
        instance: None,
        generation: joined.generation,
    }
}

/// Two members, synced: (leader, follower, time).
fn stable(groups: &Groups, now: Instant) -> (Joined, Joined, Instant) {
    let (mut a, mut b) = (later(join("", now, groups)), later(join("", now, groups)));
    assert!(a.try_recv().is_err(), "waits for further members");
    let now = now + 200 * T;
    groups.tick(now);
    let (a, b) = (
        a.try_recv().unwrap().unwrap(),
        b.try_recv().unwrap().unwrap(),
    );
    let (leader, follower) = if a.members.is_empty() { (b, a) } else { (a, b) };
    assert_eq!(leader.members.len(), 2);
    let mut waiting = later(groups.sync("g", speaker(&follower), HashMap::new(), now));
    let shares = HashMap::from([(follower.member.clone(), Bytes::from_static(b"yours"))]);
    assert!(matches!(
        groups.sync("g", speaker(&leader), shares, now),
        Answer::Now(Ok(_))
    ));
    assert_eq!(waiting.try_recv().unwrap().unwrap().assignment, "yours");
    (leader, follower, now)
}

#[test]
fn two_members_share_and_beat() {
    let groups = groups();
    let (leader, follower, now) = stable(&groups, Instant::now());
    groups.heartbeat("g", speaker(&leader), now).unwrap();
    groups.may_commit("g", speaker(&follower), now).unwrap();
    let old = Speaker {
        generation: 0,
        ..speaker(&leader)
    };
    assert_eq!(
        groups.heartbeat("g", old, now),
        Err(ResponseError::IllegalGeneration)
    );
    let outside = Speaker {
        member: "",
        instance: None,
        generation: -1,
    };
    assert_eq!(
        groups.may_commit("g", outside, now),
        Err(ResponseError::UnknownMemberId)
    );
}

#[test]
fn a_dead_member_does_not_hold_up_a_rebalance() {
    let groups = groups();
    let (leader, _dead, now) = stable(&groups, Instant::now());
    let mut third = later(join("", now, &groups));
    let mut again = later(join(&leader.member, now, &groups));
    groups.tick(now + 900 * T);
    assert!(again.try_recv().is_err());
    groups.tick(now + 1_001 * T);
    let (again, third) = (
        again.try_recv().unwrap().unwrap(),
        third.try_recv().unwrap().unwrap(),
    );
    assert_eq!(again.generation, 2);
    assert_eq!(
        again.members.len() + third.members.len(),
        2,
        "the dead member is gone"
    );
}

#[test]
fn who_hangs_up_while_joining_is_gone_after_its_session() {
    let groups = groups();
    let now = Instant::now();
    drop(later(join("", now, &groups)));
    groups.tick(now + 100 * T);
    groups.tick(now + 1_001 * T);
    assert!(groups.list().is_empty());
}

#[test]
fn leaving_starts_a_rebalance_and_the_last_one_ends_the_group() {
    let groups = groups();
    let (leader, follower, now) = stable(&groups, Instant::now());
    groups.leave("g", &leader.member, None).unwrap();
    assert_eq!(
        groups.heartbeat("g", speaker(&follower), now),
        Err(ResponseError::RebalanceInProgress)
    );
    let mut alone = later(join(&follower.member, now, &groups));
    assert_eq!(alone.try_recv().unwrap().unwrap().leader, follower.member);
    groups.leave("g", &follower.member, None).unwrap();
    groups.tick(now);
    assert!(groups.list().is_empty());
}

#[test]
fn groups_and_members_are_bounded() {
    let groups = groups();
    let now = Instant::now();
    let _waiting: Vec<_> = (0..3).map(|_| later(join("", now, &groups))).collect();
    assert!(matches!(
        join("", now, &groups),
        Answer::Now(Err(NotJoined {
            error: ResponseError::GroupMaxSizeReached,
            ..
        }))
    ));
    assert!(matches!(
        join("unheard of", now, &groups),
        Answer::Now(Err(NotJoined {
            error: ResponseError::UnknownMemberId,
            ..
        }))
    ));
}

#[test]
fn a_static_member_that_starts_again_takes_its_old_place() {
    let groups = groups();
    let now = Instant::now();
    let join = |member: &str| Join {
        group: "g".into(),
        member: member.into(),
        instance: Some("node-1".into()),
        client_id: "c".into(),
        host: "h".into(),
        session: 1_000 * T,
        rebalance: 1_000 * T,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::new())],
        ask_twice: true,
    };
    let mut first = later(groups.join(join(""), now));
    groups.tick(now + 200 * T);
    let first = first.try_recv().unwrap().unwrap();
    groups.sync("g", speaker(&first), HashMap::new(), now + 200 * T);
    let mut again = later(groups.join(join(""), now + 300 * T));
    let again = again.try_recv().unwrap().unwrap();
    assert_eq!((again.members.len(), again.generation), (1, 2));
    let old = Speaker {
        instance: Some("node-1"),
        ..speaker(&first)
    };
    let fenced = Err(ResponseError::FencedInstanceId);
    assert_eq!(groups.heartbeat("g", old, now + 300 * T), fenced);
    assert_eq!(groups.leave("g", "", Some("node-1")), Ok(()));
}
