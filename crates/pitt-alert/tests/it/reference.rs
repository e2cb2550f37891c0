//! Every value equals the reference reader's.

use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use arrow_array::StructArray;
use pitt_alert::{Decoded, Decoder, Packet, SchemaStore, Selection, WriterSchema};

use crate::real;
use crate::values::{Comparison, Source, Value};

/// Packets decoded in one call.
const BATCH: usize = 200;

/// A packet with the reference's records.
pub struct Expected {
    pub schema: Option<Arc<WriterSchema>>,
    pub packet: Packet,
    pub records: Vec<Value>,
}

/// Starts the reference reader.
pub fn start(python: &Path, arguments: &[&str]) -> (Child, Source<impl Read + use<>>) {
    start_script(python, "reference.py", arguments)
}

/// Starts a script beside the tests, and reads what it writes.
pub fn start_script(
    python: &Path,
    script: &str,
    arguments: &[&str],
) -> (Child, Source<impl Read + use<>>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(script);
    let mut command = Command::new(python);
    let command = command
        .arg(script)
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let stdout = child.stdout.take().expect("a pipe");
    (child, Source(BufReader::with_capacity(1 << 20, stdout)))
}

/// The next packet that the reference hands over.
pub fn next<R: Read>(source: &mut Source<R>, schemas: &SchemaStore) -> Option<Expected> {
    if source.letter() == b'E' {
        return None;
    }
    let how = source.letter();
    let json = if how == b'C' {
        String::new()
    } else {
        source.text()
    };
    let schema = (how == b'D').then(|| schemas.intern(&json).expect("a schema"));
    let name = source.text();
    let packet = Packet::unplaced(&name, source.bytes());
    let records = (0..source.count()).map(|_| source.value()).collect();
    Some(Expected {
        schema,
        packet,
        records,
    })
}

/// Decodes packets and compares every value.
pub fn compare(decoder: &mut Decoder, expected: &[Expected], comparison: &mut Comparison) {
    let Some(first) = expected.first() else {
        return;
    };
    let packets: Vec<Packet> = expected.iter().map(|e| e.packet.clone()).collect();
    let decoded = match &first.schema {
        Some(schema) => decoder.decode_datum(schema, &packets),
        None => decoder.decode(&packets),
    };
    compare_decoded(&decoded, expected, comparison);
}

fn compare_decoded(decoded: &Decoded, expected: &[Expected], comparison: &mut Comparison) {
    for rejected in &decoded.rejected {
        comparison.differences.push(format!(
            "{}: {rejected:?}",
            expected[rejected.packet].packet.name
        ));
    }
    let mut found = 0;
    for batch in &decoded.batches {
        let rows = StructArray::from(batch.records.clone());
        for (row, origin) in batch.origins.iter().enumerate() {
            let Expected {
                packet, records, ..
            } = &expected[origin.packet];
            let Value::Record(fields) = &records[origin.record as usize] else {
                panic!("a record")
            };
            comparison.record(&rows, row, fields, &packet.name);
            found += 1;
        }
    }
    let there: usize = expected.iter().map(|e| e.records.len()).sum();
    if found != there {
        comparison.differences.push(format!(
            "{found} rows decoded, {there} records in the reference"
        ));
    }
    comparison.packets += expected.len();
    comparison.records += found;
}

#[test]
fn every_value_of_every_packet_equals_the_reference() {
    let (Some(data), Some(python)) = (real::data(), real::python()) else {
        return;
    };
    let schemas = real::lsst_schemas(&data);
    let mut decoder = Decoder::new(schemas.clone());
    decoder.select(Selection::everything());
    let (mut child, mut source) = start(&python, &["packets", &data.display().to_string()]);
    let mut comparison = Comparison::default();
    let (mut ztf, mut wire, mut batch) = (0, 0, Vec::<Expected>::new());
    while let Some(expected) = next(&mut source, &schemas) {
        ztf += usize::from(expected.packet.name.starts_with("ztf/")) * expected.records.len();
        wire += usize::from(expected.packet.bytes[0] == 0);
        let another = batch
            .last()
            .is_some_and(|last| last.schema != expected.schema);
        if another || batch.len() == BATCH {
            compare(&mut decoder, &batch, &mut comparison);
            batch.clear();
        }
        batch.push(expected);
    }
    compare(&mut decoder, &batch, &mut comparison);
    assert!(child.wait().expect("Python ends").success());

    let Comparison {
        packets,
        records,
        values,
        differences,
    } = comparison;
    println!(
        "compared {values} values of {records} records in {packets} packets ({ztf} records of ZTF, {wire} messages)"
    );
    let shown = differences
        .iter()
        .take(20)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        differences.is_empty(),
        "{} differences:\n{shown}",
        differences.len()
    );
    assert!(
        ztf >= 2_800 && records >= 9_000 && wire >= 16 && values >= 5_000_000,
        "too little was compared"
    );
}
