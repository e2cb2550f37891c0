//! Two processes write one archive and are killed and stopped at random: every alert is there once, every number once.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pitt_alert::{Decoder, Packet, Position, SchemaStore};
use pitt_archive::{Archive, ArchiveError, ArchiveOptions};

use crate::night::{every_third, prove};
use crate::tiny;

/// Alerts of a source; the second source has the last of these and as many new ones.
const ALERTS: i64 = 15_000;
const SHARED: i64 = 5_000;
const CHUNK: usize = 100;
/// A worker that will be killed takes its time, so that the night is not over before.
const PACE_MS: &str = "80";
const KILLS: usize = 24;
const STOPS: usize = 6;
/// Partitions of each source.
const PARTITIONS: i64 = 2;

/// A container with one record of the fewest fields that the archive's tables need.
fn packet(alert_id: i64, partition: &str, offset: i64) -> Packet {
    Packet {
        position: Position {
            partition: partition.into(),
            offset,
        },
        name: format!("{partition}@{offset}").into(),
        received_us: 1_700_000_000_000_000 + offset,
        bytes: tiny::container(alert_id).into(),
    }
}

/// The packets of a source's partition from an offset on. Offsets of Kafka skip numbers, here every fifth.
fn source(name: &str, number: i64) -> Vec<Packet> {
    let partition = format!("kafka:{name}/alerts/{number}");
    let first = if name == "one" { 0 } else { ALERTS - SHARED };
    let ids = (first..first + ALERTS).filter(|id| id % PARTITIONS == number);
    ids.enumerate()
        .map(|(i, id)| packet(id, &partition, i as i64 + i as i64 / 4))
        .collect()
}

/// Not a test of its own: a process that reads a source into the archive, and is killed by the test below.
#[test]
fn worker_for_the_parent() {
    let (Ok(folder), Ok(name)) = (
        std::env::var("PITT_TEST_ARCHIVE"),
        std::env::var("PITT_TEST_SOURCE"),
    ) else {
        return;
    };
    let archive = open(Path::new(&folder));
    let partitions: Vec<_> = (0..PARTITIONS).map(|n| source(&name, n)).collect();
    while !pass(&archive, &partitions) {
        let fenced = Path::new(&folder).with_file_name("fenced");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(fenced);
        file.unwrap().write_all(b".").unwrap();
    }
}

fn open(folder: &Path) -> Archive {
    let options = ArchiveOptions {
        claims: true,
        commit_every: Duration::from_millis(150),
        ..Default::default()
    };
    Archive::open(folder.to_str().unwrap(), options).unwrap()
}

