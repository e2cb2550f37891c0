//! The light curve that an alert brings with it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray, StructArray,
};
use bytes::Bytes;
use pitt_alert::{Decoder, Packet, SchemaStore, Selection};
use pitt_sky::photometry::{flux_err_njy, flux_njy};
use pitt_sky::time::{JdUtc, MjdTai};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyDict, PyList};

use crate::errors::DecodeError;
use crate::packets::{Schemas, reason};
use crate::tables::Table;

/// The common lists, and what their points are called.
const LISTS: [(&str, &str); 3] = [
    ("detections", "detection"),
    ("forced", "forced"),
    ("nondetections", "limit"),
];
/// ZTF's usual exposure, s; its times are those of the shutter's opening.
const ZTF_EXPOSURE_S: f64 = 30.0;

/// One point.
struct Point {
    kind: &'static str,
    alert_id: Option<i64>,
    mjd_tai: f64,
    band: Option<String>,
    flux: Option<f32>,
    flux_err: Option<f32>,
    limit: Option<f32>,
}

/// Points of the history in a packet, of its record `record`, by time.
#[pyfunction]
#[pyo3(signature = (packet, record=0, schemas=None))]
pub(crate) fn of_packet(
    py: Python<'_>,
    packet: PyBackedBytes,
    record: u32,
    schemas: Option<Schemas>,
) -> PyResult<Table> {
    let store = Schemas::store(schemas.as_ref());
    py.detach(|| read(store, Bytes::from_owner(packet), record))
}

/// Decodes the lists of the common columns of one alert.
pub(crate) fn read(schemas: SchemaStore, bytes: Bytes, record: u32) -> PyResult<Table> {
    let mut decoder = Decoder::new(schemas);
    decoder.select(Selection {
        detections: true,
        forced: true,
        nondetections: true,
        ..Selection::common_only()
    });
    let decoded = decoder.decode(&[Packet::unplaced("bytes", bytes)]);
    if let Some(rejected) = decoded.rejected.first() {
        return Err(DecodeError::new_err(reason(rejected)));
    }
    for batch in &decoded.batches {
        let mut origins = batch.origins.iter();
        if let Some(row) = origins.position(|origin| origin.record == record) {
            return Ok(table(points(&batch.records, row)));
        }
    }
    Err(DecodeError::new_err(format!(
        "the packet has no record {record}"
    )))
}

fn points(records: &RecordBatch, row: usize) -> Vec<Point> {
    let mut points = vec![];
    for (list, kind) in LISTS {
        let column = records.column_by_name(list);
        let Some(lists) = column.and_then(|column| column.as_list_opt::<i32>()) else {
            continue;
        };
        let items = lists.value(row);
        if let Some(items) = items.as_struct_opt() {
            points.extend((0..items.len()).filter_map(|at| point(items, at, kind)));
        }
    }
    points
}

fn point(items: &StructArray, at: usize, kind: &'static str) -> Option<Point> {
    let times = items.column_by_name("mjd_tai")?;
    let times = times.as_primitive_opt::<Float64Type>()?;
    let ids = items.column_by_name("alert_id");
    let ids = ids.and_then(|ids| ids.as_primitive_opt::<Int64Type>());
    let flux = |name: &str| {
        let column = items.column_by_name(name)?;
        let column = column.as_primitive_opt::<Float32Type>()?;
        column.is_valid(at).then(|| column.value(at))
    };
    let band = items.column_by_name("band").and_then(|bands| {
        let bands = bands.as_dictionary_opt::<arrow_array::types::Int8Type>()?;
        let names = bands.values().as_string_opt::<i32>()?;
        Some(names.value(bands.key(at)?).to_owned())
    });
    Some(Point {
        kind,
        alert_id: ids.filter(|ids| ids.is_valid(at)).map(|ids| ids.value(at)),
        mjd_tai: times.is_valid(at).then(|| times.value(at))?,
        band,
        flux: flux("psf_flux"),
        flux_err: flux("psf_flux_err"),
        limit: flux("psf_flux_limit"),
    })
}

/// Points of an alert that is a dict already: its detections and limits; forced photometry of LSST.
///
/// Times and fluxes by the same formulas as the common columns, but with the usual exposure for all of ZTF's.
#[pyfunction]
pub(crate) fn of_dict(alert: &Bound<'_, PyDict>) -> PyResult<Table> {
    let mut points = vec![];
    let mut add = |names: &[&str], read: &dyn Fn(&Bound<'_, PyDict>) -> Option<Point>| {
        for name in names {
            for record in records(alert, name)? {
                points.extend(read(&record));
            }
        }
        PyResult::Ok(())
    };
    if alert.contains("candidate")? {
        add(&["candidate", "prv_candidates"], &ztf_point)?;
    } else {
        add(&["diaSource", "prvDiaSources"], &|source| {
            lsst_point(source, "detection")
        })?;
        add(&["prvDiaForcedSources"], &|source| {
            lsst_point(source, "forced")
        })?;
    }
    Ok(table(points))
}

