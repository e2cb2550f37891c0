//! The view in text, in the eighty columns of a terminal.

use super::View;
use crate::screen::{Align, Table, bytes, count, milliseconds, span, utc};
use crate::telemetry::{FilterStatus, InputStatus, OutputStatus, RunState, Status, WebhooksStatus};

/// Columns of a terminal that the view keeps to.
pub(super) const WIDTH: usize = 80;
/// Most filters shown, those with the most matches; `--json` has all.
const MOST_FILTERS: usize = 20;

impl View {
    pub(super) fn text(&self) -> String {
        let mut text = format!("Pitt Broker, archive {}\n", self.archive);
        for run in &self.runs {
            text.push('\n');
            text.push_str(&self.run(run));
        }
        text.push('\n');
        let counted = self.runs.iter().filter_map(|run| run.archive.as_ref());
        if let Some(archive) = counted.max_by_key(|archive| archive.counted_us) {
            text.push_str(&format!(
                "Archive: {} alerts, {} matches, {} quarantined, {}\n",
                count(archive.alerts),
                count(archive.matches),
                count(archive.quarantined),
                bytes(archive.bytes)
            ));
        }
        if let Some((free, all)) = self.runs.iter().find_map(|run| run.disk) {
            text.push_str(&format!(
                "Disk:    {} free of {}\n",
                bytes(free),
                bytes(all)
            ));
        }
        text.push('\n');
        if self.troubles.is_empty() {
            text.push_str("Nothing is wrong.\n");
        }
        for trouble in &self.troubles {
            text.push_str(&wrapped("! ", trouble));
        }
        text
    }

    fn run(&self, run: &Status) -> String {
        let counts = &run.counts;
        let mut text = self.head(run);
        text.push_str(&format!(
            "  {:>13} received     {:>13} stored\n  {:>13} duplicates   {:>13} quarantined\n",
            count(counts.received),
            count(counts.stored),
            count(counts.duplicates),
            count(counts.quarantined)
        ));
        let reasons: Vec<String> = counts
            .reasons
            .iter()
            .map(|(reason, number)| format!("{} {reason}", count(*number)))
            .collect();
        if !reasons.is_empty() {
            text.push_str(&wrapped("                ", &reasons.join(", ")));
        }
        if run.state == RunState::Running {
            text.push_str(&format!(
                "  {:>13} alerts/s     {:>13} over a minute, {}/s\n",
                count(run.rate.alerts_per_s.round() as u64),
                count(run.rate.alerts_per_s_1m.round() as u64),
                bytes(run.rate.bytes_per_s as u64)
            ));
        }
        if let Some(memory) = run.memory {
            text.push_str(&format!(
                "  {:>13} memory       {:>13} at most\n",
                bytes(memory.now_bytes),
                bytes(memory.most_bytes)
            ));
        }
        text.push_str(&stages(run));
        text.push_str(&self.inputs(&run.inputs));
        text.push_str(&filters(&run.filters, run.output.is_some()));
        if let Some(output) = &run.output {
            text.push_str(&self.output(output));
        }
        if let Some(webhooks) = run.webhooks.as_ref().filter(|hooks| hooks.delivering) {
            text.push_str(&self::webhooks(webhooks));
        }
        text
    }

    /// Who, since when, where.
    fn head(&self, run: &Status) -> String {
        let who = format!("Process {} on {}, lane {}", run.pid, run.host, run.lane);
        let ago = |time_us: i64| span((self.now_us - time_us) / 1_000_000);
        let since = match run.state {
            RunState::Running if run.is_stale(self.now_us) => format!(
                "not running since {} ({}): it died, hangs or was paused",
                utc(run.written_us),
                ago(run.written_us)
            ),
            RunState::Running => format!("running for {}", ago(run.started_us)),
            RunState::Ended => format!(
                "not running since {} ({}): it ended in order",
                utc(run.written_us),
                ago(run.written_us)
            ),
            RunState::Failed => format!(
                "not running since {} ({}): it failed",
                utc(run.written_us),
                ago(run.written_us)
            ),
        };
        let mut text = format!("{who}\n  {since}\n");
        if let (RunState::Running, Some(url)) = (run.state, &run.url) {
            text.push_str(&format!("  {url}\n"));
        }
        text
    }

