//! The table that stands still while its numbers run.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Align, Table, bytes, count, counted, milliseconds, utc};
use crate::pipeline::Counters;
use crate::source::now_us;
use crate::telemetry::{InputStatus, Telemetry};

/// How often a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(200);
/// How often a log gets a line.
const LINE: Duration = Duration::from_secs(60);
/// Span of the rate shown.
const RATE_SPAN: Duration = Duration::from_secs(3);
/// Most filters shown; the rest are summed up.
const MOST_FILTERS: usize = 12;

/// Longest text of what is wrong in the view; the log has all of it.
const TROUBLE_WIDTH: usize = 90;

/// Lines of the view that stand above the cursor of the terminal.
static STANDING: Mutex<usize> = Mutex::new(0);

fn standing() -> MutexGuard<'static, usize> {
    STANDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error for log lines: takes the view away before a line, so that the next drawing stands below it.
#[derive(Clone, Copy, Debug, Default)]
pub struct BesideTheView;

impl Write for BesideTheView {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut standing = standing();
        let mut out = io::stderr().lock();
        if *standing > 0 {
            write!(out, "\x1b[{}A\x1b[J", *standing)?;
            *standing = 0;
        }
        out.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// The view of a run: redrawn in place on a terminal; elsewhere a line at the start and one a minute. Goes to stderr.
pub struct Live {
    title: String,
    /// Packets expected, if known.
    expected: Option<u64>,
    begin: Instant,
    drawn: Option<Instant>,
    terminal: bool,
    telemetry: Option<Arc<Telemetry>>,
    /// Times and counts of the last seconds, for the rate.
    recent: Vec<(Instant, u64, u64)>,
}

impl Live {
    /// A view with a title and one line a filter.
    pub fn new(title: String, expected: Option<u64>) -> Self {
        Self {
            title,
            expected,
            begin: Instant::now(),
            drawn: None,
            terminal: io::stderr().is_terminal(),
            telemetry: None,
            recent: vec![],
        }
    }

    /// Shows how the inputs are too, and says where everything can be looked at.
    pub fn watching(mut self, telemetry: Arc<Telemetry>) -> Self {
        if let Some(url) = telemetry.url() {
            self.title.push_str("   ");
            self.title.push_str(url);
        }
        if !self.terminal {
            let _ = writeln!(io::stderr(), "{}  {}", utc(now_us()), self.title);
        }
        self.telemetry = Some(telemetry);
        self
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
        *standing() = 0;
    }

    fn draw(&mut self, counters: &Counters) {
        let now = Instant::now();
        self.drawn = Some(now);
        self.recent
            .push((now, counters.received.get(), counters.bytes.get()));
        self.recent
            .retain(|(time, ..)| now.duration_since(*time) <= RATE_SPAN);
        let inputs = self
            .telemetry
            .as_ref()
            .map_or_else(Vec::new, |all| all.inputs());
        let mut standing = standing();
        let text = if self.terminal {
            self.picture(counters, &inputs, &mut standing)
        } else {
            self.line(counters, &inputs)
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

    fn line(&self, counters: &Counters, inputs: &[InputStatus]) -> String {
        let latency = counters.latency();
        let rate = match &self.telemetry {
            Some(telemetry) => telemetry.rate().alerts_per_s_1m,
            None => self.rate().0,
        };
        let mut text = format!(
            "{}  {rate:.0}/s  {} received  {} stored  {}  {} quarantined  {} matches  p50 {}  p99 {}",
            utc(now_us()),
            count(counters.received.get()),
            count(counters.stored.get()),
            counted(counters.duplicates.get(), "duplicate"),
            count(counters.quarantined.get()),
            count(counters.matches()),
            milliseconds(latency.quantile_ms(0.5)),
            milliseconds(latency.quantile_ms(0.99)),
        );
        if let Some(lag) = lag(inputs) {
            text.push_str(&format!("  lag {}", count(lag)));
        }
        for input in inputs.iter().filter(|input| !input.is_up()) {
            text.push_str(&format!("  {} {}", input.name, input.state));
        }
        text.push('\n');
        text
    }

    /// The whole view, after the moves that put it over the last one.
    fn picture(&self, counters: &Counters, inputs: &[InputStatus], standing: &mut usize) -> String {
        let body = self.body(counters, inputs);
        let mut text = if *standing > 0 {
            format!("\x1b[{standing}A")
        } else {
            String::new()
        };
        *standing = body.lines().count();
        for line in body.lines() {
            text.push_str("\x1b[2K");
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("\x1b[J");
        text
    }

    fn body(&self, counters: &Counters, inputs: &[InputStatus]) -> String {
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
        if let Some(lag) = lag(inputs) {
            text.push_str(&format!("  {:>11} wait in the streams\n", count(lag)));
        }
        for input in inputs {
            if let Some(trouble) = input.troubles.first() {
                let said: String = trouble.text.chars().take(TROUBLE_WIDTH).collect();
                let state = &input.state;
                text.push_str(&format!(
                    "  \x1b[33m{} {state}\x1b[0m: {said}\n",
                    input.name
                ));
            }
        }
        text.push_str(&matches(counters));
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
}

/// A line for each filter.
fn matches(counters: &Counters) -> String {
    let filters = counters.filters();
    if filters.is_empty() {
        return String::new();
    }
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
    let (shown, rest) = filters.split_at(filters.len().min(MOST_FILTERS));
    for (name, counts) in shown {
        row(name, counts.matches.get());
    }
    if !rest.is_empty() {
        let sum = rest.iter().map(|(_, counts)| counts.matches.get()).sum();
        row(&format!("{} more", rest.len()), sum);
    }
    format!("\n{}", table.render())
}

/// Messages that wait in all streams; `None` where there are none, or nobody knows yet.
fn lag(inputs: &[InputStatus]) -> Option<u64> {
    let lags = inputs.iter().filter_map(InputStatus::lag);
    lags.reduce(|a, b| a + b).map(i64::unsigned_abs)
}
