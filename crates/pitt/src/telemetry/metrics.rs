//! The numbers of a run as Prometheus reads them.
//!
//! Written by hand: the format is a name, labels and a number a line, and the numbers are there already, in the atomics that
//! the pipeline adds to. A library would want to own them, behind locks and maps of its own, or a copy of each.
//!
//! Sums ending in `_total` start at zero with the process, as Prometheus expects; what the archive has since ever is
//! `pitt_archive_*`.

use std::fmt::{Display, Write};
use std::ops::Range;

use super::{InputStatus, OutputStatus, Status, Telemetry, WebhooksStatus, process};
use crate::pipeline::{Latency, Stage};

/// What the answer says it is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Buckets of the histograms: 2^7 us (0.128 ms) to 2^27 us (134 s), one for each factor of two unless more are asked for.
const OCTAVES: Range<usize> = 7..28;

/// All metrics, histograms with `steps` (1, 2, 4 or 8) buckets to each factor of two.
pub fn text(telemetry: &Telemetry, steps: usize) -> String {
    let status = telemetry.status();
    let mut page = Page::default();
    counts(&mut page, &status);
    filters(&mut page, &status);
    inputs(&mut page, &status.inputs);
    if let Some(output) = &status.output {
        self::output(&mut page, output);
    }
    if let Some(webhooks) = &status.webhooks {
        self::webhooks(&mut page, webhooks);
    }
    page.family(
        "pitt_stage_seconds",
        "histogram",
        "Time that an alert, or its batch, spends in a stage.",
    );
    for stage in Stage::ALL {
        page.histogram(
            "pitt_stage_seconds",
            ("stage", stage.as_str()),
            telemetry.counters().stage(stage),
            steps,
        );
    }
    archive(&mut page, &status);
    fresh(&mut page, telemetry);
    process(&mut page, &status);
    page.0
}

fn counts(page: &mut Page, status: &Status) {
    let counts = &status.counts;
    page.family(
        "pitt_received_total",
        "counter",
        "Packets handed out by a source.",
    );
    for input in &status.inputs {
        let messages = input.messages.unwrap_or(0);
        page.line("pitt_received_total", &[("source", &input.name)], messages);
    }
    page.one(
        "pitt_received_bytes_total",
        "counter",
        "Bytes of the packets received.",
        counts.bytes,
    );
    page.one(
        "pitt_stored_total",
        "counter",
        "Alerts stored.",
        counts.stored,
    );
    page.one(
        "pitt_duplicates_total",
        "counter",
        "Alerts that were stored before.",
        counts.duplicates,
    );
    page.family(
        "pitt_quarantined_total",
        "counter",
        "Records that could not be read.",
    );
    for (reason, count) in &counts.reasons {
        page.line("pitt_quarantined_total", &[("reason", reason)], count);
    }
}

fn filters(page: &mut Page, status: &Status) {
    type Value = fn(&super::FilterStatus) -> u64;
    let families: [(&str, &str, &str, Value); 3] = [
        (
            "pitt_matches_total",
            "counter",
            "Matches of a filter.",
            |filter| filter.matches,
        ),
        (
            "pitt_delivered_total",
            "counter",
            "Matches that the output has acknowledged.",
            |filter| filter.delivered,
        ),
        (
            "pitt_filter_up",
            "gauge",
            "1 while a filter works, 0 when it was switched off or rests.",
            |filter| u64::from(filter.switched_off.is_none() && !filter.resting),
        ),
    ];
    for (name, kind, help, value) in families {
        page.family(name, kind, help);
        for filter in &status.filters {
            page.line(name, &[("filter", &filter.name)], value(filter));
        }
    }
}

fn inputs(page: &mut Page, inputs: &[InputStatus]) {
    page.family(
        "pitt_source_up",
        "gauge",
        "1 while nothing is wrong with a source.",
    );
    for input in inputs {
        page.line(
            "pitt_source_up",
            &[("source", &input.name)],
            u8::from(input.is_up()),
        );
    }
    page.family(
        "pitt_source_trouble_info",
        "gauge",
        "What is wrong with a source, as a label.",
    );
    for input in inputs {
        for trouble in &input.troubles {
            page.line(
                "pitt_source_trouble_info",
                &[("source", &input.name), ("trouble", &trouble.text)],
                1,
            );
        }
    }
    page.family(
        "pitt_expired_total",
        "counter",
        "Messages that expired before they could be read.",
    );
    for input in inputs.iter().filter(|input| !input.partitions.is_empty()) {
        page.line(
            "pitt_expired_total",
            &[("source", &input.name)],
            input.expired,
        );
    }
    page.family("pitt_lag", "gauge", "Messages that wait to be read.");
    for input in inputs {
        for partition in &input.partitions {
            let number = partition.partition.to_string();
            let labels = [
                ("source", input.name.as_str()),
                ("topic", &partition.topic),
                ("partition", &number),
            ];
            if let Some(lag) = partition.lag {
                page.line("pitt_lag", &labels, lag);
            }
        }
    }
}

fn output(page: &mut Page, output: &OutputStatus) {
    let up = u8::from(output.troubles.is_empty());
    page.one(
        "pitt_output_up",
        "gauge",
        "1 while nothing is wrong with the output.",
        up,
    );
    if let Some(behind) = output.behind {
        page.one(
            "pitt_output_behind",
            "gauge",
            "Matches that wait to be published.",
            behind,
        );
    }
}

