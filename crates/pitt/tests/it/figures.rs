//! What is counted of filters and of the night: from the archive, with what is not committed yet.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use pitt::broker::Broker;
use pitt::pipeline::Counters;
use serde_json::Value;

use super::live::{PATIENCE, file, packets, run, settings, stage};
use super::port::{get, get_json};
use super::until;

fn filter(at: SocketAddr, name: &str) -> Value {
    get_json(at, &format!("/api/v1/filters/{name}"))
}

/// The status events that tell a night, one after the other.
fn nights_told(at: SocketAddr) -> impl Iterator<Item = Value> {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET /api/v1/events?status=1&filters=nobody HTTP/1.1\r\nhost: localhost\r\n\r\n"
    )
    .unwrap();
    let lines = BufReader::new(stream).lines().map(|line| line.unwrap());
    let data = lines.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned));
    let told = data.map(|data| serde_json::from_str::<Value>(&data).unwrap());
    told.map(|mut status| status["tonight"].take())
        .filter(|tonight| !tonight.is_null())
}

#[test]
fn a_filters_matches_are_counted_through_restarts_and_before_the_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    // Only the end of a run commits.
    settings.commit.every_s = 3600.0;
    let packets = packets(500);
    let filters = || {
        vec![
            file("all", "alert_id > 0"),
            file("never", "alert_id < 0"),
            file("some", "alert_id % 3 = 0"),
        ]
    };
    let first = Broker::open(&settings, filters()).unwrap();
    run(first, &packets[..300], &Arc::default(), |_| {});

    let counters: Arc<Counters> = Arc::default();
    let mut second = Broker::open(&settings, filters()).unwrap();
    let archive = second.archive().clone();
    let stage = stage(&settings, &mut second, &counters);
    let at = stage.port.address();
    assert_eq!(filter(at, "all")["matches"], 300, "those of an earlier run");
    assert_eq!(filter(at, "all")["cost_us"], Value::Null, "nothing ran yet");
    run(second, &packets, &counters, |sent| {
        if sent != 480 {
            return;
        }
        until("what was sent is matched", || {
            (counters.stored.get() == 180).then_some(())
        });
        let all = filter(at, "all");
        assert_eq!(
            (&all["matches"], &all["matches_tonight"]),
            (&480.into(), &480.into())
        );
        assert!(all["cost_us"].as_f64().unwrap() > 0.0, "{all}");
        let tonight = until("the night is told", || {
            nights_told(at).find(|tonight| tonight["waiting"] == 180)
        });
        assert_eq!(
            (&tonight["stored"], &tonight["received"]),
            (&300.into(), &300.into())
        );
        let some = filter(at, "some")["matches"].as_u64().unwrap();
        assert_eq!(tonight["matches"].as_u64().unwrap(), 480 + some);
    });
    let logged = archive.matches_after(0, 0, 10_000).unwrap();
    let of = |name: &'static str| logged.iter().filter(move |m| &*m.filter == name);
    for name in ["all", "never", "some"] {
        let told = filter(at, name);
        assert_eq!(told["matches"], of(name).count(), "{name}");
        assert_eq!(told["matches_tonight"], of(name).count(), "{name}");
        let last = of(name).map(|m| m.matched_us).max();
        assert_eq!(told["last_match_us"], serde_json::json!(last), "{name}");
    }
    let night = get_json(at, "/api/v1/nights")["nights"][0]["night"].clone();
    let detail = get_json(at, &format!("/api/v1/nights/{night}"));
    assert_eq!(
        (&detail["stored"], &detail["filters"]["all"]),
        (&500.into(), &500.into())
    );
    assert_eq!(get(at, "/api/v1/nights/19990101").0, 404);
    let tonight = nights_told(at).next().unwrap();
    assert_eq!(
        (&tonight["night"], &tonight["stored"], &tonight["waiting"]),
        (&night, &500.into(), &0.into())
    );
}
