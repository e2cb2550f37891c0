//! Filters that change while alerts go through, and the feed of their matches.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pitt::broker::Broker;
use pitt::config::{Config, HttpSettings, Settings};
use pitt::filters::{Draft, FilterDesk, FilterState, anybodys};
use pitt::http::api::Api;
use pitt::http::live::Beating;
use pitt::http::registry::Catalogue;
use pitt::http::{Port, Site};
use pitt::pipeline::{Counters, Stop};
use pitt::source::{Outlet, SourceReport};
use pitt::telemetry::Telemetry;
use pitt_alert::{Packet, Position, SchemaStore};
use pitt_archive::Archive;
use pitt_query::Filter;
use pitt_simulate::{SimSurvey, SimulationConfig, Simulator};

pub(crate) use super::port::PATIENCE;

pub(crate) fn settings(folder: &Path) -> Settings {
    let archive = folder.join("archive").to_string_lossy().into_owned();
    let flags = vec![
        ("archive", archive.into()),
        ("pipeline.batch_alerts", 20.into()),
        ("pipeline.workers", 3.into()),
        ("commit.every_s", 0.3.into()),
    ];
    Config::load(None, |_| None, flags).unwrap().settings
}

pub(crate) fn packets(alerts: u32) -> Vec<Packet> {
    let config = SimulationConfig {
        visits_per_night: 5,
        alerts_per_visit: alerts / 5,
        surveys: vec![SimSurvey::Ztf],
        bad_packets_per_million: 0,
        duplicates_per_million: 0,
        history_nights: 10,
        ..SimulationConfig::default()
    };
    let sent = Simulator::new(config).flat_map(|visit| visit.packets);
    let packet = |(offset, packet): (usize, pitt_simulate::SimPacket)| Packet {
        position: Position {
            partition: "test".into(),
            offset: offset as i64,
        },
        ..Packet::unplaced("test", packet.bytes)
    };
    sent.enumerate().map(packet).collect()
}

pub(crate) fn file(name: &str, text: &str) -> Filter {
    Filter::parse(name, text).unwrap()
}

pub(crate) fn keep(desk: &FilterDesk, text: &str) {
    let draft = Draft {
        name: "swapped",
        text,
        author: "ann",
        note: None,
        activate: true,
    };
    desk.keep(&draft, &anybodys).unwrap();
}

/// Sends packets from where the archive stands, calling `between` before each.
pub(crate) fn run(
    broker: Broker,
    packets: &[Packet],
    counters: &Arc<Counters>,
    mut between: impl FnMut(usize) + Send,
) {
    let first = broker.archive().committed_offset("test").unwrap() as usize;
    let source = |outlet: &mut dyn Outlet| {
        for (at, packet) in packets.iter().enumerate().skip(first) {
            between(at);
            if let ControlFlow::Break(()) = outlet.packet(packet.clone()) {
                break;
            }
        }
        Ok(SourceReport::default())
    };
    broker
        .run(source, counters, &Stop::default(), |_| {})
        .unwrap();
}

/// Every match of the archive: number, filter, version, alert.
pub(crate) fn log(archive: &Archive) -> Vec<(u64, String, String, i64)> {
    let all = archive.matches_after(0, 0, 1_000_000).unwrap();
    let one = |m: pitt_archive::LoggedMatch| {
        (
            m.seq,
            m.filter.to_string(),
            m.version.to_string(),
            m.alert_id,
        )
    };
    all.into_iter().map(one).collect()
}

