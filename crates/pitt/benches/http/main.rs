//! What the HTTP port answers while alerts come in, and what that costs them.
//!
//!     cargo bench -p pitt --bench http -- [--seconds 30] [--followers 1000] [--rate 200] [--clients 8]
//!
//! A broker of its own takes 256 made-up alerts a second. Phases follow one another: nothing asked, requests at a steady rate,
//! nothing, requests as fast as they are answered, nothing, followers of events, nothing. Ingest latency (from receipt to the last
//! filter) of a phase under load stands beside that of the quiet phases around it: the ratio is what the load costs, in the same run.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement says what it found, or breaks off"
)]

mod broker;
mod client;
mod followers;

use std::time::Duration;

use broker::{Broker, Sample};
use client::Asked;

/// Alerts a second.
const SPEED: u32 = 256;
/// Until the first alerts are committed and the broker runs evenly.
const WARM_UP: Duration = Duration::from_secs(25);

struct Options {
    phase: Duration,
    followers: usize,
    rate: f64,
    clients: usize,
}

fn options() -> Options {
    let args: Vec<String> = std::env::args().collect();
    let number = |flag: &str, usual: f64| {
        let at = args.iter().position(|arg| arg == flag);
        let given = at.and_then(|at| args.get(at + 1));
        given.map_or(usual, |given| given.parse().unwrap())
    };
    Options {
        phase: Duration::from_secs_f64(number("--seconds", 30.0)),
        followers: number("--followers", 1000.0) as usize,
        rate: number("--rate", 200.0),
        clients: number("--clients", 8.0) as usize,
    }
}

fn main() {
    let options = options();
    let broker = Broker::start(SPEED, &options);
    std::thread::sleep(WARM_UP);
    let targets = client::targets(broker.address());
    println!(
        "ingest: {SPEED} alerts/s, simulated; phases of {:?}\n",
        options.phase
    );
    let mut quiet = vec![phase(&broker, &options, "nothing asked", |_| {})];
    let mut loads = vec![];
    for (name, rate) in [("steady", Some(options.rate)), ("flat out", None)] {
        let title = rate.map_or_else(
            || format!("{} clients as fast as they are answered", options.clients),
            |rate| format!("{rate:.0} requests/s from {} clients", options.clients),
        );
        let mut asked = vec![];
        let load = phase(&broker, &options, &title, |phase| {
            asked = client::ask(broker.address(), &targets, options.clients, rate, phase);
        });
        asked.iter().for_each(Asked::print);
        loads.push((name, load, quiet.len()));
        quiet.push(phase(&broker, &options, "nothing asked", |_| {}));
    }
    let title = format!("{} followers of all matches", options.followers);
    let mut told = None;
    let load = phase(&broker, &options, &title, |phase| {
        told = Some(followers::follow(
            broker.address(),
            options.followers,
            phase,
        ));
    });
    told.unwrap().print();
    loads.push(("followers", load, quiet.len()));
    quiet.push(phase(&broker, &options, "nothing asked", |_| {}));
    println!("\ningest latency under load, over the mean of the quiet phases before and after:");
    for (name, load, at) in loads {
        let [before, after] = [&quiet[at - 1], &quiet[at]];
        println!(
            "  {name:<10} p50 x{:.2}   p99 x{:.2}",
            load.over(before, after, 0.5),
            load.over(before, after, 0.99)
        );
    }
}

/// Runs a phase and prints what it was like for alerts and for the machine.
fn phase(broker: &Broker, options: &Options, title: &str, load: impl FnOnce(Duration)) -> Phase {
    let begin = broker.sample();
    let clock = std::time::Instant::now();
    load(options.phase);
    std::thread::sleep(options.phase.saturating_sub(clock.elapsed()));
    let phase = Phase {
        begin,
        end: broker.sample(),
    };
    println!(
        "{title}\n  ingest  {:>6.0} alerts/s   p50 {:>6.1} ms   p99 {:>6.1} ms\n  broker  {:>6.2} cores      {:>6.0} MB",
        phase.alerts() / phase.seconds(),
        phase.quantile(0.5) * 1e3,
        phase.quantile(0.99) * 1e3,
        (phase.end.cpu_s - phase.begin.cpu_s) / phase.seconds(),
        phase.end.memory_bytes as f64 / 1e6,
    );
    phase
}

/// What happened between two looks.
struct Phase {
    begin: Sample,
    end: Sample,
}

impl Phase {
    fn seconds(&self) -> f64 {
        self.end.at.duration_since(self.begin.at).as_secs_f64()
    }

    fn alerts(&self) -> f64 {
        self.below().last().map_or(0.0, |(_, count)| *count)
    }

    /// Bounds `[s]`, and how many alerts of this phase stayed below.
    fn below(&self) -> Vec<(f64, f64)> {
        let pairs = self.end.below.iter().zip(&self.begin.below);
        pairs
            .map(|((bound, after), (_, before))| (*bound, after - before))
            .collect()
    }

    /// The time `[s]` that a share of the alerts stayed below, within a bucket of 9 % by its place in it.
    fn quantile(&self, share: f64) -> f64 {
        let below = self.below();
        let rank = share * self.alerts();
        let at = below.iter().position(|(_, count)| *count >= rank).unwrap();
        let (low, fewer) = if at == 0 { (0.0, 0.0) } else { below[at - 1] };
        let (high, more) = below[at];
        low + (high - low) * (rank - fewer) / (more - fewer).max(1.0)
    }

    fn over(&self, before: &Self, after: &Self, share: f64) -> f64 {
        2.0 * self.quantile(share) / (before.quantile(share) + after.quantile(share))
    }
}
