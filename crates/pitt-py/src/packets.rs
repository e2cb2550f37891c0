//! Packets outside an archive: bytes to tables and dicts.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{Array, BinaryViewArray, RecordBatch};
use bytes::Bytes;
use pitt_alert::{
    AlertBatch, Decoded, Decoder, Packet, SchemaStore, Selection, SurveyColumns, WriterSchema,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::dicts;
use crate::errors::DecodeError;
use crate::tables::Table;

/// Writers' schemas of messages that name theirs by number (Confluent wire format).
#[pyclass(frozen, from_py_object, module = "pitt_broker._native")]
#[derive(Clone)]
pub(crate) struct Schemas(pub(crate) SchemaStore);

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
        Ok(Self(store))
    }
}

/// Survey, version of the writer's schema, and rows.
type Decoding = (String, Option<String>, Table);
/// Index of a packet and what is wrong with it.
type Rejection = (usize, String);

/// Decodes packets to tables, one for each writer's schema: `(survey, version, table, rejected)`.
#[pyfunction]
#[pyo3(signature = (packets, schemas=None, stamps=false, columns=None))]
pub(crate) fn decode(
    py: Python<'_>,
    packets: &Bound<'_, PyList>,
    schemas: Option<Schemas>,
    stamps: bool,
    columns: Option<Vec<String>>,
) -> PyResult<(Vec<Decoding>, Vec<Rejection>)> {
    let packets = taken(packets)?;
    let store = schemas.map_or_else(SchemaStore::new, |schemas| schemas.0);
    let survey = match (columns, stamps) {
        (Some(columns), _) => SurveyColumns::Only(columns.into_iter().collect()),
        (None, true) => SurveyColumns::All,
        (None, false) => SurveyColumns::AllButStamps,
    };
    let selection = Selection {
        survey,
        ..Selection::default()
    };
    py.detach(|| {
        let mut decoder = Decoder::new(store);
        decoder.select(selection);
        let decoded = decoder.decode(&packets);
        let rejected = rejected(&decoded);
        let tables = decoded.batches.into_iter().map(|batch| {
            let records = owned(&batch.records);
            let table = Table::new(records.schema(), vec![records]);
            (
                batch.survey.to_string(),
                batch.schema.version().map(str::to_owned),
                table,
            )
        });
        Ok((tables.collect(), rejected))
    })
}

/// The alerts of one packet as dicts.
#[pyfunction]
#[pyo3(signature = (packet, schemas=None))]
pub(crate) fn alerts<'py>(
    py: Python<'py>,
    packet: &Bound<'py, PyBytes>,
    schemas: Option<Schemas>,
) -> PyResult<Bound<'py, PyList>> {
    let store = schemas.map_or_else(SchemaStore::new, |schemas| schemas.0);
    let packet = Packet::unplaced("bytes", Bytes::copy_from_slice(packet.as_bytes()));
    let mut decoder = verbatim(store);
    let decoded = decoder.decode(&[packet]);
    if let Some((_, reason)) = rejected(&decoded).into_iter().next() {
        return Err(DecodeError::new_err(reason));
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

/// Index of the packet and what is wrong with it.
pub(crate) fn rejected(decoded: &Decoded) -> Vec<Rejection> {
    let told = decoded.rejected.iter().map(|rejected| {
        let reason = rejected.reason.as_str();
        (rejected.packet, format!("{reason}: {}", rejected.detail))
    });
    told.collect()
}

fn taken(packets: &Bound<'_, PyList>) -> PyResult<Vec<Packet>> {
    let mut taken = Vec::with_capacity(packets.len());
    for (index, packet) in packets.iter().enumerate() {
        let bytes = packet.cast::<PyBytes>().map_err(|_| {
            pyo3::exceptions::PyTypeError::new_err(format!(
                "packets[{index}] is not bytes (read files with open(.., 'rb'))"
            ))
        })?;
        // Copied once: Python may free its object while the lock is released.
        let bytes = Bytes::copy_from_slice(bytes.as_bytes());
        taken.push(Packet::unplaced("bytes", bytes));
    }
    Ok(taken)
}

/// Stamps are views into the packets: as columns of their own they keep only what they show.
fn owned(records: &RecordBatch) -> RecordBatch {
    let columns = records.columns().iter().map(|column| {
        let views = column.as_any().downcast_ref::<BinaryViewArray>();
        views.map_or_else(|| column.clone(), |views| Arc::new(views.gc()) as _)
    });
    RecordBatch::try_new(records.schema(), columns.collect()).unwrap_or_else(|_| records.clone())
}
