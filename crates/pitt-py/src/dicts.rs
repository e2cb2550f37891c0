//! Rows as Python dicts, with the values that fastavro gives.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDate, PyDateTime, PyDelta, PyDict, PyList, PyTzInfo};

use crate::errors::DecodeError;

/// One row of the first `columns` columns.
pub(crate) fn row<'py>(
    py: Python<'py>,
    records: &RecordBatch,
    columns: usize,
    row: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let schema = records.schema_ref();
    for (field, column) in schema.fields().iter().zip(records.columns()).take(columns) {
        dict.set_item(field.name(), field_value(py, field, column, row)?)?;
    }
    Ok(dict)
}

/// A field's value: a time where Avro's logical type says so, as fastavro gives it.
fn field_value<'py>(
    py: Python<'py>,
    field: &Field,
    column: &dyn Array,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let value = value(py, column, row)?;
    let logical = field.metadata().get("avro.logicalType");
    let microseconds = match logical.map(String::as_str) {
        _ if value.is_none() => return Ok(value),
        Some("timestamp-millis") => value.extract::<i64>()?.saturating_mul(1000),
        Some("timestamp-micros") => value.extract::<i64>()?,
        Some("date") => {
            let first = PyDate::new(py, 1970, 1, 1)?;
            return first.call_method1(
                "__add__",
                (PyDelta::new(py, value.extract()?, 0, 0, true)?,),
            );
        }
        _ => return Ok(value),
    };
    let first = PyDateTime::new(
        py,
        1970,
        1,
        1,
        0,
        0,
        0,
        0,
        Some(&PyTzInfo::utc(py)?.to_owned()),
    )?;
    let (days, rest) = (
        microseconds.div_euclid(86_400_000_000),
        microseconds.rem_euclid(86_400_000_000),
    );
    let (seconds, rest) = (rest / 1_000_000, rest % 1_000_000);
    let after = PyDelta::new(py, i32::try_from(days)?, seconds as i32, rest as i32, true)?;
    first.call_method1("__add__", (after,))
}

/// One value: `None`, `bool`, `int`, `float`, `str`, `bytes`, `list` or `dict`.
pub(crate) fn value<'py>(
    py: Python<'py>,
    column: &dyn Array,
    row: usize,
) -> PyResult<Bound<'py, PyAny>> {
    if column.is_null(row) {
        return Ok(py.None().into_bound(py));
    }
    Ok(match column.data_type() {
        DataType::Null => py.None().into_bound(py),
        DataType::Boolean => column
            .as_boolean()
            .value(row)
            .into_pyobject(py)?
            .to_owned()
            .into_any(),
        DataType::Int32 => number(py, column.as_primitive::<Int32Type>().value(row))?,
        DataType::Int64 => number(py, column.as_primitive::<Int64Type>().value(row))?,
        DataType::Float32 => real(
            py,
            f64::from(column.as_primitive::<Float32Type>().value(row)),
        )?,
        DataType::Float64 => real(py, column.as_primitive::<Float64Type>().value(row))?,
        DataType::Utf8 => column
            .as_string::<i32>()
            .value(row)
            .into_pyobject(py)?
            .into_any(),
        DataType::Binary => PyBytes::new(py, column.as_binary::<i32>().value(row)).into_any(),
        DataType::BinaryView => PyBytes::new(py, column.as_binary_view().value(row)).into_any(),
        DataType::Dictionary(_, _) => {
            let codes = column.as_dictionary::<Int8Type>();
            let code = usize::from(codes.keys().value(row).unsigned_abs());
            value(py, codes.values(), code)?
        }
        DataType::List(_) => list(py, &column.as_list::<i32>().value(row))?,
        DataType::Struct(fields) => {
            let dict = PyDict::new(py);
            for (field, column) in fields.iter().zip(column.as_struct().columns()) {
                dict.set_item(field.name(), field_value(py, field, column, row)?)?;
            }
            dict.into_any()
        }
        DataType::Map(_, _) => {
            let entries = column.as_map().value(row);
            let dict = PyDict::new(py);
            for entry in 0..entries.len() {
                let key = value(py, entries.column(0), entry)?;
                dict.set_item(key, value(py, entries.column(1), entry)?)?;
            }
            dict.into_any()
        }
        other => {
            return Err(DecodeError::new_err(format!(
                "no Python value for the type {other}"
            )));
        }
    })
}

fn list<'py>(py: Python<'py>, items: &dyn Array) -> PyResult<Bound<'py, PyAny>> {
    let values = (0..items.len()).map(|item| value(py, items, item));
    let values = values.collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(py, values)?.into_any())
}

fn number<'py>(py: Python<'py>, number: impl Into<i64>) -> PyResult<Bound<'py, PyAny>> {
    Ok(number.into().into_pyobject(py)?.into_any())
}

fn real<'py>(py: Python<'py>, number: f64) -> PyResult<Bound<'py, PyAny>> {
    Ok(number.into_pyobject(py)?.into_any())
}
