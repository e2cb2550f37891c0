//! A datum as JSON, without a tree of values in between.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{AlertRecord, Annotation, MessageError};
use crate::avro::cursor::{Cursor, Fault};
use crate::avro::schema::{Record, Type};
use crate::avro::skip::Skip;
use crate::selection::is_stamp;

/// Largest whole number up to which every one is a double: 2^53.
const EXACT: u64 = 1 << 53;
/// Longest JSON written: a hostile packet of nulls is not blown up without end. Kafka's messages are shorter by far.
const LONGEST: usize = 64 << 20;
/// Small numbers of ZTF whose names end like an id's.
const NO_IDS: [&str; 4] = ["fid", "nid", "rcid", "programid"];

impl AlertRecord {
    /// The survey's fields as one JSON object, as the [module](super) says; stamps as base64, or `null`.
    ///
    /// # Errors
    /// The datum cannot be read by its schema.
    pub fn json(&self, stamps: bool) -> Result<Vec<u8>, MessageError> {
        let mut out = Vec::with_capacity(2 * self.datum.len().min(1 << 16));
        let mut cursor = Cursor::new(&self.datum, 0, 0);
        let written = top(self.schema.root(), &mut cursor, stamps, &mut out);
        let written = written.and_then(|()| match cursor.remaining() {
            0 => Ok(()),
            _ => Err(Fault::Trailing),
        });
        written.map_err(|fault| self.faulty(fault, cursor.position()))?;
        Ok(out)
    }

    /// What [`AlertRecord::json`] gave, with `objectId` where the survey has none, and the annotation as `pitt`.
    pub fn annotated_json(&self, json: &[u8], annotation: &Annotation) -> Vec<u8> {
        let own = json.strip_suffix(b"}").unwrap_or(json);
        let mut out = Vec::with_capacity(own.len() + 512);
        out.extend_from_slice(own);
        let mut members = serde_json::Map::new();
        let has_object_id = self.schema.root().field("objectId").is_some();
        if let Some(object_id) = annotation.object_id.as_deref().filter(|_| !has_object_id) {
            members.insert("objectId".into(), object_id.into());
        }
        members.insert("pitt".into(), annotation.json());
        for (name, value) in members {
            separate(&mut out);
            text(&name, &mut out);
            out.push(b':');
            out.extend_from_slice(value.to_string().as_bytes());
        }
        out.push(b'}');
        out
    }
}

fn top(record: &Record, cursor: &mut Cursor, stamps: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
    out.push(b'{');
    for field in &record.fields {
        name(&field.name, out);
        if !stamps && is_stamp(&field.name) {
            Skip::of(&field.ty).run(cursor)?;
            out.extend_from_slice(b"null");
        } else {
            value(&field.ty, &field.name, cursor, out)?;
        }
    }
    out.push(b'}');
    Ok(())
}

