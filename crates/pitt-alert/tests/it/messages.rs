//! Messages made of packets: what stands in them, and that nothing is lost on the way.

use arrow_array::StructArray;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use pitt_alert::message::{AlertRecord, Annotation, Matched, MessageError, annotated_schema};
use pitt_alert::{Decoder, Packet, SchemaStore, Selection};
use proptest::prelude::*;

use crate::bad::Dice;
use crate::packets::{LSST, ZTF, container, lsst_datum, wire, ztf_datum};
use crate::roundtrip::{Ty, json, types, write};
use crate::values::{Comparison, Value};

fn store() -> SchemaStore {
    let schemas = SchemaStore::new();
    schemas.insert(1_100, LSST).unwrap();
    schemas
}

fn ztf() -> Bytes {
    container(ZTF, "null", &[(1, ztf_datum(900_719_925_474_099_301))])
}

fn lsst() -> Bytes {
    wire(1_100, &lsst_datum(42, Some(170_055_002_004_914_266), None))
}

fn annotation(packet: &Bytes) -> Annotation {
    let mut decoder = Decoder::new(store());
    decoder.select(Selection::common_only());
    let decoded = decoder.decode(&[Packet::unplaced("one", packet.clone())]);
    Annotation {
        matched: Some(Matched {
            filter: "bright".into(),
            version: "0a1b2c3d".into(),
            at_us: 1_771_894_800_500_000,
        }),
        ..Annotation::of(&decoded.batches[0], 0, 1_771_894_800_000_001).unwrap()
    }
}

fn message(packet: &Bytes, stamps: bool) -> String {
    let record = AlertRecord::find(packet, 0, &store()).unwrap();
    let json = record.json(stamps).unwrap();
    String::from_utf8(record.annotated_json(&json, &annotation(packet))).unwrap()
}

