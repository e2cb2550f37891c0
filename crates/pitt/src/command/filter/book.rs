//! `pitt filter list|add|pause|resume|versions`: the book of an archive, also of a broker that runs.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use pitt_sky::time::MjdTai;
use serde_json::json;

use super::super::settings;
use crate::broker;
use crate::cli::{FilterAdd, FilterList, FilterName, FilterPause, FilterVersions, Global};
use crate::filters::{Draft, FilterDesk, FilterOrigin, FilterState, anybodys};
use crate::screen::{self, Align, Table};

/// The filters as a broker would have them, and the folder of the archive.
fn desk(global: &Global) -> Result<FilterDesk> {
    let config = settings(global, vec![])?;
    let archive = broker::open_archive(&config.settings, false)?;
    let failed = broker::OffList::of(archive.folder()).read()?;
    let files = super::super::run::filters_of(&config)?;
    let schemas = broker::schemas(&config.settings, None)?;
    FilterDesk::open(archive.folder(), files, schemas, &failed)
}

/// Every filter, where it is kept and what it is doing.
pub(in super::super) fn list(global: &Global, args: &FilterList) -> Result<ExitCode> {
    let mut table =
        Table::new(["filter", "kept in", "version", "state"].map(|name| (name, Align::Left)));
    let mut documents = vec![];
    for known in desk(global)?.known()? {
        let origin = match known.origin {
            FilterOrigin::File => "file",
            FilterOrigin::Book => "book",
        };
        let (state, reason) = match known.state {
            FilterState::Active => ("active", None),
            FilterState::Paused => ("paused", None),
            FilterState::Draft => ("draft", None),
            FilterState::Off(reason) => ("off", Some(reason)),
        };
        documents.push(json!({"name": known.name, "origin": origin, "version": known.version, "state": state, "reason": reason}));
        table.row([
            known.name,
            origin.to_owned(),
            known.version,
            state.to_owned(),
        ]);
    }
    if args.json {
        screen::print_json(&documents.into())?;
    } else if table.is_empty() {
        screen::print("There are no filters (`pitt filter add FILE` keeps one).\n")?;
    } else {
        screen::print(&table.render())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Keeps a file as a version of a filter and sets it to work.
pub(in super::super) fn add(global: &Global, args: &FilterAdd) -> Result<ExitCode> {
    let file: &Path = &args.file;
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read filter `{}`", file.display()))?;
    let stem = file
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let author = std::env::var("USER").unwrap_or_else(|_| "terminal".to_owned());
    let draft = Draft {
        name: args.name.as_deref().unwrap_or(&stem),
        text: &text,
        author: &author,
        note: args.note.as_deref(),
        activate: !args.draft,
    };
    let (version, new) = desk(global)?.keep(&draft, &anybodys)?;
    let (what, works) = (
        if new { "new" } else { "known" },
        if args.draft { "kept" } else { "at work" },
    );
    screen::print(&format!(
        "{}: version {version} ({what}) is {works}\n",
        draft.name
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Lets a filter rest.
pub(in super::super) fn pause(global: &Global, args: &FilterPause) -> Result<ExitCode> {
    desk(global)?.pause(&args.name, &anybodys)?;
    screen::print(&format!("{} rests\n", args.name))?;
    Ok(ExitCode::SUCCESS)
}

/// Sets a filter to work again.
pub(in super::super) fn resume(global: &Global, args: &FilterName) -> Result<ExitCode> {
    desk(global)?.activate(&args.name, args.version.as_deref(), &anybodys)?;
    screen::print(&format!("{} is at work\n", args.name))?;
    Ok(ExitCode::SUCCESS)
}

/// The versions of a filter of the book.
pub(in super::super) fn versions(global: &Global, args: &FilterVersions) -> Result<ExitCode> {
    let contents = desk(global)?.book().read()?;
    let entry = contents.entry(&args.name)?;
    if args.json {
        screen::print_json(&serde_json::to_value(entry)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table =
        Table::new(["version", "made", "by", "note", ""].map(|name| (name, Align::Left)));
    for note in &entry.versions {
        let active = entry.active.as_ref() == Some(&note.version);
        table.row([
            note.version.clone(),
            MjdTai::from_unix_us(note.created_us).iso_utc_seconds(),
            note.author.clone(),
            note.note.clone().unwrap_or_default(),
            if active { "active" } else { "" }.to_owned(),
        ]);
    }
    screen::print(&table.render())?;
    Ok(ExitCode::SUCCESS)
}