/// Reads the partitions from where the archive stands; false when another writer has gone on with them.
fn pass(archive: &Archive, partitions: &[Vec<Packet>]) -> bool {
    let mut writer = archive.writer().unwrap();
    let mut decoder = Decoder::new(SchemaStore::new());
    let pace = std::env::var("PITT_TEST_PACE_MS").unwrap_or_default();
    let pace = Duration::from_millis(pace.parse().unwrap_or(0));
    let mut waiting: Vec<_> = Vec::new();
    for packets in partitions {
        let next = writer.next_offset(&packets[0].position.partition).unwrap();
        let fresh = packets.iter().filter(move |p| p.position.offset >= next);
        waiting.push(fresh.collect::<Vec<_>>().into_iter());
    }
    loop {
        let mut batch: Vec<Packet> = Vec::new();
        for packets in &mut waiting {
            batch.extend(packets.by_ref().take(CHUNK).cloned());
        }
        std::thread::sleep(pace);
        let decoded = decoder.decode(&batch);
        assert!(
            decoded.rejected.is_empty(),
            "{:?}",
            decoded.rejected.first()
        );
        let done = writer
            .append(&batch, &decoded, &every_third(&decoded))
            .and_then(|_| {
                if writer.commit_due() || batch.is_empty() {
                    writer.commit()?;
                }
                Ok(())
            });
        match done {
            Ok(()) if batch.is_empty() => return true,
            Ok(()) => {}
            Err(ArchiveError::Fenced { .. }) => return false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn start(folder: &Path, source: &str, crash_at: Option<String>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "fleet::worker_for_the_parent", "--nocapture"])
        .env("PITT_TEST_ARCHIVE", folder)
        .env("PITT_TEST_SOURCE", source)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if let Some(point) = crash_at {
        command.env("PITT_TEST_PACE_MS", PACE_MS);
        command.env("PITT_CRASH_AT", point);
    }
    command.spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Whether a process was killed; an error of its own is one of the test.
fn killed(child: Child) -> bool {
    let output = child.wait_with_output().unwrap();
    let killed = std::os::unix::process::ExitStatusExt::signal(&output.status).is_some();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(killed || output.status.success(), "a worker failed: {said}");
    killed
}

const POINTS: [&str; 14] = [
    "claimed",
    "claim-half",
    "claim-unsynced",
    "turn-taken",
    "renumbered",
    "files-written",
    "schemas-committed",
    "packets-committed",
    "table-committed",
    "indexed",
    "claims-before-name",
    "claims-after-name",
    "log-before-name",
    "log-after-name",
];

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Two places for workers, each of which reads a source; the second pair of the same source makes zombies.
#[test]
fn two_processes_killed_and_stopped_at_random_store_every_alert_once() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let (mut dice, started) = (Dice(20_261_122), Instant::now());
    let (mut kills, mut stops, mut turn) = (0, 0, 0);
    let mut running: HashMap<&str, Child> = HashMap::new();
    let (mut zombies, mut awake): (Vec<Child>, Vec<Child>) = Default::default();
    let mut first_numbers = BTreeMap::new();
    while kills < KILLS || stops < STOPS {
        for source in ["one", "two"] {
            let finished = running
                .get_mut(source)
                .is_some_and(|child| child.try_wait().unwrap().is_some());
            if finished && killed(running.remove(source).unwrap()) {
                kills += 1;
            }
            running.entry(source).or_insert_with(|| {
                turn += 1;
                let point = POINTS[turn % POINTS.len()];
                let times = 1 + dice.roll(4);
                start(
                    &archive,
                    source,
                    Some(if turn % 3 == 0 {
                        "never".to_owned()
                    } else {
                        format!("{point}:{times}")
                    }),
                )
            });
        }
        std::thread::sleep(Duration::from_millis(50 + dice.roll(500)));
        // A zombie that has gone on for a while, fenced and as a rival of the one that has its source now.
        for mut zombie in awake.drain(..) {
            let _ = zombie.kill();
            kills += usize::from(killed(zombie));
        }
        for zombie in zombies.drain(..) {
            signal(&zombie, "-CONT");
            awake.push(zombie);
        }
        let source = if dice.roll(2) == 0 { "one" } else { "two" };
        let Some(mut child) = running.remove(source) else {
            continue;
        };
        if child.try_wait().unwrap().is_some() {
            running.insert(source, child);
        } else if dice.roll(4) == 0 {
            // Another takes its source over, as after a session that timed out; then it wakes up.
            signal(&child, "-STOP");
            stops += 1;
            zombies.push(child);
        } else {
            let _ = child.kill();
            kills += usize::from(killed(child));
        }
        remember(&archive, &mut first_numbers);
        assert!(
            started.elapsed() < Duration::from_secs(900),
            "{kills} kills"
        );
    }
    // All at once: one that is stopped may hold a lock for which another waits.
    zombies.iter().for_each(|zombie| signal(zombie, "-CONT"));
    for child in running.into_values().chain(zombies).chain(awake) {
        killed(child);
    }
    while ["one", "two"]
        .map(|source| killed(start(&archive, source, None)))
        .contains(&true)
    {}
    check(&archive, &first_numbers);
    println!(
        "{kills} kills, {stops} stops, {} fenced, over {} alerts, {:.0?}",
        std::fs::metadata(folder.path().join("fenced")).map_or(0, |f| f.len()),
        2 * ALERTS,
        started.elapsed()
    );
}

/// Match numbers seen so far: none may ever be another alert's.
fn remember(folder: &Path, seen: &mut BTreeMap<(u32, u64), i64>) {
    let options = ArchiveOptions {
        create: false,
        ..Default::default()
    };
    let Ok(archive) = Archive::open(folder.to_str().unwrap(), options) else {
        return;
    };
    for lane in archive.lanes() {
        for found in archive.matches_after(lane, 0, 1 << 20).unwrap() {
            let before = seen.insert((lane, found.seq), found.alert_id);
            assert!(before.is_none_or(|id| id == found.alert_id));
        }
    }
}

fn check(folder: &Path, first_numbers: &BTreeMap<(u32, u64), i64>) {
    let archive = open(folder);
    prove(&archive);
    let total = archive.ledger().unwrap().total();
    assert_eq!(total.received, 2 * ALERTS as u64);
    assert_eq!(total.stored, (2 * ALERTS - SHARED) as u64);
    assert_eq!(total.duplicates, SHARED as u64);
    for alert_id in (0..2 * ALERTS - SHARED).step_by(7) {
        let stored = archive.packet("ztf", alert_id).unwrap().unwrap();
        assert_eq!(stored.bytes, tiny::container(alert_id));
    }
    let mut seen = first_numbers.clone();
    remember(folder, &mut seen);
    let mut ids: Vec<i64> = seen.values().copied().collect();
    ids.sort_unstable();
    // Every third id, in whichever lane.
    assert!(
        ids.iter()
            .copied()
            .eq((0..2 * ALERTS - SHARED).filter(|id| id % 3 == 0))
    );
    for lane in archive.lanes() {
        let seqs: Vec<u64> = seen.keys().filter(|k| k.0 == lane).map(|k| k.1).collect();
        assert!(
            seqs.iter().copied().eq(1..=seqs.len() as u64),
            "lane {lane}"
        );
    }
}