    fn inputs(&self, inputs: &[InputStatus]) -> String {
        let mut table = Table::new([
            ("  input", Align::Left),
            ("state", Align::Left),
            ("since", Align::Right),
            ("packets", Align::Right),
            ("waiting", Align::Right),
        ]);
        for input in inputs {
            table.row([
                format!("  {}", shortened(&input.name, 24)),
                input.state.clone(),
                self.since(input.since_us),
                input.messages.map_or("–".into(), count),
                input
                    .lag()
                    .map_or("–".into(), |lag| count(lag.unsigned_abs())),
            ]);
        }
        let mut text = String::from("\n");
        text.push_str(&table.render());
        for input in inputs {
            // What is wrong now stands below all else.
            if let (true, Some(last)) = (input.is_up(), &input.last_error) {
                let said = format!(
                    "{}: last error {}: {}",
                    input.name,
                    utc(last.since_us),
                    last.text
                );
                text.push_str(&wrapped("    ", &said));
            }
            if input.expired > 0 {
                let expired = count(input.expired);
                let said = format!("{}: {expired} messages expired unread", input.name);
                text.push_str(&wrapped("    ", &said));
            }
        }
        text
    }

    fn output(&self, output: &OutputStatus) -> String {
        let mut table = Table::new([
            ("  output", Align::Left),
            ("state", Align::Left),
            ("since", Align::Right),
            ("to publish", Align::Right),
        ]);
        table.row([
            format!("  {}", shortened(&output.servers, 32)),
            output.state.clone(),
            self.since(output.since_us),
            output.behind.map_or("–".into(), count),
        ]);
        let mut text = String::from("\n");
        text.push_str(&table.render());
        if let (true, Some(last)) = (output.troubles.is_empty(), &output.last_error) {
            let said = format!("last error {}: {}", utc(last.since_us), last.text);
            text.push_str(&wrapped("    ", &said));
        }
        text
    }

    fn since(&self, time_us: i64) -> String {
        match time_us {
            0 => "–".into(),
            time_us => span((self.now_us - time_us) / 1_000_000),
        }
    }
}

fn stages(run: &Status) -> String {
    let named = [
        ("arrival", "message to receipt"),
        ("match", "receipt to match"),
        ("publish", "receipt to published"),
    ];
    let mut text = String::new();
    for (stage, words) in named {
        if let Some(times) = run.stages.get(stage) {
            let [p50, p99, p999] =
                [times.p50_ms, times.p99_ms, times.p999_ms].map(|time| milliseconds(Some(time)));
            text.push_str(&format!(
                "  {p50:>13} {words}, p50; p99 {p99}, p99.9 {p999}\n"
            ));
        }
    }
    text
}

fn filters(filters: &[FilterStatus], published: bool) -> String {
    if filters.is_empty() {
        return String::new();
    }
    let mut sorted: Vec<&FilterStatus> = filters.iter().collect();
    sorted.sort_by(|a, b| b.matches.cmp(&a.matches).then(a.name.cmp(&b.name)));
    let mut columns = vec![("  filter", Align::Left), ("matches", Align::Right)];
    if published {
        columns.push(("delivered", Align::Right));
    }
    let mut table = Table::new(columns);
    for filter in sorted.iter().take(MOST_FILTERS) {
        let mut row = vec![
            format!("  {}", shortened(&filter.name, 44)),
            count(filter.matches),
        ];
        if published {
            row.push(count(filter.delivered));
        }
        table.row(row);
    }
    let mut text = format!("\n{}", table.render());
    if filters.len() > MOST_FILTERS {
        let more = filters.len() - MOST_FILTERS;
        text.push_str(&format!("  {more} more (--json has all)\n"));
    }
    text
}

/// A text that fits a column.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

/// A text in lines that fit the width, the first after `lead`, the others as far in.
fn wrapped(lead: &str, text: &str) -> String {
    let indent = lead.chars().count();
    let (mut out, mut column) = (String::from(lead), indent);
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
    out
}

/// What was sent, and what was not taken.
pub(super) fn webhooks(of: &WebhooksStatus) -> String {
    let said = format!(
        "{} webhooks, {} failing, {} paused: {} matches delivered, {} waiting, {} batches given up",
        of.hooks,
        of.failing,
        of.paused,
        count(of.delivered),
        count(of.waiting),
        count(of.dead)
    );
    format!("\n{}", wrapped("  ", &said))
}
