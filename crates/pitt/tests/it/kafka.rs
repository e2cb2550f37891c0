//! `pitt run` on a stream served in this process.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pitt_stream::{Handle, Record, Server, StreamConfig};

use super::{bad, good, json, pitt};

const PARTITIONS: usize = 4;

/// Made-up ZTF packets, some of them twice, some that cannot be read.
fn packets(dir: &Path) -> Vec<Vec<u8>> {
    let made = "simulate --into night --survey ztf --visits 6 --alerts-per-visit 100 --duplicates-per-million 20000 \
                --bad-per-million 10000";
    let words: Vec<&str> = made.split_whitespace().collect();
    good(dir, &words);
    let files = std::fs::read_dir(dir.join("night")).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    let tarball = paths
        .find(|path| path.to_string_lossy().ends_with(".tar.gz"))
        .unwrap();
    let file = std::fs::File::open(tarball).unwrap();
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
    let mut packets = vec![];
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = vec![];
        if entry.path().unwrap().to_string_lossy().ends_with(".avro") {
            entry.read_to_end(&mut bytes).unwrap();
            packets.push(bytes);
        }
    }
    packets
}

fn server(dir: &Path) -> Server {
    let mut config = StreamConfig::new(dir.join("stream"));
    config.address.set_port(0);
    let server = Server::bind(config).unwrap();
    server.handle().create_topic("ztf", PARTITIONS).unwrap();
    server
}

fn send(stream: &Handle, packets: &[Vec<u8>]) {
    for (at, packet) in packets.iter().enumerate() {
        let partition = (at % PARTITIONS) as i32;
        stream
            .append("ztf", partition, &[Record::new(packet.clone())])
            .unwrap();
    }
}

fn settings(dir: &Path, servers: &str) {
    let mut text = String::from(
        "archive = \"archive\"\nfilters = \"\"\n[commit]\nevery_s = 0.3\n[pipeline]\nbatch_alerts = 20\n",
    );
    let _ = writeln!(
        text,
        "[[kafka]]\nname = \"here\"\nservers = \"{servers}\"\ntopics = [\"ztf\"]\ngroup = \"ours\""
    );
    text.push_str("[kafka.settings]\nsession.timeout.ms = 6000\nheartbeat.interval.ms = 500\n");
    std::fs::write(dir.join("pitt.toml"), text).unwrap();
}

/// A run that ends with its test.
struct Run(Option<Child>);

impl Run {
    fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
        Self(Some(command.spawn().unwrap()))
    }

    /// Ends it as Ctrl-C does, and gives its counts.
    fn interrupt(mut self) -> serde_json::Value {
        let run = self.0.take().unwrap();
        let ended = Command::new("kill")
            .args(["-INT", &run.id().to_string()])
            .status();
        assert!(ended.unwrap().success());
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{:?}", output.status);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Run {
    /// kill -9
    fn drop(&mut self) {
        if let Some(run) = &mut self.0 {
            let _ = run.kill();
            let _ = run.wait();
        }
    }
}

/// Rows of `packets`, and how many positions they have; nothing while there is no archive.
fn rows(dir: &Path) -> (u64, u64) {
    let sql = "SELECT count(*) AS n, count(DISTINCT concat(partition, '@', offset)) AS places FROM packets";
    let query = ["query", sql, "--json", "--archive", "archive"];
    let output = pitt(dir).args(query).output().unwrap();
    if !output.status.success() {
        return (0, 0);
    }
    let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| row[name].as_u64().unwrap();
    (number("n"), number("places"))
}

fn wait_for_rows(dir: &Path, expected: usize) {
    let until = Instant::now() + Duration::from_secs(120);
    while (rows(dir).0 as usize) < expected {
        assert!(Instant::now() < until, "{:?} of {expected} rows", rows(dir));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn two_runs_of_one_group_share_an_archive_and_one_may_die() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let packets = packets(dir);
    let server = server(dir);
    let stream = server.handle();
    settings(dir, &server.address().to_string());
    let (first_part, rest) = packets.split_at(packets.len() / 3);
    let (second_part, third_part) = rest.split_at(rest.len() / 2);
    send(&stream, first_part);
    let start = || Run::start(pitt(dir).args(["run", "--json"]));
    let (first, second) = (start(), start());
    wait_for_rows(dir, first_part.len());
    send(&stream, second_part);
    drop(first);
    send(&stream, third_part);
    wait_for_rows(dir, packets.len());
    let counts = second.interrupt();
    assert_eq!(counts["stopped"], true);
    assert_eq!(rows(dir), (packets.len() as u64, packets.len() as u64));
    let verified = json(dir, &["verify", "--json"]);
    assert_eq!(verified["ok"], true, "{verified}");
    for partition in 0..PARTITIONS as i32 {
        let end = stream.offsets("ztf", partition).unwrap().1;
        assert_eq!(
            stream.committed("ours", "ztf", partition),
            Some(end),
            "the group is told"
        );
    }
    server.shutdown();
}

#[test]
fn a_stream_is_read_with_two_flags_and_goes_on_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let packets = packets(dir);
    let server = server(dir);
    let servers = server.address().to_string();
    let (first_part, rest) = packets.split_at(packets.len() / 2);
    let mut received = 0;
    for (part, expected) in [(first_part, first_part.len()), (rest, packets.len())] {
        send(&server.handle(), part);
        let words = ["run", "--json", "--kafka", &servers, "--topic", "ztf"];
        let mut command = pitt(dir);
        command.args(words).args(["--archive", "archive"]);
        let run = Run::start(command.env("PITT_COMMIT_EVERY_S", "0.3"));
        wait_for_rows(dir, expected);
        received += run.interrupt()["received"].as_u64().unwrap();
    }
    assert_eq!(received as usize, packets.len(), "nothing was read twice");
    server.shutdown();
}

#[test]
fn settings_of_streams_that_cannot_be_say_what_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let told = |text: &str| {
        std::fs::write(dir.join("pitt.toml"), text).unwrap();
        let (code, told) = bad(dir, &["run"]);
        assert_eq!(code, 2, "{told}");
        told
    };
    let error = told("archive = \"a\"\n[[kafka]]\nservrs = \"x:1\"\n");
    assert!(
        error.contains("line 3") && error.contains("did you mean `servers`?"),
        "{error}"
    );
    let error = told("[[kafka]]\nservers = \"x:1\"\ntopics = [\"t\"]\nnights = \"two\"\n");
    assert!(
        error.contains("nights") && error.contains("a whole number"),
        "{error}"
    );
    let error = told("[[kafka]]\nservers = \"x:1\"\ntopics = [\"t\"]\nstart = \"soon\"\n");
    assert!(
        error.contains("`start` is `soon`") && error.contains("earliest, latest"),
        "{error}"
    );
    let error = told(
        "[[kafka]]\nservers = \"x:1\"\ntopics = [\"t\"]\nsettings = { \"enable.auto.commit\" = true }\n",
    );
    assert!(
        error.contains("`enable.auto.commit`") && error.contains("stored with the alerts"),
        "{error}"
    );
    let twice = "[[kafka]]\nservers = \"x:1\"\ntopics = [\"t\"]\n".repeat(2);
    assert!(told(&twice).contains("the name is given twice"));
    let both = "[source]\npaths = [\".\"]\n[[kafka]]\nservers = \"x:1\"\ntopics = [\"t\"]\n";
    assert!(told(both).contains("both `source.paths` and [[kafka]]"));
}
