//! Bad input gives a reason, never a panic, a hang, or memory beyond the bound.

use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pitt_alert::{Decoded, Decoder, Packet, Reason, SchemaStore, Selection};

use crate::allocation::peak_of;
use crate::packets::{LSST, SYNC, ZTF, bytes, container, long, lsst_datum, wire, ztf_datum};
use crate::real;

/// How many damaged packets are tried.
const DAMAGED: usize = 120_000;
/// What a call may allocate above this many bytes for each byte of its packets, or of what they unpack to.
const PER_BYTE: usize = 128;
const SLACK: usize = 1 << 20;
/// What a packet of any size may unpack to.
const UNPACKED: usize = 4 << 20;

fn decode(packet: impl Into<Bytes>) -> Decoded {
    Decoder::new(SchemaStore::new()).decode(&[Packet::unplaced("test", packet)])
}

fn reason(packet: impl Into<Bytes>) -> Reason {
    let decoded = decode(packet);
    assert_eq!(decoded.rows(), 0);
    decoded.rejected[0].reason
}

#[test]
fn each_bad_file_has_its_reason() {
    let Some(data) = real::data() else { return };
    let expected = [
        (
            "crlf_damaged",
            &[
                Reason::BadBlock,
                Reason::Truncated,
                Reason::BadData,
                Reason::BadHeader,
                Reason::BadSchema,
            ][..],
        ),
        ("gitlfs_pointer", &[Reason::NotAvro]),
        ("html404", &[Reason::NotAvro]),
        ("made_empty", &[Reason::Empty]),
        ("made_truncated", &[Reason::Truncated]),
        ("ocf_zero_records", &[Reason::NoRecord]),
        ("schemaless", &[Reason::NotAvro]),
        (
            "utf8_mangled_schema",
            &[Reason::BadBlock, Reason::BadData, Reason::Truncated],
        ),
    ];
    let mut seen = 0;
    for entry in fs::read_dir(data.join("ztf/bad")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let decoded = decode(fs::read(&path).expect("a file"));
        let (_, reasons) = expected
            .iter()
            .find(|(start, _)| name.starts_with(start))
            .expect("a known kind of damage");
        // The mangled file's first record is whole, for fastavro too.
        let rows = usize::from(name.starts_with("utf8"));
        assert_eq!(
            (decoded.rows(), decoded.rejected.len()),
            (rows, 1),
            "{name}"
        );
        let rejected = &decoded.rejected[0];
        println!("{name}: {}: {}", rejected.reason, rejected.detail);
        assert!(
            reasons.contains(&rejected.reason),
            "{name}: {}",
            rejected.reason
        );
        seen += 1;
    }
    assert_eq!(seen, 24);
}

#[test]
fn records_before_a_bad_one_are_good() {
    let good = ztf_datum(1);
    let mut bad = ztf_datum(3);
    bad[0] = 0x7f; // A text of length -64.
    let block = [good.clone(), ztf_datum(2), bad, ztf_datum(4)].concat();
    let decoded = decode(container(ZTF, "null", &[(1, good), (4, block)]));
    assert_eq!(decoded.rows(), 3);
    let rejected = &decoded.rejected[0];
    assert_eq!(
        (rejected.record, rejected.reason),
        (Some(3), Reason::BadData)
    );
    assert!(rejected.detail.contains("length"), "{}", rejected.detail);
}

#[test]
fn damage_has_its_own_reason() {
    let whole = container(ZTF, "null", &[(1, ztf_datum(1))]);
    let marker = whole.len() - 1;
    let mut other_marker = whole.to_vec();
    other_marker[marker] ^= 1;
    assert_eq!(reason(other_marker), Reason::BadBlock);
    assert_eq!(reason(whole.slice(..marker)), Reason::Truncated);
    assert_eq!(reason(whole.slice(..30)), Reason::Truncated);
    assert_eq!(
        reason(container(ZTF, "lzma", &[])),
        Reason::UnsupportedCodec
    );
    assert_eq!(reason(container(ZTF, "null", &[])), Reason::NoRecord);
    assert_eq!(reason(container("{", "null", &[])), Reason::BadSchema);
    let mut longer = ztf_datum(1);
    longer.push(0);
    assert_eq!(
        reason(container(ZTF, "null", &[(1, longer)])),
        Reason::TrailingBytes
    );
    assert_eq!(reason(wire(4711, &[0])), Reason::UnknownSchema);
}

