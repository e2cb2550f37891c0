//! Dropping what is older or larger than is to be kept.

use std::fs;
use std::io;
use std::time::SystemTime;

use crate::config::Retention;
use crate::log::{Log, State};

impl Log {
    /// Deletes the oldest segments beyond `retention` and returns how many went.
    ///
    /// The segment being written goes only by age, after a new one was begun, and never by size.
    pub(crate) fn retain(&self, retention: Retention, now: SystemTime) -> io::Result<usize> {
        let mut state = self.state();
        if state.closed {
            return Ok(0);
        }
        if state
            .active()
            .is_some_and(|s| s.size > 0 && expired(s.appended, retention, now))
        {
            self.roll(&mut state)?;
        }
        let mut dropped = 0;
        while state.surplus(retention, now) {
            let segment = state.segments.remove(0);
            fs::remove_file(&segment.path)?;
            // An index without its log is harmless; the log without its index is read again.
            let _ = fs::remove_file(segment.index_path());
            dropped += 1;
        }
        Ok(dropped)
    }
}

impl State {
    fn surplus(&self, retention: Retention, now: SystemTime) -> bool {
        let [oldest, _, ..] = self.segments.as_slice() else {
            return false;
        };
        let kept: u64 = self.segments.iter().skip(1).map(|s| s.size).sum();
        expired(oldest.appended, retention, now)
            || retention.bytes.is_some_and(|limit| kept >= limit)
    }
}

fn expired(appended: SystemTime, retention: Retention, now: SystemTime) -> bool {
    let age = now.duration_since(appended).unwrap_or_default();
    retention.time.is_some_and(|limit| age > limit)
}
