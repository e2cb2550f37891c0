//! Followers of events: all of them in one thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Followers that connect together, so that none waits long in the queue of the port.
const TOGETHER: usize = 50;

/// What followers were told.
pub(super) struct Told {
    followers: usize,
    /// Followers whose stream was open at the end.
    stayed: usize,
    /// Matches told to each, the least and the most.
    events: (u64, u64),
    /// From match to a follower `[s]`, ascending.
    delays: Vec<f64>,
}

impl Told {
    pub(super) fn print(&self) {
        let at = |share: f64| {
            let index = (share * self.delays.len() as f64) as usize;
            let last = self.delays.len().saturating_sub(1);
            self.delays.get(index.min(last)).copied().unwrap_or(0.0) * 1e3
        };
        let (least, most) = self.events;
        println!(
            "  {} of {} followers stayed; each was told {least} to {most} matches, from match to follower p50 {:.1} ms, p99 {:.1} ms",
            self.stayed,
            self.followers,
            at(0.5),
            at(0.99)
        );
    }
}

#[derive(Default)]
struct Count {
    open: AtomicUsize,
    stayed: AtomicUsize,
}

/// Follows all matches with so many clients for a while.
pub(super) fn follow(address: SocketAddr, followers: usize, phase: Duration) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let until = Instant::now() + phase;
        let count = Arc::new(Count::default());
        let events: Arc<Vec<AtomicU64>> =
            Arc::new((0..followers).map(|_| AtomicU64::new(0)).collect());
        let mut tasks = vec![];
        for number in 0..followers {
            tasks.push(tokio::spawn(one(
                address,
                number,
                until,
                count.clone(),
                events.clone(),
            )));
            // Wait for those on their way.
            while number + 1 > count.open.load(Ordering::Relaxed) + TOGETHER {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        sleep_until(until).await;
        let mut delays = vec![];
        for task in tasks {
            delays.extend(task.await.unwrap());
        }
        delays.sort_by(f64::total_cmp);
        let told = events.iter().map(|told| told.load(Ordering::Relaxed));
        Told {
            followers,
            stayed: count.stayed.load(Ordering::Relaxed),
            events: (told.clone().min().unwrap_or(0), told.max().unwrap_or(0)),
            delays,
        }
    })
}

/// One follower: how long after each match it heard of it `[s]`.
async fn one(
    address: SocketAddr,
    number: usize,
    until: Instant,
    count: Arc<Count>,
    events: Arc<Vec<AtomicU64>>,
) -> Vec<f64> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let ask = "GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let (mut text, mut part, mut delays, mut begun) = (String::new(), [0; 16 << 10], vec![], false);
    while let Ok(got) = timeout_at(until, stream.read(&mut part)).await {
        let got = got.unwrap();
        if got == 0 {
            return delays;
        }
        if !begun {
            begun = true;
            assert!(
                part.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&part[..got])
            );
            count.open.fetch_add(1, Ordering::Relaxed);
        }
        text.push_str(&String::from_utf8_lossy(&part[..got]));
        while let Some(end) = text.find('\n') {
            let line: String = text.drain(..=end).collect();
            if let Some(data) = line
                .strip_prefix("data: ")
                .or_else(|| line.strip_prefix("data:"))
            {
                events[number].fetch_add(1, Ordering::Relaxed);
                delays.extend(delay(data));
            }
        }
    }
    count.stayed.fetch_add(1, Ordering::Relaxed);
    delays
}

/// From the match that an event tells of until now `[s]`.
fn delay(data: &str) -> Option<f64> {
    let (_, after) = data.split_once("\"matched_us\":")?;
    let digits: String = after
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.as_secs_f64() - digits.parse::<f64>().ok()? * 1e-6)
}
