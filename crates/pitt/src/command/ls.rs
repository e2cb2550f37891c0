//! `pitt ls`

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use pitt_nights::Shelved;
use serde_json::json;

use super::{query, settings};
use crate::broker::open_archive;
use crate::cli::{Global, Ls};
use crate::download::shelf;
use crate::screen::{self, Align, Table, bytes, count, counted};

/// Whose nights `pitt download` fetches.
const PUBLIC_SURVEY: &str = "ztf";

/// Alerts, objects, matches, duplicates, quarantined.
type Counts = [u64; 5];

pub(super) fn run(global: &Global, args: &Ls) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let archive = open_archive(&config.settings, false)?;
    let engine = query::engine(&archive, &config.settings)?;
    let mut nights: BTreeMap<(String, String), Counts> = BTreeMap::new();
    let mut add = |sql: &str, first: usize| -> Result<()> {
        for row in query::texts(&engine, sql)? {
            let counts = nights.entry((row[0].clone(), row[1].clone())).or_default();
            for (at, number) in row[2..].iter().enumerate() {
                counts[first + at] = number.parse().unwrap_or(0);
            }
        }
        Ok(())
    };
    if !archive.surveys().is_empty() {
        add(
            "SELECT night, survey, count(*), count(DISTINCT object_id) FROM alerts GROUP BY night, survey",
            0,
        )?;
    }
    add(
        "SELECT night, survey, count(*) FROM matches GROUP BY night, survey",
        2,
    )?;
    add(
        "SELECT night, survey, sum(CASE WHEN outcome = 'duplicate' THEN 1 ELSE 0 END), \
         sum(CASE WHEN outcome = 'quarantined' THEN 1 ELSE 0 END) FROM packets GROUP BY night, survey",
        3,
    )?;
    let public = shelf(&config.settings).all()?;
    if args.json {
        for night in &public {
            let key = (night.night.to_string(), PUBLIC_SURVEY.to_owned());
            nights.entry(key).or_default();
        }
        let line = |((night, survey), counts): (&(String, String), &Counts)| {
            let word = |text: &String| (text != "–").then(|| text.clone());
            let of_night =
                |public: &&Shelved| survey == PUBLIC_SURVEY && *night == public.night.to_string();
            json!({
                "public": public.iter().find(of_night),
                "night": word(night).and_then(|night| night.parse::<i32>().ok()),
                "survey": word(survey),
                "alerts": counts[0],
                "objects": counts[1],
                "matches": counts[2],
                "duplicates": counts[3],
                "quarantined": counts[4],
            })
        };
        screen::print_json(&nights.iter().map(line).collect())?;
    } else {
        screen::print(&table(&nights))?;
        if !public.is_empty() {
            screen::print(&public_table(&public))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What came of each public night that was fetched or begun.
fn public_table(public: &[Shelved]) -> String {
    let mut table = Table::new([
        ("public night", Align::Left),
        ("packets", Align::Right),
        ("tarball", Align::Right),
        ("state", Align::Left),
    ]);
    for night in public {
        let state = match (night.complete, night.refused.len()) {
            (false, _) => "begun (`pitt download` goes on)".to_owned(),
            (true, 0) => "complete".to_owned(),
            (true, refused) => format!("complete, {refused} members refused"),
        };
        table.row([
            dashed(&night.night.to_string()),
            count(night.packets),
            bytes(night.size),
            state,
        ]);
    }
    let packets = public.iter().map(|night| night.packets).sum();
    let size = public.iter().map(|night| night.size).sum();
    let nights = counted(public.len() as u64, "night");
    table.row([nights, count(packets), bytes(size), String::new()]);
    format!("\n{}", table.render())
}

/// YYYYMMDD as YYYY-MM-DD; anything else as it is.
fn dashed(night: &str) -> String {
    match night.len() {
        8 => format!("{}-{}-{}", &night[..4], &night[4..6], &night[6..]),
        _ => night.to_owned(),
    }
}

fn table(nights: &BTreeMap<(String, String), Counts>) -> String {
    let numbers = ["alerts", "objects", "matches", "duplicates", "quarantined"]
        .map(|name| (name, Align::Right));
    let words = [("night", Align::Left), ("survey", Align::Left)];
    let mut table = Table::new(words.into_iter().chain(numbers));
    let mut total = Counts::default();
    for ((night, survey), counts) in nights {
        let words = [dashed(night), survey.clone()];
        table.row(words.into_iter().chain(counts.map(count)));
        total
            .iter_mut()
            .zip(counts)
            .for_each(|(sum, number)| *sum += number);
    }
    // An object seen in two nights counts in both: their sum would be no number of objects.
    let mut sums = total.map(count);
    sums[1] = String::new();
    table.row(["total".to_owned(), String::new()].into_iter().chain(sums));
    table.render()
}
