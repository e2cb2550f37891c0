//! Lists of alerts and SQL over what is received and not committed yet.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pitt::broker::Broker;
use pitt::pipeline::{Counters, Stop};
use pitt::source::{Outlet, SourceReport};
use pitt_alert::{Packet, Position};
use pitt_simulate::{SimPacket, SimSurvey, SimulationConfig, Simulator};
use serde_json::Value;

use super::fresh::{half_committed, send};
use super::live::{file, settings, stage};
use super::{port, until};

/// So many packets come twice.
const AGAIN: usize = 10;

/// Packets of both surveys: the second survey begins after the first one's half.
fn packets(alerts: u32) -> Vec<Packet> {
    let config = SimulationConfig {
        visits_per_night: 4,
        alerts_per_visit: alerts / 8,
        surveys: vec![SimSurvey::Ztf, SimSurvey::Lsst],
        bad_packets_per_million: 0,
        duplicates_per_million: 0,
        history_nights: 10,
        ..SimulationConfig::default()
    };
    let sent = Simulator::new(config).flat_map(|visit| visit.packets);
    let (ztf, lsst): (Vec<_>, Vec<_>) = sent.partition(|packet| packet.survey == SimSurvey::Ztf);
    let half = ztf.len() / 2;
    // The first ones come again at the end.
    let again = ztf[..AGAIN].to_vec();
    let (first, second) = ztf.split_at(half);
    let mixed = second
        .iter()
        .zip(&lsst)
        .flat_map(|(a, b)| [a.clone(), b.clone()]);
    let all = first.iter().cloned().chain(mixed).chain(again);
    let packet = |(offset, packet): (usize, SimPacket)| Packet {
        position: Position {
            partition: "test".into(),
            offset: offset as i64,
        },
        ..Packet::unplaced("test", packet.bytes)
    };
    all.enumerate().map(packet).collect()
}

