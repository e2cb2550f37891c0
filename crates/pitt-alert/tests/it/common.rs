//! The common columns.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch, StructArray};
use pitt_alert::{Decoded, Decoder, Packet, Reason, SchemaStore, Selection};

use crate::packets::{LSST, ZTF, container, lsst_datum, wire, ztf_datum};
use crate::{real, reference};

fn float(records: &RecordBatch, name: &str, row: usize) -> Option<f32> {
    let column = records
        .column_by_name(name)
        .unwrap()
        .as_primitive::<Float32Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn night(records: &RecordBatch, row: usize) -> i32 {
    let nights = records.column_by_name("night").unwrap();
    nights.as_primitive::<Int32Type>().value(row)
}

fn text<'a>(records: &'a RecordBatch, name: &str, row: usize) -> Option<&'a str> {
    let column = records.column_by_name(name).unwrap().as_string::<i32>();
    column.is_valid(row).then(|| column.value(row))
}

fn list(records: &RecordBatch, name: &str, row: usize) -> StructArray {
    records
        .column_by_name(name)
        .unwrap()
        .as_list::<i32>()
        .value(row)
        .as_struct()
        .clone()
}

fn doubles(items: &StructArray, name: &str) -> Vec<f64> {
    items
        .column_by_name(name)
        .unwrap()
        .as_primitive::<Float64Type>()
        .values()
        .to_vec()
}

fn floats(items: &StructArray, name: &str) -> Vec<f32> {
    let column = items
        .column_by_name(name)
        .unwrap()
        .as_primitive::<Float32Type>();
    column.iter().map(|v| v.unwrap_or(f32::NAN)).collect()
}

/// One packet of ZTF, decoded.
fn one_ztf() -> Decoded {
    let packet = container(ZTF, "null", &[(1, ztf_datum(900_719_925_474_099_301))]);
    Decoder::new(SchemaStore::new()).decode(&[Packet::unplaced("ztf", packet)])
}

#[test]
fn ztf_in_njy_and_tai() {
    let batch = &one_ztf().batches[0];
    assert_eq!(
        (batch.survey.as_ref(), batch.schema.version()),
        ("ztf", Some("4.02"))
    );
    let records = &batch.records;
    assert_eq!(
        records
            .column_by_name("alert_id")
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(0),
        900_719_925_474_099_301
    );
    assert_eq!(
        (text(records, "object_id", 0), text(records, "band", 0)),
        (Some("ZTF18aaaaaaa"), Some("r"))
    );
    // JD 2460000.75 UTC is MJD 60000.25; 15 s to the middle and 37 s to TAI are 52 / 86400 d.
    let mjd = records
        .column_by_name("mjd_tai")
        .unwrap()
        .as_primitive::<Float64Type>()
        .value(0);
    assert!((mjd - (60_000.25 + 52.0 / 86_400.0)).abs() < 1e-9, "{mjd}");
    assert_eq!(night(records, 0), 20_230_225);
    // 18.9 mag is 10^5 nJy, and the difference is negative; 0.1 mag is 9.2 %.
    assert_eq!(
        float(records, "psf_flux", 0).map(f32::round),
        Some(-100_000.0)
    );
    assert_eq!(
        float(records, "psf_flux_err", 0).map(f32::round),
        Some(9_210.0)
    );
    // drb is -999.
    assert_eq!(float(records, "reliability", 0), Some(0.7));
}

