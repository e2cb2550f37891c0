//! Batches made ahead, over a real archive.

use std::sync::atomic::Ordering;

use pitt_alert::{Decoder, SchemaStore};
use pitt_archive::{Archive, ArchiveOptions, Match, Writer};
use pitt_kafka::publish::Outgoing;
use pitt_simulate::{SimPacket, SimSurvey, SimulationConfig, Simulator};

use super::*;
use crate::config::Config;
use crate::filters::FilterDesk;
use crate::pipeline::Counters;
use crate::publish::desk;

/// Matches of a full batch.
const FULL: usize = 4;

/// What publishes the matches of an archive, in full batches of [`FULL`].
fn ground(folder: &tempfile::TempDir) -> (Desk, Intake) {
    let path = folder.path().to_string_lossy().into_owned();
    let options = ArchiveOptions {
        claims: true,
        ..ArchiveOptions::default()
    };
    let archive = Archive::open(&path, options).unwrap();
    let flags = vec![
        ("archive", path.into()),
        ("output.servers", "127.0.0.1:1".into()),
        ("output.batch_messages", (FULL as i64).into()),
    ];
    let settings = Config::load(None, |_| None, flags).unwrap().settings;
    let schemas = SchemaStore::new();
    let filters = FilterDesk::open(archive.folder(), vec![], schemas.clone(), &[]).unwrap();
    let counters = Arc::<Counters>::default();
    let desk = desk(&settings, &archive, &filters, &schemas, &counters).unwrap();
    // At the end nothing is waited for: what is not there is said at once.
    desk.ending.store(true, Ordering::Relaxed);
    let intake = Intake {
        writer: archive.writer().unwrap(),
        decoder: Decoder::new(schemas),
        waiting: simulated(),
        offset: 0,
    };
    (desk, intake)
}

/// Packets of one survey with an alert each.
fn simulated() -> Vec<SimPacket> {
    let config = SimulationConfig {
        visits_per_night: 1,
        alerts_per_visit: 12,
        surveys: vec![SimSurvey::Ztf],
        bad_packets_per_million: 0,
        duplicates_per_million: 0,
        history_nights: 2,
        ..SimulationConfig::default()
    };
    Simulator::new(config).next_visit().unwrap().packets
}

/// Takes alerts in while others read; a filter matches each.
struct Intake {
    writer: Writer,
    decoder: Decoder,
    waiting: Vec<SimPacket>,
    offset: i64,
}

impl Intake {
    /// Commits so many more alerts; gives their matches as the pipeline hears of them.
    fn commit(&mut self, alerts: usize) -> Vec<Due> {
        let sent: Vec<SimPacket> = self.waiting.drain(..alerts).collect();
        let taken = |sent: &SimPacket| Match {
            survey: "ztf".into(),
            alert_id: sent.truth.alert_id,
            filter: "all".into(),
            version: "1".into(),
        };
        let given: Vec<Match> = sent.iter().map(taken).collect();
        let packet = |(sent, offset): (SimPacket, i64)| {
            let mut packet = Packet::unplaced("test", sent.bytes);
            packet.position.offset = offset;
            packet
        };
        let packets: Vec<Packet> = sent.into_iter().zip(self.offset..).map(packet).collect();
        self.offset += alerts as i64;
        let decoded = self.decoder.decode(&packets);
        let report = self.writer.append(&packets, &decoded, &given).unwrap();
        self.writer.commit().unwrap();
        assert_eq!(report.matches.len(), alerts);
        let due = report.matches.iter().map(|numbered| Due {
            seq: numbered.seq,
            packet: packets[numbered.packet].clone(),
            record: 0,
            taken: given[numbered.filter].clone(),
            matched_us: numbered.matched_us,
        });
        due.collect()
    }
}

/// Matches of this process's lane, from a memory and the archive.
fn stock<'a>(desk: &'a Desk, memory: &Arc<Ring>) -> Stock<'a> {
    Stock::new(desk, desk.archive.lane().unwrap(), memory.clone())
}

fn no_memory() -> Arc<Ring> {
    Arc::new(Ring::new(0))
}

