//! Readers of events: many, one that takes nothing, and one of two brokers.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use pitt::broker::Broker;
use pitt::pipeline::Counters;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::live::{PATIENCE, events, file, packets, run, settings, stage};
use super::running::Running;
use super::{simulate, until};

/// A connection that has asked for all matches from the beginning, and reads nothing yet.
fn reader(at: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /api/v1/events?filters=all&after=0 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Ids of the events in what a reader was sent.
fn ids(text: &str) -> Vec<u64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("id: 0:"));
    lines.map(|id| id.parse().unwrap()).collect()
}

#[test]
fn a_reader_that_takes_nothing_is_cut_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let counters: Arc<Counters> = Arc::default();
    let names: Vec<String> = (0..30).map(|n| format!("more{n:02}")).collect();
    let mut filters: Vec<_> = names
        .iter()
        .map(|name| file(name, "alert_id > 0"))
        .collect();
    filters.push(file("all", "alert_id > 0"));
    let mut broker = Broker::open(&settings, filters).unwrap();
    let stage = stage(&settings, &mut broker, &counters);
    let at = stage.port.address();
    let mut stalled = TcpStream::connect(at).unwrap();
    // Little room at this end too; the rest must wait at the other.
    set_socket_recv_buffer_size(&stalled, 8 << 10).unwrap();
    let request = b"GET /api/v1/events?after=0 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stalled.write_all(request).unwrap();
    let good =
        std::thread::spawn(move || events(at, "/api/v1/events?filters=all&after=0", None, 400));
    until("both read", || {
        (stage.api.live.feed.followers("all") == 1).then_some(())
    });
    // More than ten thousand matches, five megabytes.
    run(broker, &packets(400), &counters, |_| {});
    assert_eq!(counters.stored.get(), 400, "the alerts went through");
    let told = good.join().unwrap();
    assert_eq!(
        told.len(),
        400,
        "and so did the matches to the other reader"
    );
    let (begin, mut got) = (Instant::now(), vec![]);
    stalled.set_read_timeout(Some(PATIENCE)).unwrap();
    // It wakes up only after its connection was given up.
    until("it is cut", || {
        let mut look = [0; 1];
        let peeked = stalled.peek(&mut look);
        assert!(peeked.is_ok(), "{peeked:?}");
        (cut(&stalled)).then_some(())
    });
    let ended = stalled.read_to_end(&mut got);
    assert!(begin.elapsed() < PATIENCE);
    let whole = ids(&String::from_utf8_lossy(&got));
    assert!(
        ended.is_err() || whole.len() < 31 * 400,
        "all {} were sent",
        whole.len()
    );
}

/// Whether the other side has let go of a connection, as the system lists it.
fn cut(stream: &TcpStream) -> bool {
    let port = |at: SocketAddr| format!("{:04X}", at.port());
    let (here, there) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    let listed = std::fs::read_to_string("/proc/net/tcp").unwrap();
    // The server's end of it; 01 is ESTABLISHED.
    !listed.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() > 3
            && words[1].ends_with(&format!(":{}", port(there)))
            && words[2].ends_with(&format!(":{}", port(here)))
            && words[3] == "01"
    })
}

/// Lets this process have so many files open; whether it may.
fn allow_files(wanted: u64) -> bool {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= wanted) {
        return true;
    }
    let more = Rlimit {
        current: Some(wanted),
        maximum: now.maximum,
    };
    now.maximum.is_none_or(|most| most >= wanted) && setrlimit(Resource::Nofile, more).is_ok()
}

#[test]
fn a_thousand_readers_get_the_same_matches() {
    const READERS: usize = 1000;
    if !allow_files(2 * READERS as u64 + 1000) {
        eprintln!("skipped: this process may not have 3,000 files open (`ulimit -Hn`)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.http.connections = 2 * READERS;
    settings.http.streams_per_caller = 2 * READERS;
    (settings.http.requests_per_s, settings.http.burst) = (1e6, 1e6);
    let counters: Arc<Counters> = Arc::default();
    let mut broker = Broker::open(&settings, vec![file("all", "alert_id > 0")]).unwrap();
    let archive = broker.archive().clone();
    let stage = stage(&settings, &mut broker, &counters);
    let at = stage.port.address();
    let readers: Vec<TcpStream> = (0..READERS).map(|_| reader(at)).collect();
    let followers = || stage.api.live.feed.followers("all");
    until("all are there", || (followers() == READERS).then_some(()));
    run(broker, &packets(100), &counters, |_| {});
    let logged = archive.matches_after(0, 0, 1000).unwrap();
    let expected: Vec<u64> = logged.iter().map(|logged| logged.seq).collect();
    assert_eq!(expected.len(), 100);
    for (number, reader) in readers.into_iter().enumerate() {
        assert_eq!(first_ids(reader, 100), expected, "reader {number}");
    }
}

/// Ids of the first so many events.
fn first_ids(mut stream: TcpStream, number: usize) -> Vec<u64> {
    let (mut text, mut part) = (String::new(), [0; 65_536]);
    loop {
        // The last event is whole when its empty line has come.
        let found = ids(&text);
        if found.len() >= number && text.matches("\ndata: ").count() >= number {
            return found;
        }
        match stream.read(&mut part) {
            Ok(0) => panic!("ended after {} events", found.len()),
            Ok(got) => text.push_str(std::str::from_utf8(&part[..got]).unwrap()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error} after {} events", found.len()),
        }
    }
}

#[test]
fn the_matches_of_two_brokers_are_one_feed_that_goes_on_from_either() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    std::fs::create_dir(dir.join("filters")).unwrap();
    std::fs::write(dir.join("filters/all.sql"), "alert_id > 0").unwrap();
    for (night, seed) in [("one", 1), ("two", 2)] {
        let shape = format!("--survey ztf --visits 2 --alerts-per-visit 40 --seed {seed}");
        simulate(dir, night, &shape);
    }
    let start = |from: &str| {
        let words = [
            "run",
            "--from",
            from,
            "--follow",
            "--archive",
            "archive",
            "--filters",
            "filters",
        ];
        Running::start(dir, &words)
    };
    let (first, second) = (start("one"), start("two"));
    let sql = "SELECT lane, seq FROM matches ORDER BY lane, seq";
    let logged = until("both have committed everything", || {
        let rows = super::rows(dir, "archive", sql);
        (rows.len() == 160).then_some(rows)
    });
    let lanes: BTreeSet<i64> = logged
        .iter()
        .map(|row| row["lane"].as_i64().unwrap())
        .collect();
    assert_eq!(lanes.len(), 2, "{lanes:?}");
    let mut expected: Vec<String> = logged
        .iter()
        .map(|row| format!("{}:{}", row["lane"], row["seq"]))
        .collect();
    expected.sort();
    for (here, there) in [(&first, &second), (&second, &first)] {
        let path = "/api/v1/filters/all/events?after=0";
        let half = events(here.address, path, None, 90);
        let last = half.last().unwrap().0.clone();
        let rest = events(there.address, "/api/v1/filters/all/events", Some(&last), 70);
        let mut told: Vec<String> = [half, rest]
            .concat()
            .into_iter()
            .map(|(_, row)| row["cursor"].as_str().unwrap().to_owned())
            .collect();
        told.sort();
        assert_eq!(told, expected, "each once, whoever is asked");
    }
    first.end();
    second.end();
}
