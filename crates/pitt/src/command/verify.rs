//! `pitt verify`

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use super::settings;
use super::simulate::progress_bar;
use crate::broker::open_archive;
use crate::cli::{Global, Verify};
use crate::screen;

pub(super) fn run(global: &Global, args: &Verify) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let archive = open_archive(&config.settings, false)?;
    let bar = progress_bar("bytes");
    let report = archive.verify(&mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if args.json {
        let check = |check: &pitt_archive::verify::Check| {
            json!({
                "what": check.what,
                "checked": check.checked,
                "problems": check.problems,
                "examples": check.examples,
                "note": check.note,
            })
        };
        let line =
            |((partition, night), line): (&(String, Option<i32>), &pitt_archive::LedgerLine)| {
                json!({
                    "partition": partition,
                    "night": night,
                    "received": line.received,
                    "stored": line.stored,
                    "duplicates": line.duplicates,
                    "quarantined": line.quarantined,
                })
            };
        let matched = |((filter, version), number): (&(String, String), &u64)| json!({"filter": filter, "version": version, "matches": number});
        screen::print_json(&json!({
            "ok": report.ok(),
            "checks": report.checks.iter().map(check).collect::<Vec<_>>(),
            "ledger": report.ledger.lines.iter().map(line).collect::<Vec<_>>(),
            "matched": report.ledger.matched.iter().map(matched).collect::<Vec<_>>(),
        }))?;
    } else {
        screen::print(&report.to_string())?;
    }
    Ok(if report.ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
