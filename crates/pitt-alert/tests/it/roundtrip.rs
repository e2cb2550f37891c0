//! Whatever schema and values: what was written comes out, whole or column by column.

use std::collections::BTreeSet;

use arrow_array::StructArray;
use pitt_alert::{Decoder, Packet, SchemaStore, Selection, SurveyColumns};
use proptest::prelude::*;

use crate::bad::Dice;
use crate::packets::{bytes, container, long, wire};
use crate::values::{Comparison, Value};

/// A type to make schemas of.
#[derive(Clone, Debug)]
pub enum Ty {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    Bytes,
    Fixed(usize),
    Enum(usize),
    Array(Box<Ty>),
    Map(Box<Ty>),
    Record(Vec<Ty>),
    /// With null first, with null last, or alone.
    Opt(u8, Box<Ty>),
    /// Null, long, text and boolean.
    Several,
}

pub fn types() -> impl Strategy<Value = Ty> {
    let leaf = prop_oneof![
        Just(Ty::Null),
        Just(Ty::Boolean),
        Just(Ty::Int),
        Just(Ty::Long),
        Just(Ty::Float),
        Just(Ty::Double),
        Just(Ty::Text),
        Just(Ty::Bytes),
        (0_usize..20).prop_map(Ty::Fixed),
        (1_usize..5).prop_map(Ty::Enum),
        Just(Ty::Several),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let plain = inner.clone().prop_filter("no union in a union", |ty| {
            !matches!(ty, Ty::Null | Ty::Opt(..) | Ty::Several)
        });
        prop_oneof![
            inner.clone().prop_map(|ty| Ty::Array(Box::new(ty))),
            inner.clone().prop_map(|ty| Ty::Map(Box::new(ty))),
            prop::collection::vec(inner, 1..6).prop_map(Ty::Record),
            (0_u8..3, plain).prop_map(|(null, ty)| Ty::Opt(null, Box::new(ty))),
        ]
    })
}

