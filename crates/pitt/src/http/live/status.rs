//! How the broker is, once a second.

use std::collections::VecDeque;
use std::time::Instant;

use serde_json::json;

use super::figures::Tonight;
use crate::pipeline::Stage;
use crate::telemetry::Telemetry;

/// Of as many seconds is the latency that is told.
const LATENCY_SPAN: usize = 10;

/// What was told a second ago, for the rates.
#[derive(Default)]
pub(super) struct Told {
    last: Option<(Instant, u64)>,
    /// How the latencies stood at each second of the span, oldest first.
    marks: VecDeque<Vec<u64>>,
}

impl Told {
    /// The status as an event's data.
    pub(super) fn text(&mut self, telemetry: &Telemetry, tonight: Option<&Tonight>) -> String {
        let status = telemetry.status();
        let (now, matches) = (Instant::now(), telemetry.counters().matches());
        let matches_per_s = self.last.map_or(0.0, |(then, before)| {
            let seconds = now.duration_since(then).as_secs_f64().max(1e-3);
            matches.saturating_sub(before) as f64 / seconds
        });
        self.last = Some((now, matches));
        let lags = status.inputs.iter().filter_map(|input| input.lag());
        let [p50, p99] = self.latency_ms(telemetry);
        json!({
            "at_us": status.written_us,
            "received": status.counts.received,
            "stored": status.counts.stored,
            "duplicates": status.counts.duplicates,
            "quarantined": status.counts.quarantined,
            "matches": matches,
            "rate_per_s": status.rate.alerts_per_s,
            "matches_per_s": matches_per_s,
            "latency_ms": {"p50": p50, "p99": p99},
            "lag": lags.reduce(|a, b| a + b),
            "tonight": tonight,
        })
        .to_string()
    }

    /// Median and 99th percentile `[ms]` from receipt to match of the last seconds; `None` when nothing came.
    fn latency_ms(&mut self, telemetry: &Telemetry) -> [Option<f64>; 2] {
        let times = telemetry.counters().stage(Stage::Match);
        let mark = self.marks.front();
        let found = [0.5, 0.99].map(|share| match mark {
            Some(mark) => times.quantile_since_ms(mark, share),
            None => times.quantile_ms(share),
        });
        self.marks.push_back(times.mark());
        if self.marks.len() > LATENCY_SPAN {
            self.marks.pop_front();
        }
        found
    }
}