#[test]
fn a_ztf_alert_as_json() {
    insta::assert_snapshot!(message(&ztf(), false), @r#"{"objectId":"ZTF18aaaaaaa","candid":"900719925474099301","candidate":{"jd":2460000.75,"fid":2,"candid":"900719925474099301","isdiffpos":"f","rcid":17,"nid":900,"ra":150.25,"dec":-3.5,"magpsf":18.9,"sigmapsf":0.1,"rb":0.7,"drb":-999.0},"prv_candidates":[{"jd":2459990.7,"fid":1,"candid":"7","isdiffpos":"1","diffmaglim":20.5,"magpsf":19.5,"sigmapsf":0.2},{"jd":2459995.7,"fid":1,"candid":null,"isdiffpos":null,"diffmaglim":20.5,"magpsf":null,"sigmapsf":null},{"jd":2459980.7,"fid":2,"candid":"5","isdiffpos":"0","diffmaglim":20.5,"magpsf":20.0,"sigmapsf":0.2}],"fp_hists":[{"jd":2459990.7,"fid":3,"exptime":60.0,"forcediffimflux":100.0,"forcediffimfluxunc":10.0,"magzpsci":26.4},{"jd":2459991.7,"fid":3,"exptime":60.0,"forcediffimflux":-99999.0,"forcediffimfluxunc":10.0,"magzpsci":26.4}],"cutoutScience":null,"cutoutTemplate":null,"pitt":{"filter":"bright","version":"0a1b2c3d","matched":"2026-02-24T01:00:00.500000Z","survey":"ztf","alert_id":"900719925474099301","object_id":"ZTF18aaaaaaa","mjd_tai":60000.25060185185,"night":20230225,"ra":150.25,"dec":-3.5,"band":"r","psf_flux":-100000.03,"psf_flux_err":9210.344,"reliability":0.7,"received":"2026-02-24T01:00:00.000001Z"}}"#);
}

#[test]
fn an_lsst_alert_as_json_with_stamps() {
    insta::assert_snapshot!(message(&lsst(), true), @r#"{"diaSourceId":"42","diaSource":{"diaSourceId":"42","diaObjectId":"170055002004914266","ssObjectId":null,"midpointMjdTai":61000.2,"ra":10.0,"dec":-30.0,"psfFlux":-512.5,"psfFluxErr":25.0,"band":"z","reliability":null},"prvDiaSources":[{"diaSourceId":"41","diaObjectId":"170055002004914266","ssObjectId":null,"midpointMjdTai":60999.2,"ra":10.0,"dec":-30.0,"psfFlux":100.0,"psfFluxErr":25.0,"band":"z","reliability":null},{"diaSourceId":"40","diaObjectId":"170055002004914266","ssObjectId":null,"midpointMjdTai":60990.2,"ra":10.0,"dec":-30.0,"psfFlux":null,"psfFluxErr":25.0,"band":"z","reliability":null}],"cutoutScience":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==","objectId":"170055002004914266","pitt":{"filter":"bright","version":"0a1b2c3d","matched":"2026-02-24T01:00:00.500000Z","survey":"lsst","alert_id":"42","object_id":"170055002004914266","mjd_tai":61000.2,"night":20251120,"ra":10.0,"dec":-30.0,"band":"z","psf_flux":-512.5,"psf_flux_err":25.0,"reliability":null,"received":"2026-02-24T01:00:00.000001Z"}}"#);
}

#[test]
fn only_stamps_are_left_out() {
    let record = AlertRecord::find(&ztf(), 0, &store()).unwrap();
    let (with, without) = (record.json(true).unwrap(), record.json(false).unwrap());
    let mut with: serde_json::Value = serde_json::from_slice(&with).unwrap();
    let data = with["cutoutScience"]["stampData"].as_str().unwrap();
    assert_eq!(STANDARD.decode(data).unwrap()[..2], [0x1f, 0x8b]);
    with["cutoutScience"] = serde_json::Value::Null;
    let without: serde_json::Value = serde_json::from_slice(&without).unwrap();
    assert_eq!(with, without);
}

#[test]
fn a_whole_packet_is_its_own_container() {
    let packet = ztf();
    let record = AlertRecord::find(&packet, 0, &store()).unwrap();
    assert_eq!(record.container(true).unwrap(), packet);
    let small = record.container(false).unwrap();
    assert!(small.len() < packet.len());
    let again = AlertRecord::find(&small, 0, &store()).unwrap();
    assert_eq!(again.json(true).unwrap(), record.json(false).unwrap());
    assert_eq!(again.schema(), record.schema());
}

#[test]
fn stamps_that_may_not_be_null_are_empty() {
    let schema = r#"{"type": "record", "name": "strict", "fields": [{"name": "cutoutScience", "type":
        {"type": "record", "name": "cutout", "fields": [{"name": "size", "type": "int"}, {"name": "data", "type": "bytes"}]}},
        {"name": "after", "type": "string"}]}"#;
    let packet = container(schema, "deflate", &[(1, b"\x06\x04xy\x02z".to_vec())]);
    let record = AlertRecord::find(&packet, 0, &store()).unwrap();
    assert_eq!(record.datum(false).unwrap(), &b"\x06\x00\x02z"[..]);
}

#[test]
fn an_annotated_file_has_both_parts() {
    for packet in [ztf(), lsst()] {
        let annotation = annotation(&packet);
        let record = AlertRecord::find(&packet, 0, &store()).unwrap();
        let schema = annotated_schema(record.schema()).unwrap();
        let file = record
            .annotated_container(true, &annotation, &schema)
            .unwrap();
        let again = AlertRecord::find(&file, 0, &store()).unwrap();
        let mut read: serde_json::Value =
            serde_json::from_slice(&again.json(true).unwrap()).unwrap();
        let added = read.as_object_mut().unwrap().remove("pitt").unwrap();
        let own: serde_json::Value = serde_json::from_slice(&record.json(true).unwrap()).unwrap();
        assert_eq!(read, own);
        assert_eq!(added["alert_id"], annotation.alert_id.to_string());
        assert_eq!(added["object_id"], annotation.object_id.unwrap());
        assert_eq!(added["received"], annotation.received_us);
        assert_eq!(added["filter"], "bright");
        let flux = added["psf_flux"].as_f64().unwrap() as f32;
        assert_eq!(Some(flux), annotation.psf_flux);
        assert!(matches!(
            annotated_schema(again.schema()),
            Err(MessageError::Schema { .. })
        ));
    }
}

