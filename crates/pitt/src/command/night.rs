//! A run as people see it: the live view while it goes, a summary when it is over.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use super::watched::Watched;
use crate::broker::Broker;
use crate::pipeline::{Counters, Stop};
use crate::screen::live::Live;
use crate::screen::{Align, Table, bytes, count, counted, milliseconds};
use crate::source::{Outlet, SourceReport};

/// What a run did.
pub(super) struct Outcome {
    pub(super) counters: Arc<Counters>,
    pub(super) report: SourceReport,
    pub(super) seconds: f64,
    /// Whether somebody asked to stop.
    pub(super) stopped: bool,
    /// Filters that failed, and why.
    pub(super) disabled: Vec<String>,
}

/// Runs a source through the broker under a live view.
pub(super) fn pass(
    broker: Broker,
    title: String,
    expected: Option<u64>,
    stop: &Stop,
    source: impl FnOnce(&mut dyn Outlet) -> Result<SourceReport> + Send,
) -> Result<Outcome> {
    let names = broker.filter_names();
    let counters = Arc::new(Counters::new(names.iter().map(String::as_str)));
    let live = Live::new(title, expected);
    under(live, broker, stop, &counters, source)
}

/// The same for others to see, counting on where an earlier pass ended.
pub(super) fn pass_on(
    mut broker: Broker,
    (title, expected): (String, Option<u64>),
    stop: &Stop,
    watched: &Watched,
    source: impl FnOnce(&mut dyn Outlet) -> Result<SourceReport> + Send,
) -> Result<Outcome> {
    watched.listen(&mut broker)?;
    let telemetry = watched.telemetry();
    telemetry.go_on(broker.archive(), broker.filters());
    let live = Live::new(title, expected).watching(telemetry.clone());
    let outcome = under(live, broker, stop, watched.counters(), source);
    telemetry.let_go();
    outcome
}

/// Runs a source under a view.
fn under(
    mut live: Live,
    broker: Broker,
    stop: &Stop,
    counters: &Arc<Counters>,
    source: impl FnOnce(&mut dyn Outlet) -> Result<SourceReport> + Send,
) -> Result<Outcome> {
    let filters = broker.filters().clone();
    let begin = std::time::Instant::now();
    let report = broker.run(source, counters, stop, |counters| live.show(counters))?;
    let seconds = begin.elapsed().as_secs_f64();
    live.finish(counters);
    let roster = filters.at_work().now();
    let disabled = roster.disabled().map(|(index, off)| {
        let alert = off
            .alert_id
            .map_or_else(String::new, |id| format!(" at alert {id}"));
        let name = &roster.members()[index].name;
        format!("{name} ({} alerts{alert}): {}", off.survey, off.reason)
    });
    let disabled = disabled.collect();
    Ok(Outcome {
        counters: counters.clone(),
        report,
        seconds,
        stopped: stop.asked(),
        disabled,
    })
}

impl Outcome {
    /// The counts as a table and sentences.
    pub(super) fn text(&self, archive: &str) -> String {
        let counters = &self.counters;
        let latency = counters.latency();
        let rate = counters.received.get() as f64 / self.seconds.max(1e-9);
        let mut text = format!(
            "{} in {:.1} s ({:.0}/s, {}): {} stored in {archive}, {}, {} quarantined.\n",
            counted(counters.received.get(), "packet"),
            self.seconds,
            rate,
            bytes(counters.bytes.get()),
            counted(counters.stored.get(), "alert"),
            counted(counters.duplicates.get(), "duplicate"),
            count(counters.quarantined.get()),
        );
        if self.report.passed_over > 0 {
            let passed = counted(self.report.passed_over, "packet");
            text.push_str(&format!(
                "{passed} were in the archive from earlier runs.\n"
            ));
        }
        if let Some(median) = latency.quantile_ms(0.5) {
            text.push_str(&format!(
                "From receipt to match: p50 {}, p99 {}.\n",
                milliseconds(Some(median)),
                milliseconds(latency.quantile_ms(0.99))
            ));
        }
        text.push_str(&self.left_out());
        text
    }

    /// Matches of each filter, the most first.
    pub(super) fn matches(&self) -> String {
        let counted = self.counters.filters().into_iter();
        let counted = counted.map(|(name, counts)| (name, counts.matches.get()));
        let mut rows: Vec<(Arc<str>, u64)> = counted.collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut table = Table::new([("filter", Align::Left), ("matches", Align::Right)]);
        rows.into_iter()
            .for_each(|(name, matches)| table.row([name.to_string(), count(matches)]));
        if table.is_empty() {
            String::new()
        } else {
            table.render()
        }
    }

    /// The counts for a program.
    pub(super) fn json(&self) -> serde_json::Value {
        let counters = &self.counters;
        let latency = counters.latency();
        let matches: serde_json::Map<String, serde_json::Value> = counters
            .filters()
            .into_iter()
            .map(|(name, counts)| (name.to_string(), counts.matches.get().into()))
            .collect();
        json!({
            "received": counters.received.get(),
            "bytes": counters.bytes.get(),
            "stored": counters.stored.get(),
            "duplicates": counters.duplicates.get(),
            "quarantined": counters.quarantined.get(),
            "passed_over": self.report.passed_over,
            "matches": matches,
            "seconds": self.seconds,
            "latency_ms": {"p50": latency.quantile_ms(0.5), "p99": latency.quantile_ms(0.99)},
            "stopped": self.stopped,
            "left_out": self.report.left_out,
            "damaged": self.report.damaged,
            "disabled_filters": self.disabled,
            "peak_memory_bytes": peak_memory(),
        })
    }

    fn left_out(&self) -> String {
        let mut text = String::new();
        let kinds: Vec<String> = self
            .report
            .left_out
            .iter()
            .map(|(kind, number)| format!("{} {kind}", count(*number)))
            .collect();
        if !kinds.is_empty() {
            text.push_str(&format!("Left out, no packets: {}.\n", kinds.join(", ")));
        }
        for damage in &self.report.damaged {
            text.push_str(&format!("Could not be read: {damage}\n"));
        }
        for filter in &self.disabled {
            text.push_str(&format!("Switched off: filter {filter}\n"));
        }
        text
    }
}

/// The most memory this process has had, as Linux counts it; `None` elsewhere.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}
