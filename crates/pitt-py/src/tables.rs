//! Tables on their way to Python.

use std::sync::{Mutex, PoisonError};

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchIterator};
use arrow_schema::SchemaRef;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// Record batches of one schema. pyarrow, polars and pandas take it by `__arrow_c_stream__`, without a copy, as often
/// as they like.
#[pyclass(frozen, module = "pitt_broker._native")]
pub(crate) struct Table {
    schema: SchemaRef,
    batches: Mutex<Vec<RecordBatch>>,
}

impl Table {
    pub(crate) fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self {
            schema,
            batches: Mutex::new(batches),
        }
    }
}

#[pymethods]
impl Table {
    /// A PyCapsule of an ArrowArrayStream (Arrow's C stream interface).
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // Casting is the consumer's affair; the interface allows to ignore the request.
        drop(requested_schema);
        let batches = self
            .batches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let batches = RecordBatchIterator::new(batches.into_iter().map(Ok), self.schema.clone());
        let stream = FFI_ArrowArrayStream::new(Box::new(batches));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }

    /// Number of rows.
    fn __len__(&self) -> usize {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.iter().map(RecordBatch::num_rows).sum()
    }
}
