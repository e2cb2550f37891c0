//! One line on stderr that says how sending goes.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::{bytes, count};
use crate::feed::Tally;

/// How often a terminal's line is redrawn, and a log gets a line.
const REDRAW: Duration = Duration::from_millis(500);
const LINE: Duration = Duration::from_secs(10);

/// Redrawn in place on a terminal; elsewhere a new line now and then, if there is news.
pub struct Line {
    topic: String,
    terminal: bool,
    drawn: Instant,
    last: Tally,
    rest: String,
}

impl Line {
    /// A line about what goes to `topic`.
    pub fn new(topic: String) -> Self {
        Self {
            topic,
            terminal: std::io::stderr().is_terminal(),
            drawn: Instant::now(),
            last: Tally::default(),
            rest: String::new(),
        }
    }

    /// Shows what was sent, and `rest` behind it, if it is time to.
    pub fn show(&mut self, tally: &Tally, rest: &str) {
        let since = self.drawn.elapsed();
        let news = self.last != *tally || self.rest != rest;
        if since < if self.terminal { REDRAW } else { LINE } || (!self.terminal && !news) {
            return;
        }
        let per_second = |now: u64, then: u64| (now - then) as f64 / since.as_secs_f64();
        let line = format!(
            "{}: {} sent  {:.0}/s  {}/s  {rest}",
            self.topic,
            count(tally.sent),
            per_second(tally.sent, self.last.sent),
            bytes(per_second(tally.bytes, self.last.bytes) as u64),
        );
        let text = if self.terminal {
            format!("\r\x1b[2K{line}")
        } else {
            format!("{line}\n")
        };
        let mut out = std::io::stderr().lock();
        // A terminal that is gone is no reason to stop.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        (self.drawn, self.last) = (Instant::now(), *tally);
        self.rest = rest.to_owned();
    }

    /// Leaves the line standing.
    pub fn finish(&self) {
        if self.terminal {
            let _ = std::io::stderr().write_all(b"\n");
        }
    }
}
