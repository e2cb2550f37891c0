//! `pitt filter check|test|run|off|on`

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use pitt_alert::{Decoded, Packet, SchemaStore};
use pitt_query::{Catalogs, FilterSet, Verdict};
use serde_json::json;

use super::{settings, told};
use crate::broker::{self, DecodeAndFilter, OffList, SwitchedOff, alert_id, open_archive};
use crate::cli::{FilterCheck, FilterOff, FilterOn, FilterRun, FilterTest, Global};
use crate::config::Settings;
use crate::screen::{self, Align, Table, cell, count, counted};
use crate::source::Outlet;
use crate::source::files::{Files, FilesOptions};
use crate::{catalogs, filters};

/// Alerts evaluated together, as the running broker does.
const BATCH: usize = 1000;
/// Examples shown.
const EXAMPLES: usize = 10;

pub(super) fn check(global: &Global, args: &FilterCheck) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let catalogs = catalogs_of(&config.settings)?;
    let surveys = filters::known_surveys()?;
    let (mut good, mut report) = (true, vec![]);
    for file in filters::files(&args.files)? {
        let checked = filters::load(&file).and_then(|filter| {
            Ok(filter
                .check(&surveys, &catalogs)
                .map_err(filters::Refused)?)
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
    let config = settings(global, vec![])?;
    let mut trial = Trial::new(&config.settings, &args.file)?;
    let mut tally = Tally::default();
    trial.pass(&config.settings, &args.from, |trial, decoded, stored| {
        tally.add(trial, decoded, stored);
        if args.alerts.is_some_and(|most| tally.alerts >= most) {
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if args.json {
        screen::print_json(&tally.json(&trial))?
    } else {
        screen::print(&tally.text(&trial))?
    }
    Ok(if trial.set.disabled().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub(super) fn run(global: &Global, args: &FilterRun) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let mut trial = Trial::new(&config.settings, &args.file)?;
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut page = Page::default();
    trial.pass(&config.settings, &args.from, |trial, decoded, stored| {
        for (batch, verdict, _) in trial.verdicts(decoded, stored) {
            let alerts = &decoded.batches[batch];
            let output = trial
                .set
                .output(&verdict, &alerts.survey, &alerts.records)?;
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
    for (_, off) in trial.set.disabled() {
        eprintln!("error: switched off: {}", off.reason);
    }
    Ok(if trial.set.disabled().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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
    let mut left = list.read()?;
    for name in &args.names {
        let before = left.len();
        left.retain(|off| off.filter != *name);
        if left.len() == before {
            anyhow::bail!(
                "filter `{name}` is not switched off (`pitt filter off` tells which are)"
            );
        }
    }
    list.write(&left)?;
    let names = args.names.join(", ");
    screen::print(&format!("The next run tries again: {names}\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn catalogs_of(settings: &Settings) -> Result<Catalogs> {
    catalogs::load(Path::new(&settings.archive))
}

/// Positions of packets in a batch and the records of them to count; `None` counts every record.
type Stored = Option<BTreeSet<(usize, u32)>>;

/// One filter over stored or filed packets, decoded and evaluated as the running broker does.
struct Trial {
    set: Arc<FilterSet>,
    schemas: SchemaStore,
}

impl Trial {
    fn new(settings: &Settings, file: &Path) -> Result<Self> {
        let filter = filters::load(file)?;
        let set = broker::compile(
            vec![filter],
            &filters::known_surveys()?,
            &catalogs_of(settings)?,
        )?;
        let archive = Some(Path::new(&settings.archive)).filter(|folder| folder.is_dir());
        Ok(Self {
            set: Arc::new(set),
            schemas: broker::schemas(settings, archive)?,
        })
    }

    fn pass(
        &mut self,
        settings: &Settings,
        from: &Path,
        mut each: impl FnMut(&Self, &Decoded, &Stored) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        if from != Path::new("archive") {
            let mut batches = Batches::new(self, &mut each);
            files(settings, from, &mut batches)?;
            return batches.finish();
        }
        let archive = open_archive(settings, false)?;
        self.schemas = archive.schema_store()?;
        let mut batches = Batches::new(self, &mut each);
        for replayed in archive.replay(None)? {
            let replayed = replayed?;
            let at = batches.packets.len();
            let stored = batches.stored.get_or_insert_default();
            stored.extend(replayed.stored.iter().map(|record| (at, *record)));
            if batches.push(replayed.packet).is_break() {
                break;
            }
        }
        batches.finish()
    }

    /// What the filter takes of a batch, rows that do not count left out, and how long it took.
    fn verdicts(&self, decoded: &Decoded, stored: &Stored) -> Vec<(usize, Verdict, Duration)> {
        let mut verdicts = vec![];
        for (index, batch) in decoded.batches.iter().enumerate() {
            if !batch.schema.has_common_columns() {
                continue;
            }
            let begin = Instant::now();
            let found = self.set.evaluate(&batch.survey, &batch.records);
            let took = begin.elapsed();
            let mut verdict = found.into_iter().next().unwrap_or(Verdict {
                filter: 0,
                rows: vec![],
            });
            verdict
                .rows
                .retain(|row| counts(stored, batch.origins[*row as usize]));
            verdicts.push((index, verdict, took));
        }
        verdicts
    }
}

fn counts(stored: &Stored, origin: pitt_alert::Origin) -> bool {
    stored
        .as_ref()
        .is_none_or(|stored| stored.contains(&(origin.packet, origin.record)))
}

/// Packets gathered into batches, decoded, and handed on.
struct Batches<'a, F> {
    trial: &'a Trial,
    worker: DecodeAndFilter,
    each: &'a mut F,
    packets: Vec<Packet>,
    stored: Stored,
    failed: Option<anyhow::Error>,
}

impl<'a, F: FnMut(&Trial, &Decoded, &Stored) -> Result<ControlFlow<()>>> Batches<'a, F> {
    fn new(trial: &'a Trial, each: &'a mut F) -> Self {
        let worker = DecodeAndFilter::filters_only(trial.schemas.clone(), trial.set.clone());
        Self {
            trial,
            worker,
            each,
            packets: vec![],
            stored: None,
            failed: None,
        }
    }

    fn push(&mut self, packet: Packet) -> ControlFlow<()> {
        self.packets.push(packet);
        if self.packets.len() < BATCH {
            ControlFlow::Continue(())
        } else {
            self.close()
        }
    }

    fn close(&mut self) -> ControlFlow<()> {
        let packets = std::mem::take(&mut self.packets);
        let decoded = self.worker.decode(&packets);
        let flow = (self.each)(self.trial, &decoded, &self.stored);
        if let Some(stored) = &mut self.stored {
            stored.clear();
        }
        flow.unwrap_or_else(|error| {
            self.failed = Some(error);
            ControlFlow::Break(())
        })
    }

    fn finish(mut self) -> Result<()> {
        if self.failed.is_none() && !self.packets.is_empty() {
            let _ = self.close();
        }
        self.failed.map_or(Ok(()), Err)
    }
}

impl<F: FnMut(&Trial, &Decoded, &Stored) -> Result<ControlFlow<()>>> Outlet for Batches<'_, F> {
    fn packet(&mut self, packet: Packet) -> ControlFlow<()> {
        self.push(packet)
    }

    fn pause(&mut self, _wait: Duration) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn flush(&mut self) -> ControlFlow<()> {
        if self.packets.is_empty() {
            return ControlFlow::Continue(());
        }
        self.close()
    }
}

/// Hands out every packet of a folder; its list of files is kept only as long.
fn files(settings: &Settings, from: &Path, outlet: &mut dyn Outlet) -> Result<()> {
    let sources = std::env::temp_dir().join(format!("pitt-{}", std::process::id()));
    let options = FilesOptions {
        paths: vec![PathBuf::from(from)],
        sources: sources.clone(),
        follow: None,
        max_file_bytes: settings.source.max_file_mb << 20,
    };
    let outcome = Files::open(options, |_: &str| 0).and_then(|files| files.run(outlet));
    std::fs::remove_dir_all(&sources).ok();
    outcome?;
    Ok(())
}

/// What a filter would have matched.
#[derive(Default)]
struct Tally {
    alerts: u64,
    matches: u64,
    nights: BTreeMap<i32, u64>,
    examples: Vec<(i64, String, String)>,
    took: Duration,
}

impl Tally {
    fn add(&mut self, trial: &Trial, decoded: &Decoded, stored: &Stored) {
        for batch in &decoded.batches {
            self.alerts += batch
                .origins
                .iter()
                .filter(|origin| counts(stored, **origin))
                .count() as u64;
        }
        for (index, verdict, took) in trial.verdicts(decoded, stored) {
            let batch = &decoded.batches[index];
            self.took += took;
            self.matches += verdict.rows.len() as u64;
            let nights = batch
                .records
                .column_by_name("night")
                .and_then(|nights| nights.as_primitive_opt::<Int32Type>());
            let objects = batch.records.column_by_name("object_id");
            for row in verdict.rows {
                if let Some(nights) = nights {
                    *self.nights.entry(nights.value(row as usize)).or_default() += 1;
                }
                if let Some(id) = alert_id(batch, row).filter(|_| self.examples.len() < EXAMPLES) {
                    let object =
                        objects.map_or_else(String::new, |ids| cell::text(ids, row as usize));
                    self.examples.push((id, batch.survey.to_string(), object));
                }
            }
        }
    }

    fn cost_us(&self) -> f64 {
        self.took.as_secs_f64() * 1e6 / self.alerts.max(1) as f64
    }

    fn text(&self, trial: &Trial) -> String {
        let name = trial.set.filters()[0].name();
        let share = 100.0 * self.matches as f64 / self.alerts.max(1) as f64;
        let mut text = format!(
            "{name}: {} of {} ({share:.2} %), {:.2} µs an alert\n",
            count(self.matches),
            counted(self.alerts, "alert"),
            self.cost_us()
        );
        for (_, off) in trial.set.disabled() {
            text.push_str(&format!("switched off: {}\n", off.reason));
        }
        let mut table = Table::new([("night", Align::Left), ("matches", Align::Right)]);
        self.nights
            .iter()
            .for_each(|(night, matches)| table.row([night.to_string(), count(*matches)]));
        let mut examples = Table::new([
            ("alert", Align::Right),
            ("survey", Align::Left),
            ("object", Align::Left),
        ]);
        for (id, survey, object) in &self.examples {
            examples.row([id.to_string(), survey.clone(), object.clone()]);
        }
        if self.matches > 0 {
            text.push_str(&format!("\n{}\n{}", table.render(), examples.render()));
        }
        text
    }

    fn json(&self, trial: &Trial) -> serde_json::Value {
        let example = |(id, survey, object): &(i64, String, String)| json!({"alert_id": id.to_string(), "survey": survey, "object_id": object});
        json!({
            "filter": trial.set.filters()[0].name(),
            "alerts": self.alerts,
            "matches": self.matches,
            "microseconds_per_alert": self.cost_us(),
            "nights": self.nights.iter().map(|(night, matches)| (night.to_string(), (*matches).into())).collect::<serde_json::Map<_, _>>(),
            "examples": self.examples.iter().map(example).collect::<Vec<_>>(),
            "disabled": trial.set.disabled().first().map(|(_, off)| off.reason.clone()),
        })
    }
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
