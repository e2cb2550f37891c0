//! The smallest packets that are ZTF alerts: a few hundred bytes, for tests that need many.

const SCHEMA: &str = r#"{"type":"record","name":"alert","namespace":"ztf","fields":[
{"name":"objectId","type":"string"},{"name":"candid","type":"long"},
{"name":"candidate","type":{"type":"record","name":"candidate","fields":[
{"name":"jd","type":"double"},{"name":"fid","type":"int"},{"name":"candid","type":"long"},
{"name":"ra","type":"double"},{"name":"dec","type":"double"},{"name":"magpsf","type":"float"},
{"name":"sigmapsf","type":"float"},{"name":"isdiffpos","type":"string"},{"name":"rcid","type":"int"},
{"name":"nid","type":"int"}]}}]}"#;

/// Avro's variable-length integer.
fn long(bytes: &mut Vec<u8>, value: i64) {
    let mut value = ((value << 1) ^ (value >> 63)) as u64;
    while value > 0x7f {
        bytes.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    long(bytes, text.len() as i64);
    bytes.extend(text.as_bytes());
}

fn datum(alert_id: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    text(&mut bytes, &format!("ZTF26{:07}", alert_id % 500));
    long(&mut bytes, alert_id);
    bytes.extend((2_460_000.5 + alert_id as f64 / 1000.0).to_le_bytes());
    long(&mut bytes, 1 + alert_id % 2);
    long(&mut bytes, alert_id);
    bytes.extend((alert_id as f64 % 360.0).to_le_bytes());
    bytes.extend((alert_id as f64 % 80.0).to_le_bytes());
    bytes.extend(18.5_f32.to_le_bytes());
    bytes.extend(0.1_f32.to_le_bytes());
    text(&mut bytes, "t");
    long(&mut bytes, 3);
    long(&mut bytes, 1500);
    bytes
}

/// A container file with one alert.
pub(crate) fn container(alert_id: i64) -> Vec<u8> {
    let sync = *b"sixteen bytes ..";
    let mut bytes = b"Obj\x01".to_vec();
    long(&mut bytes, 2);
    text(&mut bytes, "avro.schema");
    text(&mut bytes, SCHEMA);
    text(&mut bytes, "avro.codec");
    text(&mut bytes, "null");
    long(&mut bytes, 0);
    bytes.extend(sync);
    let datum = datum(alert_id);
    long(&mut bytes, 1);
    long(&mut bytes, datum.len() as i64);
    bytes.extend(datum);
    bytes.extend(sync);
    bytes
}
