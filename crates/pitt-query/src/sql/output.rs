//! Results as a table for people, CSV, JSON lines or Parquet.

use std::fmt::Write as _;
use std::io::Write;
use std::str::FromStr;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Field, Float32Type, Float64Type, Int64Type, SchemaRef, UInt64Type,
};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;

use crate::error::QueryError;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// A table with borders. Holds all rows in memory: columns are as wide as their widest cell.
    #[default]
    Table,
    /// Comma separated (RFC 4180), names in the first line, nulls empty.
    Csv,
    /// One JSON object a line. Ids are strings, since they exceed 2^53; a number that is not finite is null.
    JsonLines,
    /// Parquet, zstd.
    Parquet,
}

impl FromStr for OutputFormat {
    type Err = QueryError;

    fn from_str(name: &str) -> Result<Self, QueryError> {
        match name {
            "table" => Ok(OutputFormat::Table),
            "csv" => Ok(OutputFormat::Csv),
            "json" | "jsonl" | "ndjson" => Ok(OutputFormat::JsonLines),
            "parquet" => Ok(OutputFormat::Parquet),
            other => Err(QueryError::Batch(format!(
                "no format `{other}` (there are table, csv, json, parquet)"
            ))),
        }
    }
}

/// Writes batches of one schema; gives the number of rows.
pub fn write_rows<W: Write + Send>(
    format: OutputFormat,
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, QueryError>>,
    out: &mut W,
) -> Result<usize, QueryError> {
    match format {
        OutputFormat::Table => write_table(schema, batches, out),
        OutputFormat::Csv => write_text(schema, batches, out, true),
        OutputFormat::JsonLines => write_text(schema, batches, out, false),
        OutputFormat::Parquet => write_parquet(schema, batches, out),
    }
}

fn failed(source: std::io::Error) -> QueryError {
    QueryError::File {
        path: "output".into(),
        source,
    }
}

fn write_table<W: Write>(
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, QueryError>>,
    out: &mut W,
) -> Result<usize, QueryError> {
    let mut all = batches.collect::<Result<Vec<_>, _>>()?;
    let rows = all.iter().map(RecordBatch::num_rows).sum();
    if all.is_empty() {
        all.push(RecordBatch::new_empty(schema.clone()));
    }
    let table = pretty_format_batches_with_options(&all, &FormatOptions::default())?;
    writeln!(out, "{table}").map_err(failed)?;
    Ok(rows)
}

fn write_parquet<W: Write + Send>(
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, QueryError>>,
    out: &mut W,
) -> Result<usize, QueryError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = ArrowWriter::try_new(out, schema.clone(), Some(properties))?;
    let mut rows = 0;
    for batch in batches {
        let batch = batch?;
        rows += batch.num_rows();
        writer.write(&batch)?;
    }
    writer.close()?;
    Ok(rows)
}

fn write_text<W: Write>(
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, QueryError>>,
    out: &mut W,
    csv: bool,
) -> Result<usize, QueryError> {
    if csv {
        let names: Vec<String> = schema.fields().iter().map(|f| csv_text(f.name())).collect();
        writeln!(out, "{}", names.join(",")).map_err(failed)?;
    }
    let mut rows = 0;
    let mut line = String::new();
    for batch in batches {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            line.clear();
            match csv {
                true => csv_row(&batch, row, &mut line)?,
                false => json_row(&batch, row, &mut line)?,
            }
            writeln!(out, "{line}").map_err(failed)?;
        }
        rows += batch.num_rows();
    }
    Ok(rows)
}

fn csv_row(batch: &RecordBatch, row: usize, line: &mut String) -> Result<(), QueryError> {
    for (i, column) in batch.columns().iter().enumerate() {
        if i > 0 {
            line.push(',');
        }
        if column.is_valid(row) {
            line.push_str(&csv_text(&shown(column, row)?));
        }
    }
    Ok(())
}

fn csv_text(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

fn shown(column: &ArrayRef, row: usize) -> Result<String, QueryError> {
    let options = FormatOptions::default();
    Ok(ArrayFormatter::try_new(column.as_ref(), &options)?
        .value(row)
        .try_to_string()?)
}

/// Writes one row as a JSON object: ids as texts, a number that is not finite as `null`.
///
/// # Errors
/// A value that cannot be shown.
pub fn json_row(batch: &RecordBatch, row: usize, line: &mut String) -> Result<(), QueryError> {
    line.push('{');
    let schema = batch.schema();
    for (i, (field, column)) in schema.fields().iter().zip(batch.columns()).enumerate() {
        if i > 0 {
            line.push(',');
        }
        json_text(field.name(), line);
        line.push(':');
        json_value(field, column, row, line)?;
    }
    line.push('}');
    Ok(())
}

/// Whether a whole number is an id, by the name of its column.
pub fn is_id(name: &str) -> bool {
    let end = |ending: &str| name.ends_with(ending);
    name == "id" || name == "candid" || end("_id") || end("Id") || name == "_healpix_29"
}

fn json_value(
    field: &Field,
    column: &ArrayRef,
    row: usize,
    line: &mut String,
) -> Result<(), QueryError> {
    // A column that knows nothing but null has no list of its nulls.
    if column.is_null(row) || column.data_type().is_null() {
        line.push_str("null");
        return Ok(());
    }
    match column.data_type() {
        DataType::Boolean => line.push_str(if column.as_boolean().value(row) {
            "true"
        } else {
            "false"
        }),
        DataType::Float64 => json_number(column.as_primitive::<Float64Type>().value(row), line),
        DataType::Float32 => {
            let value = column.as_primitive::<Float32Type>().value(row);
            // The shortest text that reads back as the same float32.
            match value.is_finite() {
                true => line.push_str(&value.to_string()),
                false => line.push_str("null"),
            }
        }
        DataType::Int64 => {
            let value = column.as_primitive::<Int64Type>().value(row);
            json_integer(
                value.unsigned_abs(),
                &value.to_string(),
                is_id(field.name()),
                line,
            );
        }
        DataType::UInt64 => {
            let value = column.as_primitive::<UInt64Type>().value(row);
            json_integer(value, &value.to_string(), is_id(field.name()), line);
        }
        DataType::List(item) => json_list(item, &column.as_list::<i32>().value(row), line)?,
        DataType::Struct(fields) => {
            let inner = column.as_struct();
            line.push('{');
            for (i, (field, column)) in fields.iter().zip(inner.columns()).enumerate() {
                if i > 0 {
                    line.push(',');
                }
                json_text(field.name(), line);
                line.push(':');
                json_value(field, column, row, line)?;
            }
            line.push('}');
        }
        numeric if numeric.is_integer() => line.push_str(&shown(column, row)?),
        _ => json_text(&shown(column, row)?, line),
    }
    Ok(())
}

fn json_list(item: &Field, values: &ArrayRef, line: &mut String) -> Result<(), QueryError> {
    line.push('[');
    for i in 0..values.len() {
        if i > 0 {
            line.push(',');
        }
        json_value(item, values, i, line)?;
    }
    line.push(']');
    Ok(())
}

fn json_number(value: f64, line: &mut String) {
    match value.is_finite() {
        true => line.push_str(&value.to_string()),
        false => line.push_str("null"),
    }
}

/// A whole number; as text when it is an id or beyond what JSON readers keep exactly.
fn json_integer(size: u64, text: &str, id: bool, line: &mut String) {
    match id || size > 1 << 53 {
        true => json_text(text, line),
        false => line.push_str(text),
    }
}

fn json_text(text: &str, line: &mut String) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                // Writing to a string cannot fail.
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line.push('"');
}
