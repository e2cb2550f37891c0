//! SQL over the archive's tables: every statement of a table and its answer.

use std::path::Path;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use pitt_query::{
    Budget, Catalogs, DataFile, Engine, Limits, OutputFormat, QueryError, TableSource, write_rows,
};

use crate::fixture::{Alert, lsst, ztf};

pub(crate) fn alerts(first: i64, count: i64) -> Vec<Alert> {
    (first..first + count)
        .map(|id| Alert {
            id: id + 3_000_000_000_000_000_000,
            ra: 10.0 + id as f64,
            dec: 5.0,
            magpsf: Some(18.0 + id as f32 * 0.5),
            flux: 100.0 * id as f32,
            band: if id % 2 == 0 { "g" } else { "r" },
            detections: vec![(3.0, "r", 50.0, 5.0), (0.0, "r", 100.0, 5.0)],
            ..Alert::default()
        })
        .collect()
}

pub(crate) fn file(folder: &Path, name: &str, batch: &RecordBatch) -> DataFile {
    let path = folder.join(name);
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    DataFile {
        size: std::fs::metadata(&path).unwrap().len(),
        path,
    }
}

/// Two files of ZTF (the second without `candidate`), one of LSST, and a table of packets.
pub(crate) fn engine(folder: &Path) -> Engine {
    let first = ztf(&alerts(1, 3));
    let second = ztf(&alerts(4, 2));
    let second = second
        .project(&[0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
        .unwrap();
    let lsst = lsst(&alerts(11, 2));
    let packets = RecordBatch::try_from_iter(vec![
        (
            "alert_id",
            first.column_by_name("alert_id").unwrap().clone(),
        ),
        ("packet", first.column_by_name("object_id").unwrap().clone()),
    ])
    .unwrap();
    let table = |name: &str, schema: &RecordBatch, files| TableSource {
        name: name.into(),
        schema: schema.schema(),
        files,
    };
    let tables = [
        table(
            "alerts/ztf",
            &first,
            vec![
                file(folder, "a.parquet", &first),
                file(folder, "b.parquet", &second),
            ],
        ),
        table("alerts/lsst", &lsst, vec![file(folder, "c.parquet", &lsst)]),
        table(
            "packets",
            &packets,
            vec![file(folder, "p.parquet", &packets)],
        ),
        table("matches", &packets, vec![]),
    ];
    Engine::open(&tables, &Catalogs::new(), &Budget::of(64 << 20)).unwrap()
}

fn answer(engine: &Engine, sql: &str) -> String {
    let run = || -> Result<String, QueryError> {
        let rows = engine.query(sql, &Limits::default())?;
        let schema = rows.schema().clone();
        let mut text = Vec::new();
        write_rows(OutputFormat::Csv, &schema, rows, &mut text)?;
        Ok(String::from_utf8(text).unwrap())
    };
    run().unwrap_or_else(|error| format!("ERROR {error}\n"))
}

#[test]
fn another_case_is_understood_when_one_name_can_be_meant() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    for (written, exact) in [
        (
            "SELECT OBJECTID, CANDIDATE.MAGPSF FROM ZTF ORDER BY CANDID",
            "SELECT objectId, candidate.magpsf FROM ztf ORDER BY candid",
        ),
        (
            "SELECT z.Survey, count(*) AS N FROM Alerts z GROUP BY SURVEY ORDER BY N",
            "SELECT z.survey, count(*) AS N FROM alerts z GROUP BY survey ORDER BY N",
        ),
        (
            "WITH Near AS (SELECT ra AS RA FROM ztf WHERE Dec > 4) SELECT max(RA) FROM Near",
            "WITH near AS (SELECT ra AS x FROM ztf WHERE dec > 4) SELECT max(x) FROM near",
        ),
        (
            "SELECT count(*) FROM ztf WHERE MAG(PSF_FLUX) > 0 AND detections[1].PSF_FLUX > 0",
            "SELECT count(*) FROM ztf WHERE mag(psf_flux) > 0 AND detections[1].psf_flux > 0",
        ),
    ] {
        let rows = |sql: &str| {
            let told = answer(&engine, sql);
            assert!(!told.starts_with("ERROR"), "{sql}: {told}");
            told.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(rows(written), rows(exact), "{written}");
    }
    let told = answer(&engine, "SELECT \"OBJECTID\" FROM ztf");
    assert!(told.starts_with("ERROR query: No field named"), "{told}");
    insta::assert_snapshot!(answer(&engine, "SELECT 1 FROM packest"), @"ERROR query: no table `packest` (did you mean `packets`?)");
    insta::assert_snapshot!(answer(&engine, "SELECT 1 FROM somewhere_else"), @"ERROR query: no table `somewhere_else` (there are alerts, lsst, matches, packet_bytes, packets, ztf)");
}

#[test]
fn answers_statements() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let statements = [
        "SELECT count(*) AS n FROM alerts",
        "SELECT survey, count(*) AS n FROM alerts GROUP BY survey ORDER BY survey",
        "SELECT objectId, candidate.magpsf FROM ztf ORDER BY candid",
        "SELECT object_id FROM ztf WHERE candidate.magpsf < 18.7",
        "SELECT diaSource.psfFlux FROM lsst WHERE ra > 21 ORDER BY ra",
        "SELECT round(mag(psf_flux), 3) AS m, cone(ra, dec, 11, 5, 60) AS near FROM alerts WHERE survey = 'ztf' ORDER BY ra LIMIT 2",
        "SELECT detections('r', 30) AS n, round(rise_rate('r'), 4) AS rise FROM ztf ORDER BY ra LIMIT 1",
        "SELECT count(*) AS n FROM alerts WHERE abs(galactic_latitude()) > 20",
        "SELECT rise_rate('r') FROM alerts",
        "SELECT * FROM packets ORDER BY alert_id LIMIT 1",
        "SELECT packet FROM packet_bytes ORDER BY alert_id LIMIT 1",
        "SELECT * FROM matches",
        "SELECT band, min(night) OVER (PARTITION BY band) AS n FROM ztf ORDER BY ra LIMIT 1",
        "DESCRIBE packets",
        "SELECT objectid FROM ztf ORDER BY ra",
        "SELECT match('gcvs', 2) FROM ztf",
        "SELECT repeat('x', 1000000000)",
        "SELECT * FROM '/etc/passwd'",
        "DROP TABLE ztf",
        "INSERT INTO matches VALUES (1, 'a')",
        "COPY ztf TO '/tmp/x.parquet'",
        "CREATE TABLE x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '/tmp'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT 1; SELECT 2",
        "SELEC 1",
        "",
    ];
    let answers: Vec<String> = statements
        .iter()
        .map(|sql| format!("> {sql}\n{}", answer(&engine, sql)))
        .collect();
    insta::assert_snapshot!(answers.join("\n"));
}

#[test]
fn keeps_ids_and_shape_in_every_output() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let write = |format| {
        let sql =
            "SELECT alert_id, object_id, psf_flux, night, detections FROM ztf ORDER BY ra LIMIT 1";
        let rows = engine.query(sql, &Limits::default()).unwrap();
        let schema = rows.schema().clone();
        let mut bytes = Vec::new();
        assert_eq!(write_rows(format, &schema, rows, &mut bytes).unwrap(), 1);
        bytes
    };
    let text = |format| String::from_utf8(write(format)).unwrap();
    insta::assert_snapshot!(format!(
        "{}\n{}\n{}",
        text(OutputFormat::JsonLines),
        text(OutputFormat::Csv),
        text(OutputFormat::Table)
    ));
    assert_eq!(&write(OutputFormat::Parquet)[..4], b"PAR1");
}

#[test]
fn holds_to_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let mut rows = engine
        .query(
            "SELECT ra FROM alerts",
            &Limits {
                rows: 3,
                ..Limits::default()
            },
        )
        .unwrap();
    let given: usize = rows.by_ref().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(given, 3);
    assert!(rows.truncated());

    let joins =
        "ztf a, ztf b, ztf c, ztf d, ztf e, ztf f, ztf g, ztf h, ztf i, ztf j, ztf k, ztf l";
    let sql = format!("SELECT sum(a.ra * b.ra + l.ra) FROM {joins}");
    let limits = Limits {
        time: Duration::from_millis(300),
        ..Limits::default()
    };
    let started = std::time::Instant::now();
    let error = engine
        .query(&sql, &limits)
        .and_then(|mut rows| rows.next().transpose())
        .unwrap_err();
    assert!(matches!(error, QueryError::Timeout { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20));
}
