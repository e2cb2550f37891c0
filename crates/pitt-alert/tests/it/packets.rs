//! Packets that the tests make up: a small Avro writer, containers, and a ZTF-like and an LSST-like schema.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::io::Write;

pub const SYNC: [u8; 16] = *b"made-up sync 16b";

pub fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend(value);
}

/// A container file of blocks of (records, datums).
pub fn container(schema: &str, codec: &str, blocks: &[(usize, Vec<u8>)]) -> Bytes {
    let mut out = b"Obj\x01".to_vec();
    long(2, &mut out);
    for (key, value) in [("avro.schema", schema), ("avro.codec", codec)] {
        bytes(key.as_bytes(), &mut out);
        bytes(value.as_bytes(), &mut out);
    }
    out.push(0);
    out.extend(SYNC);
    for (records, datums) in blocks {
        long(*records as i64, &mut out);
        bytes(&pack(codec, datums), &mut out);
        out.extend(SYNC);
    }
    out.into()
}

fn pack(codec: &str, data: &[u8]) -> Vec<u8> {
    match codec {
        "deflate" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(data).expect("memory");
            encoder.finish().expect("memory")
        }
        "snappy" => {
            let mut packed = snap::raw::Encoder::new()
                .compress_vec(data)
                .expect("memory");
            packed.extend(crc32fast::hash(data).to_be_bytes());
            packed
        }
        "zstandard" => zstd::encode_all(data, 1).expect("memory"),
        _ => data.to_vec(),
    }
}

/// A message in Confluent's wire format.
pub fn wire(id: u32, datum: &[u8]) -> Bytes {
    [&[0][..], &id.to_be_bytes(), datum].concat().into()
}

/// Names as published, few fields: enough for the mapping.
pub const ZTF: &str = r#"{"type": "record", "name": "ztf.alert", "version": "4.02", "fields": [
    {"name": "objectId", "type": "string"}, {"name": "candid", "type": "long"},
    {"name": "candidate", "type": {"type": "record", "name": "ztf.alert.candidate", "fields": [
        {"name": "jd", "type": "double", "doc": "Observation Julian date at start of exposure [days]"},
        {"name": "fid", "type": "int"}, {"name": "candid", "type": "long"}, {"name": "isdiffpos", "type": "string"},
        {"name": "rcid", "type": ["int", "null"], "default": null}, {"name": "nid", "type": ["int", "null"]},
        {"name": "ra", "type": "double"}, {"name": "dec", "type": "double"},
        {"name": "magpsf", "type": "float"}, {"name": "sigmapsf", "type": "float"},
        {"name": "rb", "type": ["float", "null"]}, {"name": "drb", "type": ["null", "float"]}]}},
    {"name": "prv_candidates", "type": ["null", {"type": "array", "items": {
        "type": "record", "name": "ztf.alert.prv_candidate", "fields": [
        {"name": "jd", "type": "double"}, {"name": "fid", "type": "int"}, {"name": "candid", "type": ["long", "null"]},
        {"name": "isdiffpos", "type": ["string", "null"]}, {"name": "diffmaglim", "type": ["float", "null"]},
        {"name": "magpsf", "type": ["float", "null"]}, {"name": "sigmapsf", "type": ["float", "null"]}]}}]},
    {"name": "fp_hists", "type": ["null", {"type": "array", "items": {
        "type": "record", "name": "ztf.alert.fp_hist", "fields": [
        {"name": "jd", "type": "double"}, {"name": "fid", "type": "int"}, {"name": "exptime", "type": ["null", "float"]},
        {"name": "forcediffimflux", "type": ["null", "float"]}, {"name": "forcediffimfluxunc", "type": ["null", "float"]},
        {"name": "magzpsci", "type": ["null", "float"]}]}}]},
    {"name": "cutoutScience", "type": ["null", {"type": "record", "name": "ztf.alert.cutout", "fields": [
        {"name": "fileName", "type": "string"}, {"name": "stampData", "type": "bytes"}]}]},
    {"name": "cutoutTemplate", "type": ["null", "ztf.alert.cutout"]}]}"#;

