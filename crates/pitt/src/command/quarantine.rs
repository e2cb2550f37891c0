//! `pitt quarantine list|retry`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use serde_json::json;

use super::{night, query, run, settings, stop_on_ctrl_c};
use crate::broker::{Broker, open_archive};
use crate::cli::{Global, QuarantineList, QuarantineRetry};
use crate::retry::Again;
use crate::screen::{self, Align, Table, count, counted};
use crate::source::Positions;
use crate::source::retried::PARTITION;

pub(super) fn list(global: &Global, args: &QuarantineList) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let archive = open_archive(&config.settings, false)?;
    let engine = query::engine(&archive, &config.settings)?;
    let rows = query::texts(
        &engine,
        "SELECT reason, count(*), min(name), min(detail) FROM quarantine GROUP BY reason ORDER BY 2 DESC, 1",
    )?;
    if args.json {
        let line = |row: &Vec<String>| json!({"reason": row[0], "packets": row[1].parse::<u64>().ok(), "example": row[2], "detail": row[3]});
        screen::print_json(&rows.iter().map(line).collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        screen::print("Nothing is in quarantine.\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new([
        ("reason", Align::Left),
        ("records", Align::Right),
        ("for example", Align::Left),
    ]);
    for row in &rows {
        table.row([
            row[0].clone(),
            count(row[1].parse().unwrap_or(0)),
            format!("{}: {}", row[2], row[3]),
        ]);
    }
    let hint = "With the missing schemas in `schema_dir`, or at the `registry`, `pitt quarantine retry` reads what can be read by now.\n";
    screen::print(&format!("{}{hint}", table.render()))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn retry(global: &Global, args: &QuarantineRetry) -> Result<ExitCode> {
    let config = settings(global, schema_flag(args))?;
    let archive = open_archive(&config.settings, false)?;
    let engine = Arc::new(query::engine(&archive, &config.settings)?);
    let again = Again::look(engine, args.reason.as_deref())?;
    drop(archive);
    let stop = stop_on_ctrl_c()?;
    let mut broker = Broker::open(&config.settings, run::filters_of(&config)?)?;
    let next = broker.positions().next_offset(PARTITION)?;
    let schemas = broker.schemas().clone();
    let unread = Mutex::new(BTreeMap::new());
    let title = format!("Quarantine of {}, again", config.settings.archive);
    let outcome = night::pass(broker, title, None, &stop, |outlet| {
        let (report, left) = again.run(schemas, next, outlet)?;
        if let Ok(mut unread) = unread.lock() {
            *unread = left;
        }
        Ok(report)
    })?;
    let unread = unread.into_inner().unwrap_or_default();
    if args.json {
        let mut told = outcome.json();
        told["still_unread"] = json!(unread);
        screen::print_json(&told)?;
    } else {
        let mut text = outcome.text(&config.settings.archive);
        text.push_str(&outcome.matches());
        for (reason, number) in &unread {
            text.push_str(&format!(
                "Still not to be read, {reason}: {}.\n",
                counted(*number, "packet")
            ));
        }
        screen::print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn schema_flag(args: &QuarantineRetry) -> Vec<(&'static str, toml::Value)> {
    let folder = args.schemas.iter();
    folder
        .map(|folder| ("schema_dir", folder.to_string_lossy().into_owned().into()))
        .collect()
}
