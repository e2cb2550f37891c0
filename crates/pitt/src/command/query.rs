//! `pitt query`, and the engine that `pitt ls` asks too.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pitt_archive::Archive;
use pitt_query::{Budget, Engine, Limits, OutputFormat, write_rows};

use super::{Misused, settings};
use crate::broker::open_archive;
use crate::catalogs;
use crate::cli::{Format, Global, Query};
use crate::config::Settings;
use crate::queried::source;
use crate::screen::{self, cell, counted};

pub(super) fn run(global: &Global, args: &Query) -> Result<ExitCode> {
    let format = format(args)?;
    let config = settings(global, vec![])?;
    let archive = open_archive(&config.settings, false)?;
    let engine = engine(&archive, &config.settings)?;
    let limits = Limits {
        rows: args.max_rows.unwrap_or(config.settings.query.max_rows),
        time: Duration::from_secs_f64(config.settings.query.timeout_s),
    };
    let mut rows = engine.query(&args.sql, &limits)?;
    let schema = rows.schema().clone();
    match &args.output {
        Some(path) => {
            let failed = || format!("cannot write `{}`", path.display());
            let mut out = BufWriter::new(File::create(path).with_context(failed)?);
            let number = write_rows(format, &schema, &mut rows, &mut out)?;
            out.flush().with_context(failed)?;
            eprintln!("{} in {}", counted(number as u64, "row"), path.display());
        }
        None => {
            let mut text = vec![];
            write_rows(format, &schema, &mut rows, &mut text)?;
            screen::print(&String::from_utf8_lossy(&text))?;
        }
    }
    if rows.truncated() {
        eprintln!(
            "there are more rows than {} (--max-rows N gives more)",
            limits.rows
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn format(args: &Query) -> Result<OutputFormat> {
    let named = args.format.or(args.json.then_some(Format::Json));
    let ending = args
        .output
        .as_ref()
        .and_then(|path| path.extension())
        .map(|ending| ending.to_string_lossy());
    let format = match (named, ending.as_deref()) {
        (Some(Format::Table), _) => OutputFormat::Table,
        (Some(Format::Csv), _) | (None, Some("csv")) => OutputFormat::Csv,
        (Some(Format::Json), _) | (None, Some("json" | "jsonl" | "ndjson")) => {
            OutputFormat::JsonLines
        }
        (Some(Format::Parquet), _) | (None, Some("parquet")) => OutputFormat::Parquet,
        _ => OutputFormat::Table,
    };
    if format == OutputFormat::Parquet && args.output.is_none() {
        bail!(Misused(
            "Parquet goes to a file (add --output rows.parquet)".into()
        ));
    }
    Ok(format)
}

/// SQL over an archive as it stands.
///
/// # Errors
/// The archive or a catalog cannot be read.
pub fn engine(archive: &Archive, settings: &Settings) -> Result<Engine> {
    let mut tables = vec![];
    for name in archive.tables() {
        tables.extend(archive.snapshot(&name)?.map(source));
    }
    let catalogs = catalogs::load(archive.folder())?;
    let budget = Budget::of(settings.query.memory_mb << 20);
    Ok(Engine::open(&tables, &catalogs, &budget)?)
}

/// Every row of a query as texts; a null is a dash.
pub(super) fn texts(engine: &Engine, sql: &str) -> Result<Vec<Vec<String>>> {
    let mut texts = vec![];
    for batch in engine.query(sql, &Limits::default())? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            texts.push(
                batch
                    .columns()
                    .iter()
                    .map(|column| cell::text(column, row))
                    .collect(),
            );
        }
    }
    Ok(texts)
}
