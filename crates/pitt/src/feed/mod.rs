//! Packets sent into a stream: in the order of their source, as fast as asked for, going on where it stood.
//!
//! A packet becomes one message, byte for byte as it came. Its key is the object's id, so that an object's alerts stay in
//! order in one partition; a packet that cannot be read, or names no object, has no key and is sent all the same.

mod clock;
pub mod cluster;
pub mod history;
mod labels;
pub mod places;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use pitt_alert::{Packet, SchemaStore};

pub use clock::{Clock, Pace};
use labels::{Label, Labels};

use crate::pipeline::Stop;
use crate::source::Outlet;

/// Packets labelled together.
const GROUP: usize = 256;
/// ... and their bytes at most `[bytes]`.
const GROUP_BYTES: usize = 8 << 20;
/// Longest wait before somebody is asked again whether to stop.
const NAP: Duration = Duration::from_millis(20);

/// A message made of a packet.
#[derive(Clone, Debug)]
pub struct Message {
    /// The object's id, where the packet says it.
    pub key: Option<Bytes>,
    /// The packet, which is the message's value, and its place in the source.
    pub packet: Packet,
}

/// Where messages go.
pub trait Sink {
    /// Takes messages in order. What it took counts as sent.
    ///
    /// # Errors
    /// They cannot be kept or delivered; nothing more is sent then.
    fn send(&mut self, messages: Vec<Message>) -> Result<()>;

    /// Called now and then, also while nothing is sent: to show how it goes.
    fn look(&mut self, tally: &Tally);
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that no message can hold: empty or too large.
    pub left_out: u64,
}

/// Takes packets of a source and sends them when they are due.
pub struct Feed<S> {
    sink: S,
    clock: Clock,
    labels: Labels,
    stop: Stop,
    largest: usize,
    group: Vec<Packet>,
    group_bytes: usize,
    tally: Tally,
    failed: Option<anyhow::Error>,
}

impl<S: Sink> Feed<S> {
    /// A feed of messages of at most `largest` bytes.
    pub fn new(sink: S, pace: Pace, schemas: SchemaStore, largest: usize, stop: Stop) -> Self {
        Self {
            sink,
            clock: Clock::new(pace),
            labels: Labels::new(schemas),
            stop,
            largest,
            group: Vec::new(),
            group_bytes: 0,
            tally: Tally::default(),
            failed: None,
        }
    }

    /// Sends what is left, and says what was sent.
    ///
    /// # Errors
    /// What the sink refused, now or before.
    pub fn finish(mut self) -> Result<(S, Tally)> {
        if !self.stop.asked() && self.failed.is_none() {
            let _ = self.send_group();
        }
        self.failed.map_or(Ok((self.sink, self.tally)), Err)
    }

    fn send_group(&mut self) -> ControlFlow<()> {
        self.group_bytes = 0;
        let packets = std::mem::take(&mut self.group);
        let labels = self.labels.of(&packets);
        let mut due = Vec::new();
        for (packet, Label { key, mjd_tai }) in packets.into_iter().zip(labels) {
            let at = self.clock.due(mjd_tai, Instant::now());
            if at > Instant::now() {
                self.send(&mut due)?;
                self.wait(at)?;
            }
            due.push(Message { key, packet });
        }
        self.send(&mut due)
    }

    fn send(&mut self, due: &mut Vec<Message>) -> ControlFlow<()> {
        if !due.is_empty() {
            let sent = due.len() as u64;
            let bytes: usize = due.iter().map(|m| m.packet.bytes.len()).sum();
            if let Err(error) = self.sink.send(std::mem::take(due)) {
                self.failed = Some(error);
                return ControlFlow::Break(());
            }
            self.tally.sent += sent;
            self.tally.bytes += bytes as u64;
        }
        self.sink.look(&self.tally);
        self.go_on()
    }

    fn wait(&mut self, until: Instant) -> ControlFlow<()> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            std::thread::sleep(left.min(NAP));
            self.sink.look(&self.tally);
            self.go_on()?;
        }
    }

    fn go_on(&self) -> ControlFlow<()> {
        if self.stop.asked() || self.failed.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl<S: Sink> Outlet for Feed<S> {
    fn packet(&mut self, packet: Packet) -> ControlFlow<()> {
        let size = packet.bytes.len();
        if size == 0 || size > self.largest {
            let limit = self.largest;
            tracing::error!(
                "{}: {size} bytes cannot be sent, a message has 1 to {limit} (left out)",
                packet.name
            );
            self.tally.left_out += 1;
            return self.go_on();
        }
        self.group_bytes += size;
        self.group.push(packet);
        if self.group.len() >= GROUP || self.group_bytes >= GROUP_BYTES {
            return self.send_group();
        }
        self.go_on()
    }

    fn pause(&mut self, wait: Duration) -> ControlFlow<()> {
        self.send_group()?;
        self.wait(Instant::now() + wait)
    }

    fn flush(&mut self) -> ControlFlow<()> {
        self.send_group()
    }
}
