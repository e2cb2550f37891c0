//! The columns of our own tables: type, unit, UCD and meaning, each said once.
//!
//! Units are as VOUnits 1.1 writes them, UCDs as the IVOA's UCD1+ (1.6). Columns of the archive bring unit and
//! meaning with them; those that stand here too get their UCD.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::problem::Problem;

/// Name, type, unit, UCD, meaning.
type Column = (
    &'static str,
    DataType,
    &'static str,
    &'static str,
    &'static str,
);

const TEXT: DataType = DataType::Utf8;
const WHOLE: DataType = DataType::Int64;
const REAL: DataType = DataType::Float64;
const SHORT_REAL: DataType = DataType::Float32;

/// Every column of our own tables.
#[rustfmt::skip]
const COLUMNS: &[Column] = &[
    ("survey", TEXT, "", "meta.dataset", "survey the alert is of"),
    ("alert_id", WHOLE, "", "meta.id;meta.main", "candid or diaSourceId"),
    ("object_id", TEXT, "", "meta.id;src", "objectId, diaObjectId or ssObjectId"),
    ("night", DataType::Int32, "", "time.epoch;obs", "night of the observation, YYYYMMDD"),
    ("mjd_tai", REAL, "d", "time.epoch", "middle of the exposure, MJD, TAI"),
    ("utc", TEXT, "", "time.epoch", "the same, ISO 8601, UTC"),
    ("ra", REAL, "deg", "pos.eq.ra;meta.main", "right ascension, ICRS"),
    ("dec", REAL, "deg", "pos.eq.dec;meta.main", "declination, ICRS"),
    ("separation_arcsec", REAL, "arcsec", "pos.angDistance", "distance from the position asked for"),
    ("band", TEXT, "", "instr.bandpass", "u g r i z y"),
    ("psf_flux", SHORT_REAL, "nJy", "phot.flux.density", "difference flux, signed; AB zero point 31.4"),
    ("psf_flux_err", SHORT_REAL, "nJy", "stat.error;phot.flux.density", "its standard error"),
    ("mag", REAL, "mag", "phot.mag", "AB magnitude of psf_flux; null where that is not positive"),
    ("mag_err", REAL, "mag", "stat.error;phot.mag", "its standard error"),
    ("limit_mag", REAL, "mag", "phot.mag;stat.max", "5-sigma limit where nothing was detected, AB"),
    ("reliability", SHORT_REAL, "", "stat.probability", "0 for bogus to 1 for real"),
    ("kind", TEXT, "", "meta.code", "detection, forced or limit"),
    ("in_packet", DataType::Boolean, "", "meta.code", "whether the newest packet of the object has the point"),
    ("n_detections", WHOLE, "", "meta.number", "alerts of the object in the archive"),
    ("first_mjd_tai", REAL, "d", "time.epoch", "time of the first of them, MJD, TAI"),
    ("last_mjd_tai", REAL, "d", "time.epoch", "time of the last of them, MJD, TAI"),
    ("filter", TEXT, "", "meta.id", "name of the filter"),
    ("version", TEXT, "", "meta.version", "version of the filter"),
    ("matched_us", WHOLE, "us", "time.epoch", "time of the match since 1970, UTC"),
    ("received_us", WHOLE, "us", "time.epoch", "time of receipt since 1970, UTC"),
    ("reason", TEXT, "", "meta.code", "stable code of what is wrong"),
    ("detail", TEXT, "", "meta.note", "what exactly"),
    ("name", TEXT, "", "meta.title", "name of the packet, for people"),
    ("partition", TEXT, "", "meta.id", "partition of the source"),
    ("offset", WHOLE, "", "meta.record", "position in the partition"),
    ("record", DataType::Int32, "", "meta.record", "number of the record in its packet, from 0"),
    ("bytes", WHOLE, "byte", "meta.number", "size of the packet"),
    ("records", WHOLE, "", "meta.number", "number of records"),
    ("cursor", TEXT, "", "meta.id", "place from which to go on"),
];

/// The column of this name; `None` for a name that stands nowhere here.
fn find(name: &str) -> Option<&'static Column> {
    COLUMNS.iter().find(|column| column.0 == name)
}