/// The type's JSON; named types are numbered.
pub fn json(ty: &Ty, names: &mut usize) -> String {
    let mut name = |kind: &str| {
        *names += 1;
        format!(r#"{{"type": "{kind}", "name": "test.{kind}{names}""#)
    };
    match ty {
        Ty::Null => r#""null""#.into(),
        Ty::Boolean => r#""boolean""#.into(),
        Ty::Int => r#""int""#.into(),
        Ty::Long => r#""long""#.into(),
        Ty::Float => r#""float""#.into(),
        Ty::Double => r#""double""#.into(),
        Ty::Text => r#""string""#.into(),
        Ty::Bytes => r#"{"type": "bytes"}"#.into(),
        Ty::Fixed(size) => format!(r#"{}, "size": {size}}}"#, name("fixed")),
        Ty::Enum(symbols) => {
            let symbols: Vec<String> = (0..*symbols).map(|n| format!(r#""S{n}""#)).collect();
            format!(r#"{}, "symbols": [{}]}}"#, name("enum"), symbols.join(", "))
        }
        Ty::Array(item) => format!(r#"{{"type": "array", "items": {}}}"#, json(item, names)),
        Ty::Map(value) => format!(r#"{{"type": "map", "values": {}}}"#, json(value, names)),
        Ty::Record(fields) => {
            let start = name("record");
            let field = |(n, ty)| {
                format!(
                    r#"{{"name": "f{n}", "type": {}, "default": "wrong"}}"#,
                    json(ty, names)
                )
            };
            let fields: Vec<String> = fields.iter().enumerate().map(field).collect();
            format!(r#"{start}, "fields": [{}]}}"#, fields.join(", "))
        }
        Ty::Opt(0, ty) => format!(r#"["null", {}]"#, json(ty, names)),
        Ty::Opt(1, ty) => format!(r#"[{}, "null"]"#, json(ty, names)),
        Ty::Opt(_, ty) => format!("[{}]", json(ty, names)),
        Ty::Several => r#"["null", "long", "string", "boolean"]"#.into(),
    }
}

fn text(dice: &mut Dice) -> String {
    (0..dice.roll(20))
        .map(|_| ['a', 'ß', '星', ' ', '0'][dice.roll(5)])
        .collect()
}

fn number(dice: &mut Dice) -> i64 {
    let wide = (dice.roll(1 << 31) as i64) << 32 | dice.roll(1 << 31) as i64;
    (wide >> dice.roll(63)) * if dice.roll(2) == 0 { 1 } else { -1 }
}

/// Writes a value of the type, and gives it.
pub fn write(ty: &Ty, dice: &mut Dice, out: &mut Vec<u8>) -> Value {
    match ty {
        Ty::Null => Value::Null,
        Ty::Boolean => {
            let value = dice.roll(2) == 1;
            out.push(u8::from(value));
            Value::Bool(value)
        }
        Ty::Int => {
            let value = i64::from(number(dice) as i32);
            long(value, out);
            Value::Int(value)
        }
        Ty::Long => {
            let value = number(dice);
            long(value, out);
            Value::Int(value)
        }
        Ty::Float => {
            let value = f32::from_bits(number(dice) as u32);
            let value = if value.is_nan() { f32::NAN } else { value };
            out.extend(value.to_le_bytes());
            Value::Double(f64::from(value))
        }
        Ty::Double => {
            let value = f64::from_bits(number(dice) as u64);
            out.extend(value.to_le_bytes());
            Value::Double(value)
        }
        Ty::Text => {
            let value = text(dice);
            bytes(value.as_bytes(), out);
            Value::Text(value)
        }
        Ty::Bytes => {
            let value: Vec<u8> = (0..dice.roll(40)).map(|_| dice.roll(256) as u8).collect();
            bytes(&value, out);
            Value::Bytes(value)
        }
        Ty::Fixed(size) => {
            let value: Vec<u8> = (0..*size).map(|_| dice.roll(256) as u8).collect();
            out.extend(&value);
            Value::Bytes(value)
        }
        Ty::Enum(symbols) => {
            let value = dice.roll(*symbols);
            long(value as i64, out);
            Value::Text(format!("S{value}"))
        }
        _ => write_nested(ty, dice, out),
    }
}

fn write_nested(ty: &Ty, dice: &mut Dice, out: &mut Vec<u8>) -> Value {
    match ty {
        Ty::Array(item) => {
            let mut values = Vec::new();
            blocks(dice, out, |dice, out, _| {
                values.push(write(item, dice, out))
            });
            Value::List(values)
        }
        Ty::Map(value) => {
            let mut entries = Vec::new();
            blocks(dice, out, |dice, out, number| {
                let key = format!("k{number}");
                bytes(key.as_bytes(), out);
                entries.push((key, write(value, dice, out)));
            });
            Value::Record(entries)
        }
        Ty::Record(fields) => {
            let field = |(n, ty)| (format!("f{n}"), write(ty, dice, out));
            Value::Record(fields.iter().enumerate().map(field).collect())
        }
        Ty::Opt(null, ty) => {
            let present = *null > 1 || dice.roll(3) > 0;
            let branch = i64::from(present == (*null == 0));
            long(branch, out);
            if present {
                write(ty, dice, out)
            } else {
                Value::Null
            }
        }
        _ => {
            let branch = dice.roll(4);
            long(branch as i64, out);
            write(
                &[Ty::Null, Ty::Long, Ty::Text, Ty::Boolean][branch],
                dice,
                out,
            )
        }
    }
}

/// Up to two blocks of items, with or without their size in bytes.
fn blocks(
    dice: &mut Dice,
    out: &mut Vec<u8>,
    mut item: impl FnMut(&mut Dice, &mut Vec<u8>, usize),
) {
    let mut number = 0;
    for _ in 0..dice.roll(3) {
        let count = 1 + dice.roll(3);
        let mut items = Vec::new();
        for _ in 0..count {
            item(dice, &mut items, number);
            number += 1;
        }
        if dice.roll(2) == 0 {
            long(count as i64, out);
        } else {
            long(-(count as i64), out);
            long(items.len() as i64, out);
        }
        out.extend(items);
    }
    out.push(0);
}

fn only(name: &str) -> Selection {
    Selection {
        survey: SurveyColumns::Only(BTreeSet::from([name.to_owned()])),
        ..Selection::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(fields in prop::collection::vec(types(), 1..6), seed in any::<u64>()) {
        let ty = Ty::Record(fields.clone());
        let schema = json(&ty, &mut 0);
        let mut dice = Dice(seed);
        let (mut values, mut datums) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            let mut datum = Vec::new();
            values.push(write(&ty, &mut dice, &mut datum));
            datums.push(datum);
        }
        let schemas = SchemaStore::new();
        schemas.insert(9, &schema).unwrap();
        let codec = ["null", "deflate", "snappy", "zstandard"][dice.roll(4)];
        let packets = [
            Packet::unplaced("three", container(&schema, codec, &[(1, datums[0].clone()), (2, datums[1..3].concat())])),
            Packet::unplaced("one", wire(9, &datums[3])),
        ];
        let mut decoder = Decoder::new(schemas);
        decoder.select(Selection::everything());
        let decoded = decoder.decode(&packets);
        prop_assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
        let batch = &decoded.batches[0];
        let rows = StructArray::from(batch.records.clone());
        let mut comparison = Comparison::default();
        for (row, value) in values.iter().enumerate() {
            let Value::Record(fields) = value else { unreachable!("a record") };
            comparison.record(&rows, row, fields, "generated");
        }
        prop_assert!(comparison.differences.is_empty(), "{:?}\n{schema}", comparison.differences);

        let column = format!("f{}", dice.roll(fields.len()));
        decoder.select(only(&column));
        let part = decoder.decode(&packets);
        prop_assert!(part.rejected.is_empty(), "{:?}", part.rejected);
        let (part, whole) = (&part.batches[0].records, batch.records.column_by_name(&column).unwrap());
        prop_assert_eq!(part.num_columns(), 1);
        prop_assert_eq!(part.column(0).as_ref(), whole.as_ref());
    }
}
