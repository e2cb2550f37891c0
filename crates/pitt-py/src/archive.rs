//! An open archive.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pitt::config::{Config, Settings};
use pitt_alert::{Decoder, Packet, SchemaStore};
use pitt_archive::{ArchiveError, StoredPacket};
use pitt_query::{Engine, Limits};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::answers::{hits_table, points_table};
use crate::packets::{dict, verbatim};
use crate::stored::{Packets, undecodable};
use crate::tables::Table;
use crate::{errors, history};

/// What others have committed is looked for again after this time.
const FRESH: Duration = Duration::from_secs(1);

/// An archive, for reading.
#[pyclass(frozen, module = "pitt_broker._native")]
pub(crate) struct Archive {
    folder: PathBuf,
    settings: Settings,
    /// `None` once it is closed.
    state: Mutex<Option<Open>>,
}

/// An archive while it is open.
struct Open {
    archive: pitt_archive::Archive,
    /// When its tables were last read.
    read: Instant,
    /// Schemas of its packets and a decoder by them, and how many schemas there were when it was made.
    reading: Option<(usize, SchemaStore, Decoder)>,
}

impl Open {
    /// Takes in what was committed since it was last looked.
    fn refresh(&mut self) -> Result<(), ArchiveError> {
        self.archive.refresh()?;
        self.read = Instant::now();
        let schemas = self.archive.schemas().len();
        self.reading.take_if(|(known, ..)| *known != schemas);
        Ok(())
    }

    fn reading(&mut self) -> Result<(&SchemaStore, &mut Decoder), ArchiveError> {
        if self.reading.is_none() {
            let store = self.archive.schema_store()?;
            let decoder = verbatim(store.clone());
            self.reading = Some((self.archive.schemas().len(), store, decoder));
        }
        match &mut self.reading {
            Some((_, store, decoder)) => Ok((store, decoder)),
            None => unreachable!("just made"),
        }
    }

    /// The packet of an alert, also one committed a moment ago.
    fn find(&mut self, alert_id: i64) -> Result<Option<StoredPacket>, ArchiveError> {
        let mut found = self.archive.find(alert_id)?;
        if found.is_empty() {
            self.refresh()?;
            found = self.archive.find(alert_id)?;
        }
        Ok(found.into_iter().next())
    }
}

/// Settings as on the command line: defaults, `./pitt.toml`, environment; then the archive's folder, if one is given.
pub(crate) fn settings(folder: Option<PathBuf>) -> anyhow::Result<Settings> {
    let flags = folder.map(|folder| ("archive", folder.to_string_lossy().into_owned().into()));
    let config = Config::load(
        None,
        |name| std::env::var(name).ok(),
        flags.into_iter().collect(),
    )?;
    Ok(config.settings)
}

impl Archive {
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The archive as it stands after the last commit.
    pub(crate) fn fresh(&self, py: Python<'_>) -> PyResult<pitt_archive::Archive> {
        self.with(py, |open| {
            if open.read.elapsed() > FRESH {
                open.refresh()?;
            }
            Ok(open.archive.clone())
        })
    }

    /// Does something with the open archive, Python let go.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Open) -> Result<T, ArchiveError> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.as_mut().map(work)
        });
        match done {
            Some(done) => done.map_err(errors::archive),
            None => Err(errors::ArchiveError::new_err(format!(
                "the archive `{}` was closed (open it again)",
                self.folder.display()
            ))),
        }
    }
}

#[pymethods]
impl Archive {
    #[new]
    #[pyo3(signature = (folder=None))]
    fn new(py: Python<'_>, folder: Option<PathBuf>) -> PyResult<Self> {
        py.detach(|| {
            let settings = settings(folder)?;
            let archive = pitt::broker::open_archive(&settings, false)?;
            let open = Open {
                archive,
                read: Instant::now(),
                reading: None,
            };
            Ok(Self {
                folder: open.archive.folder().to_owned(),
                settings,
                state: Mutex::new(Some(open)),
            })
        })
        .map_err(|error: anyhow::Error| errors::archive(error))
    }

    /// Folder.
    #[getter]
    fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// Surveys with alerts in it.
    #[getter]
    fn surveys(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.with(py, |open| Ok(open.archive.surveys()))
    }

