//! An open archive.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_array::{
    ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use pitt::config::{Config, Settings};
use pitt_alert::{Decoder, Packet};
use pitt_archive::{ConeHit, Point, Replay, Replayed};
use pitt_query::{Engine, Limits};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::packets::{Schemas, dict, verbatim};
use crate::tables::Table;
use crate::{errors, packets};

/// An archive, for reading.
#[pyclass(frozen, module = "pitt_broker._native")]
pub(crate) struct Archive {
    archive: pitt_archive::Archive,
    settings: Settings,
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

#[pymethods]
impl Archive {
    #[new]
    #[pyo3(signature = (folder=None))]
    fn new(py: Python<'_>, folder: Option<PathBuf>) -> PyResult<Self> {
        py.detach(|| {
            let settings = settings(folder)?;
            let archive = pitt::broker::open_archive(&settings, false)?;
            Ok(Self { archive, settings })
        })
        .map_err(|error: anyhow::Error| errors::archive(error))
    }

    /// Folder.
    #[getter]
    fn folder(&self) -> PathBuf {
        self.archive.folder().to_owned()
    }

    /// Surveys with alerts in it.
    #[getter]
    fn surveys(&self) -> Vec<String> {
        self.archive.surveys()
    }

    /// Takes in what was committed since it was opened.
    fn refresh(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.archive.refresh())
            .map_err(errors::archive)
    }

    /// The packet of an alert and the alert's number in it; `None` when there is none.
    fn packet<'py>(
        &self,
        py: Python<'py>,
        alert_id: i64,
    ) -> PyResult<Option<(String, Bound<'py, PyBytes>, u32)>> {
        let found = py.detach(|| self.archive.find(alert_id));
        let found = found.map_err(errors::archive)?.into_iter().next();
        Ok(found.map(|stored| {
            let bytes = PyBytes::new(py, &stored.bytes);
            (stored.survey, bytes, stored.record)
        }))
    }

    /// Schemas of all packets in the archive.
    fn schemas(&self, py: Python<'_>) -> PyResult<Schemas> {
        let store = py.detach(|| self.archive.schema_store());
        Ok(Schemas(store.map_err(errors::archive)?))
    }

    /// Detections of all alerts of an object.
    fn light_curve(&self, py: Python<'_>, object_id: &str) -> PyResult<Table> {
        let points = py.detach(|| self.archive.light_curve(object_id));
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
        let hits = py.detach(|| self.archive.cone(ra_deg, dec_deg, radius_arcsec));
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
        py.detach(|| {
            self.archive.refresh()?;
            let engine: Engine = pitt::command::engine(&self.archive, &self.settings)?;
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
        let opened = py.detach(|| {
            self.archive.refresh()?;
            let decoder = verbatim(self.archive.schema_store()?);
            Ok((self.archive.replay(None)?, decoder))
        });
        let (replay, decoder) =
            opened.map_err(|error: pitt_archive::ArchiveError| errors::archive(error))?;
        let state = State {
            replay,
            decoder,
            waiting: vec![],
        };
        Ok(Packets {
            state: Mutex::new(state),
            survey,
            partition,
            night,
            raw,
        })
    }
}

/// Alerts one after the other, in constant memory: dicts, or `bytes` of packets.
#[pyclass(frozen, module = "pitt_broker._native")]
pub(crate) struct Packets {
    state: Mutex<State>,
    survey: Option<String>,
    partition: Option<String>,
    night: Option<i32>,
    raw: bool,
}

struct State {
    replay: Replay,
    decoder: Decoder,
    /// Alerts of the packet under way, the last one first.
    waiting: Vec<Py<PyDict>>,
}

#[pymethods]
impl Packets {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(alert) = state.waiting.pop() {
                return Ok(Some(alert.into_any()));
            }
            let replay = &mut state.replay;
            let next = py.detach(|| replay.next());
            let Some(replayed) = next.transpose().map_err(errors::archive)? else {
                return Ok(None);
            };
            if !self.wants(&replayed) {
                continue;
            }
            if self.raw && self.survey.is_none() {
                let bytes = PyBytes::new(py, &replayed.packet.bytes);
                return Ok(Some(bytes.unbind().into_any()));
            }
            let packet = replayed.packet.clone();
            let Some(alerts) = self.alerts(py, &mut state.decoder, &replayed)? else {
                continue;
            };
            if self.raw {
                return Ok(Some(PyBytes::new(py, &packet.bytes).unbind().into_any()));
            }
            state.waiting = alerts;
        }
    }
}

