//! A datum as Avro again: in a file of its own, without its stamps, with the annotation.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::{AlertRecord, Annotation, ContainerWriter, MessageError};
use crate::avro::cursor::{Cursor, Fault};
use crate::avro::schema::Type;
use crate::avro::skip::Skip;
use crate::schemas::WriterSchema;
use crate::selection::is_stamp;

impl AlertRecord {
    /// The datum; without stamps each of them is null, or where its type does not allow null, its bytes are empty. So the
    /// schema stays the writer's in either case.
    ///
    /// # Errors
    /// The datum cannot be read by its schema.
    pub fn datum(&self, stamps: bool) -> Result<Bytes, MessageError> {
        if stamps {
            return Ok(self.datum.clone());
        }
        let mut cursor = Cursor::new(&self.datum, 0, 0);
        let written = self.without_stamps(&mut cursor);
        written.map_err(|fault| self.faulty(fault, cursor.position()))
    }

    /// An Avro object container file of this one record, uncompressed, with the writer's schema. With stamps the packet
    /// itself, where it is such a file.
    ///
    /// # Errors
    /// The datum cannot be read by its schema.
    pub fn container(&self, stamps: bool) -> Result<Bytes, MessageError> {
        match &self.file {
            Some(file) if stamps => Ok(file.clone()),
            _ => Ok(file(self.schema.json(), &self.datum(stamps)?)),
        }
    }

    /// The datum with the annotation as its last field; its schema is [`annotated_schema`].
    ///
    /// # Errors
    /// The datum cannot be read by its schema.
    pub fn annotated_datum(
        &self,
        stamps: bool,
        annotation: &Annotation,
    ) -> Result<Bytes, MessageError> {
        let mut datum = BytesMut::from(self.datum(stamps)?);
        annotation.encode(&mut datum);
        Ok(datum.freeze())
    }

    /// A container file of [`AlertRecord::annotated_datum`]; `schema` is [`annotated_schema`].
    ///
    /// # Errors
    /// The datum cannot be read by its schema.
    pub fn annotated_container(
        &self,
        stamps: bool,
        annotation: &Annotation,
        schema: &str,
    ) -> Result<Bytes, MessageError> {
        Ok(file(schema, &self.annotated_datum(stamps, annotation)?))
    }

    fn without_stamps(&self, cursor: &mut Cursor) -> Result<Bytes, Fault> {
        let mut out = BytesMut::with_capacity(self.datum.len());
        let mut kept = 0;
        for field in &self.schema.root().fields {
            if is_stamp(&field.name) {
                out.put_slice(&self.datum[kept..cursor.position()]);
                blank(&field.ty, cursor, &self.datum, &mut out)?;
                kept = cursor.position();
            } else {
                Skip::of(&field.ty).run(cursor)?;
            }
        }
        if cursor.remaining() > 0 {
            return Err(Fault::Trailing);
        }
        out.put_slice(&self.datum[kept..]);
        Ok(out.freeze())
    }
}

/// Steps over a value and writes the emptiest of its type.
fn blank(ty: &Type, cursor: &mut Cursor, datum: &[u8], out: &mut BytesMut) -> Result<(), Fault> {
    let start = cursor.position();
    match ty {
        Type::Bytes => {
            Skip::Lengthy.run(cursor)?;
            put_long(0, out);
        }
        Type::Record(record) => {
            for field in &record.fields {
                blank(&field.ty, cursor, datum, out)?;
            }
        }
        Type::Union(branches) => {
            if let Some(null) = branches.iter().position(|b| *b == Type::Null) {
                Skip::of(ty).run(cursor)?;
                put_long(null as i64, out);
            } else {
                let branch = cursor.long()?;
                put_long(branch, out);
                let branch = usize::try_from(branch).map_err(|_| Fault::Union)?;
                blank(
                    branches.get(branch).ok_or(Fault::Union)?,
                    cursor,
                    datum,
                    out,
                )?;
            }
        }
        kept => {
            Skip::of(kept).run(cursor)?;
            out.put_slice(&datum[start..cursor.position()]);
        }
    }
    Ok(())
}

/// A container file of one uncompressed datum. Its sync marker is a hash of it, so that the same alert gives the same bytes.
fn file(schema: &str, datum: &[u8]) -> Bytes {
    let mut file = ContainerWriter::new(schema, xxh3_128(datum));
    file.append(datum);
    file.take()
}

/// The writer's schema with a last field `pitt`, a record of what [`Annotation`] has, in its order.
///
/// # Errors
/// The outermost record cannot be found in the JSON, or has such a field already.
pub fn annotated_schema(schema: &WriterSchema) -> Result<String, MessageError> {
    let failed = |detail: &str| MessageError::Schema {
        name: schema.name().to_owned(),
        detail: detail.to_owned(),
    };
    if schema.root().field("pitt").is_some() {
        return Err(failed("it has a field of that name"));
    }
    let mut json: Value =
        serde_json::from_str(schema.json()).map_err(|error| failed(&error.to_string()))?;
    let mut record = &mut json;
    while !record["fields"].is_array() && record["type"].is_object() {
        record = &mut record["type"];
    }
    let fields = record["fields"].as_array_mut();
    fields
        .ok_or_else(|| failed("its fields are not where they should be"))?
        .push(annotation_field());
    Ok(json.to_string())
}

fn annotation_field() -> Value {
    let optional =
        |name: &str, ty: Value, doc: &str| json!({"name": name, "type": ["null", ty], "doc": doc});
    let time = || json!({"type": "long", "logicalType": "timestamp-micros"});
    json!({"name": "pitt", "doc": "What Pitt Broker knows of the alert.", "type": {
        "type": "record", "name": "annotation", "namespace": "pitt", "fields": [
            {"name": "survey", "type": "string", "doc": "survey that sent the alert"},
            {"name": "alert_id", "type": "long", "doc": "the survey's id of this alert"},
            optional("object_id", json!("string"), "the survey's id of the object"),
            optional("mjd_tai", json!("double"), "[d, TAI] middle of the exposure, MJD"),
            optional("night", json!("int"), "night of the exposure, YYYYMMDD"),
            optional("ra", json!("double"), "[deg] right ascension, ICRS"),
            optional("dec", json!("double"), "[deg] declination, ICRS"),
            optional("band", json!("string"), "u g r i z y"),
            optional("psf_flux", json!("float"), "[nJy] difference flux, signed"),
            optional("psf_flux_err", json!("float"), "[nJy] its standard error"),
            optional("reliability", json!("float"), "0 bogus to 1 real"),
            {"name": "received", "type": time(), "doc": "time of receipt, UTC"},
            optional("filter", json!("string"), "filter that took the alert"),
            optional("version", json!("string"), "version of the filter"),
            optional("matched", time(), "when it did, UTC"),
        ],
    }})
}

/// Avro's `int` and `long`.
pub(super) fn put_long(value: i64, out: &mut BytesMut) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

/// Avro's `string`.
pub(super) fn put_text(value: &str, out: &mut BytesMut) {
    put_long(value.len() as i64, out);
    out.put_slice(value.as_bytes());
}
