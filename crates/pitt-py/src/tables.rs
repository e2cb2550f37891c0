//! Tables on their way to Python.

use std::sync::Arc;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchIterator};
use arrow_schema::{Field, Schema, SchemaRef};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// Record batches of one schema. pyarrow, polars and pandas take it by `__arrow_c_stream__`, without a copy, as often
/// as they like.
#[pyclass(frozen, module = "pitt_broker._native")]
#[derive(Clone)]
pub(crate) struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    pub(crate) fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self { schema, batches }
    }

    /// A table of columns of equal length: name, unit (empty when it has none), values.
    pub(crate) fn of_columns(columns: Vec<(&str, &str, ArrayRef)>) -> Self {
        let field = |name: &str, unit: &str, array: &ArrayRef| {
            let unit = Some(unit).filter(|unit| !unit.is_empty());
            let metadata = unit.map(|unit| ("unit".to_owned(), unit.to_owned()));
            Field::new(name, array.data_type().clone(), true)
                .with_metadata(metadata.into_iter().collect())
        };
        let fields = columns
            .iter()
            .map(|(name, unit, array)| field(name, unit, array));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
        let batch = RecordBatch::try_new(schema.clone(), arrays);
        Self::new(schema, batch.into_iter().collect())
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
        let batches = self.batches.clone().into_iter().map(Ok);
        let batches = RecordBatchIterator::new(batches, self.schema.clone());
        let stream = FFI_ArrowArrayStream::new(Box::new(batches));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }

    /// Number of rows.
    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}
