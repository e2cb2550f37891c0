//! Packets outside an archive: bytes to dicts.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use bytes::Bytes;
use pitt_alert::{
    AlertBatch, Decoded, Decoder, Packet, Rejected, SchemaStore, Selection, SurveyColumns,
    WriterSchema,
};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyList;

use crate::dicts;
use crate::errors::DecodeError;

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
