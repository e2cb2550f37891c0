//! `pitt quarantine list|retry`

use std::collections::{BTreeMap, HashSet};
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use pitt_alert::{Decoder, Position};
use pitt_query::{Engine, Limits};
use serde_json::json;

use super::{night, query, run, settings, stop_on_ctrl_c};
use crate::broker::{self, Broker, open_archive};
use crate::cli::{Global, QuarantineList, QuarantineRetry};
use crate::screen::{self, Align, Table, count, counted};
use crate::source::retried::{PARTITION, Quarantined, Retried};
use crate::source::{Outlet, Positions, SourceReport};

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
    let engine = query::engine(&archive, &config.settings)?;
    let done = read_before(&engine)?;
    drop(archive);
    let stop = stop_on_ctrl_c()?;
    let mut broker = Broker::open(&config.settings, run::filters_of(&config)?)?;
    let next = broker.positions().next_offset(PARTITION)?;
    let schemas = broker::schemas(&config.settings, Some(broker.archive().folder()))?;
    let decoder = Decoder::new(schemas);
    let unread = Mutex::new(BTreeMap::new());
    let sql = candidates(args.reason.as_deref());
    let title = format!("Quarantine of {}, again", config.settings.archive);
    let outcome = night::pass(broker, title, None, &stop, |outlet| {
        let retried = Retried::new(decoder, next, &done);
        let (report, left) = try_again(&engine, &sql, retried, outlet)?;
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

fn candidates(reason: Option<&str>) -> String {
    let chosen = reason.map_or_else(String::new, |reason| {
        format!("AND reason = '{}'", reason.replace('\'', "''"))
    });
    format!(
        "SELECT \"partition\", \"offset\", name, reason, packet FROM quarantine \
         WHERE packet IS NOT NULL AND \"partition\" <> '{PARTITION}' {chosen} ORDER BY \"partition\", \"offset\""
    )
}

/// Names of the packets that an earlier try has read.
fn read_before(engine: &Engine) -> Result<HashSet<String>> {
    let sql = format!("SELECT name FROM packets WHERE \"partition\" = '{PARTITION}'");
    Ok(query::texts(engine, &sql)?
        .into_iter()
        .filter_map(|row| row.into_iter().next())
        .collect())
}

fn try_again(
    engine: &Engine,
    sql: &str,
    mut retried: Retried<'_>,
    outlet: &mut dyn Outlet,
) -> Result<(SourceReport, BTreeMap<String, u64>)> {
    let limits = Limits {
        rows: usize::MAX,
        time: std::time::Duration::from_secs(24 * 3600),
    };
    'all: for batch in engine.query(sql, &limits)? {
        for quarantined in quarantined(&batch?)? {
            if !retried.offer(&quarantined, outlet) {
                break 'all;
            }
        }
    }
    Ok(retried.finish())
}

fn quarantined(batch: &RecordBatch) -> Result<Vec<Quarantined>> {
    let text = |name: &str| -> Result<Vec<String>> {
        let column = batch
            .column_by_name(name)
            .with_context(|| format!("no column `{name}` in quarantine"))?;
        Ok((0..column.len())
            .map(|row| screen::cell::text(column, row))
            .collect())
    };
    let (partitions, names, reasons) = (text("partition")?, text("name")?, text("reason")?);
    let offsets = batch
        .column_by_name("offset")
        .and_then(|c| c.as_primitive_opt::<Int64Type>());
    let packets = batch
        .column_by_name("packet")
        .context("no column `packet` in quarantine")?;
    let offsets = offsets.ok_or_else(|| anyhow!("no column `offset` in quarantine"))?;
    let packet = |row: usize| {
        packets
            .as_binary_opt::<i32>()
            .map(|bytes| bytes.value(row).to_vec())
            .or_else(|| {
                packets
                    .as_binary_view_opt()
                    .map(|bytes| bytes.value(row).to_vec())
            })
            .context("column `packet` of quarantine is not binary")
    };
    (0..batch.num_rows())
        .map(|row| {
            Ok(Quarantined {
                position: Position {
                    partition: partitions[row].as_str().into(),
                    offset: offsets.value(row),
                },
                name: names[row].clone(),
                reason: reasons[row].clone(),
                bytes: packet(row)?.into(),
            })
        })
        .collect()
}