#[test]
fn swaps_under_way_lose_and_double_no_match() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let (packets, counters) = (packets(1000), Arc::default());
    let broker = Broker::open(&settings, vec![file("all", "alert_id > 0")]).unwrap();
    let archive = broker.archive().clone();
    let desk = broker.filters().clone();
    keep(&desk, "alert_id > -1");
    // Some versions read the history, so that what is decoded changes too.
    run(broker, &packets, &counters, |at| {
        if at % 37 == 36 {
            let more = if at % 2 == 0 {
                ""
            } else {
                " OR detections('r', 30) > 99"
            };
            keep(&desk, &format!("alert_id > -{at}{more}"));
        }
    });
    let (mut all, mut swapped, mut versions) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for (_, filter, version, alert) in log(&archive) {
        match filter.as_str() {
            "all" => assert!(all.insert(alert), "{alert} twice"),
            _ => {
                assert!(swapped.insert(alert), "{alert} twice");
                *versions.entry(version).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(all.len(), packets.len());
    assert_eq!(swapped, all, "each alert was judged by one version");
    assert!(versions.len() > 5, "{versions:?}");
    let counted = |name: &str| counters.of_filter(name).matches.get();
    assert_eq!((counted("all"), counted("swapped")), (1000, 1000));
    let book = desk.book().read().unwrap();
    assert!(book.filters["swapped"].versions.len() >= versions.len());
}

#[test]
fn a_filter_added_while_it_runs_that_fails_stays_off_until_it_is_switched_on_or_changed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let (packets, counters) = (packets(600), Arc::default());
    let broker = Broker::open(&settings, vec![file("all", "alert_id > 0")]).unwrap();
    let desk = broker.filters().clone();
    let state = || {
        desk.known()
            .unwrap()
            .into_iter()
            .find(|k| k.name == "swapped")
            .unwrap()
            .state
    };
    run(broker, &packets[..300], &counters, |at| {
        if at == 100 {
            keep(&desk, "1 / (alert_id - alert_id) <= 1 OR alert_id > 0");
        }
    });
    assert!(matches!(state(), FilterState::Off(_)), "{:?}", state());
    assert_eq!(counters.of_filter("all").matches.get(), 300);
    // Another run: it is off from the beginning, and on again once its text changes.
    let broker = Broker::open(&settings, vec![file("all", "alert_id > 0")]).unwrap();
    let desk = broker.filters().clone();
    let known = desk.known().unwrap();
    assert!(
        matches!(known[1].state, FilterState::Off(_)),
        "{:?}",
        known[1].state
    );
    let before = counters.of_filter("swapped").matches.get();
    run(broker, &packets, &counters, |at| {
        if at == 400 {
            keep(&desk, "alert_id > 0");
        }
        if at == 500 {
            desk.pause("swapped", &anybodys).unwrap();
        }
    });
    let taken = counters.of_filter("swapped").matches.get() - before;
    // The batch that was open at a change is judged by what was at work when it closed.
    assert!((80..=120).contains(&taken), "{taken}");
    assert_eq!(counters.of_filter("all").matches.get(), 600);
}

#[test]
fn the_terminal_changes_the_filters_of_a_broker_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let (packets, counters) = (packets(200), Arc::default());
    let broker = Broker::open(&settings, vec![]).unwrap();
    let desk = broker.filters().clone();
    let dir = folder.path();
    std::fs::write(dir.join("typed.sql"), "alert_id > 0").unwrap();
    let here =
        |args: &[&str]| super::good(dir, &[&["--archive", "archive", "filter"], args].concat());
    let until = |works: bool| {
        let begun = std::time::Instant::now();
        while desk.at_work().now().members().is_empty() == works {
            assert!(
                begun.elapsed() < PATIENCE,
                "the broker does not see the change"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    run(broker, &packets, &counters, |at| match at {
        60 => {
            here(&["add", "typed.sql", "--note", "first"]);
            until(true);
        }
        140 => {
            here(&["pause", "typed"]);
            until(false);
        }
        _ => {}
    });
    let matches = counters.of_filter("typed").matches.get();
    assert!((60..=100).contains(&matches), "{matches}");
    assert!(here(&["list"]).contains("paused"));
    assert!(here(&["versions", "typed"]).contains("first"));
    here(&["resume", "typed"]);
    assert!(here(&["list"]).contains("active"));
}

pub(crate) struct Stage {
    pub(crate) port: Port,
    pub(crate) api: Api,
    _beating: Beating,
}

/// A port over a broker that has not run yet.
pub(crate) fn stage(settings: &Settings, broker: &mut Broker, counters: &Arc<Counters>) -> Stage {
    let telemetry = Arc::new(Telemetry::new(broker.archive(), broker.filters(), counters));
    let api = Api::new(telemetry.clone(), settings).unwrap();
    let beating = Beating::start(&api.live, &telemetry).unwrap();
    api.live.join(broker).unwrap();
    let site = Site {
        telemetry,
        schemas: Arc::new(Catalogue::new(Vec::new, SchemaStore::new(), BTreeMap::new)),
        api: api.clone(),
    };
    let http = HttpSettings {
        listen: "127.0.0.1:0".into(),
        ..settings.http.clone()
    };
    let port = Port::open(&http, true, site).unwrap().unwrap();
    Stage {
        port,
        api,
        _beating: beating,
    }
}

/// Ids and data of so many events.
pub(crate) fn events(
    at: SocketAddr,
    path: &str,
    last: Option<&str>,
    number: usize,
) -> Vec<(String, serde_json::Value)> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let last = last.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\n{last}\r\n"
    )
    .unwrap();
    let (mut found, mut id) = (vec![], String::new());
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(new) = line.strip_prefix("id: ") {
            id = new.to_owned();
        } else if let Some(data) = line.strip_prefix("data: ") {
            found.push((id.clone(), serde_json::from_str(data).unwrap()));
        }
        if found.len() == number {
            break;
        }
    }
    found
}

#[test]
fn events_resumed_across_a_restart_are_the_log_of_matches() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let (packets, counters) = (packets(1000), Arc::default());
    let filters = || {
        vec![
            file("all", "alert_id > 0"),
            file("some", "alert_id % 3 = 0"),
        ]
    };
    let mut broker = Broker::open(&settings, filters()).unwrap();
    let first = stage(&settings, &mut broker, &counters);
    let at = first.port.address();
    let reader = std::thread::spawn(move || events(at, "/api/v1/events?after=0", None, 500));
    run(broker, &packets[..700], &counters, |_| {});
    let mut seen = reader.join().unwrap();
    drop(first);

    let mut broker = Broker::open(&settings, filters()).unwrap();
    let archive = broker.archive().clone();
    let second = stage(&settings, &mut broker, &counters);
    run(broker, &packets, &counters, |_| {});
    let logged = log(&archive);
    let at = second.port.address();
    let last = seen.last().unwrap().0.clone();
    seen.extend(events(
        at,
        "/api/v1/events",
        Some(&last),
        logged.len() - 500,
    ));
    let told = seen.iter().map(|(id, row)| {
        assert_eq!(row["cursor"], id.as_str());
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        let seq = id.strip_prefix("0:").unwrap().parse::<u64>().unwrap();
        (
            seq,
            text("filter"),
            text("version"),
            text("alert_id").parse::<i64>().unwrap(),
        )
    });
    assert_eq!(told.collect::<Vec<_>>(), logged);

    let some = logged
        .iter()
        .filter(|(_, filter, ..)| filter == "some")
        .count();
    let own = events(at, "/api/v1/filters/some/events?after=0", None, some);
    assert!(
        own.iter()
            .all(|(_, row)| row["filter"] == "some" && row["ra"].is_f64())
    );
    // It looks once a second where the archive stands.
    let begin = std::time::Instant::now();
    while !second.api.live.feed.uncommitted().is_empty() {
        assert!(begin.elapsed() < PATIENCE, "it never hears of the commit");
        std::thread::sleep(Duration::from_millis(50));
    }
}
