//! Any text as a filter: refused or evaluated over a small batch, without a panic or unbounded memory.

#![no_main]

use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, Float32Array, Float64Array, Int32Array, RecordBatch, StringArray};
use libfuzzer_sys::fuzz_target;
use pitt_query::{Catalogs, Filter, FilterSet, Surveys};

static RECORDS: LazyLock<RecordBatch> = LazyLock::new(|| {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("object_id", Arc::new(StringArray::from(vec![Some("ZTF26aaa"), None]))),
        ("mjd_tai", Arc::new(Float64Array::from(vec![61_000.0, 61_001.0]))),
        ("night", Arc::new(Int32Array::from(vec![Some(20_251_121), Some(0)]))),
        ("ra", Arc::new(Float64Array::from(vec![Some(10.0), None]))),
        ("dec", Arc::new(Float64Array::from(vec![Some(-90.0), Some(f64::NAN)]))),
        ("band", Arc::new(StringArray::from(vec![Some("g"), None]))),
        ("psf_flux", Arc::new(Float32Array::from(vec![Some(-1.0), Some(f32::INFINITY)]))),
        ("psf_flux_err", Arc::new(Float32Array::from(vec![Some(0.0), None]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .expect("columns of one length")
});

fuzz_target!(|text: &str| {
    let Ok(filter) = Filter::parse("fuzz", text) else {
        return;
    };
    let mut surveys = Surveys::new();
    surveys.insert("ztf", &RECORDS.schema());
    if let Ok(set) = FilterSet::compile(vec![filter], &surveys, &Catalogs::new()) {
        let _ = set.evaluate("ztf", &RECORDS);
    }
});
