//! SQL over rows in files and in memory: which of the two a row is in makes no difference to any answer.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StructArray};
use pitt_query::{
    Budget, Catalogs, Engine, InMemory, Limits, OutputFormat, TableSource, write_rows,
};

use crate::fixture::{lsst, ztf};
use crate::queries::{alerts, file};

/// What is asked: projections of nothing, of some columns, of all, in any order; predicates on common, own and nested columns that can
/// be pushed down or not; joins, groups, windows, unions.
const ASKED: [&str; 17] = [
    "SELECT count(*), count(DISTINCT alert_id), count(candidate.ndethist) FROM ztf",
    "SELECT * FROM ztf ORDER BY alert_id",
    "SELECT * FROM ztf ORDER BY ra DESC LIMIT 2",
    "SELECT dec, objectId, alert_id FROM ztf ORDER BY alert_id LIMIT 3 OFFSET 4",
    "SELECT candidate FROM ztf ORDER BY alert_id",
    "SELECT candidate.magpsf, candidate.ndethist FROM ztf ORDER BY alert_id",
    "SELECT alert_id FROM ztf WHERE candidate.magpsf < 19.9 ORDER BY candidate.magpsf",
    "SELECT alert_id FROM ztf WHERE candidate.ndethist = 0 AND ra > 11 ORDER BY 1",
    "SELECT alert_id FROM ztf WHERE candidate.ndethist IS NULL ORDER BY 1",
    "SELECT alert_id, detections FROM ztf WHERE detections('r', 30) = 2 AND mag(psf_flux) < 25 ORDER BY 1",
    "SELECT object_id FROM ztf WHERE alert_id = 3000000000000000007",
    "SELECT object_id FROM ztf WHERE alert_id IN (3000000000000000001, 3000000000000000008) ORDER BY 1",
    "SELECT band, count(*) AS n, max(candidate.magpsf) FROM ztf GROUP BY band ORDER BY band",
    "SELECT survey, count(*), min(ra) FROM alerts GROUP BY survey ORDER BY survey",
    "SELECT a.alert_id, b.alert_id FROM ztf a JOIN ztf b ON a.alert_id = b.alert_id + 1 ORDER BY 1",
    "SELECT ra, row_number() OVER (PARTITION BY band ORDER BY ra) FROM ztf ORDER BY ra",
    "SELECT alert_id FROM ztf WHERE ra < 12 UNION ALL SELECT alert_id FROM lsst ORDER BY 1",
];

