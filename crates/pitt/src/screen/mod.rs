//! What people see: tables, numbers, the live view.

pub mod cell;
pub mod line;
pub mod live;
mod table;

use std::io::{self, Write};

pub use table::{Align, Table};

/// Writes to standard output. A reader that has left (`pitt ls | head`) ends the program quietly.
///
/// # Errors
/// Standard output cannot be written for another reason.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        outcome => outcome,
    }
}

/// Writes JSON for programs to standard output.
///
/// # Errors
/// Standard output cannot be written.
pub fn print_json(value: &serde_json::Value) -> io::Result<()> {
    print(&format!("{value:#}\n"))
}

/// A count with separators: `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its word: `1 alert`, `2 alerts`.
pub fn counted(number: u64, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {word}{plural}", count(number))
}

/// Bytes for people, decimal: `1.2 GB`.
pub fn bytes(number: u64) -> String {
    let units = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let number = number as f64;
    match units.into_iter().find(|(_, size)| number >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", number / size),
        None => format!("{number} B"),
    }
}

/// A time for people: `0.8 ms`, `38 ms`, `1.2 s`; a dash when there is none.
pub fn milliseconds(time: Option<f64>) -> String {
    match time {
        None => "–".into(),
        Some(ms) if ms >= 1000.0 => format!("{:.1} s", ms / 1000.0),
        Some(ms) if ms >= 10.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{ms:.1} ms"),
    }
}

/// A time `[us since 1970, UTC]` for people: `2026-11-22 23:24:07`, UTC.
pub fn utc(time_us: i64) -> String {
    let seconds = time_us.div_euclid(1_000_000);
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let mjd = pitt_sky::time::MjdUtc(day as f64 + 40_587.5);
    let date = mjd.yyyymmdd();
    format!(
        "{}-{:02}-{:02} {:02}:{:02}:{:02}",
        date / 10_000,
        date / 100 % 100,
        date % 100,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// A span of time for people: `12 s`, `3 min`, `2 h 05 min`, `4 d 3 h`.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{minutes} min"),
        7200..172_800 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [count(7), count(1234), count(1_234_567)],
            ["7", "1,234", "1,234,567"]
        );
        assert_eq!(
            [bytes(12), bytes(76_000), bytes(3_200_000_000)],
            ["12 B", "76.0 kB", "3.2 GB"]
        );
        assert_eq!(milliseconds(Some(1234.0)), "1.2 s");
        assert_eq!(utc(1_795_389_847_999_999), "2026-11-22 23:24:07");
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(
            [span(-3), span(119), span(7000), span(7500), span(356_400)],
            ["0 s", "119 s", "116 min", "2 h 05 min", "4 d 3 h"]
        );
        assert_eq!(
            [counted(1, "alert"), counted(2, "alert")],
            ["1 alert", "2 alerts"]
        );
    }
}
