//! Every kind of file, altered, missing and doubled: `verify` notices each.

use std::path::{Path, PathBuf};

use pitt_archive::{Archive, ArchiveOptions};

use crate::night::{archive_of, night, prove};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Whether damage is noticed: by the report, or because the archive cannot be opened at all.
fn noticed(folder: &Path) -> (bool, String) {
    let options = ArchiveOptions {
        create: false,
        ..Default::default()
    };
    let report =
        Archive::open(folder.to_str().unwrap(), options).and_then(|a| a.verify(&mut |_, _| {}));
    match report {
        Ok(report) => (!report.ok(), report.to_string()),
        Err(error) => (true, error.to_string()),
    }
}

fn files_ending(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    files
}

fn alter(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(file, bytes).unwrap();
}

/// Changes a number in the statistics or, where there are none, in the transaction of a log entry.
fn alter_log(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let altered = match text.find("numRecords") {
        Some(_) => text.replace("numRecords\\\":", "numRecords\\\":1"),
        None => text.replace("\"version\":", "\"version\":7"),
    };
    assert_ne!(text, altered);
    std::fs::write(file, altered).unwrap();
}

#[test]
fn every_kind_of_file_altered_missing_or_doubled_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let archive = archive_of(&whole, &night(160), 60);
    prove(&archive);
    let tables = archive.tables();
    drop(archive);
    let damaged = folder.path().join("damaged");
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 3] = [
        ("altered", alter),
        ("missing", |f| std::fs::remove_file(f).unwrap()),
        ("doubled", |f| {
            std::fs::copy(f, f.with_file_name("again.parquet")).unwrap();
        }),
    ];
    let log_damages: [Damage; 3] = [
        ("log entry altered", alter_log),
        ("log entry missing", |f| std::fs::remove_file(f).unwrap()),
        ("log entry doubled", |f| {
            let last = files_ending(f.parent().unwrap(), ".json").len();
            std::fs::copy(f, f.with_file_name(format!("{last:020}.json"))).unwrap();
        }),
    ];
    let mut tried = 0;
    for table in &tables {
        let pick = |folder: &Path, is_log: bool| match is_log {
            false => files_ending(&folder.join(table), ".parquet")[0].clone(),
            // Not the last: a missing last entry is what a crash leaves, and is put back.
            true => files_ending(&folder.join(table).join("_delta_log"), ".json")[1].clone(),
        };
        let all = damages
            .iter()
            .map(|d| (d, false))
            .chain(log_damages.iter().map(|d| (d, true)));
        for ((what, damage), is_log) in all {
            let _ = std::fs::remove_dir_all(&damaged);
            copy(&whole, &damaged);
            damage(&pick(&damaged, is_log));
            let (noticed, report) = noticed(&damaged);
            assert!(noticed, "{table}, {what}: not noticed\n{report}");
            tried += 1;
        }
    }
    assert_eq!(tried, tables.len() * 6);
    println!("{tried} kinds of damage noticed");
}

#[test]
fn what_a_crash_leaves_behind_is_called_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let packets = night(64);
    let archive = archive_of(folder.path(), &packets, 64);
    std::fs::write(
        folder.path().join("packets/.part-0000000002-000-x"),
        b"half",
    )
    .unwrap();
    prove(&archive);
}