/// A batch as an older schema had it: `candidate` without `ndethist`.
fn older(batch: &RecordBatch) -> RecordBatch {
    let candidate = batch.column_by_name("candidate").unwrap().as_struct();
    let kept = candidate.fields().iter().zip(candidate.columns());
    let kept: Vec<_> = kept
        .filter(|(field, _)| field.name() != "ndethist")
        .map(|(field, column)| (field.clone(), column.clone()))
        .collect();
    let candidate: ArrayRef = Arc::new(StructArray::from(kept));
    let columns = batch.schema();
    let columns = columns.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| match field.name().as_str() {
        "candidate" => (field.name().clone(), candidate.clone(), true),
        name => (name.to_owned(), column.clone(), true),
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Without the columns of the survey's own.
fn bare(batch: &RecordBatch) -> RecordBatch {
    let names = batch.schema();
    let common =
        |at: &usize| !["objectId", "candid", "candidate"].contains(&&**names.field(*at).name());
    let kept: Vec<usize> = (0..batch.num_columns()).filter(common).collect();
    batch.project(&kept).unwrap()
}

/// SQL over these files of two surveys.
fn engine(folder: &Path, files: [&[RecordBatch]; 2]) -> Engine {
    let schemas = [ztf(&[]).schema(), lsst(&[]).schema()];
    let tables = ["ztf", "lsst"].into_iter().zip(schemas).zip(files);
    let tables = tables.map(|((survey, schema), batches)| TableSource {
        name: format!("alerts/{survey}"),
        schema,
        files: batches
            .iter()
            .enumerate()
            .map(|(i, batch)| file(folder, &format!("{survey}-{i}.parquet"), batch))
            .collect(),
    });
    let tables: Vec<TableSource> = tables.collect();
    Engine::open(&tables, &Catalogs::new(), &Budget::of(64 << 20)).unwrap()
}

fn answer(engine: &Engine, rows: &InMemory, sql: &str) -> Result<String, String> {
    let told = |error: pitt_query::QueryError| format!("{sql}: {error}");
    let rows = engine.query_with(rows.clone(), sql, &Limits::default());
    let rows = rows.map_err(told)?;
    let (schema, mut text) = (rows.schema().clone(), vec![]);
    write_rows(OutputFormat::JsonLines, &schema, rows, &mut text).map_err(told)?;
    Ok(String::from_utf8(text).unwrap())
}

#[test]
fn rows_in_memory_count_as_rows_in_files() {
    let batches = [
        older(&ztf(&alerts(1, 3))),
        bare(&ztf(&alerts(4, 2))),
        ztf(&alerts(6, 2)),
        ztf(&alerts(8, 1)),
    ];
    let of_lsst = [lsst(&alerts(11, 2))];
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let all = engine(folders[0].path(), [&batches, &of_lsst]);
    // What is in memory has every column, but not in this order, and more of them.
    let mixed = batches[3].column_by_name("ra").unwrap().clone();
    let order: Vec<usize> = (0..batches[3].num_columns()).rev().collect();
    let mixed = (batches[3].project(&order).unwrap(), mixed);
    let schema = mixed.0.schema();
    let names = schema.fields().iter().map(|field| field.name().clone());
    let columns = names.zip(mixed.0.columns().to_vec());
    let mixed = columns.chain([("another".to_owned(), mixed.1)]);
    let mixed = RecordBatch::try_from_iter_with_nullable(mixed.map(|(n, c)| (n, c, true))).unwrap();
    let mut rows = InMemory::default();
    rows.add("alerts/ztf", [batches[2].clone(), mixed]);
    rows.add("alerts/lsst", of_lsst.clone());
    // One table in files and memory, one without any file.
    let some = engine(folders[1].path(), [&batches[..2], &[]]);
    for sql in ASKED {
        let whole = answer(&all, &InMemory::default(), sql).unwrap();
        assert!(!whole.is_empty(), "{sql}");
        assert_eq!(answer(&some, &rows, sql).unwrap(), whole, "{sql}");
    }
    // They were that query's own.
    let count = "SELECT count(*) AS n FROM alerts";
    let of = |engine: &Engine, rows: &InMemory| answer(engine, rows, count).unwrap();
    assert_eq!(of(&some, &InMemory::default()), "{\"n\":5}\n");
    assert_eq!(of(&some, &rows), "{\"n\":10}\n");
    let none = engine(folders[2].path(), [&[], &[]]);
    assert_eq!(of(&none, &rows), "{\"n\":5}\n");
    let planned = answer(
        &some,
        &rows,
        "EXPLAIN SELECT ra FROM ztf WHERE alert_id = 5",
    )
    .unwrap();
    assert!(planned.contains("UnionExec"), "{planned}");
}

#[test]
fn rows_in_memory_that_lack_a_column_are_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path(), [&[ztf(&alerts(1, 2))], &[]]);
    let mut rows = InMemory::default();
    rows.add("alerts/ztf", [bare(&ztf(&alerts(3, 1)))]);
    let told = answer(&engine, &rows, "SELECT count(*) FROM ztf").unwrap_err();
    assert!(
        told.contains("rows in memory of `alerts/ztf` lack `objectId`"),
        "{told}"
    );
    assert!(
        answer(&engine, &rows, "SELECT count(*) FROM lsst").is_ok(),
        "only where it is asked"
    );
}
