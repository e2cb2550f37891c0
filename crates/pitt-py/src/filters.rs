//! Filters checked, and tried on what is here.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use arrow_array::{ArrayRef, Int32Array, RecordBatch, UInt64Array};
use arrow_schema::SchemaRef;
use pitt::config::Settings;
use pitt::filters::{self, Refused};
use pitt::trial::{self, Ground, Judged, Tally};
use pitt_alert::Packet;
use pitt_query::Filter;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::archive::{Archive, settings};
use crate::errors;
use crate::packets::{Schemas, packet};
use crate::tables::Table;

/// What a filter took of the alerts it was tried on.
#[pyclass(frozen, get_all, module = "pitt_broker._native")]
pub(crate) struct Trial {
    /// Name of the filter.
    name: String,
    /// Eight hexadecimal digits that change with its text.
    version: String,
    /// Alerts looked at.
    alerts: u64,
    /// Those that the filter takes.
    matches: u64,
    /// Packets that cannot be read.
    rejected: u64,
    /// What of the files could not be read.
    damaged: Vec<String>,
    /// Whether everything was looked at, and not only as much as was asked for.
    complete: bool,
    /// Time that the filter took for each alert, us.
    cost_us: f64,
    /// Rows of the filter's SELECT, one table for each set of columns; at most as many rows as asked for.
    tables: Vec<Table>,
    /// `night, alerts, matches`.
    nights: Table,
}

/// Refuses a filter that is wrong, without any data.
#[pyfunction]
#[pyo3(signature = (text, name, folder=None))]
pub(crate) fn check_filter(
    py: Python<'_>,
    text: &str,
    name: &str,
    folder: Option<PathBuf>,
) -> PyResult<()> {
    let check = || -> Result<()> {
        let catalogs = pitt::catalogs::load(Path::new(&settings(folder)?.archive))?;
        let filter = Filter::parse(name, text).map_err(Refused)?;
        let surveys = filters::known_surveys()?;
        Ok(filters::check(&filter, &surveys, &catalogs).map_err(Refused)?)
    };
    py.detach(check).map_err(|error| errors::trial(py, error))
}

/// Where the packets of a trial come from.
#[derive(FromPyObject)]
pub(crate) enum Source<'py> {
    /// Stored ones.
    Archive(Bound<'py, Archive>),
    /// In memory.
    Packets(Vec<PyBackedBytes>),
    /// File, tarball or folder.
    Path(PathBuf),
}

/// The same without Python.
enum Held {
    Archive(pitt_archive::Archive),
    Packets(Vec<Packet>),
    Path(PathBuf),
}

/// Tries a filter on all packets of a source, or until `max_alerts` were looked at; keeps at most `max_rows` rows.
#[pyfunction]
#[pyo3(signature = (text, name, source, *, nights=None, max_alerts=None, max_rows=100_000, schemas=None, folder=None))]
#[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
pub(crate) fn try_filter(
    py: Python<'_>,
    text: &str,
    name: &str,
    source: Source<'_>,
    nights: Option<BTreeSet<i32>>,
    max_alerts: Option<u64>,
    max_rows: usize,
    schemas: Option<Schemas>,
    folder: Option<PathBuf>,
) -> PyResult<Trial> {
    let (held, settings) = match source {
        Source::Archive(archive) => (
            Held::Archive(archive.get().fresh(py)?),
            archive.get().settings().clone(),
        ),
        Source::Packets(packets) => (
            Held::Packets(packets.into_iter().map(packet).collect()),
            settings(folder).map_err(errors::archive)?,
        ),
        Source::Path(path) => (Held::Path(path), settings(folder).map_err(errors::archive)?),
    };
    let run = Run {
        nights: nights.as_ref(),
        max_alerts,
        max_rows,
        schemas,
    };
    let tried = py.detach(|| run.pass(&settings, text, name, held));
    let (trial, failure) = tried.map_err(|error| errors::trial(py, error))?;
    match failure {
        Some(why) => {
            let error = errors::failed_filter(py, name, &why);
            error.value(py).setattr("trial", Py::new(py, trial)?)?;
            Err(error)
        }
        None => Ok(trial),
    }
}

struct Run<'a> {
    nights: Option<&'a BTreeSet<i32>>,
    max_alerts: Option<u64>,
    max_rows: usize,
    schemas: Option<Schemas>,
}

impl Run<'_> {
    fn pass(
        self,
        settings: &Settings,
        text: &str,
        name: &str,
        held: Held,
    ) -> Result<(Trial, Option<pitt_query::Disabled>)> {
        let filter = Filter::parse(name, text).map_err(Refused)?;
        let version = filters::version(&filter).to_string();
        let mut trial = trial::Trial::with_settings(settings, filter)?;
        if let Some(schemas) = &self.schemas {
            trial = trial.with_schemas(Schemas::store(Some(schemas)));
        }
        let ground = match &held {
            Held::Archive(archive) => Ground::Archive {
                archive,
                nights: self.nights,
            },
            Held::Path(path) => Ground::Path(path),
            Held::Packets(packets) => Ground::Packets(packets.clone()),
        };
        let (mut tally, mut rows) = (Tally::default(), Rows::new(self.max_rows));
        let mut complete = true;
        let report = trial.pass(settings, ground, |judged| {
            Python::attach(|py| py.check_signals())?;
            tally.add(judged);
            rows.add(judged)?;
            complete = self.max_alerts.is_none_or(|most| tally.alerts() < most);
            Ok(match complete {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })?;
        let failure = trial.failed().cloned();
        let trial = Trial {
            name: name.to_owned(),
            version,
            alerts: tally.alerts(),
            matches: tally.matches(),
            rejected: tally.rejected(),
            damaged: report.damaged,
            complete,
            cost_us: tally.cost_us(),
            tables: rows.tables(),
            nights: nights_table(&tally),
        };
        Ok((trial, failure))
    }
}

/// Rows of a filter's SELECT, by their schema.
struct Rows {
    left: usize,
    by_schema: Vec<(SchemaRef, Vec<RecordBatch>)>,
}

impl Rows {
    fn new(most: usize) -> Self {
        Self {
            left: most,
            by_schema: vec![],
        }
    }

    fn add(&mut self, judged: &Judged<'_>) -> Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        for output in judged.outputs()? {
            let taken = output.slice(0, output.num_rows().min(self.left));
            self.left -= taken.num_rows();
            let schema = taken.schema();
            match self
                .by_schema
                .iter_mut()
                .find(|(known, _)| *known == schema)
            {
                Some((_, batches)) => batches.push(taken),
                None => self.by_schema.push((schema, vec![taken])),
            }
        }
        Ok(())
    }

    fn tables(self) -> Vec<Table> {
        let tables = self.by_schema.into_iter();
        tables
            .map(|(schema, batches)| Table::new(schema, batches))
            .collect()
    }
}

fn nights_table(tally: &Tally) -> Table {
    let nights = tally.nights().keys().copied().collect::<Int32Array>();
    let count = |count: fn(&trial::NightTally) -> u64| -> ArrayRef {
        Arc::new(tally.nights().values().map(count).collect::<UInt64Array>())
    };
    Table::of_columns(vec![
        ("night", "", Arc::new(nights)),
        ("alerts", "", count(|night| night.alerts)),
        ("matches", "", count(|night| night.matches)),
    ])
}
