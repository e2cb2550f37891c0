//! Hand-made batches: the common columns as decoding gives them, and a few columns of ZTF's own.

use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::*;
use pitt_query::{Catalogs, Filter, FilterError, FilterSet, Surveys};

/// One point of a history: days before the alert, band, flux and error [nJy].
pub(crate) type Point = (f64, &'static str, f32, f32);

/// One alert to build a batch of.
#[derive(Clone, Default)]
pub(crate) struct Alert {
    pub id: i64,
    pub ra: f64,
    pub dec: f64,
    pub magpsf: Option<f32>,
    pub ndethist: i32,
    pub ncovhist: i32,
    pub band: &'static str,
    pub flux: f32,
    pub detections: Vec<Point>,
    pub forced: Vec<Point>,
    /// Days before the alert, band, limiting flux.
    pub nondetections: Vec<(f64, &'static str, f32)>,
}

/// Time of every alert [d, TAI].
pub(crate) const NOW: f64 = 61_000.0;

fn band_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))
}

fn bands(names: &[&str]) -> ArrayRef {
    let all = ["u", "g", "r", "i", "z", "y"];
    let key = |name: &&str| all.iter().position(|b| b == name).map(|i| i as i8);
    let keys: Int8Array = names.iter().map(key).collect();
    Arc::new(DictionaryArray::new(
        keys,
        Arc::new(StringArray::from(all.to_vec())),
    ))
}

fn list(item: StructArray, lengths: impl Iterator<Item = usize>) -> ArrayRef {
    let field = Arc::new(Field::new("item", item.data_type().clone(), true));
    Arc::new(ListArray::new(
        field,
        OffsetBuffer::from_lengths(lengths),
        Arc::new(item),
        None,
    ))
}

fn points(alerts: &[Alert], of: impl Fn(&Alert) -> Vec<Point>, with_id: bool) -> ArrayRef {
    let all: Vec<Point> = alerts.iter().flat_map(&of).collect();
    let mut columns: Vec<(Arc<Field>, ArrayRef)> = Vec::new();
    if with_id {
        let ids: Int64Array = (0..all.len() as i64).collect();
        columns.push((
            Arc::new(Field::new("alert_id", DataType::Int64, true)),
            Arc::new(ids),
        ));
    }
    let mjd: Float64Array = all.iter().map(|p| Some(NOW - p.0)).collect();
    columns.push((
        Arc::new(Field::new("mjd_tai", DataType::Float64, true)),
        Arc::new(mjd),
    ));
    let names: Vec<&str> = all.iter().map(|p| p.1).collect();
    columns.push((
        Arc::new(Field::new("band", band_type(), true)),
        bands(&names),
    ));
    let flux: Float32Array = all.iter().map(|p| Some(p.2)).collect();
    columns.push((
        Arc::new(Field::new("psf_flux", DataType::Float32, true)),
        Arc::new(flux),
    ));
    let err: Float32Array = all.iter().map(|p| Some(p.3)).collect();
    columns.push((
        Arc::new(Field::new("psf_flux_err", DataType::Float32, true)),
        Arc::new(err),
    ));
    list(
        StructArray::from(columns),
        alerts.iter().map(|a| of(a).len()),
    )
}

fn limits(alerts: &[Alert]) -> ArrayRef {
    let all: Vec<_> = alerts
        .iter()
        .flat_map(|a| a.nondetections.clone())
        .collect();
    let names: Vec<&str> = all.iter().map(|p| p.1).collect();
    let mjd: Float64Array = all.iter().map(|p| Some(NOW - p.0)).collect();
    let flux: Float32Array = all.iter().map(|p| Some(p.2)).collect();
    let item = StructArray::from(vec![
        (
            Arc::new(Field::new("mjd_tai", DataType::Float64, true)),
            Arc::new(mjd) as ArrayRef,
        ),
        (
            Arc::new(Field::new("band", band_type(), true)),
            bands(&names),
        ),
        (
            Arc::new(Field::new("psf_flux_limit", DataType::Float32, true)),
            Arc::new(flux),
        ),
    ]);
    list(item, alerts.iter().map(|a| a.nondetections.len()))
}