#[test]
fn every_codec_is_read_and_its_damage_noticed() {
    for codec in ["null", "deflate", "snappy", "zstandard"] {
        let packet = container(
            ZTF,
            codec,
            &[
                (1, ztf_datum(1)),
                (2, [ztf_datum(2), ztf_datum(3)].concat()),
            ],
        );
        assert_eq!(decode(packet.clone()).rows(), 3, "{codec}");
        let mut damaged = packet.to_vec();
        let last = packet.len() - SYNC.len() - 1;
        damaged[last] ^= 0x55;
        if codec == "snappy" {
            let decoded = decode(damaged);
            assert_eq!(
                (decoded.rows(), decoded.rejected[0].reason),
                (1, Reason::BadBlock)
            );
        }
    }
}

#[test]
fn a_hostile_length_does_not_allocate() {
    let list = |item: &str| {
        format!(
            r#"{{"type": "record", "name": "a", "fields": [{{"name": "x", "type": {{"type": "array", "items": {item}}}}}]}}"#
        )
    };
    let mut count = Vec::new();
    long(i64::MAX, &mut count);
    let mut text = Vec::new();
    long(1 << 40, &mut text);
    let wide: String = (0..500)
        .map(|n| format!(r#"{{"name": "f{n}", "type": "double"}},"#))
        .collect();
    let wide = format!(
        r#"["null", {{"type": "record", "name": "w", "fields": [{}]}}]"#,
        wide.trim_end_matches(',')
    );
    let mut absent = Vec::new();
    long(1 << 20, &mut absent);
    absent.extend(vec![0; (1 << 20) + 1]);
    let cases = [
        ("items", list(r#""long""#), count.clone()),
        ("items of no size", list(r#""null""#), count.clone()),
        (
            "empty records",
            list(r#"{"type": "record", "name": "e", "fields": []}"#),
            count,
        ),
        (
            "a text",
            r#"{"type": "record", "name": "a", "fields": [{"name": "x", "type": "string"}]}"#
                .into(),
            text,
        ),
        ("absent wide records", list(&wide), absent),
    ];
    for (what, schema, datum) in cases {
        let packet = container(&schema, "null", &[(1, datum)]);
        let size = packet.len();
        let (peak, found) = peak_of(|| reason(packet));
        assert!(
            peak <= SLACK + PER_BYTE * size,
            "{what}: {peak} bytes for a packet of {size}"
        );
        assert!(
            [Reason::Truncated, Reason::TooLarge, Reason::BadData].contains(&found),
            "{what}: {found}"
        );
    }
}

#[test]
fn a_hostile_schema_is_refused() {
    let nested = |n: usize| {
        format!(
            "{}\"int\"{}",
            r#"{"type": "array", "items": "#.repeat(n),
            "}".repeat(n)
        )
    };
    let field = |ty: &str| {
        format!(r#"{{"type": "record", "name": "a", "fields": [{{"name": "x", "type": {ty}}}]}}"#)
    };
    // Each record holds the one before twice: 2^60 columns from 60 short definitions.
    let mut doubled = r#"{"name": "r0", "type": {"type": "record", "name": "r0", "fields": [{"name": "x", "type": "int"}]}}"#.to_owned();
    for n in 1..60 {
        let (before, name) = (n - 1, format!("r{n}"));
        doubled.push_str(&format!(
            r#", {{"name": "{name}", "type": {{"type": "record", "name": "{name}", "fields": [
                {{"name": "a", "type": "r{before}"}}, {{"name": "b", "type": "r{before}"}}]}}}}"#
        ));
    }
    let doubled = format!(r#"{{"type": "record", "name": "a", "fields": [{doubled}]}}"#);
    let unions = format!("{}\"int\"{}", "[".repeat(50), "]".repeat(50));
    for schema in [
        field(&nested(70)),
        field(&nested(500)),
        doubled,
        field(r#"["null", "a"]"#),
        "[]".into(),
        "7".into(),
    ] {
        assert_eq!(
            reason(container(&schema, "null", &[(1, vec![0])])),
            Reason::BadSchema
        );
    }
    assert_eq!(
        reason(container(&field(&unions), "null", &[(1, vec![0])])),
        Reason::BadData
    );
}

#[test]
fn a_block_that_swells_is_refused() {
    for codec in ["deflate", "zstandard"] {
        let mut datum = Vec::new();
        bytes(&vec![0; 32 << 20], &mut datum);
        let schema =
            r#"{"type": "record", "name": "a", "fields": [{"name": "x", "type": "bytes"}]}"#;
        let packet = container(schema, codec, &[(1, datum)]);
        let size = packet.len();
        let (peak, found) = peak_of(|| reason(packet));
        assert_eq!(found, Reason::TooLarge);
        // While the block unpacks its buffer doubles.
        assert!(peak <= 4 * (UNPACKED + 16 * size), "{codec}: {peak} bytes");
    }
}

#[test]
fn a_block_of_nulls_takes_what_is_allowed() {
    let schema = r#"{"type": "record", "name": "a", "fields":
        [{"name": "x", "type": {"type": "array", "items": ["null", "bytes"]}}]}"#;
    let mut datum = Vec::new();
    long(4_000_000, &mut datum);
    datum.extend(vec![0; 4_000_001]);
    let packet = container(schema, "deflate", &[(1, datum)]);
    let (peak, decoded) = peak_of(|| decode(packet));
    assert_eq!(decoded.rows(), 1);
    println!("4 million nulls take {} MiB", peak >> 20);
    assert!(peak <= PER_BYTE * UNPACKED, "{peak} bytes");
}

/// Good packets of every kind: made up, and real ones where they are.
fn good_packets() -> (SchemaStore, Vec<Bytes>) {
    let mut schemas = SchemaStore::new();
    let three = [ztf_datum(1), ztf_datum(2), ztf_datum(3)].concat();
    let mut packets: Vec<Bytes> = ["null", "deflate", "snappy", "zstandard"]
        .map(|codec| container(ZTF, codec, &[(3, three.clone()), (1, ztf_datum(4))]))
        .to_vec();
    packets.push(wire(99_999, &lsst_datum(10, Some(3), None)));
    if let Some(data) = real::data() {
        // The folder is read again after that, which takes memory that is not the packet's.
        schemas = real::lsst_schemas(&data).with_patience(Duration::from_secs(3_600));
        for folder in ["ztf/ocf/4.02", "ztf/ocf/1.8", "lsst/wire", "other/askap"] {
            let mut files: Vec<_> = fs::read_dir(data.join(folder))
                .expect("a folder")
                .map(|e| e.unwrap().path())
                .collect();
            files.sort();
            packets.extend(
                files
                    .iter()
                    .map(|file| Bytes::from(fs::read(file).expect("a file"))),
            );
        }
        let spark = data.join("ztf/snappy_no_toplevel_candid/000010510007802576.avro");
        packets.push(fs::read(spark).expect("a file").into());
    }
    schemas.insert(99_999, LSST).expect("a schema");
    (schemas, packets)
}

/// A small generator of numbers, so that every run damages the same bytes.
pub struct Dice(pub u64);

impl Dice {
    /// Below `below`.
    pub fn roll(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % below.max(1)
    }

    /// Cuts a packet, or flips bits in it, or both. Half of the damage is near the end, behind a container's schema.
    fn damage(&mut self, packet: &Bytes) -> Vec<u8> {
        let mut damaged = packet.to_vec();
        let what = self.roll(8);
        if what < 2 {
            damaged.truncate(self.roll(packet.len()));
        }
        if what > 0 && !damaged.is_empty() {
            let from = if what.is_multiple_of(2) {
                0
            } else {
                damaged.len().saturating_sub(6_000)
            };
            for _ in 0..=self.roll(3) {
                let at = from + self.roll(damaged.len() - from);
                damaged[at] ^= 1 << self.roll(8);
            }
        }
        damaged
    }
}

#[test]
fn damaged_packets_neither_panic_nor_hang_nor_take_memory() {
    let (schemas, packets) = good_packets();
    let mut decoder = Decoder::new(schemas);
    decoder.select(Selection::everything());
    let mut dice = Dice(20_261_122);
    let (mut rejected, mut read, mut slowest, mut greediest) = (0, 0, Duration::ZERO, 0.0_f64);
    for round in 0..DAMAGED {
        let good = &packets[round % packets.len()];
        let damaged = dice.damage(good);
        let size = damaged.len();
        let packet = [Packet::unplaced("damaged", damaged)];
        let start = Instant::now();
        let (peak, decoded) = peak_of(|| decoder.decode(&packet));
        slowest = slowest.max(start.elapsed());
        greediest = greediest.max(peak as f64 / (SLACK + PER_BYTE * size) as f64);
        assert!(
            decoded.rows() > 0 || !decoded.rejected.is_empty(),
            "a packet is lost in round {round}"
        );
        assert!(
            peak <= SLACK + PER_BYTE * size.max(good.len()),
            "round {round}: {peak} bytes for a packet of {size}"
        );
        rejected += decoded.rejected.len();
        read += usize::from(decoded.rejected.is_empty());
    }
    println!(
        "{DAMAGED} damaged packets of {} good ones: {rejected} rejected, {read} read (the damage is in values); \
         the slowest took {slowest:?}, the greediest {:.0} % of the memory allowed",
        packets.len(),
        greediest * 100.0
    );
    assert!(rejected > DAMAGED / 4 && slowest < Duration::from_secs(5));
}