#[test]
fn ztf_lists_in_njy_and_tai() {
    let records = &one_ztf().batches[0].records;
    let detections = list(records, "detections", 0);
    let ids: Vec<i64> = detections
        .column(0)
        .as_primitive::<Int64Type>()
        .values()
        .to_vec();
    assert_eq!(ids, [5, 7, 900_719_925_474_099_301]);
    assert!(doubles(&detections, "mjd_tai").is_sorted());
    let flux = floats(&detections, "psf_flux");
    assert!(flux[0] < 0.0 && flux[1] > 0.0 && flux[2] == float(records, "psf_flux", 0).unwrap());
    let bands = detections
        .column_by_name("band")
        .unwrap()
        .as_dictionary::<Int8Type>();
    assert_eq!(bands.keys().values().to_vec(), [2, 1, 2]);
    assert_eq!(
        bands
            .values()
            .as_string::<i32>()
            .iter()
            .flatten()
            .collect::<String>(),
        "ugrizy"
    );

    let limits = list(records, "nondetections", 0);
    // 20.5 mag.
    assert_eq!(
        floats(&limits, "psf_flux_limit")
            .iter()
            .map(|v| v.round())
            .collect::<Vec<_>>(),
        [22_909.0]
    );
    let forced = list(records, "forced", 0);
    // 100 counts at zero point 26.4 are 100 * 10^(5 / 2.5) nJy; the exposure is 60 s; the sentinel is dropped.
    assert_eq!(
        (
            floats(&forced, "psf_flux")[0].round(),
            floats(&forced, "psf_flux_err")[0].round()
        ),
        (10_000.0, 1_000.0)
    );
    let middle = 59_990.2 + (30.0 + 37.0) / 86_400.0;
    assert!(forced.len() == 1 && (doubles(&forced, "mjd_tai")[0] - middle).abs() < 1e-8);
}

#[test]
fn lsst_takes_either_object_and_drops_nan() {
    let schemas = SchemaStore::new();
    schemas.insert(1_100, LSST).unwrap();
    let objects = [
        (Some(170_055_002_004_914_266), None),
        (None, Some(21_163_611_572_269_879)),
        (Some(0), Some(0)),
    ];
    let packets: Vec<Packet> = (0_i64..)
        .zip(objects)
        .map(|(n, (dia, solar))| {
            Packet::unplaced("lsst", wire(1_100, &lsst_datum(100 + n * 10, dia, solar)))
        })
        .collect();
    let decoded = Decoder::new(schemas).decode(&packets);
    let batch = &decoded.batches[0];
    assert_eq!(
        (batch.survey.as_ref(), batch.schema.version()),
        ("lsst", Some("11.0"))
    );
    let records = &batch.records;
    let ids: Vec<_> = (0..3).map(|row| text(records, "object_id", row)).collect();
    assert_eq!(
        ids,
        [Some("170055002004914266"), Some("21163611572269879"), None]
    );
    assert_eq!(
        (
            float(records, "psf_flux", 0),
            float(records, "reliability", 0)
        ),
        (Some(-512.5), None)
    );
    // MJD 61000.2 TAI, less 37 s and 12 h, is 2025-11-20.
    assert_eq!(night(records, 0), 20_251_120);
    let detections = list(records, "detections", 0);
    assert_eq!(
        doubles(&detections, "mjd_tai"),
        [60_990.2, 60_999.2, 61_000.2]
    );
    let flux = floats(&detections, "psf_flux");
    assert!(flux[0].is_nan() && flux[1..] == [100.0, -512.5]);
}

#[test]
fn an_absurd_time_and_an_endless_object_id_are_missing_values() {
    let datum = ztf_datum(1);
    let mut absurd = vec![];
    crate::packets::bytes(&[b'Z'; 70_000], &mut absurd);
    // objectId takes 13 bytes, candid one, then comes jd.
    absurd.push(datum[13]);
    absurd.extend(f64::INFINITY.to_le_bytes());
    absurd.extend(&datum[22..]);
    let packet = Packet::unplaced("ztf", container(ZTF, "null", &[(1, absurd)]));
    let decoded = Decoder::new(SchemaStore::new()).decode(&[packet]);
    let records = &decoded.batches[0].records;
    for missing in ["object_id", "mjd_tai", "night"] {
        assert!(
            records.column_by_name(missing).unwrap().is_null(0),
            "{missing}"
        );
    }
    assert!(records.column_by_name("alert_id").unwrap().is_valid(0));
}