/// A field of records: one, a list of them, or nothing.
fn records<'py>(alert: &Bound<'py, PyDict>, name: &str) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let Some(value) = alert.get_item(name)? else {
        return Ok(vec![]);
    };
    if let Ok(record) = value.cast::<PyDict>() {
        return Ok(vec![record.clone()]);
    }
    let Ok(list) = value.cast::<PyList>() else {
        return Ok(vec![]);
    };
    let records = list
        .iter()
        .filter_map(|item| item.cast_into::<PyDict>().ok());
    Ok(records.collect())
}

fn number(record: &Bound<'_, PyDict>, name: &str) -> Option<f64> {
    let value = record.get_item(name).ok()??;
    value.extract().ok().filter(|value: &f64| value.is_finite())
}

/// An id, which JSON has as text.
fn id(record: &Bound<'_, PyDict>, name: &str) -> Option<i64> {
    let value = record.get_item(name).ok()??;
    let text = || value.extract::<String>().ok()?.parse().ok();
    value.extract().ok().or_else(text)
}

fn ztf_point(record: &Bound<'_, PyDict>) -> Option<Point> {
    let JdUtc(jd) = JdUtc(number(record, "jd")?);
    let MjdTai(start) = JdUtc(jd).to_mjd().to_tai();
    let positive = record.get_item("isdiffpos").ok().flatten();
    let negative = positive.is_some_and(|sign| matches!(sign.extract(), Ok("f" | "0")));
    let magnitude = number(record, "magpsf");
    let flux = magnitude.map(|mag| {
        if negative {
            -flux_njy(mag)
        } else {
            flux_njy(mag)
        }
    });
    let error = flux.zip(number(record, "sigmapsf"));
    let limit = number(record, "diffmaglim").filter(|_| flux.is_none());
    Some(Point {
        kind: if flux.is_some() { "detection" } else { "limit" },
        alert_id: id(record, "candid"),
        mjd_tai: start + ZTF_EXPOSURE_S / 2.0 / 86_400.0,
        band: match number(record, "fid")? as i32 {
            1 => Some("g".to_owned()),
            2 => Some("r".to_owned()),
            3 => Some("i".to_owned()),
            _ => None,
        },
        flux: flux.map(|flux| flux as f32),
        flux_err: error.map(|(flux, sigma)| flux_err_njy(flux, sigma) as f32),
        limit: limit.map(|limit| flux_njy(limit) as f32),
    })
}

fn lsst_point(record: &Bound<'_, PyDict>, kind: &'static str) -> Option<Point> {
    let band = record.get_item("band").ok().flatten();
    Some(Point {
        kind,
        alert_id: id(record, "diaSourceId"),
        mjd_tai: number(record, "midpointMjdTai")?,
        band: band.and_then(|band| band.extract().ok()),
        flux: number(record, "psfFlux").map(|flux| flux as f32),
        flux_err: number(record, "psfFluxErr").map(|error| error as f32),
        limit: None,
    })
}

fn table(mut points: Vec<Point>) -> Table {
    points.sort_by(|a, b| a.mjd_tai.total_cmp(&b.mjd_tai));
    let fluxes = |flux: fn(&Point) -> Option<f32>| -> ArrayRef {
        Arc::new(points.iter().map(flux).collect::<Float32Array>())
    };
    let kinds = points.iter().map(|point| Some(point.kind));
    let bands = points.iter().map(|point| point.band.as_deref());
    let ids = points.iter().map(|point| point.alert_id);
    let times = points.iter().map(|point| Some(point.mjd_tai));
    Table::of_columns(vec![
        ("kind", "", Arc::new(kinds.collect::<StringArray>())),
        ("alert_id", "", Arc::new(ids.collect::<Int64Array>())),
        ("mjd_tai", "d", Arc::new(times.collect::<Float64Array>())),
        ("band", "", Arc::new(bands.collect::<StringArray>())),
        ("psf_flux", "nJy", fluxes(|point| point.flux)),
        ("psf_flux_err", "nJy", fluxes(|point| point.flux_err)),
        ("psf_flux_limit", "nJy", fluxes(|point| point.limit)),
    ])
}
