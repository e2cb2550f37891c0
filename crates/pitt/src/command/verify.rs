//! `pitt verify`

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use pitt_archive::verify::VerifyReport;
use pitt_archive::{Ledger, LedgerLine};
use serde_json::json;

use super::filter::off_table;
use super::settings;
use super::simulate::progress_bar;
use crate::broker::{OffList, open_archive};
use crate::cli::{Global, Verify};
use crate::publish::{self, Delivery};
use crate::screen::{self, Align, Table, count};

pub(super) fn run(global: &Global, args: &Verify) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let archive = open_archive(&config.settings, false)?;
    let bar = progress_bar("bytes");
    let report = archive.verify(&mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let off = OffList::of(archive.folder()).read()?;
    let deliveries = publish::deliveries(&archive)?;
    let ok = report.ok() && deliveries.iter().all(Delivery::balances);
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
            "ok": ok,
            "delivered": deliveries,
            "checks": report.checks.iter().map(check).collect::<Vec<_>>(),
            "ledger": report.ledger.lines.iter().map(line).collect::<Vec<_>>(),
            "filters_off": off,
            "matched": report.ledger.matched.iter().map(matched).collect::<Vec<_>>(),
        }))?;
    } else {
        let text = match args.all {
            true => report.to_string(),
            false => summary(&report),
        };
        screen::print(&text)?;
        if !off.is_empty() {
            screen::print(&format!("\n{}", off_table(&off)))?;
        }
        screen::print(&delivered(&deliveries))?;
    }
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How far each lane's matches are published, a line each; empty when nothing is.
fn delivered(deliveries: &[Delivery]) -> String {
    let line = |one: &Delivery| {
        let wrong = if one.balances() {
            ""
        } else {
            "  DOES NOT BALANCE"
        };
        format!(
            "\nPublished to {}, lane {}: {} of {} matches up to number {} ({} refused, {} not to be published), {} wait.{wrong}\n",
            one.output,
            one.lane,
            count(one.published),
            count(one.matches),
            one.seq,
            count(one.refused),
            count(one.kept_back),
            count(one.waiting),
        )
    };
    deliveries.iter().map(line).collect()
}

/// The checks, the ledger night by night, and partitions that do not balance.
fn summary(report: &VerifyReport) -> String {
    let columns = [
        ("check", Align::Left),
        ("checked", Align::Right),
        ("problems", Align::Right),
        ("", Align::Left),
    ];
    let mut table = Table::new(columns);
    for check in &report.checks {
        let numbers = [count(check.checked), count(check.problems)];
        let [checked, problems] = numbers;
        table.row([check.what.clone(), checked, problems, check.note.clone()]);
    }
    let mut text = table.render();
    for check in &report.checks {
        let what = &check.what;
        let examples = check.examples.iter();
        examples.for_each(|example| text.push_str(&format!("{what}: {example}\n")));
    }
    text.push('\n');
    text.push_str(&nights(&report.ledger));
    text.push_str(match report.ok() {
        true => "\nall is well\n",
        false => "\nTHE ARCHIVE IS DAMAGED\n",
    });
    text
}

/// One line a night, summed over the partitions, and what does not balance.
fn nights(ledger: &Ledger) -> String {
    let columns = ["night", "received", "stored", "duplicate", "quarantined"];
    let columns = columns.map(|name| (name, Align::Right));
    let mut table = Table::new(columns.into_iter().chain([("", Align::Left)]));
    let mut nights: BTreeMap<Option<i32>, (LedgerLine, u64)> = BTreeMap::new();
    for ((_, night), line) in &ledger.lines {
        let (sum, partitions) = nights.entry(*night).or_default();
        sum.add(line);
        *partitions += 1;
    }
    for (night, (line, partitions)) in &nights {
        let night = night.map_or_else(|| "-".to_owned(), |night| night.to_string());
        let from = match partitions {
            1 => String::new(),
            many => format!("{} partitions", count(*many)),
        };
        table.row(cells(night, line, from));
    }
    let unequal = ledger.lines.iter().filter(|(_, line)| !line.balances());
    for ((partition, night), line) in unequal {
        let night = night.map_or_else(|| "-".to_owned(), |night| night.to_string());
        table.row(cells(night, line, format!("DOES NOT BALANCE: {partition}")));
    }
    table.row(cells("total".into(), &ledger.total(), String::new()));
    let skipped: u64 = ledger.skipped.values().sum();
    let mut text = table.render();
    if skipped > 0 {
        text.push_str(&format!(
            "{} offsets that no message has were skipped\n",
            count(skipped)
        ));
    }
    text
}

fn cells(night: String, line: &LedgerLine, note: String) -> [String; 6] {
    let quarantined = line.quarantined.values().sum();
    let [received, stored, duplicates, quarantined] =
        [line.received, line.stored, line.duplicates, quarantined].map(count);
    [night, received, stored, duplicates, quarantined, note]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(received: u64, stored: u64, empty: u64) -> LedgerLine {
        LedgerLine {
            received,
            stored,
            quarantined: BTreeMap::from([("empty".into(), empty)]),
            ..LedgerLine::default()
        }
    }

    #[test]
    fn nights_are_summed_and_what_does_not_balance_is_named() {
        let mut ledger = Ledger::default();
        let mut add = |partition: &str, night, line| {
            ledger.lines.insert((partition.into(), night), line);
        };
        add("dir:/a", Some(20260301), line(1200, 1199, 1));
        add("dir:/b", Some(20260301), line(10, 10, 0));
        add("dir:/b", Some(20260302), line(5, 4, 0));
        add("dir:/b", None, line(1, 0, 1));
        insta::assert_snapshot!(nights(&ledger), @r"
           night  received  stored  duplicate  quarantined
               -         1       0          0            1
        20260301     1,210   1,209          0            1  2 partitions
        20260302         5       4          0            0
        20260302         5       4          0            0  DOES NOT BALANCE: dir:/b
           total     1,216   1,213          0            2
        ");
    }
}