/// One alert of [`ZTF`]: a detection, a limit and a brighter detection in its history, two forced points.
pub fn ztf_datum(candid: i64) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(b"ZTF18aaaaaaa", &mut out);
    long(candid, &mut out);
    out.extend(2_460_000.75_f64.to_le_bytes());
    long(2, &mut out);
    long(candid, &mut out);
    bytes(b"f", &mut out);
    for present in [0, 17, 0, 900] {
        long(present, &mut out);
    }
    out.extend([150.25_f64, -3.5].iter().flat_map(|v| v.to_le_bytes()));
    out.extend([18.9_f32, 0.1].iter().flat_map(|v| v.to_le_bytes()));
    out.extend(
        [
            &[0][..],
            &0.7_f32.to_le_bytes(),
            &[2],
            &(-999.0_f32).to_le_bytes(),
        ]
        .concat(),
    );
    long(1, &mut out);
    long(3, &mut out);
    past(2_459_990.7, 1, Some((7, b"1", 19.5)), &mut out);
    past(2_459_995.7, 1, None, &mut out);
    past(2_459_980.7, 2, Some((5, b"0", 20.0)), &mut out);
    out.push(0);
    long(1, &mut out);
    long(2, &mut out);
    forced(2_459_990.7, 3, 100.0, &mut out);
    forced(2_459_991.7, 3, -99_999.0, &mut out);
    out.push(0);
    long(1, &mut out);
    bytes(b"science.fits.gz", &mut out);
    bytes(
        &[0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        &mut out,
    );
    long(0, &mut out);
    out
}

fn past(jd: f64, fid: i64, detection: Option<(i64, &[u8], f32)>, out: &mut Vec<u8>) {
    out.extend(jd.to_le_bytes());
    long(fid, out);
    match detection {
        Some((candid, sign, magnitude)) => {
            long(0, out);
            long(candid, out);
            long(0, out);
            bytes(sign, out);
            out.extend([&[0][..], &20.5_f32.to_le_bytes()].concat());
            out.extend(
                [
                    &[0][..],
                    &magnitude.to_le_bytes(),
                    &[0],
                    &0.2_f32.to_le_bytes(),
                ]
                .concat(),
            );
        }
        None => {
            out.extend([2, 2, 0]);
            out.extend(20.5_f32.to_le_bytes());
            out.extend([2, 2]);
        }
    }
}

fn forced(jd: f64, fid: i64, counts: f32, out: &mut Vec<u8>) {
    out.extend(jd.to_le_bytes());
    long(fid, out);
    for value in [60.0, counts, 10.0, 26.4] {
        out.push(2);
        out.extend(value.to_le_bytes());
    }
}

/// Names as published, few fields.
pub const LSST: &str = r#"{"type": "record", "namespace": "lsst.v11_0", "name": "alert", "fields": [
    {"name": "diaSourceId", "type": "long"},
    {"name": "diaSource", "type": {"type": "record", "name": "diaSource", "fields": [
        {"name": "diaSourceId", "type": "long"}, {"name": "diaObjectId", "type": ["null", "long"]},
        {"name": "ssObjectId", "type": ["null", "long"]}, {"name": "midpointMjdTai", "type": "double"},
        {"name": "ra", "type": "double"}, {"name": "dec", "type": "double"},
        {"name": "psfFlux", "type": ["null", "float"]}, {"name": "psfFluxErr", "type": ["null", "float"]},
        {"name": "band", "type": ["null", "string"]}, {"name": "reliability", "type": ["null", "float"]}]}},
    {"name": "prvDiaSources", "type": ["null", {"type": "array", "items": "lsst.v11_0.diaSource"}]},
    {"name": "cutoutScience", "type": ["null", "bytes"]}]}"#;

/// One source of [`LSST`]; flux and reliability may be `NaN`.
fn source(
    id: i64,
    object: Option<i64>,
    solar: Option<i64>,
    mjd: f64,
    flux: f32,
    out: &mut Vec<u8>,
) {
    long(id, out);
    for object in [object, solar] {
        long(i64::from(object.is_some()), out);
        object.iter().for_each(|id| long(*id, out));
    }
    out.extend([mjd, 10.0, -30.0].iter().flat_map(|v| v.to_le_bytes()));
    out.extend(
        [
            &[2][..],
            &flux.to_le_bytes(),
            &[2],
            &25.0_f32.to_le_bytes(),
            &[2],
        ]
        .concat(),
    );
    bytes(b"z", out);
    out.extend([&[2][..], &f32::NAN.to_le_bytes()].concat());
}

/// One alert of [`LSST`] with two earlier sources.
pub fn lsst_datum(id: i64, object: Option<i64>, solar: Option<i64>) -> Vec<u8> {
    let mut out = Vec::new();
    long(id, &mut out);
    source(id, object, solar, 61_000.2, -512.5, &mut out);
    long(1, &mut out);
    // With the block's size in bytes, as some writers do.
    let mut items = Vec::new();
    source(id - 1, object, solar, 60_999.2, 100.0, &mut items);
    source(id - 2, object, solar, 60_990.2, f32::NAN, &mut items);
    long(-2, &mut out);
    bytes(&items, &mut out);
    out.push(0);
    long(1, &mut out);
    bytes(&[7; 40], &mut out);
    out
}
