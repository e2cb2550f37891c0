//! Alerts as rows of their tables have them: the common columns.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow_schema::DataType;

use super::problem::Problem;

/// The common columns of an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Survey.
    pub survey: String,
    /// candid or diaSourceId.
    pub alert_id: i64,
    /// Object, if it has one.
    pub object_id: Option<String>,
    /// Middle of the exposure, d (TAI).
    pub mjd_tai: Option<f64>,
    /// Night, YYYYMMDD.
    pub night: Option<i32>,
    /// Right ascension `[deg]`.
    pub ra: Option<f64>,
    /// Declination `[deg]`.
    pub dec: Option<f64>,
    /// Band.
    pub band: Option<String>,
    /// Difference flux `[nJy]`.
    pub psf_flux: Option<f32>,
    /// Its standard error `[nJy]`.
    pub psf_flux_err: Option<f32>,
    /// 0 to 1.
    pub reliability: Option<f32>,
}

/// The columns read, in the order of [`alerts`], and the types that they are read as.
pub(super) const COLUMNS: [(&str, DataType); 10] = [
    ("alert_id", DataType::Int64),
    ("object_id", DataType::Utf8),
    ("mjd_tai", DataType::Float64),
    ("night", DataType::Int64),
    ("ra", DataType::Float64),
    ("dec", DataType::Float64),
    ("band", DataType::Utf8),
    ("psf_flux", DataType::Float32),
    ("psf_flux_err", DataType::Float32),
    ("reliability", DataType::Float32),
];

/// The alerts of rows of a survey, with [`COLUMNS`].
///
/// # Errors
/// A column is of another kind.
pub(super) fn alerts(survey: &str, rows: &RecordBatch) -> Result<Vec<Alert>, Problem> {
    let cast = |(column, (_, kind)): (&ArrayRef, &(&str, DataType))| {
        arrow_cast::cast(column, kind)
            .map_err(|error| Problem::fault("the alerts cannot be read", &error))
    };
    let columns: Vec<ArrayRef> = rows
        .columns()
        .iter()
        .zip(&COLUMNS)
        .map(cast)
        .collect::<Result<_, _>>()?;
    let ids: &Int64Array = columns[0].as_primitive::<Int64Type>();
    let nights: &Int64Array = columns[3].as_primitive::<Int64Type>();
    let text = |at: usize, row: usize| {
        let column: &StringArray = columns[at].as_string();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let real = |at: usize, row: usize| {
        let column: &Float64Array = columns[at].as_primitive::<Float64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let short = |at: usize, row: usize| {
        let column: &Float32Array = columns[at].as_primitive::<Float32Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let alert = |row: usize| Alert {
        survey: survey.to_owned(),
        alert_id: ids.value(row),
        object_id: text(1, row),
        mjd_tai: real(2, row),
        night: nights
            .is_valid(row)
            .then(|| i32::try_from(nights.value(row)).ok())
            .flatten(),
        ra: real(4, row),
        dec: real(5, row),
        band: text(6, row),
        psf_flux: short(7, row),
        psf_flux_err: short(8, row),
        reliability: short(9, row),
    };
    Ok((0..rows.num_rows()).map(alert).collect())
}