/// The schema of a table of our own.
///
/// # Errors
/// A name that stands nowhere here, which is a fault of ours.
pub fn schema(names: &[&str]) -> Result<SchemaRef, Problem> {
    let field = |name: &&str| {
        let (name, kind, unit, ucd, description) =
            find(name).ok_or_else(|| Problem::fault("a column is not described", name))?;
        Ok(described(
            Field::new(*name, kind.clone(), true),
            unit,
            ucd,
            description,
        ))
    };
    let fields: Result<Vec<Field>, Problem> = names.iter().map(field).collect();
    Ok(Arc::new(Schema::new(fields?)))
}

/// A field with its unit, UCD and meaning.
pub fn described(field: Field, unit: &str, ucd: &str, description: &str) -> Field {
    let metadata = [("unit", unit), ("ucd", ucd), ("description", description)];
    let metadata = metadata.into_iter().filter(|(_, text)| !text.is_empty());
    let metadata: HashMap<String, String> = metadata
        .map(|(key, text)| (key.to_owned(), text.to_owned()))
        .collect();
    field.with_metadata(metadata)
}

/// The same schema with this column's UCD set.
pub fn with_ucd(schema: &SchemaRef, name: &str, ucd: &str) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let mut metadata = field.metadata().clone();
        if field.name() == name {
            metadata.insert("ucd".to_owned(), ucd.to_owned());
        }
        field.as_ref().clone().with_metadata(metadata)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Columns of the archive, with their UCDs: those that bring the same unit as ours.
pub fn with_ucds(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let mut metadata = field.metadata().clone();
        let known = find(field.name()).filter(|_| !metadata.is_empty());
        if let Some((_, _, _, ucd, _)) = known.filter(|known| known.2 == unit(field)) {
            let ucd = (*ucd).to_owned();
            metadata.entry("ucd".to_owned()).or_insert(ucd);
        }
        field.as_ref().clone().with_metadata(metadata)
    });
    Arc::new(Schema::new_with_metadata(
        fields.collect::<Vec<_>>(),
        schema.metadata().clone(),
    ))
}

/// A column's unit without a time scale in brackets; empty for none.
pub fn unit(field: &Field) -> &str {
    let unit = field.metadata().get("unit").map_or("", String::as_str);
    unit.split(" (").next().unwrap_or_default()
}

/// A batch of a table of our own.
///
/// # Errors
/// The columns do not fit the schema, which is a fault of ours.
pub fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, Problem> {
    let rows = columns.first().map(|column| column.len());
    let options = RecordBatchOptions::new().with_row_count(rows);
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| Problem::fault("a table does not fit its columns", &error))
}

/// Makes columns of rows, each by what a function gives for a row; `None` is null.
pub struct Rows<'a, T>(pub &'a [T]);

impl<'a, T> Rows<'a, T> {
    /// A column of whichever type the schema wants.
    pub fn column<A, V>(&self, value: impl Fn(&'a T) -> Option<V>) -> ArrayRef
    where
        A: Array + FromIterator<Option<V>> + 'static,
    {
        Arc::new(self.0.iter().map(value).collect::<A>())
    }

    /// Text.
    pub fn text<V: AsRef<str>>(&self, value: impl Fn(&'a T) -> Option<V>) -> ArrayRef {
        self.column::<StringArray, V>(value)
    }

    /// Whole numbers of 64 bits.
    pub fn whole(&self, value: impl Fn(&'a T) -> Option<i64>) -> ArrayRef {
        self.column::<Int64Array, i64>(value)
    }

    /// Real numbers of double precision.
    pub fn real(&self, value: impl Fn(&'a T) -> Option<f64>) -> ArrayRef {
        self.column::<Float64Array, f64>(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_is_described_once() {
        for (index, (name, _, _, ucd, description)) in COLUMNS.iter().enumerate() {
            assert!(
                !COLUMNS[..index].iter().any(|other| other.0 == *name),
                "{name}"
            );
            assert!(!ucd.is_empty() && !description.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_column_of_the_archive_gets_its_ucd_and_a_stranger_of_the_same_name_does_not() {
        let flux = Field::new("psf_flux", DataType::Float32, true);
        let ours = described(flux.clone(), "nJy", "", "flux");
        let schema: SchemaRef = Arc::new(Schema::new(vec![ours, flux]));
        let dressed = with_ucds(&schema);
        let ucd = |at: usize| dressed.field(at).metadata().get("ucd").cloned();
        assert_eq!(ucd(0).as_deref(), Some("phot.flux.density"));
        assert_eq!(ucd(1), None);
        let time = described(Field::new("t", DataType::Float64, true), "d (TAI)", "", "");
        assert_eq!(unit(&time), "d");
    }
}