fn webhooks(page: &mut Page, webhooks: &WebhooksStatus) {
    let families = [
        (
            "pitt_webhooks_delivering",
            "gauge",
            "1 in the process of an archive that delivers its webhooks.",
            u64::from(webhooks.delivering),
        ),
        (
            "pitt_webhooks",
            "gauge",
            "Webhooks of the archive.",
            webhooks.hooks,
        ),
        (
            "pitt_webhooks_paused",
            "gauge",
            "Webhooks that rest.",
            webhooks.paused,
        ),
        (
            "pitt_webhooks_failing",
            "gauge",
            "Webhooks whose receiver does not take what it is sent.",
            webhooks.failing,
        ),
        (
            "pitt_webhook_delivered_total",
            "counter",
            "Matches that receivers of webhooks took.",
            webhooks.delivered,
        ),
        (
            "pitt_webhook_failed_total",
            "counter",
            "Requests that receivers of webhooks did not take.",
            webhooks.refused,
        ),
        (
            "pitt_webhook_dead_total",
            "counter",
            "Batches of matches that were given up.",
            webhooks.dead,
        ),
        (
            "pitt_webhook_waiting",
            "gauge",
            "Matches that were read for a receiver and not taken yet.",
            webhooks.waiting,
        ),
    ];
    for (name, kind, help, value) in families {
        page.one(name, kind, help, value);
    }
}

fn archive(page: &mut Page, status: &Status) {
    if let Some(archive) = &status.archive {
        let families = [
            (
                "pitt_archive_records",
                "Records in the archive, also duplicates and what could not be read.",
                archive.records,
            ),
            (
                "pitt_archive_alerts",
                "Alerts in the archive.",
                archive.alerts,
            ),
            (
                "pitt_archive_matches",
                "Matches in the archive.",
                archive.matches,
            ),
            (
                "pitt_archive_quarantined",
                "Records in the archive that could not be read.",
                archive.quarantined,
            ),
            (
                "pitt_archive_bytes",
                "Size of the archive's tables.",
                archive.bytes,
            ),
        ];
        families
            .into_iter()
            .for_each(|(name, help, value)| page.one(name, "gauge", help, value));
    }
    if let Some((free, _)) = status.disk {
        page.one(
            "pitt_disk_free_bytes",
            "gauge",
            "Free bytes of the archive's disk.",
            free,
        );
    }
}

fn fresh(page: &mut Page, telemetry: &Telemetry) {
    let Some(archive) = telemetry.open_archive() else {
        return;
    };
    let counts = archive.fresh_counts();
    page.one(
        "pitt_fresh_rows",
        "gauge",
        "Rows of alerts and matches that are in memory for SQL and lists until their commit.",
        counts.rows,
    );
    page.one(
        "pitt_fresh_let_go_total",
        "counter",
        "Such rows that did not fit into memory: they were not found before their commit.",
        counts.let_go,
    );
}

fn process(page: &mut Page, status: &Status) {
    page.family(
        "pitt_build_info",
        "gauge",
        "Version of the program, as a label.",
    );
    page.line("pitt_build_info", &[("version", &status.version)], 1);
    let started = status.started_us as f64 * 1e-6;
    page.one(
        "process_start_time_seconds",
        "gauge",
        "When the run began, seconds since 1970.",
        started,
    );
    if let Some(memory) = status.memory {
        page.one(
            "process_resident_memory_bytes",
            "gauge",
            "Memory of the process.",
            memory.now_bytes,
        );
        page.one(
            "pitt_memory_most_bytes",
            "gauge",
            "The most memory the process ever had.",
            memory.most_bytes,
        );
    }
    if let Some(files) = process::open_files() {
        page.one(
            "process_open_fds",
            "gauge",
            "Files and connections open.",
            files,
        );
    }
}

/// A page of metrics being written.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Begins a metric; its lines follow. None is no harm.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A metric of one line.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.line(name, &[], value);
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            self.write(format_args!("{label}=\"{}\"", escaped(text)));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        self.write(format_args!("{close} {value}\n"));
    }

    fn histogram(&mut self, name: &str, label: (&str, &str), times: &Latency, steps: usize) {
        let below = times.below(OCTAVES, steps);
        // What is added meanwhile must not make the buckets more than the sum.
        let total = times
            .total()
            .max(below.last().map_or(0, |(_, count)| *count));
        let bucket = format!("{name}_bucket");
        for (seconds, count) in below {
            self.line(&bucket, &[label, ("le", &seconds.to_string())], count);
        }
        self.line(&bucket, &[label, ("le", "+Inf")], total);
        self.line(&format!("{name}_sum"), &[label], times.sum_s());
        self.line(&format!("{name}_count"), &[label], total);
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(text);
    }
}

/// A label's text: backslashes, quotes and ends of lines are the only characters that need care.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_reads_as_prometheus_writes_them() {
        let times = Latency::default();
        times.add(100, 1);
        times.add(3_000, 2);
        times.add(500_000_000, 1);
        let mut page = Page::default();
        page.histogram("t", ("stage", "a\"b\\c\n"), &times, 1);
        let lines: Vec<&str> = page.0.lines().collect();
        assert_eq!(lines[0], r#"t_bucket{stage="a\"b\\c\n",le="0.000128"} 1"#);
        assert_eq!(lines[5], r#"t_bucket{stage="a\"b\\c\n",le="0.004096"} 3"#);
        assert!(lines[lines.len() - 3].ends_with(r#"le="+Inf"} 4"#));
        assert!(lines[lines.len() - 2].ends_with(" 500.0061"));
        assert!(
            lines[lines.len() - 1].ends_with("t_count{stage=\"a\\\"b\\\\c\\n\"} 4")
                || lines[lines.len() - 1].ends_with("} 4")
        );
    }
}
