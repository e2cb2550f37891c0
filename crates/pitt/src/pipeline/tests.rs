use std::ops::ControlFlow;
use std::sync::atomic::AtomicUsize;

use pitt_alert::Position;
use pitt_query::{Catalogs, FilterSet, Surveys};

use super::*;

struct Slow(Duration);

impl Worker for Slow {
    fn work(&mut self, packets: &[Packet], _: &Arc<Roster>) -> Result<(Decoded, Vec<Hit>)> {
        std::thread::sleep(self.0);
        match packets
            .iter()
            .any(|packet| packet.bytes.starts_with(b"fail"))
        {
            true => Err(anyhow!("failed at {}", packets[0].position.offset)),
            false => Ok((Decoded::default(), vec![])),
        }
    }
}

#[derive(Default)]
struct Shelf {
    offsets: Vec<i64>,
    committed: usize,
    /// Also the number committed, for a source to look at.
    watched: Arc<AtomicUsize>,
    /// Whether commits fail.
    full: bool,
}

impl Store for Shelf {
    fn append(&mut self, batch: &Worked, _: &Counters) -> Result<()> {
        let offsets = batch.packets.iter().map(|packet| packet.position.offset);
        self.offsets.extend(offsets);
        Ok(())
    }

    fn commit_due(&mut self) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        if self.full {
            return Err(anyhow!("no room"));
        }
        self.committed = self.offsets.len();
        self.watched.store(self.committed, Ordering::SeqCst);
        Ok(())
    }
}

fn packet(offset: i64, bytes: &'static [u8]) -> Packet {
    let position = Position {
        partition: "test".into(),
        offset,
    };
    Packet {
        position,
        name: "test".into(),
        received_us: now_us(),
        bytes: bytes.into(),
    }
}

const LIMITS: BatchLimits = BatchLimits {
    alerts: 10,
    bytes: 1 << 20,
    age: Duration::from_millis(20),
    queue: 1,
};

fn workers() -> Vec<Box<dyn Worker>> {
    vec![
        Box::new(Slow(Duration::from_millis(3))),
        Box::new(Slow(Duration::ZERO)),
    ]
}

/// Runs a source through two unequal workers.
fn pass(
    source: impl FnOnce(&mut dyn Outlet) -> Result<SourceReport> + Send,
    shelf: &mut Shelf,
    counters: &Arc<Counters>,
    stop: &Stop,
) -> Result<SourceReport> {
    let none = FilterSet::compile(vec![], &Surveys::new(), &Catalogs::new()).unwrap();
    let terms = Terms {
        limits: LIMITS,
        filters: Arc::new(AtWork::new(Roster::of(none))),
        counters: counters.clone(),
        stop: stop.clone(),
    };
    run(source, workers(), shelf, &terms, |_| {})
}

#[test]
fn batches_reach_the_store_in_order_and_are_committed() {
    let (mut shelf, counters, stop) = (Shelf::default(), Arc::default(), Stop::default());
    let source = |outlet: &mut dyn Outlet| {
        for offset in 0..1005 {
            assert!(outlet.packet(packet(offset, b"x")).is_continue());
        }
        Ok(SourceReport::default())
    };
    pass(source, &mut shelf, &counters, &stop).unwrap();
    assert_eq!(shelf.offsets, (0..1005).collect::<Vec<_>>());
    assert_eq!((shelf.committed, counters.received.get()), (1005, 1005));
}

#[test]
fn a_lonely_packet_leaves_by_time() {
    let (mut shelf, counters, stop) = (Shelf::default(), Arc::default(), Stop::default());
    let source = |outlet: &mut dyn Outlet| {
        let _ = outlet.packet(packet(0, b"x"));
        let _ = outlet.pause(Duration::from_millis(300));
        Ok(SourceReport::default())
    };
    pass(source, &mut shelf, &counters, &stop).unwrap();
    assert!(counters.latency().quantile_ms(1.0).unwrap() < 250.0);
}

#[test]
fn stopping_keeps_a_whole_beginning() {
    let (mut shelf, counters, stop) = (Shelf::default(), Arc::default(), Stop::default());
    let asked = stop.clone();
    let source = |outlet: &mut dyn Outlet| {
        let mut offset = 0;
        while outlet.packet(packet(offset, b"x")).is_continue() {
            offset += 1;
            if offset == 333 {
                asked.ask();
            }
        }
        Ok(SourceReport::default())
    };
    pass(source, &mut shelf, &counters, &stop).unwrap();
    assert_eq!(shelf.offsets, (0..334).collect::<Vec<_>>());
}

#[test]
fn what_was_flushed_is_committed_when_the_source_goes_on() {
    let committed = Arc::new(AtomicUsize::new(0));
    let mut shelf = Shelf {
        watched: committed.clone(),
        ..Shelf::default()
    };
    let source = |outlet: &mut dyn Outlet| {
        for offset in 0..137 {
            let _ = outlet.packet(packet(offset, b"x"));
            if offset % 33 == 0 {
                assert!(outlet.flush().is_continue());
                assert_eq!(committed.load(Ordering::SeqCst) as i64, offset + 1);
            }
        }
        Ok(SourceReport::default())
    };
    pass(source, &mut shelf, &Arc::default(), &Stop::default()).unwrap();
    assert_eq!(shelf.offsets, (0..137).collect::<Vec<_>>());
}

#[test]
fn a_flush_promises_nothing_when_the_store_fails() {
    let mut shelf = Shelf {
        full: true,
        ..Shelf::default()
    };
    let source = |outlet: &mut dyn Outlet| {
        let _ = outlet.packet(packet(0, b"x"));
        assert!(outlet.flush().is_break());
        Ok(SourceReport::default())
    };
    let error = pass(source, &mut shelf, &Arc::default(), &Stop::default()).unwrap_err();
    assert_eq!(format!("{error:#}"), "cannot commit: no room");
}

#[test]
fn a_dead_writer_ends_a_source_that_only_waits() {
    let mut shelf = Shelf {
        full: true,
        ..Shelf::default()
    };
    let (counters, stop) = (Arc::default(), Stop::default());
    let told = AtomicUsize::new(0);
    let source = |outlet: &mut dyn Outlet| {
        // The marker makes the writer commit, and fail; then nothing but waiting.
        let _ = outlet.flush();
        while outlet.pause(Duration::from_millis(1)).is_continue() {}
        told.store(1, Ordering::SeqCst);
        Ok(SourceReport::default())
    };
    let error = pass(source, &mut shelf, &counters, &stop).unwrap_err();
    assert_eq!(format!("{error:#}"), "cannot commit: no room");
    assert_eq!(told.load(Ordering::SeqCst), 1, "the source was told");
}

#[test]
fn a_failing_worker_ends_the_run_and_says_why() {
    let (mut shelf, counters, stop) = (Shelf::default(), Arc::default(), Stop::default());
    let source = |outlet: &mut dyn Outlet| {
        for offset in 0.. {
            let bytes: &[u8] = if offset == 55 { b"fail" } else { b"x" };
            if let ControlFlow::Break(()) = outlet.packet(packet(offset, bytes)) {
                break;
            }
        }
        Ok(SourceReport::default())
    };
    let error = pass(source, &mut shelf, &counters, &stop).unwrap_err();
    assert_eq!(error.to_string(), "failed at 50");
    assert!(shelf.committed <= 50);
}
