//! `pitt config show|check`

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::settings;
use crate::cli::{ConfigCheck, ConfigShow, Global};
use crate::config::{DEFAULT, USUAL_FILE, kafka};
use crate::screen::{self, Align, Table};

pub(super) fn show(global: &Global, args: &ConfigShow) -> Result<ExitCode> {
    if args.default {
        screen::print(DEFAULT)?;
        return Ok(ExitCode::SUCCESS);
    }
    let config = settings(global, vec![])?;
    if args.json {
        let entry = |entry: &crate::config::Entry| {
            (
                entry.key.clone(),
                json!({"value": kafka::veiled(&entry.value), "origin": entry.origin.to_string()}),
            )
        };
        let map: serde_json::Map<String, serde_json::Value> =
            config.entries.iter().map(entry).collect();
        screen::print_json(&map.into())?;
    } else {
        let mut table = Table::new([
            ("setting", Align::Left),
            ("value", Align::Left),
            ("from", Align::Left),
        ]);
        for entry in &config.entries {
            table.row([
                entry.key.clone(),
                kafka::veiled(&entry.value).to_string(),
                entry.origin.to_string(),
            ]);
        }
        screen::print(&table.render())?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn check(global: &Global, args: &ConfigCheck) -> Result<ExitCode> {
    let file = args
        .file
        .clone()
        .or_else(|| global.config.clone())
        .unwrap_or_else(|| USUAL_FILE.into());
    let global = Global {
        config: Some(file.clone()),
        ..global.clone()
    };
    let config = settings(&global, vec![])?;
    let changed = config.entries.iter().filter(
        |entry| matches!(&entry.origin, crate::config::Origin::File(from, _) if *from == file),
    );
    let changed = screen::counted(changed.count() as u64, "setting");
    screen::print(&format!("{}: good, {changed} changed\n", file.display()))?;
    Ok(ExitCode::SUCCESS)
}
