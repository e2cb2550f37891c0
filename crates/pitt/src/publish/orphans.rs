//! Matches of lanes whose process is gone.

use std::fs::{File, OpenOptions};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Desk;
use super::course::Course;
use super::noted;
use super::ring::Ring;
use super::stock::Stock;

/// How often other lanes are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Publishes what lanes without a process have left, again and again until the run ends.
pub(super) fn run(desk: &Desk, own: u32) {
    while !desk.is_ending() {
        for lane in desk.archive.lanes() {
            if lane != own && !desk.is_ending() {
                adopt(desk, lane);
            }
        }
        let until = Instant::now() + LOOK;
        while Instant::now() < until && !desk.is_ending() {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Publishes what one lane has left, while holding its lock: no process can begin in it meanwhile.
fn adopt(desk: &Desk, lane: u32) {
    let Some(_held) = hold(desk, lane) else {
        return;
    };
    let name = lane.to_string();
    let known = noted::read(&desk.archive, &name, &desk.settings.servers);
    let seq = known
        .and_then(|cursor| cursor.place.parse().ok())
        .unwrap_or(0);
    match desk.archive.matches_after(lane, seq, 1) {
        Ok(left) if left.is_empty() => return,
        Ok(_) => tracing::info!(lane, "publishing what a process left that is gone"),
        Err(error) => {
            tracing::warn!(lane, %error, "cannot read what a process left that is gone");
            return;
        }
    }
    let nothing_new = Arc::new(Ring::new(0));
    let stock = Stock::new(desk, lane, nothing_new);
    Course::new(desk, &name, stock, None).until_empty().run();
}

/// The lane's lock, if no process has it. It is let go when the file is closed.
fn hold(desk: &Desk, lane: u32) -> Option<File> {
    let path = desk
        .archive
        .folder()
        .join("lanes")
        .join(format!("{lane}.lock"));
    let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}
