//! The broker that is measured: a process of its own.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Options;
use super::client::Connection;

/// Kernel's ticks in a second of processor time: the same on every Linux.
const TICKS: f64 = 100.0;

/// A running broker; ended when it is dropped.
pub(super) struct Broker {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

/// How it is at one moment.
pub(super) struct Sample {
    pub(super) at: Instant,
    /// Bounds `[s]`, and how many alerts got to the last filter within them.
    pub(super) below: Vec<(f64, f64)>,
    /// Processor time so far `[s]`.
    pub(super) cpu_s: f64,
    pub(super) memory_bytes: u64,
}

impl Broker {
    pub(super) fn start(speed: u32, options: &Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let (followers, connections) = (options.followers + 10, options.followers * 3 / 2 + 100);
        let settings = format!(
            "[http]\nlisten = \"{address}\"\nconnections = {connections}\nstreams_per_caller = {followers}\n\
             requests_per_s = 0\ntoken_requests_per_s = 0\n"
        );
        std::fs::write(folder.path().join("pitt.toml"), settings).unwrap();
        let seconds = 600 + 10 * options.phase.as_secs() as u32;
        let process = Command::new(env!("CARGO_BIN_EXE_pitt"))
            .args(["demo", "--once", "--no-open"])
            .args(["--alerts", &(seconds * speed).to_string()])
            .args(["--speed", &speed.to_string()])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let broker = Self {
            process,
            address,
            _folder: folder,
        };
        let begin = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(120), "no broker");
            std::thread::sleep(Duration::from_millis(100));
        }
        broker
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn sample(&self) -> Sample {
        let text = Connection::open(self.address).get("/metrics?steps=8").1;
        let bucket = "pitt_stage_seconds_bucket{stage=\"match\",le=\"";
        let lines = text.lines().filter_map(|line| line.strip_prefix(bucket));
        let below = lines.map(|line| {
            let (bound, count) = line.split_once("\"} ").unwrap();
            let bound = if bound == "+Inf" { "inf" } else { bound };
            (bound.parse().unwrap(), count.parse().unwrap())
        });
        Sample {
            at: Instant::now(),
            below: below.collect(),
            cpu_s: self.cpu_s(),
            memory_bytes: self.memory_bytes(),
        }
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.process.id())).unwrap()
    }

    fn cpu_s(&self) -> f64 {
        let stat = self.file("stat");
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS
    }

    fn memory_bytes(&self) -> u64 {
        let status = self.file("status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