impl Packets {
    fn wants(&self, replayed: &Replayed) -> bool {
        let partition = &replayed.packet.position.partition;
        let of_partition = |begin: &String| partition.starts_with(begin.as_str());
        self.partition.as_ref().is_none_or(of_partition)
            && self.night.is_none_or(|night| replayed.night == Some(night))
    }

    /// The stored alerts of a packet, the last one first; `None` if it is another survey's.
    fn alerts(
        &self,
        py: Python<'_>,
        decoder: &mut Decoder,
        replayed: &Replayed,
    ) -> PyResult<Option<Vec<Py<PyDict>>>> {
        let packets: [Packet; 1] = [replayed.packet.clone()];
        let decoded = py.detach(|| decoder.decode(&packets));
        let mut alerts = vec![];
        for batch in &decoded.batches {
            if self
                .survey
                .as_ref()
                .is_some_and(|survey| **survey != *batch.survey)
            {
                return Ok(None);
            }
            if self.raw {
                continue;
            }
            for (row, origin) in batch.origins.iter().enumerate() {
                if replayed.stored.contains(&origin.record) {
                    alerts.push(dict(py, batch, row)?.unbind());
                }
            }
        }
        if alerts.is_empty() && !self.raw {
            let why = packets::rejected(&decoded).into_iter().next();
            let why = why.map_or_else(|| "nothing in it".to_owned(), |(_, why)| why);
            let name = &replayed.packet.name;
            return Err(errors::archive(anyhow::anyhow!(
                "stored packet {name} cannot be decoded: {why} (run `pitt verify`)"
            )));
        }
        alerts.reverse();
        Ok(Some(alerts))
    }
}

fn field(name: &str, data_type: DataType, unit: &str) -> Field {
    let metadata = match unit {
        "" => vec![],
        unit => vec![("unit".to_owned(), unit.to_owned())],
    };
    Field::new(name, data_type, true).with_metadata(metadata.into_iter().collect())
}

fn table(columns: Vec<(Field, ArrayRef)>) -> Table {
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let batches = RecordBatch::try_new(schema.clone(), arrays);
    Table::new(schema, batches.into_iter().collect())
}

fn points_table(points: &[Point]) -> Table {
    let texts = |text: fn(&Point) -> Option<&str>| -> ArrayRef {
        Arc::new(points.iter().map(text).collect::<StringArray>())
    };
    let flux = |flux: fn(&Point) -> f32| -> ArrayRef {
        let known = points
            .iter()
            .map(flux)
            .map(|flux| Some(flux).filter(|f| !f.is_nan()));
        Arc::new(known.collect::<Float32Array>())
    };
    let ids = points.iter().map(|point| point.alert_id);
    let times = points.iter().map(|point| point.mjd_tai);
    table(vec![
        (
            field("survey", DataType::Utf8, ""),
            texts(|p| Some(&p.survey)),
        ),
        (
            field("alert_id", DataType::Int64, ""),
            Arc::new(ids.collect::<Int64Array>()),
        ),
        (
            field("mjd_tai", DataType::Float64, "d"),
            Arc::new(times.collect::<Float64Array>()),
        ),
        (
            field("band", DataType::Utf8, ""),
            texts(|p| p.band.as_deref()),
        ),
        (
            field("psf_flux", DataType::Float32, "nJy"),
            flux(|p| p.psf_flux),
        ),
        (
            field("psf_flux_err", DataType::Float32, "nJy"),
            flux(|p| p.psf_flux_err),
        ),
    ])
}

fn hits_table(hits: &[ConeHit]) -> Table {
    let texts = |text: fn(&ConeHit) -> &str| -> ArrayRef {
        Arc::new(
            hits.iter()
                .map(|hit| Some(text(hit)))
                .collect::<StringArray>(),
        )
    };
    let reals = |real: fn(&ConeHit) -> f64| -> ArrayRef {
        Arc::new(hits.iter().map(real).collect::<Float64Array>())
    };
    let counts = hits.iter().map(|hit| hit.n_detections);
    table(vec![
        (
            field("object_id", DataType::Utf8, ""),
            texts(|h| &h.object_id),
        ),
        (field("survey", DataType::Utf8, ""), texts(|h| &h.survey)),
        (field("ra", DataType::Float64, "deg"), reals(|h| h.ra)),
        (field("dec", DataType::Float64, "deg"), reals(|h| h.dec)),
        (
            field("separation", DataType::Float64, "arcsec"),
            reals(|h| h.separation_arcsec),
        ),
        (
            field("n_detections", DataType::UInt32, ""),
            Arc::new(counts.collect::<UInt32Array>()),
        ),
        (
            field("last_mjd_tai", DataType::Float64, "d"),
            reals(|h| h.last_mjd_tai),
        ),
    ])
}
