//! Packets into batches: by number, by size, by time.

use std::ops::ControlFlow;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use pitt_alert::Packet;

use super::{Batch, Stop, Terms, Turn};
use crate::source::Outlet;

/// The outlet of a source: closes batches and deals them out to the workers, one after the other.
pub(super) struct Batcher {
    terms: Terms,
    /// One queue a worker; batch `n` goes to worker `n mod workers`, and the writer collects them in that order.
    queues: Vec<SyncSender<Turn<Batch>>>,
    next: usize,
    batch: Vec<Packet>,
    bytes: usize,
    opened: Instant,
    /// Asked when the writer is gone: that ends the source like anybody's asking.
    ended: Stop,
}

impl Batcher {
    pub(super) fn new(terms: Terms, queues: Vec<SyncSender<Turn<Batch>>>, ended: Stop) -> Self {
        let opened = Instant::now();
        Self {
            terms,
            queues,
            next: 0,
            batch: vec![],
            bytes: 0,
            opened,
            ended,
        }
    }

    /// Sends what has come together so far.
    pub(super) fn close(&mut self) -> ControlFlow<()> {
        if self.batch.is_empty() {
            return ControlFlow::Continue(());
        }
        self.bytes = 0;
        let batch = Batch {
            packets: std::mem::take(&mut self.batch),
            filters: self.terms.filters.now(),
        };
        self.deal(Turn::Batch(batch))
    }

    /// Gives the next worker in turn something to do.
    fn deal(&mut self, turn: Turn<Batch>) -> ControlFlow<()> {
        let queue = &self.queues[self.next % self.queues.len()];
        self.next += 1;
        match queue.send(turn) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn due(&self) -> bool {
        !self.batch.is_empty() && self.opened.elapsed() >= self.terms.limits.age
    }

    fn flow(&self) -> ControlFlow<()> {
        if self.terms.stop.asked() || self.ended.asked() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl Outlet for Batcher {
    fn packet(&mut self, packet: Packet) -> ControlFlow<()> {
        if self.batch.is_empty() {
            self.opened = Instant::now();
        }
        self.terms.counters.received.add(1);
        self.terms.counters.bytes.add(packet.bytes.len() as u64);
        self.bytes += packet.bytes.len();
        self.batch.push(packet);
        let full =
            self.batch.len() >= self.terms.limits.alerts || self.bytes >= self.terms.limits.bytes;
        if full || self.due() {
            self.close()?;
        }
        self.flow()
    }

    fn pause(&mut self, wait: Duration) -> ControlFlow<()> {
        let until = Instant::now() + wait;
        loop {
            if self.due() {
                self.close()?;
            }
            self.flow()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            let open = self.terms.limits.age.saturating_sub(self.opened.elapsed());
            let nap = if self.batch.is_empty() {
                self.terms.limits.age
            } else {
                open
            };
            std::thread::sleep(left.min(nap).min(Duration::from_millis(50)));
        }
    }

    fn flush(&mut self) -> ControlFlow<()> {
        self.close()?;
        let (committed, signal) = sync_channel(1);
        self.deal(Turn::Flush(committed))?;
        // A writer that fails drops the marker, and with it the sender.
        match signal.recv() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
