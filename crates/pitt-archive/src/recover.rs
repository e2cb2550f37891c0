//! Completing the last commit after a crash.
//!
//! The files of all derived tables are durable before `packets` commits, and that commit names them. So a table
//! that did not get its own commit in time gets it now, with the same files: nothing is computed again. Only the
//! last commit can be incomplete, for a writer goes on only when a commit is complete.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::path::Path;
use std::time::Duration;

use arrow_schema::SchemaRef;

use crate::archive::Inner;
use crate::delta::{Addition, DeltaLog, TableFile};
use crate::error::ArchiveError;
use crate::part::{Part, PartName};
use crate::read;
use crate::tables::{COMMITS, DERIVED, MANIFEST, MATCHES, PACKETS, POSITIONS};
use crate::writer::{self, Span, growth, spans_from_json, table, table_mut};

/// Completes the last commit; returns its number, 0 when there is none.
pub(crate) fn complete(inner: &Inner) -> Result<u64, ArchiveError> {
    let (last, files) = {
        let tables = inner.tables();
        let packets = table(&tables, PACKETS)?;
        let last = packets.txn(COMMITS)?.unwrap_or(0).unsigned_abs();
        (last, packets.files()?)
    };
    if last == 0 {
        return Ok(0);
    }
    for (name, parts) in &manifest(&files, last)?.derived {
        complete_table(inner, name, parts, last)?;
    }
    inner.catch_up()?;
    Ok(last)
}

/// What a commit of `packets` says of itself, in the footer of its last file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manifest {
    /// The files derived from it, by table.
    pub(crate) derived: BTreeMap<String, Vec<PartName>>,
    /// What it covers of each partition; `None` in archives of older versions.
    pub(crate) spans: Option<BTreeMap<String, Span>>,
}

/// The manifest of a commit; `files` are those of `packets`.
pub(crate) fn manifest(files: &[TableFile], commit: u64) -> Result<Manifest, ArchiveError> {
    let last = files.iter().rfind(|f| f.name.commit == commit);
    let broken = |detail: String| ArchiveError::Format {
        table: PACKETS.to_owned(),
        detail,
    };
    let last = last.ok_or_else(|| broken(format!("commit {commit} has no file")))?;
    let [text, spans] = read::footer(&last.path, [MANIFEST, POSITIONS])?;
    let text =
        text.ok_or_else(|| broken(format!("{} names no derived files", last.path.display())))?;
    let unread = |spans: &String| broken(format!("{}: positions `{spans}`", last.path.display()));
    let spans = spans
        .map(|text| spans_from_json(&text).ok_or_else(|| unread(&text)))
        .transpose()?;
    let listed: BTreeMap<String, Vec<String>> = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|value| {
            let object = value.as_object()?.iter();
            object
                .map(|(table, names)| {
                    let names = names.as_array()?.iter();
                    Some((
                        table.clone(),
                        names
                            .map(|n| Some(n.as_str()?.to_owned()))
                            .collect::<Option<_>>()?,
                    ))
                })
                .collect()
        })
        .ok_or_else(|| broken(format!("{}: manifest `{text}`", last.path.display())))?;
    let mut derived = BTreeMap::new();
    for (table, names) in listed {
        let parts: Option<Vec<PartName>> = names.iter().map(|n| PartName::parse(n)).collect();
        let parts =
            parts.ok_or_else(|| broken(format!("{}: manifest `{text}`", last.path.display())))?;
        derived.insert(table, parts);
    }
    Ok(Manifest { derived, spans })
}

fn complete_table(
    inner: &Inner,
    name: &str,
    parts: &[PartName],
    commit: u64,
) -> Result<(), ArchiveError> {
    let committed = match inner.tables().get(name) {
        Some(log) => log.txn(DERIVED)?.unwrap_or(0).unsigned_abs(),
        None => 0,
    };
    if committed >= commit || parts.is_empty() {
        return Ok(());
    }
    tracing::info!(
        table = name,
        commit,
        "completing a commit that a crash interrupted"
    );
    let folder = inner.site.root.join(name);
    let mut found = Vec::new();
    let mut schema: Option<SchemaRef> = None;
    for part in parts {
        let path = folder.join(part.to_string());
        let (part, own) = Part::reopen(&path, *part)?;
        schema = Some(match schema {
            Some(schema) => growth(&schema, &own).unwrap_or(schema),
            None => own,
        });
        found.push(part);
    }
    match schema {
        Some(schema) => commit_parts(inner, name, &found, &schema, commit),
        None => Ok(()),
    }
}

/// Commits files to a derived table, creating it or letting its schema grow as they need.
pub(crate) fn commit_parts(
    inner: &Inner,
    name: &str,
    parts: &[Part],
    schema: &SchemaRef,
    commit: u64,
) -> Result<(), ArchiveError> {
    commit_parts_to(inner, &mut inner.tables(), (name, commit), parts, schema)
}

/// The same for whoever has the tables locked already.
pub(crate) fn commit_parts_to(
    inner: &Inner,
    tables: &mut BTreeMap<String, DeltaLog>,
    (name, commit): (&str, u64),
    parts: &[Part],
    schema: &SchemaRef,
) -> Result<(), ArchiveError> {
    if !tables.contains_key(name) {
        let log = DeltaLog::open_or_create(&inner.site, name, schema)?;
        tables.insert(name.to_owned(), log);
        crate::crash::point("table-created");
    }
    let log = table_mut(tables, name)?;
    let grown = grown(name, &log.schema()?, schema);
    log.commit(Addition {
        parts,
        txns: vec![(DERIVED.to_owned(), commit as i64)],
        schema: grown,
    })?;
    Ok(())
}

/// The schema of a table once it holds rows of this one, if it must change for that: the surveys' tables grow, and `matches` of an
/// older version; the others have the columns this version writes.
pub(crate) fn grown(name: &str, now: &SchemaRef, rows: &SchemaRef) -> Option<SchemaRef> {
    match name {
        MATCHES => writer::grown_matches(now),
        _ if name.starts_with("alerts/") => growth(now, rows),
        _ => None,
    }
}

/// Age from which an unfinished file is a dead process's: a living one finishes its files with each commit.
const DEAD: Duration = Duration::from_secs(3600);

/// Removes files that a crashed writer had not finished: all of them when no other writes, else the old ones. Whoever
/// loses a file that way all the same fails to finish it, and nothing of it becomes visible.
pub(crate) fn remove_leftovers(inner: &Inner, alone: bool) -> Result<(), ArchiveError> {
    let mut folders: Vec<_> = inner
        .tables()
        .values()
        .map(|log| log.folder().to_owned())
        .collect();
    folders.extend(folders.clone().iter().map(|f| f.join("_delta_log")));
    for folder in folders {
        remove_leftovers_in(&folder, alone)?;
    }
    Ok(())
}

fn is_old(entry: &DirEntry) -> bool {
    let written = entry.metadata().and_then(|m| m.modified()).ok();
    let age = written.and_then(|written| written.elapsed().ok());
    age.is_some_and(|age| age > DEAD)
}

fn remove_leftovers_in(folder: &Path, alone: bool) -> Result<(), ArchiveError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(ArchiveError::io(folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(ArchiveError::io(folder))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let unfinished = name.starts_with(".part-") || name.starts_with(".tmp-");
        if unfinished && (alone || is_old(&entry)) {
            std::fs::remove_file(entry.path()).map_err(ArchiveError::io(&entry.path()))?;
        }
    }
    Ok(())
}
