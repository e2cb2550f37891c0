//! Packets outside an archive: bytes to tables and dicts.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_array::{Array, BinaryViewArray, RecordBatch};
use bytes::Bytes;
use pitt::source::Outlet;
use pitt_alert::{
    AlertBatch, Decoded, Decoder, Packet, Rejected, SchemaStore, Selection, SurveyColumns,
    WriterSchema,
};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyList;

use crate::archive::settings;
use crate::dicts;
use crate::errors::{self, DecodeError};
use crate::tables::Table;

/// Writers' schemas of messages that name theirs by number (Confluent wire format).
#[pyclass(frozen, from_py_object, module = "pitt_broker._native")]
#[derive(Clone)]
pub(crate) struct Schemas {
    store: SchemaStore,
    /// A decoder of the survey's own columns that was used before, with the plans it has compiled.
    verbatim: Arc<Mutex<Option<Decoder>>>,
}

impl Schemas {
    /// The store of the schemas given, or an empty one.
    pub(crate) fn store(given: Option<&Self>) -> SchemaStore {
        given.map_or_else(SchemaStore::new, |schemas| schemas.store.clone())
    }
}

#[pymethods]
impl Schemas {
    #[new]
    #[pyo3(signature = (folder=None, registry=None))]
    fn new(folder: Option<PathBuf>, registry: Option<&str>) -> PyResult<Self> {
        let failed = |error: &dyn std::fmt::Display| DecodeError::new_err(error.to_string());
        let mut store = pitt::filters::built_in_schemas().map_err(|error| failed(&error))?;
        if let Some(folder) = folder {
            store = store.with_folder(folder).map_err(|error| failed(&error))?;
        }
        if let Some(registry) = registry {
            store = store.with_registry(registry);
        }
        Ok(Self {
            store,
            verbatim: Arc::default(),
        })
    }
}

/// Packets decoded together: as many as stay in the processor's caches with their columns.
const PART: usize = 1000;

/// Survey, version of the writer's schema, and rows.
type Decoding = (String, Option<String>, Table);
/// Which packet, and what is wrong with it.
type Rejection = (String, String);

/// Bytes of a packet, or a file, tarball or folder.
#[derive(FromPyObject)]
pub(crate) enum Given {
    /// A packet; Python's own bytes, not copied.
    Bytes(PyBackedBytes),
    /// Where packets are.
    Path(PathBuf),
}

/// Decodes packets to tables, one for each writer's schema: `(survey, version, table)`, and what cannot be read.
#[pyfunction]
#[pyo3(signature = (packets, schemas=None, stamps=false, columns=None))]
pub(crate) fn decode(
    py: Python<'_>,
    packets: Vec<Given>,
    schemas: Option<Schemas>,
    stamps: bool,
    columns: Option<Vec<String>>,
) -> PyResult<(Vec<Decoding>, Vec<Rejection>)> {
    let store = Schemas::store(schemas.as_ref());
    let survey = match (columns, stamps) {
        (Some(columns), _) => SurveyColumns::Only(columns.into_iter().collect()),
        (None, true) => SurveyColumns::All,
        (None, false) => SurveyColumns::AllButStamps,
    };
    let mut decoder = Decoder::new(store);
    decoder.select(Selection {
        survey,
        ..Selection::default()
    });
    py.detach(|| {
        let mut bulk = Bulk {
            decoder,
            packets: vec![],
            decodings: vec![],
            rejected: vec![],
            raised: None,
        };
        for (index, given) in packets.into_iter().enumerate() {
            bulk.take(index, given)?;
        }
        bulk.finish()
    })
}

/// Packets being decoded, part by part.
struct Bulk {
    decoder: Decoder,
    packets: Vec<Packet>,
    /// By schema: survey, schema, batches.
    decodings: Vec<(Arc<str>, Arc<WriterSchema>, Vec<RecordBatch>)>,
    rejected: Vec<Rejection>,
    /// Ctrl-C.
    raised: Option<PyErr>,
}

impl Bulk {
    fn take(&mut self, index: usize, given: Given) -> PyResult<()> {
        let unreadable = |path: &PathBuf, error: &dyn std::fmt::Display| {
            DecodeError::new_err(format!("cannot read `{}`: {error}", path.display()))
        };
        let flow = match given {
            Given::Bytes(bytes) => {
                let mut packet = packet(bytes);
                packet.name = format!("packet {index}").into();
                self.packet(packet)
            }
            Given::Path(path) if path.is_dir() || is_tarball(&path) => {
                let settings = settings(None).map_err(errors::archive)?;
                let report = pitt::trial::each_packet(&settings, &path, self)
                    .map_err(|error| unreadable(&path, &pitt::command::told(&error)))?;
                let damaged = report.damaged.into_iter();
                let told = damaged.map(|what| (path.display().to_string(), what));
                self.rejected.extend(told);
                ControlFlow::Continue(())
            }
            Given::Path(path) => {
                let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, &error))?;
                self.packet(Packet::unplaced(&path.to_string_lossy(), bytes))
            }
        };
        match self.raised.take() {
            Some(raised) if flow.is_break() => Err(raised),
            _ => Ok(()),
        }
    }

    fn close(&mut self) -> ControlFlow<()> {
        let decoded = self.decoder.decode(&self.packets);
        for rejected in &decoded.rejected {
            let name = self.packets[rejected.packet].name.to_string();
            self.rejected.push((name, reason(rejected)));
        }
        for batch in decoded.batches {
            let records = owned(&batch.records);
            let print = batch.schema.fingerprint();
            let mut known = self.decodings.iter_mut();
            match known.find(|(_, schema, _)| schema.fingerprint() == print) {
                Some((_, _, batches)) => batches.push(records),
                None => self
                    .decodings
                    .push((batch.survey, batch.schema, vec![records])),
            }
        }
        self.packets.clear();
        match Python::attach(|py| py.check_signals()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(raised) => {
                self.raised = Some(raised);
                ControlFlow::Break(())
            }
        }
    }

    fn finish(mut self) -> PyResult<(Vec<Decoding>, Vec<Rejection>)> {
        if !self.packets.is_empty() {
            let _ = self.close();
        }
        if let Some(raised) = self.raised {
            return Err(raised);
        }
        let tables = self.decodings.into_iter();
        let tables = tables.map(|(survey, schema, batches)| {
            let table = Table::new(batches[0].schema(), batches);
            (
                survey.to_string(),
                schema.version().map(str::to_owned),
                table,
            )
        });
        Ok((tables.collect(), self.rejected))
    }
}