/// Status and body; as the version of HTTP that knows no chunks has it, though the server may send it in pieces.
fn get(at: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n");
    let (status, text) = port::send(at, request.as_bytes());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

fn get_json(at: SocketAddr, path: &str) -> Value {
    let (status, body) = get(at, path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The text in a query string.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn sql(query: &str) -> String {
    format!("/api/v1/sql?query={}", encoded(query))
}

/// Queries with one order of their rows: counts, columns of surveys, nested ones, joins, all there is.
const QUERIES: [&str; 17] = [
    "SELECT count(*) AS n, count(DISTINCT alert_id) AS alerts, count(DISTINCT object_id) AS objects FROM ztf",
    "SELECT survey, count(*) AS n, min(mjd_tai), max(night) FROM alerts GROUP BY survey ORDER BY survey",
    "SELECT * FROM ztf ORDER BY alert_id",
    "SELECT * FROM lsst ORDER BY alert_id",
    "SELECT * FROM alerts ORDER BY survey, alert_id",
    "SELECT * FROM matches ORDER BY lane, seq",
    "SELECT alert_id, candidate.magpsf, candidate.rcid, candid FROM ztf WHERE candidate.magpsf < 19.5 AND candidate.isdiffpos = 't' ORDER BY candidate.magpsf, alert_id LIMIT 9",
    "SELECT alert_id, diaSource.psfFlux, diaSource.visit FROM lsst WHERE diaSource.psfFlux > 0 ORDER BY diaSource.psfFlux DESC, alert_id LIMIT 9",
    "SELECT objectId, count(*) AS n FROM ztf GROUP BY objectId HAVING count(*) > 1 ORDER BY n DESC, objectId LIMIT 5",
    "SELECT band, count(*), max(mag(psf_flux)) FROM alerts WHERE cone(ra, dec, 150, 2, 72000) GROUP BY band ORDER BY band",
    "SELECT a.alert_id, a.ra, m.filter, m.version, m.seq, m.matched_us FROM alerts a JOIN matches m ON a.survey = m.survey AND a.alert_id = m.alert_id WHERE m.filter = 'all' ORDER BY m.seq",
    "SELECT z.alert_id FROM ztf z LEFT JOIN matches m ON z.alert_id = m.alert_id WHERE m.alert_id IS NULL ORDER BY 1",
    "SELECT _healpix_29, survey FROM alerts ORDER BY _healpix_29, alert_id LIMIT 20 OFFSET 30",
    "SELECT count(*) FROM ztf WHERE reliability > 0.5 AND mjd_tai BETWEEN 0 AND 100000",
    "SELECT night, filter, count(*) FROM matches GROUP BY night, filter ORDER BY 1, 2",
    "SELECT alert_id, row_number() OVER (PARTITION BY object_id ORDER BY mjd_tai, alert_id) AS nth FROM alerts ORDER BY alert_id",
    "DESCRIBE lsst",
];

/// Every path whose answer is to be the same before a commit and after; those of an object that was seen before and after the last one,
/// and pages that follow each other.
fn paths(at: SocketAddr, object: &str, ra: &Value, dec: &Value) -> Vec<String> {
    let alerts = [
        "limit=10000",
        "limit=9&order=oldest",
        "survey=lsst&limit=1000",
        "survey=ztf&band=g&min_reliability=0.2&limit=1000",
        "filter=all&limit=1000",
        "filter=all&survey=lsst&order=oldest&limit=1000&output-format=csv",
        &format!("object_id={object}"),
        &format!("ra={ra}&dec={dec}&radius=7200&limit=1000"),
    ];
    let mut paths: Vec<String> = alerts
        .iter()
        .map(|query| format!("/api/v1/alerts?{query}"))
        .collect();
    paths.extend([
        format!("/api/v1/sources?object_id={object}"),
        format!("/api/v1/objects/{object}/alerts"),
        format!("/skyportal/alerts?objectId={object}"),
        format!(
            "/lasair/api/query/?selected=alert_id%2Cra&tables=ztf&conditions={}",
            encoded("ra > 0 ORDER BY alert_id")
        ),
        "/api/v1/tables".to_owned(),
    ]);
    paths.extend(QUERIES.map(sql));
    let mut page = get_json(at, "/api/v1/alerts?limit=40");
    while let Some(next) = page["next"].as_str() {
        let path = format!("/api/v1/alerts?limit=40&cursor={next}");
        paths.push(format!("/api/v1/sources?object_id={object}&cursor={next}"));
        page = get_json(at, &path);
        paths.push(path);
    }
    paths
}

/// Ids of the alerts in a list, in its order.
fn listed(page: &Value) -> Vec<String> {
    let rows = page["rows"].as_array().unwrap().iter();
    rows.map(|row| row["alert_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn lists_and_sql_tell_the_same_before_the_commit_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let packets = packets(240);
    let (first, new) = (50, packets.len() - 50 - AGAIN);
    let mut before: Vec<(String, (u16, String))> = vec![];
    half_committed(&settings, &packets, first, |stage, committed| {
        let at = stage.port.address();
        if !committed {
            let archive = stage.api.stock.archive().unwrap();
            assert_eq!(archive.surveys(), ["ztf"], "the other one has no table yet");
            assert_eq!(
                archive.snapshot("alerts/ztf").unwrap().unwrap().rows(),
                first as u64
            );
            let newest = &get_json(at, "/api/v1/alerts?survey=ztf&limit=1")["rows"][0];
            let object = newest["object_id"].as_str().unwrap();
            let paths = paths(at, object, &newest["ra"], &newest["dec"]);
            before.extend(paths.into_iter().map(|path| {
                let answer = get(at, &path);
                (path, answer)
            }));
            let all = get_json(at, "/api/v1/alerts?limit=10000");
            assert_eq!(listed(&all).len(), first + new);
            let taken = get_json(at, "/api/v1/alerts?limit=10000&filter=all");
            assert_eq!(listed(&taken), listed(&all));
            let page = get(at, "/metrics").1;
            assert!(
                page.contains(&format!("pitt_fresh_rows {}\n", 2 * new)),
                "{page}"
            );
        }
        for (path, told) in &before {
            assert_eq!(told.0, 200, "{path}: {}", told.1);
            assert_eq!(&get(at, path), told, "{path}, committed: {committed}");
        }
        let count = get_json(at, &sql("SELECT count(*) AS n FROM alerts"));
        assert_eq!(count["rows"][0]["n"], first + new);
    });
}

#[test]
fn pages_go_on_where_they_were_when_a_commit_comes_between_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let packets = packets(160);
    let mut kept: Vec<(&str, String, Vec<String>)> = vec![];
    half_committed(&settings, &packets, 50, |stage, committed| {
        let at = stage.port.address();
        if !committed {
            for order in ["newest", "oldest"] {
                let all = get_json(at, &format!("/api/v1/alerts?order={order}&limit=10000"));
                let page = get_json(at, &format!("/api/v1/alerts?order={order}&limit=30"));
                assert_eq!(listed(&page), listed(&all)[..30]);
                let next = page["next"].as_str().unwrap().to_owned();
                kept.push((order, next, listed(&all)[30..].to_vec()));
            }
            return;
        }
        for (order, next, rest) in &kept {
            let path = format!("/api/v1/alerts?order={order}&limit=10000&cursor={next}");
            assert_eq!(&listed(&get_json(at, &path)), rest, "{order}");
        }
    });
}

#[test]
fn whoever_counts_while_commits_go_on_sees_every_alert_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.commit.every_s = 3600.0;
    settings.http.requests_per_s = 0.0;
    let packets = packets(120);
    let counters: Arc<Counters> = Arc::default();
    let mut broker = Broker::open(&settings, vec![file("all", "alert_id > 0")]).unwrap();
    let stage = stage(&settings, &mut broker, &counters);
    let at = stage.port.address();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let source = |outlet: &mut dyn Outlet| {
                for (i, few) in packets.chunks(7).enumerate() {
                    send(outlet, few);
                    // Some are there before their commit, which comes soon.
                    if i % 3 > 0 {
                        assert_eq!(outlet.flush(), ControlFlow::Continue(()));
                    }
                }
                Ok(SourceReport::default())
            };
            let ran = broker.run(source, &counters, &Stop::default(), |_| {});
            ended.store(true, Ordering::SeqCst);
            ran.unwrap();
        });
        until("an alert is there", || {
            let (status, body) = get(at, &sql("SELECT count(*) FROM alerts"));
            assert!(status == 200 || body.contains("no table"), "{body}");
            (status == 200 || ended.load(Ordering::SeqCst)).then_some(())
        });
        let (mut seen, mut rounds) = ([0; 3], 0);
        loop {
            let last = ended.load(Ordering::SeqCst);
            let counted = ["alerts", "matches"].map(|table| {
                let query =
                    format!("SELECT count(*) AS n, count(DISTINCT alert_id) AS ids FROM {table}");
                let row = get_json(at, &sql(&query))["rows"][0].take();
                assert_eq!(row["n"], row["ids"], "{table}: doubled");
                row["n"].as_u64().unwrap() as usize
            });
            let list = listed(&get_json(at, "/api/v1/alerts?limit=10000"));
            assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len());
            let now = [counted[0], counted[1], list.len()];
            let down = seen.iter().zip(now).find(|(seen, now)| *seen > now);
            assert_eq!(down, None, "{now:?} after {seen:?}");
            (seen, rounds) = (now, rounds + 1);
            if last {
                break;
            }
        }
        assert_eq!(seen, [packets.len() - AGAIN; 3]);
        assert!(rounds > 3, "{rounds}");
    });
}