    /// Takes in what was committed since it was opened.
    fn refresh(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Open::refresh)
    }

    /// Lets go of its files, so that a `pitt run` may write to it.
    fn close(&self, py: Python<'_>) {
        py.detach(|| {
            drop(
                self.state
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(),
            )
        });
    }

    /// The packet of an alert; `None` when there is none.
    fn packet<'py>(&self, py: Python<'py>, alert_id: i64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = self.with(py, |open| open.find(alert_id))?;
        Ok(found.map(|stored| PyBytes::new(py, &stored.bytes)))
    }

    /// An alert as a dict; `None` when there is none.
    fn alert<'py>(&self, py: Python<'py>, alert_id: i64) -> PyResult<Option<Bound<'py, PyDict>>> {
        let decoded = self.with(py, |open| {
            let Some(stored) = open.find(alert_id)? else {
                return Ok(None);
            };
            let packet = Packet::unplaced(&stored.name, stored.bytes);
            let (_, decoder) = open.reading()?;
            Ok(Some((stored.record, decoder.decode(&[packet]))))
        })?;
        let Some((record, decoded)) = decoded else {
            return Ok(None);
        };
        for batch in &decoded.batches {
            let mut origins = batch.origins.iter();
            if let Some(row) = origins.position(|origin| origin.record == record) {
                return dict(py, batch, row).map(Some);
            }
        }
        Err(undecodable(&format!("of alert {alert_id}"), &decoded))
    }

    /// The light curve in an alert's packet; `None` when there is no such alert.
    fn history(&self, py: Python<'_>, alert_id: i64) -> PyResult<Option<Table>> {
        let found = self.with(py, |open| {
            let Some(stored) = open.find(alert_id)? else {
                return Ok(None);
            };
            Ok(Some((stored, open.reading()?.0.clone())))
        })?;
        let Some((stored, schemas)) = found else {
            return Ok(None);
        };
        py.detach(|| history::read(schemas, stored.bytes, stored.record))
            .map(Some)
    }

    /// Detections of all alerts of an object.
    fn light_curve(&self, py: Python<'_>, object_id: &str) -> PyResult<Table> {
        let archive = self.fresh(py)?;
        let points = py.detach(|| archive.light_curve(object_id));
        Ok(points_table(&points.map_err(errors::archive)?))
    }

    /// Objects within a radius, nearest first.
    fn cone(
        &self,
        py: Python<'_>,
        ra_deg: f64,
        dec_deg: f64,
        radius_arcsec: f64,
    ) -> PyResult<Table> {
        let archive = self.fresh(py)?;
        let hits = py.detach(|| archive.cone(ra_deg, dec_deg, radius_arcsec));
        Ok(hits_table(&hits.map_err(errors::archive)?))
    }

    /// The rows of a statement, and whether there are more than `max_rows`.
    #[pyo3(signature = (sql, max_rows=None, timeout_s=None))]
    fn query(
        &self,
        py: Python<'_>,
        sql: &str,
        max_rows: Option<usize>,
        timeout_s: Option<f64>,
    ) -> PyResult<(Table, bool)> {
        let limits = Limits {
            rows: max_rows.unwrap_or(self.settings.query.max_rows),
            time: Duration::try_from_secs_f64(timeout_s.unwrap_or(self.settings.query.timeout_s))
                .unwrap_or(Duration::MAX),
        };
        let archive = self.fresh(py)?;
        py.detach(|| {
            let engine: Engine = pitt::command::engine(&archive, &self.settings)?;
            let mut rows = engine.query(sql, &limits)?;
            let schema = rows.schema().clone();
            let batches = rows.by_ref().collect::<Result<Vec<_>, _>>()?;
            Ok((Table::new(schema, batches), rows.truncated()))
        })
        .map_err(|error: anyhow::Error| errors::query(error))
    }

    /// All packets with stored alerts, in the order of their receipt.
    #[pyo3(signature = (survey=None, partition=None, night=None, raw=false))]
    fn packets(
        &self,
        py: Python<'_>,
        survey: Option<String>,
        partition: Option<String>,
        night: Option<i32>,
        raw: bool,
    ) -> PyResult<Packets> {
        let (replay, decoder) = self.with(py, |open| {
            open.refresh()?;
            let decoder = verbatim(open.reading()?.0.clone());
            Ok((open.archive.replay(None)?, decoder))
        })?;
        Ok(Packets::new(replay, decoder, survey, partition, night, raw))
    }
}
