//! What is received and not committed yet, asked for together with what is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use pitt::broker::Broker;
use pitt::config::Settings;
use pitt::http::live::row::MatchEntry;
use pitt::pipeline::{Counters, Stop};
use pitt::source::{Outlet, SourceReport};
use pitt_alert::Packet;
use serde_json::Value;

use super::live::{Stage, file, packets, settings, stage};
use super::port::{get, get_json};
use super::until;

/// Runs packets from where the archive stands, of which only those before `committed` are committed when `between` is called; then all.
pub(crate) fn half_committed(
    settings: &Settings,
    packets: &[Packet],
    committed: usize,
    mut between: impl FnMut(&Stage, bool) + Send,
) {
    let mut settings = settings.clone();
    settings.commit.every_s = 3600.0;
    let counters: Arc<Counters> = Arc::default();
    let mut broker = Broker::open(&settings, vec![file("all", "alert_id > 0")]).unwrap();
    let first = broker.archive().committed_offset("test").unwrap() as usize;
    let stage = stage(&settings, &mut broker, &counters);
    let source = |outlet: &mut dyn Outlet| {
        send(outlet, &packets[first..committed]);
        assert!(outlet.flush().is_continue());
        send(outlet, &packets[committed..]);
        until("all is matched", || {
            let come = counters.stored.get() + counters.duplicates.get();
            (come as usize == packets.len() - first).then_some(())
        });
        between(&stage, false);
        assert!(outlet.flush().is_continue());
        between(&stage, true);
        Ok(SourceReport::default())
    };
    let ran = broker.run(source, &counters, &Stop::default(), |_| {});
    ran.unwrap();
}

pub(crate) fn send(outlet: &mut dyn Outlet, packets: &[Packet]) {
    let sent = packets
        .iter()
        .try_for_each(|packet| outlet.packet(packet.clone()));
    assert_eq!(sent, ControlFlow::Continue(()));
}

/// Alerts by object; of those that were matched.
fn by_object(entries: &[Arc<MatchEntry>]) -> BTreeMap<String, Vec<i64>> {
    let mut objects: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for entry in entries {
        if let Some(object) = &entry.alert.object_id {
            let alerts = objects.entry(object.clone()).or_default();
            alerts.push(entry.alert.alert_id);
        }
    }
    objects
}

/// Everything that is told of an alert and its object.
fn told_of(at: SocketAddr, alert: i64, object: &str) -> (Value, Vec<Value>) {
    let mut one = get_json(at, &format!("/api/v1/alerts/{alert}"));
    let stored = one["stored"].take();
    let whole = get_json(at, &format!("/api/v1/objects/{object}"));
    let (ra, dec) = (&whole["ra"], &whole["dec"]);
    let mut told = vec![one];
    for path in ["lightcurve", "matches", "neighbours?radius=3600"] {
        told.push(get_json(at, &format!("/api/v1/objects/{object}/{path}")));
    }
    let cone = format!("/api/v1/conesearch?ra={ra}&dec={dec}&radius=3600");
    told.push(get_json(at, &cone)["rows"].take());
    let (status, packet) = get(at, &format!("/api/v1/alerts/{alert}/packet"));
    told.extend([whole, status.into(), packet.into()]);
    (stored, told)
}

#[test]
fn an_alert_its_object_and_cones_are_told_the_same_before_the_commit_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    // Fields are visited twice: objects of the first visits come again in the last ones.
    let packets = packets(500);
    let mut before = None;
    half_committed(&settings, &packets, 300, |stage, committed| {
        let at = stage.port.address();
        let (alert, object, told) = before.get_or_insert_with(|| {
            assert!(!committed);
            let archive = stage.api.stock.archive().unwrap();
            let mut fresh = stage.api.live.feed.uncommitted();
            // The feed learns of commits once a second.
            fresh.retain(|m| archive.packet("ztf", m.alert.alert_id).unwrap().is_none());
            let again = by_object(&fresh).into_iter().find(|(object, alerts)| {
                archive.light_curve(object).unwrap().len() == 1 && alerts.len() == 1
            });
            let (object, alerts) = again.expect("an object seen before and after the commit");
            let (stored, told) = told_of(at, alerts[0], &object);
            assert_eq!(stored, false);
            (alerts[0], object, told)
        });
        let (stored, now) = told_of(at, *alert, object);
        assert_eq!(stored, committed);
        for (now, before) in now.iter().zip(told) {
            assert_eq!(now, before);
        }
        let [alert, curve, matches, _, cone, whole, ..] = &now[..] else {
            panic!("{now:?}")
        };
        assert_eq!(alert["matches"].as_array().unwrap().len(), 1);
        assert_eq!(
            (&whole["n_alerts"], &whole["matches"][0]["n"]),
            (&2.into(), &2.into())
        );
        assert_eq!(matches["rows"].as_array().unwrap().len(), 2);
        let own = |row: &&Value| row["in_packet"] == false || row["alert_id"].is_string();
        assert!(curve["rows"].as_array().unwrap().iter().filter(own).count() >= 2);
        let mut hits = cone.as_array().unwrap().iter();
        let hit = hits.find(|hit| hit["object_id"] == **object).unwrap();
        assert_eq!(hit["n_detections"], 2);
    });
}

/// Cursors of the rows of a page of matches, and where the list goes on.
fn page(at: SocketAddr, query: &str) -> (Vec<String>, Option<String>) {
    let page = get_json(at, &format!("/api/v1/matches?limit=30&{query}"));
    let rows = page["rows"].as_array().unwrap().iter();
    let places = rows.map(|row| row["cursor"].as_str().unwrap().to_owned());
    (places.collect(), page["next"].as_str().map(str::to_owned))
}

/// All pages from one on.
fn pages(at: SocketAddr, first: &str) -> Vec<String> {
    let (mut all, mut next) = page(at, first);
    while let Some(cursor) = next {
        let order = first.split('&').next().unwrap();
        let (more, then) = page(at, &format!("{order}&cursor={cursor}"));
        all.extend(more);
        next = then;
    }
    all
}

#[test]
fn the_list_of_matches_is_paged_forth_and_back_while_new_ones_come() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let packets = packets(400);
    let mut kept = None;
    half_committed(&settings, &packets[..200], 100, |stage, committed| {
        let at = stage.port.address();
        let all: Vec<String> = (1..=200).rev().map(|seq| format!("0:{seq}")).collect();
        assert_eq!(pages(at, "order=newest"), all, "committed: {committed}");
        let (_, next) = page(at, "order=newest");
        let (_, next) = page(at, &format!("order=newest&cursor={}", next.unwrap()));
        kept = next;
    });
    let middle = kept.unwrap();
    // Another run brings as many again, a half of them not committed while the list goes on where it was.
    half_committed(&settings, &packets, 300, |stage, _| {
        let at = stage.port.address();
        let forth = pages(at, &format!("order=newest&cursor={middle}"));
        let older: Vec<String> = (1..=140).rev().map(|seq| format!("0:{seq}")).collect();
        assert_eq!(forth, older, "what came since moves nothing");
        let back = pages(at, &format!("order=oldest&cursor={middle}"));
        let newer: Vec<String> = (142..=400).map(|seq| format!("0:{seq}")).collect();
        assert_eq!(back, newer, "back, and on to what came since");
    });
}
