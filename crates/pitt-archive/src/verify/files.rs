//! Checks of whole files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use super::{Check, Progress};
use crate::archive::{Archive, TableSnapshot};
use crate::error::ArchiveError;
use crate::part::{Part, PartName};
use crate::recover::{self, Manifest};
use crate::tables::{COMMITS, PACKETS, SCHEMAS, VOIDS};
use crate::writer::{Span, table};

/// The tables as their logs have them.
pub(super) struct Listing {
    pub(super) tables: BTreeMap<String, TableSnapshot>,
    /// Commits of `packets` that are looked at.
    pub(super) commits: u64,
    /// Commits of `packets` there are; one more than `commits` while another process is at it.
    pub(super) committed: u64,
    /// Versions of `packets` without rows: they say which match numbers stay empty.
    voids: u64,
    manifests: BTreeMap<u64, Result<Manifest, String>>,
}

impl Listing {
    pub(super) fn read(archive: &Archive) -> Result<Self, ArchiveError> {
        let [committed, voids] = {
            let tables = archive.inner.tables();
            let packets = table(&tables, PACKETS)?;
            let [commits, voids] = [packets.txn(COMMITS)?, packets.txn(VOIDS)?];
            [commits, voids].map(|count| count.unwrap_or(0).unsigned_abs())
        };
        let mut tables = BTreeMap::new();
        for name in archive.tables() {
            if let Some(snapshot) = archive.snapshot(&name)? {
                tables.insert(name, snapshot);
            }
        }
        let packets = tables
            .get(PACKETS)
            .map(|t| t.files.clone())
            .unwrap_or_default();
        let manifests = (1..=committed)
            .map(|commit| {
                (
                    commit,
                    recover::manifest(&packets, commit).map_err(|e| e.to_string()),
                )
            })
            .collect();
        let mut listing = Self {
            tables,
            commits: committed,
            committed,
            voids,
            manifests,
        };
        let busy = archive.has_writer();
        if busy && committed > 0 && !listing.complete(committed) {
            listing.commits -= 1;
        }
        Ok(listing)
    }

    /// Files of a table up to the last commit looked at.
    pub(super) fn files(&self, table: &str) -> impl Iterator<Item = &crate::delta::TableFile> {
        let files = self
            .tables
            .get(table)
            .map(|t| t.files.as_slice())
            .unwrap_or_default();
        files.iter().filter(|f| f.name.commit <= self.commits)
    }

    /// What a commit says it covers; `None` for one of an older version, or one whose manifest cannot be read.
    pub(super) fn spans(&self, commit: u64) -> Option<&BTreeMap<String, Span>> {
        let manifest = self.manifests.get(&commit)?.as_ref().ok()?;
        manifest.spans.as_ref()
    }

    fn complete(&self, commit: u64) -> bool {
        let Some(Ok(manifest)) = self.manifests.get(&commit) else {
            return false;
        };
        manifest.derived.iter().all(|(table, parts)| {
            let listed = self
                .tables
                .get(table)
                .map(|t| t.files.as_slice())
                .unwrap_or_default();
            parts.iter().all(|p| listed.iter().any(|f| f.name == *p))
        })
    }
}

/// A log that lost or repeats an entry has another number of versions than its files tell.
pub(super) fn check_log(listing: &Listing) -> Check {
    let mut check = Check::new("log");
    for (name, table) in &listing.tables {
        let commits: BTreeSet<u64> = table.files.iter().map(|f| f.name.commit).collect();
        let expected = match name.as_str() {
            PACKETS => listing.committed + listing.voids,
            SCHEMAS => table.files.len() as u64,
            _ => commits.len() as u64,
        };
        let right = table.version == expected;
        check.expect(right, || {
            format!("{name}: version {} after {expected} commits", table.version)
        });
    }
    check
}

pub(super) fn check_files(listing: &Listing, progress: Progress<'_>) -> Check {
    let mut check = Check::new("files");
    let total = listing.tables.values().map(TableSnapshot::bytes).sum();
    let mut done = 0;
    let mut hashes: HashMap<u64, &Path> = HashMap::new();
    for table in listing.tables.values() {
        for file in &table.files {
            let fault = file_fault(file);
            check.expect(fault.is_none(), || {
                format!("{}: {}", file.path.display(), fault.unwrap_or_default())
            });
            if let Some(twin) = hashes.insert(file.name.hash, &file.path) {
                check.wrong(|| format!("{} is {} once more", file.path.display(), twin.display()));
            }
            done += file.size;
            progress(done, total);
        }
    }
    check
}

