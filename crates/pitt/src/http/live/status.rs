//! How the broker is, once a second.

use std::time::Instant;

use serde_json::json;

use super::figures::Tonight;
use crate::telemetry::Telemetry;

/// What was told a second ago, for the rates.
#[derive(Default)]
pub(super) struct Told {
    last: Option<(Instant, u64)>,
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
        let times = status.stages.get("match");
        json!({
            "at_us": status.written_us,
            "received": status.counts.received,
            "stored": status.counts.stored,
            "duplicates": status.counts.duplicates,
            "quarantined": status.counts.quarantined,
            "matches": matches,
            "rate_per_s": status.rate.alerts_per_s,
            "matches_per_s": matches_per_s,
            "latency_ms": {"p50": times.map(|t| t.p50_ms), "p99": times.map(|t| t.p99_ms)},
            "lag": lags.reduce(|a, b| a + b),
            "tonight": tonight,
        })
        .to_string()
    }
}