/// A batch as ZTF's decoder gives it, cut down.
pub(crate) fn ztf(alerts: &[Alert]) -> RecordBatch {
    let float = |of: &dyn Fn(&Alert) -> f64| -> ArrayRef {
        Arc::new(alerts.iter().map(|a| Some(of(a))).collect::<Float64Array>())
    };
    let float32 = |of: &dyn Fn(&Alert) -> Option<f32>| -> ArrayRef {
        Arc::new(alerts.iter().map(of).collect::<Float32Array>())
    };
    let int = |of: &dyn Fn(&Alert) -> i32| -> ArrayRef {
        Arc::new(alerts.iter().map(|a| Some(of(a))).collect::<Int32Array>())
    };
    let text = |of: &dyn Fn(&Alert) -> String| -> ArrayRef {
        Arc::new(alerts.iter().map(|a| Some(of(a))).collect::<StringArray>())
    };
    let candidate: Vec<(Arc<Field>, ArrayRef)> = vec![
        (
            Arc::new(Field::new("magpsf", DataType::Float32, true)),
            float32(&|a| a.magpsf),
        ),
        (
            Arc::new(Field::new("sigmapsf", DataType::Float32, true)),
            float32(&|a| a.magpsf.map(|_| 0.1)),
        ),
        (
            Arc::new(Field::new("ndethist", DataType::Int32, true)),
            int(&|a| a.ndethist),
        ),
        (
            Arc::new(Field::new("ncovhist", DataType::Int32, true)),
            int(&|a| a.ncovhist),
        ),
        (
            Arc::new(Field::new("isdiffpos", DataType::Utf8, true)),
            text(&|_| "t".into()),
        ),
    ];
    let nulls: NullBuffer = alerts.iter().map(|_| true).collect();
    let candidate = StructArray::from((candidate, nulls.into_inner().into_inner()));
    let ids: Int64Array = alerts.iter().map(|a| a.id).collect();
    RecordBatch::try_from_iter_with_nullable(vec![
        ("objectId", text(&|a| format!("ZTF26{}", a.id)), true),
        ("candid", Arc::new(ids.clone()) as ArrayRef, true),
        ("candidate", Arc::new(candidate), true),
        ("survey", text(&|_| "ztf".into()), true),
        ("alert_id", Arc::new(ids), true),
        ("object_id", text(&|a| format!("ZTF26{}", a.id)), true),
        ("mjd_tai", float(&|_| NOW), true),
        ("night", int(&|_| 20_251_121), true),
        ("ra", float(&|a| a.ra), true),
        ("dec", float(&|a| a.dec), true),
        (
            "band",
            text(&|a| {
                if a.band.is_empty() {
                    "r".into()
                } else {
                    a.band.into()
                }
            }),
            true,
        ),
        ("psf_flux", float32(&|a| Some(a.flux)), true),
        ("psf_flux_err", float32(&|_| Some(10.0)), true),
        ("reliability", float32(&|_| Some(0.9)), true),
        (
            "detections",
            points(alerts, |a| a.detections.clone(), true),
            true,
        ),
        ("forced", points(alerts, |a| a.forced.clone(), false), true),
        ("nondetections", limits(alerts), true),
    ])
    .unwrap()
}

/// A batch as LSST's decoder gives it, cut down: ZTF's with another survey's own columns.
pub(crate) fn lsst(alerts: &[Alert]) -> RecordBatch {
    let ztf = ztf(alerts);
    let mut columns: Vec<(String, ArrayRef, bool)> = Vec::new();
    let flux: Float32Array = alerts.iter().map(|a| Some(a.flux)).collect();
    let source = StructArray::from(vec![
        (
            Arc::new(Field::new("diaSourceId", DataType::Int64, true)),
            Arc::clone(ztf.column_by_name("alert_id").unwrap()),
        ),
        (
            Arc::new(Field::new("psfFlux", DataType::Float32, true)),
            Arc::new(flux) as ArrayRef,
        ),
    ]);
    columns.push(("diaSource".into(), Arc::new(source), true));
    let survey: StringArray = alerts.iter().map(|_| Some("lsst")).collect();
    columns.push(("survey".into(), Arc::new(survey), true));
    let schema = ztf.schema();
    for (field, column) in schema.fields().iter().zip(ztf.columns()).skip(4) {
        columns.push((field.name().clone(), Arc::clone(column), true));
    }
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Both surveys as known ahead.
pub(crate) fn surveys() -> Surveys {
    let mut surveys = Surveys::new();
    surveys.insert("ztf", ztf(&[]).schema().as_ref());
    surveys.insert("lsst", lsst(&[]).schema().as_ref());
    surveys
}

/// Parses and checks a filter named `test`.
pub(crate) fn check(text: &str) -> Result<Filter, FilterError> {
    let filter = Filter::parse("test", text)?;
    filter.check(&surveys(), &Catalogs::new())?;
    Ok(filter)
}

/// The rows one filter takes of a ZTF batch.
pub(crate) fn taken(text: &str, alerts: &[Alert]) -> Vec<u32> {
    let filter = match check(&format!("-- survey: ztf\n{text}")) {
        Ok(filter) => filter,
        Err(error) => panic!("{}", error.report()),
    };
    let set = FilterSet::compile(vec![filter], &surveys(), &Catalogs::new()).unwrap();
    let verdicts = set.evaluate("ztf", &ztf(alerts));
    assert!(set.disabled().is_empty(), "{:?}", set.disabled());
    verdicts.into_iter().flat_map(|v| v.rows).collect()
}