fn file_fault(file: &crate::delta::TableFile) -> Option<String> {
    let size = match std::fs::metadata(&file.path) {
        Ok(metadata) => metadata.len(),
        Err(error) => return Some(error.to_string()),
    };
    if size != file.size {
        return Some(format!("has {size} bytes, the log says {}", file.size));
    }
    match hash(&file.path) {
        Ok(found) if found == file.name.hash => {}
        Ok(found) => return Some(format!("altered: its hash is {found:016x}")),
        Err(error) => return Some(error.to_string()),
    }
    match Part::reopen(&file.path, file.name) {
        Ok((part, _)) if part.rows != file.rows => Some(format!(
            "has {} rows, the log says {}",
            part.rows, file.rows
        )),
        Ok((part, _)) if !same_json(&part.stats, &file.stats) => {
            Some("its statistics are not those in the log".to_owned())
        }
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

/// A checkpoint of the log may write the statistics in another order or leave out empty ones.
fn same_json(ours: &str, logged: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    let (Some(ours), Some(logged)) = (parse(ours), parse(logged)) else {
        return false;
    };
    let sides = ["minValues", "maxValues"].into_iter();
    ours["numRecords"] == logged["numRecords"]
        && sides.into_iter().all(|side| {
            let (Some(ours), Some(logged)) = (ours[side].as_object(), logged[side].as_object())
            else {
                return ours[side].as_object().is_none_or(|o| o.is_empty());
            };
            logged
                .iter()
                .filter(|(_, value)| !value.is_null())
                .all(|(column, value)| ours.get(column).is_some_and(|o| same_value(o, value)))
        })
}

fn same_value(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a == b)
}

fn hash(path: &Path) -> std::io::Result<u64> {
    let mut file = File::open(path)?;
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hash.digest());
        }
        hash.update(&buffer[..read]);
    }
}

/// Files in the tables' folders that no log lists.
pub(super) fn check_strays(archive: &Archive, listing: &Listing) -> Check {
    let mut check = Check::new("strays");
    let mut harmless = 0;
    for (name, table) in &listing.tables {
        let folder = archive.folder().join(name);
        let listed: BTreeSet<&Path> = table.files.iter().map(|f| f.path.as_path()).collect();
        let hashes: BTreeSet<u64> = table.files.iter().map(|f| f.name.hash).collect();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                check.wrong(|| format!("{}: {error}", folder.display()));
                continue;
            }
        };
        for path in entries.flatten().map(|e| e.path()) {
            let name = path
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            if listed.contains(path.as_path()) || path.is_dir() {
                continue;
            }
            check.checked += 1;
            if name.starts_with('.') {
                harmless += 1;
                continue;
            }
            match (hash(&path), PartName::parse(&name)) {
                (Ok(found), Some(own)) if own.hash == found => harmless += 1,
                (Ok(found), _) if hashes.contains(&found) => {
                    check.wrong(|| format!("{} repeats a listed file", path.display()));
                }
                _ => check.wrong(|| format!("{} is not a file of ours", path.display())),
            }
        }
    }
    if harmless > 0 {
        check.note = format!("{harmless} left by a crash, harmless");
    }
    check
}

pub(super) fn check_manifests(listing: &Listing) -> Check {
    let mut check = Check::new("manifests");
    for (commit, manifest) in listing.manifests.range(..=listing.commits) {
        match manifest {
            Ok(manifest) => {
                for (name, table) in &listing.tables {
                    if name == PACKETS || name == SCHEMAS {
                        continue;
                    }
                    let listed: Vec<PartName> = table
                        .files
                        .iter()
                        .map(|f| f.name)
                        .filter(|n| n.commit == *commit)
                        .collect();
                    let named = manifest.derived.get(name).cloned().unwrap_or_default();
                    check.expect(listed == named, || {
                        format!(
                            "{name}: commit {commit} lists {} files, its manifest names {}",
                            listed.len(),
                            named.len()
                        )
                    });
                }
                for name in manifest
                    .derived
                    .keys()
                    .filter(|name| !listing.tables.contains_key(*name))
                {
                    check.wrong(|| format!("{name}: the table is missing"));
                }
            }
            Err(error) => check.wrong(|| error.clone()),
        }
    }
    for (name, table) in listing.tables.iter().filter(|(name, _)| *name != SCHEMAS) {
        let later = table
            .files
            .iter()
            .filter(|f| f.name.commit > listing.committed)
            .count();
        check.expect(later == 0, || {
            format!("{name}: {later} files of commits that `packets` lacks")
        });
    }
    check
}
