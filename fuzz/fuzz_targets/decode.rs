//! Any bytes as a packet: decoded, or rejected with a reason. Then as a frame and as a stamp.
//!
//! Good seeds are real packets: `cargo +nightly fuzz run decode FOLDER_OF_PACKETS`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pitt_alert::{Decoder, Packet, SchemaStore, Selection, frame, stamps};

/// One field of each kind, for messages in wire format with schema id 0.
const SCHEMA: &str = r#"{"type": "record", "name": "a", "fields": [
    {"name": "b", "type": "boolean"}, {"name": "i", "type": ["null", "int"]}, {"name": "s", "type": "string"},
    {"name": "l", "type": {"type": "array", "items": ["null", {"type": "record", "name": "r", "fields": [
        {"name": "x", "type": ["null", "bytes", "double"]}, {"name": "m", "type": {"type": "map", "values": "long"}},
        {"name": "n", "type": {"type": "array", "items": "null"}}]}]}},
    {"name": "e", "type": {"type": "enum", "name": "e", "symbols": ["A", "B"]}}]}"#;

fuzz_target!(|data: &[u8]| {
    let schemas = SchemaStore::new();
    schemas.insert(0, SCHEMA).expect("the schema above");
    let packet = Packet::unplaced("fuzz", data.to_vec());
    for selection in [Selection::everything(), Selection::common_only()] {
        let mut decoder = Decoder::new(schemas.clone());
        decoder.select(selection);
        let decoded = decoder.decode(std::slice::from_ref(&packet));
        assert!(decoded.rows() > 0 || !decoded.rejected.is_empty(), "a packet is lost");
    }
    let frame = frame::split(&packet.bytes);
    assert_eq!(frame::join(&frame, &frame.header), packet.bytes);
    let _ = stamps::decode(data);
});