#[test]
fn what_is_not_there_is_said() {
    let error = |packet: &Bytes, record| {
        AlertRecord::find(packet, record, &store())
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(error(&ztf(), 1), @"record 1: the packet holds 1");
    insta::assert_snapshot!(error(&lsst(), 1), @"record 1: the packet holds 1");
    insta::assert_snapshot!(error(&Bytes::from_static(b"<html>"), 0), @"record 0: neither a container file nor Confluent's wire format (not_avro)");
    insta::assert_snapshot!(error(&wire(7, b""), 0), @"record 0: schema id 7 is unknown to the schemas at hand (add the .avsc to the schema folder, or check the registry's address) (unknown_schema)");
    let cut = wire(1_100, &lsst_datum(42, None, None)[..40]);
    let record = AlertRecord::find(&cut, 0, &store()).unwrap();
    insta::assert_snapshot!(record.json(true).unwrap_err(), @"record 0: datum, byte 40: the bytes end inside a value (truncated)");
    insta::assert_snapshot!(record.datum(false).unwrap_err(), @"record 0: datum, byte 40: the bytes end inside a value (truncated)");
}

/// Whether JSON says what the reference says.
fn equal(json: &serde_json::Value, value: &Value) -> bool {
    use serde_json::Value as Json;
    match (json, value) {
        (Json::Null, Value::Null) => true,
        (Json::Null, Value::Double(v)) => !v.is_finite(),
        (Json::Bool(found), Value::Bool(v)) => found == v,
        (Json::Number(found), Value::Int(v)) => {
            v.unsigned_abs() <= 1 << 53 && found.as_i64() == Some(*v)
        }
        (Json::String(found), Value::Int(v)) => {
            v.unsigned_abs() > 1 << 53 && *found == v.to_string()
        }
        (Json::Number(found), Value::Double(v)) => {
            // serde_json reads the last digit of a double loosely; a unit test of `json` holds it to the bit.
            let found = found.as_f64().unwrap();
            found == *v || (found - v).abs() <= v.abs() * 4e-16 || (found as f32) == (*v as f32)
        }
        (Json::String(found), Value::Text(v)) => found == v,
        (Json::String(found), Value::Bytes(v)) => STANDARD.decode(found).as_ref() == Ok(v),
        (Json::Array(found), Value::List(v)) => {
            found.len() == v.len() && found.iter().zip(v).all(|(found, v)| equal(found, v))
        }
        (Json::Object(found), Value::Record(v)) => {
            found.len() == v.len() && v.iter().all(|(name, v)| equal(&found[name], v))
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_form_says_what_was_written(fields in prop::collection::vec(types(), 1..6), seed in any::<u64>()) {
        let ty = Ty::Record(fields);
        let schema = json(&ty, &mut 0);
        let mut dice = Dice(seed);
        let (mut values, mut datums) = (vec![], vec![]);
        for _ in 0..3 {
            let mut datum = vec![];
            values.push(write(&ty, &mut dice, &mut datum));
            datums.push(datum);
        }
        let codec = ["null", "deflate", "snappy", "zstandard"][dice.roll(4)];
        let packet = container(&schema, codec, &[(1, datums[0].clone()), (2, datums[1..].concat())]);
        let schemas = SchemaStore::new();
        for (number, value) in (0..).zip(&values) {
            let record = AlertRecord::find(&packet, number, &schemas).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&record.json(true).unwrap()).unwrap();
            prop_assert!(equal(&json, value), "{json}\n{value:?}\n{schema}");
            prop_assert_eq!(record.datum(false).unwrap(), record.datum(true).unwrap());

            let file = record.container(true).unwrap();
            let mut decoder = Decoder::new(schemas.clone());
            decoder.select(Selection::everything());
            let decoded = decoder.decode(&[Packet::unplaced("file", file)]);
            prop_assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
            let rows = StructArray::from(decoded.batches[0].records.clone());
            let mut comparison = Comparison::default();
            let Value::Record(fields) = value else { unreachable!("a record") };
            comparison.record(&rows, 0, fields, "generated");
            prop_assert!(comparison.differences.is_empty(), "{:?}\n{schema}", comparison.differences);
        }
    }
}
