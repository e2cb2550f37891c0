//! Killed at every named point and at random, again and again: everything is there once.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pitt_alert::{Packet, Position};
use pitt_archive::Archive;

use crate::night::{archive_of, ingest, night, open, prove, rows_of};

const POINTS: [&str; 11] = [
    "file-before-name",
    "log-before-name",
    "log-after-name",
    "files-written",
    "schemas-committed",
    "packets-committed",
    "table-created",
    "table-committed",
    "index-before-batch",
    "index-after-batch",
    "indexed",
];
const KILLS: usize = 56;
const CHUNK: usize = 12;

/// Not a test of its own: the process that the test below starts and kills.
#[test]
fn ingest_for_the_parent() {
    let (Ok(folder), Ok(packets)) = (
        std::env::var("PITT_TEST_ARCHIVE"),
        std::env::var("PITT_TEST_PACKETS"),
    ) else {
        return;
    };
    let archive = open(Path::new(&folder));
    let mut writer = archive.writer().unwrap();
    ingest(&mut writer, &read_packets(Path::new(&packets)), CHUNK);
}

fn write_packets(path: &Path, packets: &[Packet]) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    for packet in packets {
        let partition = packet.position.partition.as_bytes();
        file.write_all(&[partition.len() as u8]).unwrap();
        file.write_all(partition).unwrap();
        file.write_all(&packet.position.offset.to_le_bytes())
            .unwrap();
        file.write_all(&(packet.bytes.len() as u64).to_le_bytes())
            .unwrap();
        file.write_all(&packet.bytes).unwrap();
    }
}

fn read_packets(path: &Path) -> Vec<Packet> {
    let all = bytes::Bytes::from(std::fs::read(path).unwrap());
    let mut packets = Vec::new();
    let mut at = 0;
    while at < all.len() {
        let named = at + 1 + all[at] as usize;
        let partition = std::str::from_utf8(&all[at + 1..named]).unwrap();
        let number = |at: usize| i64::from_le_bytes(all[at..at + 8].try_into().unwrap());
        let end = named + 16 + number(named + 8) as usize;
        packets.push(Packet {
            position: Position {
                partition: partition.into(),
                offset: number(named),
            },
            name: format!("{partition}@{}", number(named)).into(),
            received_us: packets.len() as i64,
            bytes: all.slice(named + 16..end),
        });
        at = end;
    }
    packets
}

/// Starts the ingest; `crash_at` as in `PITT_CRASH_AT`, `kill_after` for a kill from outside. True if it was killed.
fn run_child(
    archive: &Path,
    packets: &Path,
    crash_at: Option<String>,
    kill_after: Option<Duration>,
) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "crash::ingest_for_the_parent"])
        .env("PITT_TEST_ARCHIVE", archive)
        .env("PITT_TEST_PACKETS", packets)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    if let Some(point) = crash_at {
        command.env("PITT_CRASH_AT", point);
    }
    let mut child = command.spawn().unwrap();
    if let Some(after) = kill_after {
        std::thread::sleep(after);
        let _ = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    let killed = std::os::unix::process::ExitStatusExt::signal(&output.status).is_some();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        killed || output.status.success(),
        "the ingest failed: {said}"
    );
    killed
}

fn compare(disturbed: &Archive, quiet: &Archive) {
    prove(disturbed);
    let columns: [(&str, &[&str]); 6] = [
        (
            "packets",
            &[
                "partition",
                "offset",
                "record",
                "survey",
                "alert_id",
                "outcome",
                "reason",
                "crc32",
                "frame",
            ],
        ),
        (
            "alerts/ztf",
            &[
                "alert_id",
                "object_id",
                "mjd_tai",
                "psf_flux",
                "_healpix_29",
            ],
        ),
        (
            "alerts/lsst",
            &[
                "alert_id",
                "object_id",
                "mjd_tai",
                "psf_flux",
                "_healpix_29",
            ],
        ),
        (
            "forced",
            &[
                "survey",
                "object_id",
                "mjd_tai",
                "band",
                "psf_flux",
                "alert_id",
            ],
        ),
        ("matches", &["survey", "alert_id", "filter", "version"]),
        ("quarantine", &["partition", "offset", "record", "reason"]),
    ];
    for (table, columns) in columns {
        assert_eq!(
            rows_of(disturbed, table, columns),
            rows_of(quiet, table, columns),
            "{table}"
        );
    }
}

#[test]
fn killed_at_named_points_and_at_random_everything_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("packets");
    write_packets(&file, &night(160));
    let packets = read_packets(&file);
    let quiet = archive_of(&folder.path().join("quiet"), &packets, CHUNK);
    let disturbed = folder.path().join("disturbed");
    let (mut kills, mut rounds, started) = (0, 0, Instant::now());
    let mut random: u64 = 20_260_224;
    while kills < KILLS {
        let turn = kills + rounds;
        let (point, after) = if turn % 2 == 0 {
            // Tables are made once, in the first commit of all.
            let point = POINTS[turn / 2 % POINTS.len()];
            (Some(format!("{point}:{}", 1 + turn / 22)), None)
        } else {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (None, Some(Duration::from_millis(30 + (random >> 33) % 900)))
        };
        if run_child(&disturbed, &file, point, after) {
            kills += 1;
        } else {
            rounds += 1;
            compare(&open(&disturbed), &quiet);
            std::fs::remove_dir_all(&disturbed).unwrap();
        }
    }
    while run_child(&disturbed, &file, None, None) {}
    let archive = open(&disturbed);
    compare(&archive, &quiet);
    let objects = rows_of(&quiet, "alerts/ztf", &["object_id"]);
    for object in objects.iter().take(20) {
        assert_eq!(
            archive.light_curve(object).unwrap(),
            quiet.light_curve(object).unwrap()
        );
    }
    println!(
        "{kills} kills, {rounds} whole rounds between them, {:.0?}",
        started.elapsed()
    );
}