/// Writes one value. `field` is the name of the nearest field around it, which tells ids.
fn value(ty: &Type, field: &str, cursor: &mut Cursor, out: &mut Vec<u8>) -> Result<(), Fault> {
    match ty {
        Type::Null => out.extend_from_slice(b"null"),
        Type::Boolean => {
            let word: &[u8] = if cursor.boolean()? { b"true" } else { b"false" };
            out.extend_from_slice(word);
        }
        Type::Int => number(cursor.int()?.into(), false, out),
        Type::Long => {
            let whole = cursor.long()?;
            number(whole, is_id(field) || whole.unsigned_abs() > EXACT, out);
        }
        Type::Float => json(&cursor.float()?, out),
        Type::Double => json(&cursor.double()?, out),
        Type::Bytes => {
            let length = cursor.length()?;
            bytes(cursor.take(length)?, out);
        }
        Type::Fixed(size) => bytes(cursor.take(*size)?, out),
        Type::String => text(string(cursor)?, out),
        Type::Enum(symbols) => {
            let at = usize::try_from(cursor.long()?).map_err(|_| Fault::Enum)?;
            text(symbols.get(at).ok_or(Fault::Enum)?, out);
        }
        Type::Union(branches) => {
            let at = usize::try_from(cursor.long()?).map_err(|_| Fault::Union)?;
            value(branches.get(at).ok_or(Fault::Union)?, field, cursor, out)?;
        }
        Type::Record(record) => {
            out.push(b'{');
            for field in &record.fields {
                name(&field.name, out);
                value(&field.ty, &field.name, cursor, out)?;
            }
            out.push(b'}');
        }
        Type::Array(item) => {
            out.push(b'[');
            while let Some((count, _)) = cursor.block(item.extent().min_size)? {
                for _ in 0..count {
                    separate(out);
                    bounded(out)?;
                    value(item, field, cursor, out)?;
                }
            }
            out.push(b']');
        }
        Type::Map(item) => {
            out.push(b'{');
            while let Some((count, _)) = cursor.block(1 + item.extent().min_size)? {
                for _ in 0..count {
                    name(string(cursor)?, out);
                    bounded(out)?;
                    value(item, field, cursor, out)?;
                }
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn bounded(out: &[u8]) -> Result<(), Fault> {
    if out.len() > LONGEST {
        return Err(Fault::TooLarge);
    }
    Ok(())
}

fn string<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Fault> {
    let length = cursor.length()?;
    std::str::from_utf8(cursor.take(length)?).map_err(|_| Fault::Utf8)
}

/// Whether a `long` of this name is an id.
fn is_id(field: &str) -> bool {
    let bytes = field.as_bytes();
    let ends_so = bytes.len() >= 2 && bytes[bytes.len() - 2..].eq_ignore_ascii_case(b"id");
    (ends_so
        || bytes
            .windows(3)
            .any(|part| part.eq_ignore_ascii_case(b"obj")))
        && !NO_IDS.iter().any(|small| field.eq_ignore_ascii_case(small))
}

/// A comma, unless this is the first item.
fn separate(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[')) {
        out.push(b',');
    }
}

fn name(name: &str, out: &mut Vec<u8>) {
    separate(out);
    // Names of records' fields need no escapes; keys of maps may.
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        return;
    }
    text(name, out);
    out.push(b':');
}

fn number(whole: i64, quoted: bool, out: &mut Vec<u8>) {
    if quoted {
        out.push(b'"');
    }
    json(&whole, out);
    if quoted {
        out.push(b'"');
    }
}

fn text(value: &str, out: &mut Vec<u8>) {
    json(&value, out);
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + value.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(value, &mut out[start..]);
    debug_assert!(written.is_ok_and(|length| start + length == out.len()));
    out.push(b'"');
}

/// A number in its fewest digits (`null` for what JSON has no number for), or a text: either always has a form, and a
/// vector always takes it.
fn json(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_by_their_names() {
        for id in [
            "candid",
            "diaSourceId",
            "objectidps1",
            "nearbyObj2",
            "pid",
            "alertId",
        ] {
            assert!(is_id(id), "{id}");
        }
        for number in [
            "fid",
            "programid",
            "visit",
            "flags",
            "ndethist",
            "timestamp",
        ] {
            assert!(!is_id(number), "{number}");
        }
    }
    #[test]
    fn floats_come_back_as_they_were() {
        for bits in (0..=u32::MAX).step_by(65_521) {
            let value = f32::from_bits(bits);
            let mut out = vec![];
            json(&value, &mut out);
            let shown = String::from_utf8(out).unwrap();
            match value.is_finite() {
                true => assert_eq!(shown.parse::<f32>().unwrap().to_bits(), bits),
                false => assert_eq!(shown, "null"),
            }
        }
        for bits in (0..=u64::MAX).step_by(281_474_976_710_597) {
            let value = f64::from_bits(bits);
            let mut out = vec![];
            json(&value, &mut out);
            let shown = String::from_utf8(out).unwrap();
            match value.is_finite() {
                true => assert_eq!(shown.parse::<f64>().unwrap().to_bits(), bits),
                false => assert_eq!(shown, "null"),
            }
        }
    }
}
