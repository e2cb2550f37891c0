//! Matches of lanes whose process is gone.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pitt_archive::ArchiveError;

use super::Desk;
use super::course::{Course, End};
use super::noted;
use super::ring::Ring;
use super::stock::Stock;

/// How often other lanes are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Publishes what lanes without a process have left, again and again until the run ends.
pub(super) fn run(desk: &Desk, own: u32) {
    let mut stopped = BTreeSet::new();
    while !desk.is_ending() {
        for lane in desk.archive.lanes() {
            let due = lane != own && !stopped.contains(&lane);
            if due && !desk.is_ending() && adopt(desk, lane) == End::Stopped {
                stopped.insert(lane);
            }
        }
        let until = Instant::now() + LOOK;
        while Instant::now() < until && !desk.is_ending() {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Publishes what one lane has left, while holding its lock: no process can begin in it meanwhile.
fn adopt(desk: &Desk, lane: u32) -> End {
    let Some(_held) = hold(desk, lane) else {
        return End::Over;
    };
    let name = lane.to_string();
    let known = noted::read(&desk.archive, &name, &desk.settings.servers);
    let seq = known
        .and_then(|cursor| cursor.place.parse().ok())
        .unwrap_or(0);
    match anything_left(desk, lane, seq) {
        Ok(false) => return End::Over,
        Ok(true) => tracing::info!(lane, "publishing what a process left that is gone"),
        Err(error) => {
            tracing::warn!(lane, %error, "cannot read what a process left that is gone");
            return End::Over;
        }
    }
    let nothing_new = Arc::new(Ring::new(0));
    let stock = Stock::new(desk, lane, nothing_new);
    Course::new(desk, &name, stock, None).until_empty().run()
}

/// Whether matches follow on a number, or the number was never given: then the cursor is looked at.
fn anything_left(desk: &Desk, lane: u32, seq: u64) -> Result<bool, ArchiveError> {
    let left = desk.archive.matches_after(lane, seq, 1)?;
    Ok(!left.is_empty() || desk.archive.last_number(lane)? < seq)
}

/// The lane's lock, if no process has it. It is let go when the file is closed.
pub(super) fn hold(desk: &Desk, lane: u32) -> Option<File> {
    let path = desk
        .archive
        .folder()
        .join("lanes")
        .join(format!("{lane}.lock"));
    let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}