/// A batch's messages, but for the time at which they were made.
fn messages(batch: Batch) -> Vec<Outgoing> {
    assert!(batch.refused.is_empty() && batch.kept_back == 0);
    let mut messages = batch.messages;
    for message in &mut messages {
        message.headers.retain(|(name, _)| *name != "published");
    }
    messages
}

/// Reads on to the end, calling `meanwhile` while each batch is on its way; gives all messages.
fn rest(
    stock: &mut Stock<'_>,
    mut place: Option<String>,
    mut meanwhile: impl FnMut(&mut Stock<'_>, &str),
) -> Vec<Outgoing> {
    let mut all = vec![];
    loop {
        let batch = stock.after(place.as_deref()).unwrap();
        let Some(next) = batch.place.clone() else {
            return all;
        };
        all.extend(messages(batch));
        meanwhile(stock, &next);
        place = Some(next);
    }
}

/// All messages by single reads, from the archive alone.
fn read_singly(desk: &Desk) -> Vec<Outgoing> {
    rest(&mut stock(desk, &no_memory()), None, |_, _| {})
}

#[test]
fn batches_made_ahead_are_those_of_single_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, mut intake) = ground(&folder);
    intake.commit(11);
    let mut made_ahead = 0;
    let all = rest(&mut stock(&desk, &no_memory()), None, |stock, place| {
        stock.prepare(place);
        made_ahead += usize::from(stock.ahead.is_some());
    });
    assert_eq!(made_ahead, 2, "one behind each of the two full batches");
    assert_eq!(all.len(), 11);
    assert_eq!(all, read_singly(&desk));
}

#[test]
fn what_has_left_the_memory_is_made_ahead_from_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, mut intake) = ground(&folder);
    // Of eleven, memory has the last five: it joins in the middle of the second batch.
    let memory = Arc::new(Ring::new(usize::MAX));
    memory.push(intake.commit(11).into_iter().skip(6));
    let all = rest(&mut stock(&desk, &memory), None, |stock, place| {
        stock.prepare(place)
    });
    assert_eq!(all.len(), 11);
    assert_eq!(all, read_singly(&desk));
}

#[test]
fn an_empty_batch_is_not_kept_for_later() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, mut intake) = ground(&folder);
    intake.commit(FULL);
    let mut stock = stock(&desk, &no_memory());
    let first = stock.after(None).unwrap();
    assert!(stock.behind, "the batch was full: more may wait");
    stock.prepare("4");
    assert!(stock.ahead.is_none());
    intake.commit(2);
    let mut all = messages(first);
    all.extend(rest(&mut stock, Some("4".into()), |stock, place| {
        stock.prepare(place)
    }));
    assert_eq!(all.len(), FULL + 2);
    assert_eq!(all, read_singly(&desk));
}

#[test]
fn what_is_committed_after_a_batch_was_made_follows_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, mut intake) = ground(&folder);
    intake.commit(FULL + 2);
    let mut stock = stock(&desk, &no_memory());
    let mut all = messages(stock.after(None).unwrap());
    stock.prepare("4");
    intake.commit(3);
    let second = stock.after(Some("4")).unwrap();
    assert_eq!(second.place.as_deref(), Some("6"), "made before the commit");
    all.extend(messages(second));
    all.extend(rest(&mut stock, Some("6".into()), |stock, place| {
        stock.prepare(place)
    }));
    assert_eq!(all.len(), FULL + 5);
    assert_eq!(all, read_singly(&desk));
}

#[test]
fn a_batch_made_ahead_is_for_its_place_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, mut intake) = ground(&folder);
    intake.commit(9);
    let mut stock = stock(&desk, &no_memory());
    stock.after(None).unwrap();
    stock.prepare("4");
    // The output went back: it stands on another match than was thought.
    let again = stock.after(Some("2")).unwrap();
    assert_eq!(again.place.as_deref(), Some("6"));
    assert_eq!(messages(again), read_singly(&desk)[2..6]);
}

#[test]
fn nothing_is_made_ahead_where_nothing_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (desk, mut intake) = ground(&folder);
    intake.commit(FULL - 1);
    let mut stock = stock(&desk, &no_memory());
    stock.after(None).unwrap();
    // These would be in that batch, and newer ones in memory would have to wait behind it.
    intake.commit(FULL);
    stock.prepare("3");
    assert!(stock.ahead.is_none());
}
