//! Waiting on a thread for whichever comes first.

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// A thread's own clock.
pub(super) struct Waiter(Runtime);

impl Waiter {
    pub(super) fn new() -> io::Result<Self> {
        Builder::new_current_thread()
            .enable_time()
            .build()
            .map(Self)
    }

    /// Waits for an event, but not longer than this.
    pub(super) fn until(&self, event: impl Future, longest: Duration) {
        self.0.block_on(async {
            let _ = tokio::time::timeout(longest, event).await;
        });
    }
}