impl Outlet for Bulk {
    fn packet(&mut self, packet: Packet) -> ControlFlow<()> {
        self.packets.push(packet);
        if self.packets.len() < PART {
            return ControlFlow::Continue(());
        }
        self.close()
    }

    fn pause(&mut self, _wait: Duration) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn flush(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn is_tarball(path: &Path) -> bool {
    let name = path.to_string_lossy();
    [".tar", ".tar.gz", ".tgz"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// Python's bytes as a packet: kept alive by it, not copied.
pub(crate) fn packet(bytes: PyBackedBytes) -> Packet {
    Packet::unplaced("bytes", Bytes::from_owner(bytes))
}

/// The alerts of one packet as dicts.
#[pyfunction]
#[pyo3(signature = (packet, schemas=None))]
pub(crate) fn alerts(
    py: Python<'_>,
    packet: PyBackedBytes,
    schemas: Option<Schemas>,
) -> PyResult<Bound<'_, PyList>> {
    let packet = self::packet(packet);
    let Some(schemas) = schemas else {
        return dicts_of(py, &verbatim(SchemaStore::new()).decode(&[packet]));
    };
    let kept = &schemas.verbatim;
    let taken = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut decoder = taken.unwrap_or_else(|| verbatim(schemas.store.clone()));
    let decoded = decoder.decode(&[packet]);
    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(decoder);
    dicts_of(py, &decoded)
}

/// The alert of a bare datum, whose schema is told beside it.
#[pyfunction]
pub(crate) fn datum<'py>(
    py: Python<'py>,
    datum: PyBackedBytes,
    schema: &str,
) -> PyResult<Bound<'py, PyList>> {
    let store = SchemaStore::new();
    let schema = store
        .intern(schema)
        .map_err(|error| DecodeError::new_err(format!("schema of the message: {error}")))?;
    let packet = self::packet(datum);
    dicts_of(py, &verbatim(store).decode_datum(&schema, &[packet]))
}

fn dicts_of<'py>(py: Python<'py>, decoded: &Decoded) -> PyResult<Bound<'py, PyList>> {
    if let Some(rejected) = decoded.rejected.first() {
        return Err(DecodeError::new_err(reason(rejected)));
    }
    let list = PyList::empty(py);
    for batch in &decoded.batches {
        for row in 0..batch.records.num_rows() {
            list.append(dict(py, batch, row)?)?;
        }
    }
    Ok(list)
}

/// A decoder of the survey's own columns alone.
pub(crate) fn verbatim(store: SchemaStore) -> Decoder {
    let mut decoder = Decoder::new(store);
    decoder.select(Selection {
        survey: SurveyColumns::All,
        detections: false,
        forced: false,
        nondetections: false,
    });
    decoder
}

/// One alert with the survey's own fields, as they are in the packet.
pub(crate) fn dict<'py>(
    py: Python<'py>,
    batch: &AlertBatch,
    row: usize,
) -> PyResult<Bound<'py, pyo3::types::PyDict>> {
    let own = own_columns(&batch.schema, &batch.records);
    dicts::row(py, &batch.records, own, row)
}

/// How many of the columns are the survey's own; the common ones follow them.
fn own_columns(schema: &Arc<WriterSchema>, records: &RecordBatch) -> usize {
    let all = records.num_columns();
    if !schema.has_common_columns() {
        return all;
    }
    let names = records.schema_ref().fields();
    names
        .iter()
        .rposition(|field| field.name() == "survey")
        .unwrap_or(all)
}

/// What is wrong with a packet.
pub(crate) fn reason(rejected: &Rejected) -> String {
    format!("{}: {}", rejected.reason.as_str(), rejected.detail)
}

/// Stamps are views into the packets: as columns of their own they keep only what they show.
fn owned(records: &RecordBatch) -> RecordBatch {
    let columns = records.columns().iter().map(|column| {
        let views = column.as_any().downcast_ref::<BinaryViewArray>();
        views.map_or_else(|| column.clone(), |views| Arc::new(views.gc()) as _)
    });
    RecordBatch::try_new(records.schema(), columns.collect()).unwrap_or_else(|_| records.clone())
}
