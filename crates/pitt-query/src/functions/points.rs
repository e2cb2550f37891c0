//! The history lists of a batch, laid open for the light-curve functions.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, ListArray, StructArray, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float32Type, Float64Type, Int8Type};
use pitt_sky::band::Band;

/// One history list of a batch: for every alert a run of points, sorted by time.
///
/// A missing band is -1, a missing number NaN. Built once per batch and list, without copying the numbers unless the
/// list holds nulls.
#[derive(Debug)]
pub(crate) struct Points {
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
    mjd: Vec64,
    band: Vec<i8>,
    flux: Vec32,
    flux_err: Vec32,
}

type Vec64 = datafusion::arrow::buffer::ScalarBuffer<f64>;
type Vec32 = datafusion::arrow::buffer::ScalarBuffer<f32>;

/// One point of a history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    /// Middle of the exposure `[d, TAI]`.
    pub(crate) mjd: f64,
    /// Place in [`Band::ALL`], -1 when not known.
    pub(crate) band: i8,
    /// Difference flux, or limiting flux of a non-detection `[nJy]`; NaN when missing.
    pub(crate) flux: f64,
    /// Its error `[nJy]`; NaN when missing.
    pub(crate) flux_err: f64,
}

impl Points {
    /// Opens a list column. `flux_name` is `psf_flux`, or `psf_flux_limit` for non-detections.
    pub(crate) fn open(list: &ArrayRef) -> Result<Points, String> {
        let list = list
            .as_any()
            .downcast_ref::<ListArray>()
            .ok_or_else(|| format!("a history column is {}, not a list", list.data_type()))?;
        let points = list
            .values()
            .as_any()
            .downcast_ref::<StructArray>()
            .ok_or("a history column is not a list of structs")?;
        let flux = match points.column_by_name("psf_flux") {
            Some(flux) => flux,
            None => points
                .column_by_name("psf_flux_limit")
                .ok_or("a history column has neither `psf_flux` nor `psf_flux_limit`")?,
        };
        Ok(Points {
            offsets: list.offsets().clone(),
            nulls: list.nulls().cloned(),
            mjd: numbers64(field(points, "mjd_tai")?)?,
            band: bands(field(points, "band")?)?,
            flux: numbers32(flux)?,
            flux_err: numbers32(
                points
                    .column_by_name("psf_flux_err")
                    .unwrap_or(&new_null_array(&DataType::Float32, points.len())),
            )?,
        })
    }

    /// The points of alert `row`; none when its list is null. Points without a time are left out.
    pub(crate) fn of(&self, row: usize) -> impl DoubleEndedIterator<Item = Point> + '_ {
        let absent = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let range = match absent {
            true => 0..0,
            false => start(&self.offsets, row)..start(&self.offsets, row + 1),
        };
        let mjd = self.mjd[range.clone()].iter();
        let band = self.band[range.clone()].iter();
        let flux = self.flux[range.clone()].iter();
        let flux_err = self.flux_err[range].iter();
        mjd.zip(band)
            .zip(flux.zip(flux_err))
            .filter(|((mjd, _), _)| mjd.is_finite())
            .map(|((mjd, band), (flux, flux_err))| Point {
                mjd: *mjd,
                band: *band,
                flux: f64::from(*flux),
                flux_err: f64::from(*flux_err),
            })
    }
}

/// Offsets of a list array are never negative, so the cast keeps them.
fn start(offsets: &OffsetBuffer<i32>, row: usize) -> usize {
    usize::try_from(offsets[row]).unwrap_or(0)
}

fn field<'a>(points: &'a StructArray, name: &str) -> Result<&'a ArrayRef, String> {
    points
        .column_by_name(name)
        .ok_or_else(|| format!("a history column has no `{name}`"))
}

fn numbers64(values: &ArrayRef) -> Result<Vec64, String> {
    let values = cast(values, &DataType::Float64).map_err(|error| error.to_string())?;
    let values = values.as_primitive::<Float64Type>();
    Ok(match values.null_count() {
        0 => values.values().clone(),
        _ => values.iter().map(|v| v.unwrap_or(f64::NAN)).collect(),
    })
}

fn numbers32(values: &ArrayRef) -> Result<Vec32, String> {
    let values = cast(values, &DataType::Float32).map_err(|error| error.to_string())?;
    let values = values.as_primitive::<Float32Type>();
    Ok(match values.null_count() {
        0 => values.values().clone(),
        _ => values.iter().map(|v| v.unwrap_or(f32::NAN)).collect(),
    })
}

/// Bands as places in [`Band::ALL`], from a dictionary (as decoded) or plain text (as other writers store it).
fn bands(values: &ArrayRef) -> Result<Vec<i8>, String> {
    if let Some(dictionary) = values.as_any().downcast_ref::<DictionaryArray<Int8Type>>() {
        let names = text_bands(dictionary.values())?;
        let of = |key: i8| usize::try_from(key).ok().and_then(|key| names.get(key));
        let keys = dictionary.keys();
        return Ok((0..keys.len())
            .map(|i| match keys.is_null(i) {
                true => -1,
                false => of(keys.value(i)).copied().unwrap_or(-1),
            })
            .collect());
    }
    text_bands(values)
}

fn text_bands(values: &ArrayRef) -> Result<Vec<i8>, String> {
    let values: ArrayRef = match values.data_type() {
        DataType::Utf8 => Arc::clone(values),
        _ => cast(values, &DataType::Utf8).map_err(|error| error.to_string())?,
    };
    let index = |name: &str| Band::from_name(name).map_or(-1, |band| band.index().cast_signed());
    Ok(values
        .as_string::<i32>()
        .iter()
        .map(|name| name.map_or(-1, index))
        .collect())
}
