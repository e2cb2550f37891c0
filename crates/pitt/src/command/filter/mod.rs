//! `pitt filter check|test|run|off|on`

pub(super) mod book;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use arrow_array::RecordBatch;
use pitt_alert::message::Annotation;
use pitt_query::Catalogs;
use serde_json::json;

use super::{settings, told};
use crate::broker::{OffList, SwitchedOff, open_archive};
use crate::cli::{FilterCheck, FilterOff, FilterOn, FilterRun, FilterTest, Global};
use crate::config::Settings;
use crate::screen::{self, Align, Table, cell, count, counted};
use crate::trial::{Ground, Judged, Tally, Trial};
use crate::{catalogs, filters};

pub(super) fn check(global: &Global, args: &FilterCheck) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let catalogs = catalogs_of(&config.settings)?;
    let surveys = filters::known_surveys()?;
    let (mut good, mut report) = (true, vec![]);
    for file in filters::files(&args.files)? {
        let checked = filters::load(&file).and_then(|filter| {
            Ok(filters::check(&filter, &surveys, &catalogs).map_err(filters::Refused)?)
        });
        good &= checked.is_ok();
        let error = checked.err().map(|error| told(&error));
        if args.json {
            report.push(json!({"file": file, "good": error.is_none(), "error": error}));
        } else if let Some(error) = error {
            eprintln!("error: {error}");
        } else {
            screen::print(&format!("{}: good\n", file.display()))?;
        }
    }
    if args.json {
        screen::print_json(&report.into())?;
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub(super) fn test(global: &Global, args: &FilterTest) -> Result<ExitCode> {
    let mut tally = Tally::default();
    let trial = pass(global, &args.file, &args.from, |judged| {
        tally.add(judged);
        Ok(match args.alerts {
            Some(most) if tally.alerts() >= most => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    })?;
    if args.json {
        screen::print_json(&tally_json(&tally, &trial))?
    } else {
        screen::print(&tally_text(&tally, &trial))?
    }
    Ok(exit_code(&trial))
}

pub(super) fn run(global: &Global, args: &FilterRun) -> Result<ExitCode> {
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut page = Page::default();
    let trial = pass(global, &args.file, &args.from, |judged| {
        for output in judged.outputs()? {
            let rows = output
                .num_rows()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            left -= rows as u64;
            if args.json {
                print_lines(&output, rows)?
            } else {
                page.add(&output, rows)?
            }
        }
        Ok(if left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    page.print()?;
    if let Some(off) = trial.failed() {
        eprintln!("error: switched off: {}", off.reason);
    }
    Ok(exit_code(&trial))
}

/// Tries a filter file on the archive (`archive`) or on files.
fn pass(
    global: &Global,
    file: &Path,
    from: &Path,
    each: impl FnMut(&Judged<'_>) -> Result<ControlFlow<()>>,
) -> Result<Trial> {
    let settings = settings(global, vec![])?.settings;
    let mut trial = Trial::with_settings(&settings, filters::load(file)?)?;
    if from == Path::new("archive") {
        let archive = open_archive(&settings, false)?;
        let ground = Ground::Archive {
            archive: &archive,
            nights: None,
        };
        trial.pass(&settings, ground, each)?;
    } else {
        trial.pass(&settings, Ground::Path(from), each)?;
    }
    Ok(trial)
}

fn exit_code(trial: &Trial) -> ExitCode {
    match trial.failed() {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    }
}

pub(super) fn off(global: &Global, args: &FilterOff) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let list = OffList::of(open_archive(&config.settings, false)?.folder()).read()?;
    if args.json {
        screen::print_json(&serde_json::to_value(&list)?)?;
    } else if list.is_empty() {
        screen::print("No filter is switched off.\n")?;
    } else {
        screen::print(&off_table(&list))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is switched off, where and why.
pub(super) fn off_table(list: &[SwitchedOff]) -> String {
    let columns = [
        "filter off",
        "version",
        "since",
        "at alert",
        "position",
        "reason",
    ];
    let mut table = Table::new(columns.map(|name| (name, Align::Left)));
    for off in list {
        table.row([
            off.filter.clone(),
            off.version.clone(),
            pitt_sky::time::MjdTai::from_unix_us(off.at_us).iso_utc_seconds(),
            off.alert_id.clone().unwrap_or_default(),
            format!("{}@{}", off.partition, off.offset),
            off.reason.clone(),
        ]);
    }
    table.render()
}

pub(super) fn on(global: &Global, args: &FilterOn) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let list = OffList::of(open_archive(&config.settings, false)?.folder());
    for name in &args.names {
        if !list.forget(name, None)? {
            anyhow::bail!(
                "filter `{name}` is not switched off (`pitt filter off` tells which are)"
            );
        }
    }
    let names = args.names.join(", ");
    screen::print(&format!(
        "Tried again, by a broker that runs at once: {names}\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn catalogs_of(settings: &Settings) -> Result<Catalogs> {
    catalogs::load(Path::new(&settings.archive))
}

fn tally_text(tally: &Tally, trial: &Trial) -> String {
    let name = trial.filter().name();
    let share = 100.0 * tally.matches() as f64 / tally.alerts().max(1) as f64;
    let mut text = format!(
        "{name}: {} of {} ({share:.2} %), {:.2} µs an alert\n",
        count(tally.matches()),
        counted(tally.alerts(), "alert"),
        tally.cost_us()
    );
    if let Some(off) = trial.failed() {
        text.push_str(&format!("switched off: {}\n", off.reason));
    }
    let mut table = Table::new([("night", Align::Left), ("matches", Align::Right)]);
    for (night, matches) in nights(tally) {
        table.row([night.to_string(), count(matches)]);
    }
    let mut examples = Table::new([
        ("alert", Align::Right),
        ("survey", Align::Left),
        ("object", Align::Left),
    ]);
    for example in tally.examples() {
        examples.row([
            example.alert_id.to_string(),
            example.survey.to_string(),
            example.object_id.clone().unwrap_or_default(),
        ]);
    }
    if tally.matches() > 0 {
        text.push_str(&format!("\n{}\n{}", table.render(), examples.render()));
    }
    text
}

fn tally_json(tally: &Tally, trial: &Trial) -> serde_json::Value {
    let example = |of: &Annotation| json!({"alert_id": of.alert_id.to_string(), "survey": &*of.survey, "object_id": of.object_id.clone().unwrap_or_default()});
    json!({
        "filter": trial.filter().name(),
        "alerts": tally.alerts(),
        "matches": tally.matches(),
        "microseconds_per_alert": tally.cost_us(),
        "nights": nights(tally).map(|(night, matches)| (night.to_string(), matches.into())).collect::<serde_json::Map<_, _>>(),
        "examples": tally.examples().iter().map(example).collect::<Vec<_>>(),
        "disabled": trial.failed().map(|off| off.reason.clone()),
    })
}

/// Nights with matches, and how many.
fn nights(tally: &Tally) -> impl Iterator<Item = (i32, u64)> {
    let nights = tally.nights().iter();
    let matched = nights.filter(|(_, count)| count.matches > 0);
    matched.map(|(night, count)| (*night, count.matches))
}

fn print_lines(output: &RecordBatch, rows: usize) -> Result<()> {
    let schema = output.schema();
    let mut text = String::new();
    for row in 0..rows {
        let columns = schema.fields().iter().zip(output.columns());
        let object: serde_json::Map<String, serde_json::Value> = columns
            .map(|(field, column)| (field.name().clone(), cell::json(field, column, row)))
            .collect();
        text.push_str(&format!("{}\n", serde_json::Value::from(object)));
    }
    Ok(screen::print(&text)?)
}

/// Rows of the same columns, printed as one table.
#[derive(Default)]
struct Page {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Page {
    fn add(&mut self, output: &RecordBatch, rows: usize) -> Result<()> {
        let names: Vec<String> = output
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        if names != self.names {
            self.print()?;
            self.names = names;
        }
        let texts = |row: usize| {
            output
                .columns()
                .iter()
                .map(|column| cell::text(column, row))
                .collect()
        };
        self.rows.extend((0..rows).map(texts));
        Ok(())
    }

    fn print(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let mut table = Table::new(self.names.iter().map(|name| (name.clone(), Align::Left)));
        rows.into_iter().for_each(|row| table.row(row));
        if !table.is_empty() {
            screen::print(&table.render())?;
        }
        Ok(())
    }
}