#[test]
fn a_known_survey_without_an_alert_id_is_rejected() {
    // As Spark writes it: everything nullable.
    let candid = r#"{"name": "candid", "type": "long"}"#;
    let nullable = r#"{"name": "candid", "type": ["null", "long"]}"#;
    let schema = ZTF
        .replacen(&format!("{candid},"), "", 1)
        .replacen(candid, nullable, 1);
    let mut datum = ztf_datum(1);
    // objectId, then candid (one byte), jd, fid, candid.
    let top = 13;
    let inner = top + 1 + 8 + 1;
    datum[inner] = 0;
    datum.remove(top);
    let good_datum = {
        let mut datum = datum.clone();
        datum[inner - 1] = 2;
        datum.insert(inner, 84);
        datum
    };
    let packet = Packet::unplaced(
        "ztf",
        container(&schema, "null", &[(2, [datum, good_datum].concat())]),
    );
    let decoded = Decoder::new(SchemaStore::new()).decode(&[packet]);
    assert_eq!(decoded.rejected.len(), 1, "{:?}", decoded.rejected);
    assert_eq!(
        (decoded.rejected[0].record, decoded.rejected[0].reason),
        (Some(0), Reason::NoAlertId)
    );
    assert_eq!(
        (decoded.rows(), decoded.batches[0].origins[0].record),
        (1, 1)
    );
    assert_eq!(
        decoded.batches[0]
            .records
            .column_by_name("alert_id")
            .unwrap()
            .as_primitive::<Int64Type>()
            .value(0),
        42
    );
}

#[test]
fn every_real_alert_of_a_known_survey_has_its_common_columns() {
    let (Some(data), Some(python)) = (real::data(), real::python()) else {
        return;
    };
    let schemas = real::lsst_schemas(&data);
    let mut decoder = Decoder::new(schemas.clone());
    decoder.select(Selection {
        detections: true,
        forced: true,
        nondetections: true,
        ..Selection::common_only()
    });
    let (mut child, mut source) =
        reference::start(&python, &["packets", &data.display().to_string()]);
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    let (mut banded, mut fluxes, mut points) = (0, 0, 0);
    while let Some(expected) = reference::next(&mut source, &schemas) {
        let name = expected.packet.name.clone();
        let decoded = match &expected.schema {
            Some(schema) => decoder.decode_datum(schema, &[expected.packet]),
            None => decoder.decode(&[expected.packet]),
        };
        for batch in &decoded.batches {
            *seen.entry(batch.survey.to_string()).or_default() += batch.records.num_rows();
            if !batch.schema.has_common_columns() {
                assert!(
                    batch.records.num_columns() == 0 && !name.starts_with("ztf/"),
                    "{name}: {}",
                    batch.survey
                );
                continue;
            }
            let records = &batch.records;
            let ids = records.column_by_name("alert_id").unwrap();
            assert!(
                ids.null_count() == 0 && records.num_columns() == 14,
                "{name}"
            );
            let mjd = records
                .column_by_name("mjd_tai")
                .unwrap()
                .as_primitive::<Float64Type>();
            let real = !name.contains("sample_data")
                && !name.contains("pittgoogle")
                && !name.contains("fakeAlert");
            for row in 0..records.num_rows() {
                assert!(
                    !real || (50_000.0..70_000.0).contains(&mjd.value(row)),
                    "{name}: {}",
                    mjd.value(row)
                );
                banded += usize::from(text(records, "band", row).is_some());
                fluxes += usize::from(float(records, "psf_flux", row).is_some_and(f32::is_finite));
                let detections = list(records, "detections", row);
                assert!(
                    doubles(&detections, "mjd_tai").is_sorted()
                        && (!real || !detections.is_empty()),
                    "{name}"
                );
                points += detections.len()
                    + list(records, "forced", row).len()
                    + list(records, "nondetections", row).len();
            }
        }
    }
    assert!(child.wait().expect("Python ends").success());
    println!(
        "alerts by survey: {seen:?}; {banded} with a band, {fluxes} with a flux, {points} history points"
    );
    assert!(
        seen["ztf"] >= 2_800 && seen["lsst"] >= 400 && seen["elasticc"] >= 5_000,
        "{seen:?}"
    );
    assert!(
        banded + 40 >= seen["ztf"] + seen["lsst"] && points > 80_000,
        "{banded} {points}"
    );
}
