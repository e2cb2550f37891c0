//! `pitt claims list|release`

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use pitt_archive::{ClaimBook, ClaimedPartition};
use serde_json::json;

use super::settings;
use crate::cli::{ClaimsList, ClaimsRelease, Global};
use crate::config::Settings;
use crate::publish;
use crate::screen::{self, Align, Table, count, counted};

pub(super) fn list(global: &Global, args: &ClaimsList) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let claimed = ClaimBook::open(&config.settings.archive)?.partitions()?;
    if args.json {
        let line = |one: &ClaimedPartition| {
            json!({"partition": one.partition, "from": one.from, "to": one.to, "alerts": one.alerts,
                "matches": one.matches, "lanes": one.lanes, "held_by_lanes": one.held})
        };
        screen::print_json(&claimed.iter().map(line).collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    if claimed.is_empty() {
        screen::print("Nothing is claimed and left open.\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new([
        ("partition", Align::Left),
        ("from", Align::Right),
        ("to", Align::Right),
        ("alerts", Align::Right),
        ("matches", Align::Right),
        ("claimed by", Align::Left),
    ]);
    for one in &claimed {
        table.row([
            one.partition.clone(),
            one.from.to_string(),
            one.to.to_string(),
            count(one.alerts),
            count(one.matches),
            who(one),
        ]);
    }
    let hint = "What a process claimed that died is stored when its input is read again. If that never happens:\n\
                `pitt claims release PARTITION`.\n";
    screen::print(&format!("{}{hint}", table.render()))?;
    Ok(ExitCode::SUCCESS)
}

fn who(one: &ClaimedPartition) -> String {
    if one.held.is_empty() {
        return "a process that died".to_owned();
    }
    let lanes: Vec<String> = one.held.iter().map(u32::to_string).collect();
    format!("a running process, lane {}", lanes.join(", "))
}

pub(super) fn release(global: &Global, args: &ClaimsRelease) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let mut book = ClaimBook::open(&config.settings.archive)?;
    let claimed = book.partitions()?;
    let lanes = claimed.iter().find(|one| one.partition == args.partition);
    let lanes = lanes.map_or(vec![], |one| one.lanes.iter().copied().collect());
    let published = published(&config.settings, &book, &lanes, args.offline)?;
    let done = book.release(&args.partition, &published)?;
    if args.json {
        screen::print_json(&json!({"partition": args.partition, "alerts": done.alerts,
            "numbers_empty": done.void, "published_before": done.published}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!(
        "{}: let go of {} and of {} numbers of matches.\n",
        args.partition,
        counted(done.alerts, "alert"),
        count(done.void + done.published)
    );
    if done.void > 0 {
        text.push_str("The numbers stay empty; what waited behind them is published now.\n");
    }
    if done.published > 0 {
        text.push_str(&format!(
            "{} of them had been published: not again, should the alerts come another way.\n",
            count(done.published)
        ));
    }
    screen::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The last number of each of these lanes that is published: what the output says, and what is noted beside the archive.
fn published(
    settings: &Settings,
    book: &ClaimBook,
    lanes: &[u32],
    offline: bool,
) -> Result<BTreeMap<u32, u64>> {
    let mut published = BTreeMap::new();
    let folder = std::path::Path::new(&settings.archive);
    for (name, note) in publish::noted(folder) {
        if let (Ok(lane), Some(seq)) = (name.parse::<u32>(), note.seq()) {
            published.insert(lane, seq);
        }
    }
    if offline || !settings.output.is_on() {
        return Ok(published);
    }
    for lane in lanes {
        let found = match publish::cursor_of(&settings.output, book.id(), *lane)? {
            Ok(found) => found,
            Err(why) => bail!(
                "the output `{}` does not say how far lane {lane} is published: {why} (start it and try again, or go by the archive's note with --offline)",
                settings.output.servers
            ),
        };
        let Some(cursor) = found.filter(|cursor| !cursor.place.is_empty()) else {
            continue;
        };
        let seq: u64 = cursor.place.parse().with_context(|| {
            format!(
                "the output's cursor `{}` is no number of a match",
                cursor.place
            )
        })?;
        let known = published.entry(*lane).or_default();
        *known = seq.max(*known);
    }
    Ok(published)
}
