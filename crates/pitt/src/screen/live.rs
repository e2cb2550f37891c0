//! The table that stands still while its numbers run.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::{Align, Table, bytes, count, milliseconds};
use crate::pipeline::Counters;

/// How often a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(200);
/// How often a log gets a line.
const LINE: Duration = Duration::from_secs(5);
/// Span of the rate shown.
const RATE_SPAN: Duration = Duration::from_secs(3);
/// Most filters shown; the rest are summed up.
const MOST_FILTERS: usize = 12;

/// The view of a run: redrawn in place on a terminal, a plain line now and then elsewhere. Goes to stderr.
pub struct Live {
    title: String,
    filters: Vec<String>,
    /// Packets expected, if known.
    expected: Option<u64>,
    begin: Instant,
    drawn: Option<Instant>,
    lines: usize,
    terminal: bool,
    /// Times and counts of the last seconds, for the rate.
    recent: Vec<(Instant, u64, u64)>,
}

impl Live {
    /// A view with a title and one line a filter.
    pub fn new(title: String, filters: Vec<String>, expected: Option<u64>) -> Self {
        Self {
            title,
            filters,
            expected,
            begin: Instant::now(),
            drawn: None,
            lines: 0,
            terminal: io::stderr().is_terminal(),
            recent: vec![],
        }
    }

    /// Draws if it is time to.
    pub fn show(&mut self, counters: &Counters) {
        let every = if self.terminal { REDRAW } else { LINE };
        if self.drawn.unwrap_or(self.begin).elapsed() >= every {
            self.draw(counters);
        }
    }

    /// Draws the last state and leaves it standing.
    pub fn finish(&mut self, counters: &Counters) {
        if self.terminal || self.begin.elapsed() >= LINE {
            self.draw(counters);
        }
    }

    fn draw(&mut self, counters: &Counters) {
        let now = Instant::now();
        self.drawn = Some(now);
        self.recent
            .push((now, counters.received.get(), counters.bytes.get()));
        self.recent
            .retain(|(time, ..)| now.duration_since(*time) <= RATE_SPAN);
        let text = if self.terminal {
            self.picture(counters)
        } else {
            self.line(counters)
        };
        let mut out = io::stderr().lock();
        // A terminal that is gone is no reason to stop the broker.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Packets and bytes a second over the last seconds.
    fn rate(&self) -> (f64, f64) {
        let (Some(first), Some(last)) = (self.recent.first(), self.recent.last()) else {
            return (0.0, 0.0);
        };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        if seconds == 0.0 {
            let seconds = self.begin.elapsed().as_secs_f64().max(1e-3);
            return (last.1 as f64 / seconds, last.2 as f64 / seconds);
        }
        (
            (last.1 - first.1) as f64 / seconds,
            (last.2 - first.2) as f64 / seconds,
        )
    }

    fn line(&self, counters: &Counters) -> String {
        let latency = counters.latency();
        let matches: u64 = (0..self.filters.len())
            .map(|filter| counters.matches(filter))
            .sum();
        format!(
            "{:>4} s  {} received  {:.0}/s  {} stored  {} duplicates  {} quarantined  {} matches  p50 {}  p99 {}\n",
            self.begin.elapsed().as_secs(),
            count(counters.received.get()),
            self.rate().0,
            count(counters.stored.get()),
            count(counters.duplicates.get()),
            count(counters.quarantined.get()),
            count(matches),
            milliseconds(latency.quantile_ms(0.5)),
            milliseconds(latency.quantile_ms(0.99)),
        )
    }

    /// The whole view, after the moves that put it over the last one.
    fn picture(&mut self, counters: &Counters) -> String {
        let body = self.body(counters);
        let mut text = if self.lines > 0 {
            format!("\x1b[{}A", self.lines)
        } else {
            String::new()
        };
        self.lines = body.lines().count();
        for line in body.lines() {
            text.push_str("\x1b[2K");
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("\x1b[J");
        text
    }

    fn body(&self, counters: &Counters) -> String {
        let (rate, flow) = self.rate();
        let latency = counters.latency();
        let seconds = self.begin.elapsed().as_secs();
        let mut text = format!("\x1b[1m{}\x1b[0m   {seconds} s\n", self.title);
        text.push_str(&self.bar(counters.received.get()));
        text.push_str(&format!(
            "\n  {:>11} received     {:>7.0} alerts/s   {}/s\n",
            count(counters.received.get()),
            rate,
            bytes(flow as u64)
        ));
        text.push_str(&format!(
            "  {:>11} stored       {:>7} duplicate   {} quarantined\n",
            count(counters.stored.get()),
            count(counters.duplicates.get()),
            count(counters.quarantined.get())
        ));
        text.push_str(&format!(
            "  {:>11} to match, p50; p99 {}\n",
            milliseconds(latency.quantile_ms(0.5)),
            milliseconds(latency.quantile_ms(0.99)),
        ));
        if !self.filters.is_empty() {
            text.push('\n');
            text.push_str(&self.matches(counters));
        }
        text
    }

    fn bar(&self, received: u64) -> String {
        let Some(expected) = self.expected.filter(|expected| *expected > 0) else {
            return String::new();
        };
        let share = (received as f64 / expected as f64).min(1.0);
        let full = (share * 50.0).round() as usize;
        let bar = format!(
            "\x1b[32m{}\x1b[2m{}\x1b[0m",
            "━".repeat(full),
            "─".repeat(50 - full)
        );
        format!("  {bar} {:.0} %\n", share * 100.0)
    }

    fn matches(&self, counters: &Counters) -> String {
        let stored = counters.stored.get().max(1) as f64;
        let mut table = Table::new([
            ("  filter", Align::Left),
            ("matches", Align::Right),
            ("share", Align::Right),
        ]);
        let mut row = |name: &str, matches: u64| {
            let share = format!("{:.2} %", 100.0 * matches as f64 / stored);
            table.row([format!("  {name}"), count(matches), share]);
        };
        for (index, name) in self.filters.iter().enumerate().take(MOST_FILTERS) {
            row(name, counters.matches(index));
        }
        if self.filters.len() > MOST_FILTERS {
            let rest = MOST_FILTERS..self.filters.len();
            let name = format!("{} more", rest.len());
            row(&name, rest.map(|filter| counters.matches(filter)).sum());
        }
        table.render()
    }
}
