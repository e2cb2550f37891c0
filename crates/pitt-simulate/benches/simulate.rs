//! Packets a second on one core, of each survey, after the stamps have been rendered.

#![expect(clippy::print_stdout, reason = "the figures are what a bench is for")]

use std::time::Instant;

use pitt_simulate::{SimSurvey, SimulationConfig, Simulator};

fn main() {
    println!(
        "{:<6} {:>9} {:>12} {:>9} {:>11} {:>10}",
        "survey", "packets", "packets/s", "MB/s", "kB/packet", "warm-up s"
    );
    for survey in [SimSurvey::Ztf, SimSurvey::Lsst] {
        let config = SimulationConfig {
            visits_per_night: 100,
            alerts_per_visit: 2000,
            surveys: vec![survey],
            ..SimulationConfig::default()
        };
        let mut simulator = Simulator::new(config);
        let warm_up = Instant::now();
        (0..5).for_each(|_| drop(simulator.next_visit()));
        let warm_up = warm_up.elapsed().as_secs_f64();
        let (mut packets, mut bytes) = (0usize, 0usize);
        let start = Instant::now();
        for visit in simulator.by_ref().take(15) {
            packets += visit.packets.len();
            bytes += visit
                .packets
                .iter()
                .map(|packet| packet.bytes.len())
                .sum::<usize>();
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{survey:<6} {packets:>9} {:>12.0} {:>9.0} {:>11.1} {warm_up:>10.1}",
            packets as f64 / seconds,
            bytes as f64 / seconds / 1e6,
            bytes as f64 / packets as f64 / 1e3,
        );
    }
}
