//! VOTable 1.4, as the IVOA's clients read it: fields with unit, UCD and description, rows as TABLEDATA.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field};

use super::columns;
use super::problem::Problem;
use super::table::{Source, gone};
use crate::screen::cell;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
"#;

/// Writes a table.
///
/// # Errors
/// Rows that do not come, or a client that has gone.
pub fn write(source: &mut dyn Source, out: &mut impl Write) -> Result<(), Problem> {
    let schema = source.schema();
    let mut text = String::from(HEAD);
    text.push_str("<RESOURCE type=\"results\">\n<INFO name=\"QUERY_STATUS\" value=\"OK\"/>\n");
    text.push_str("<COOSYS ID=\"icrs\" system=\"ICRS\"/>\n<TABLE>\n");
    for field in schema.fields() {
        declare(field, &mut text);
    }
    text.push_str("<DATA><TABLEDATA>\n");
    out.write_all(text.as_bytes()).map_err(gone)?;
    while let Some(batch) = source.more() {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            text.clear();
            write_row(&batch, row, &mut text);
            out.write_all(text.as_bytes()).map_err(gone)?;
        }
    }
    let overflow = match source.ending().truncated {
        true => "<INFO name=\"QUERY_STATUS\" value=\"OVERFLOW\"/>\n",
        false => "",
    };
    write!(
        out,
        "</TABLEDATA></DATA>\n</TABLE>\n{overflow}</RESOURCE>\n</VOTABLE>\n"
    )
    .map_err(gone)
}

/// An error as Simple Cone Search 1.03 (section 2.3) wants it: a document with one `INFO` called `Error`.
pub fn error(message: &str) -> String {
    let message = escaped(message);
    format!(
        "{HEAD}<RESOURCE type=\"results\">\n<INFO name=\"QUERY_STATUS\" value=\"ERROR\">{message}</INFO>\n\
         <INFO name=\"Error\" ID=\"Error\" value=\"{message}\"/>\n</RESOURCE>\n</VOTABLE>\n"
    )
}

fn declare(field: &Field, text: &mut String) {
    let name = escaped(field.name());
    text.push_str(&format!("<FIELD name=\"{name}\" {}", datatype(field)));
    let unit = columns::unit(field);
    let word = |key: &str| field.metadata().get(key).filter(|text| !text.is_empty());
    if !unit.is_empty() {
        text.push_str(&format!(" unit=\"{}\"", escaped(unit)));
    }
    if let Some(ucd) = word("ucd") {
        text.push_str(&format!(" ucd=\"{}\"", escaped(ucd)));
        if ucd.starts_with("pos.eq.") {
            text.push_str(" ref=\"icrs\"");
        }
    }
    match word("description").or_else(|| word("doc")) {
        Some(meaning) => {
            let meaning = escaped(meaning);
            text.push_str(&format!("><DESCRIPTION>{meaning}</DESCRIPTION></FIELD>\n"));
        }
        None => text.push_str("/>\n"),
    }
}

/// The attributes that say of which type a field is; what VOTable has no type for is text. `char` is ASCII alone: it is what
/// Simple Cone Search 1.03 wants of its main id, and enough for numbers; other text may hold anything.
fn datatype(field: &Field) -> &'static str {
    let is_main = field
        .metadata()
        .get("ucd")
        .is_some_and(|ucd| ucd == "ID_MAIN");
    match field.data_type() {
        DataType::Boolean => "datatype=\"boolean\"",
        DataType::UInt8 => "datatype=\"unsignedByte\"",
        DataType::Int8 | DataType::Int16 => "datatype=\"short\"",
        DataType::UInt16 | DataType::Int32 => "datatype=\"int\"",
        DataType::UInt32 | DataType::Int64 => "datatype=\"long\"",
        DataType::Float32 => "datatype=\"float\"",
        DataType::Float64 => "datatype=\"double\"",
        _ if is_main => "datatype=\"char\" arraysize=\"*\"",
        _ => "datatype=\"unicodeChar\" arraysize=\"*\"",
    }
}

fn write_row(batch: &RecordBatch, row: usize, text: &mut String) {
    text.push_str("<TR>");
    let schema = batch.schema();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        text.push_str("<TD>");
        if column.is_valid(row) {
            text.push_str(&value(field, column, row));
        }
        text.push_str("</TD>");
    }
    text.push_str("</TR>\n");
}

fn value(field: &Field, column: &ArrayRef, row: usize) -> String {
    match column.data_type() {
        DataType::Float32 => real(
            f64::from(column.as_primitive::<Float32Type>().value(row)),
            || format!("{:?}", column.as_primitive::<Float32Type>().value(row)),
        ),
        DataType::Float64 => {
            let value = column.as_primitive::<Float64Type>().value(row);
            real(value, || format!("{value:?}"))
        }
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => hex(column, row),
        DataType::Struct(_) | DataType::List(_) => {
            escaped(&cell::json(field, column, row).to_string())
        }
        _ => escaped(&cell::text(column, row)),
    }
}

/// Bytes in hexadecimal digits, as CSV and JSON have them.
fn hex(column: &ArrayRef, row: usize) -> String {
    let bytes = match column.data_type() {
        DataType::Binary => column.as_binary::<i32>().value(row),
        DataType::LargeBinary => column.as_binary::<i64>().value(row),
        _ => column.as_binary_view().value(row),
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn real(value: f64, finite: impl FnOnce() -> String) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => finite(),
    }
}

/// Text for XML 1.0; characters it cannot have become `?`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(letter),
            control if control < ' ' || matches!(control, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, Int64Array, StringArray};

    use super::*;
    use crate::http::api::table::Table;

    #[test]
    fn a_table_has_units_ucds_and_empty_cells_for_nulls() {
        let schema = columns::schema(&["alert_id", "ra", "name"]).unwrap();
        let rows: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![
                Some(3_155_240_240_015_010_001),
                None,
            ])),
            Arc::new(Float64Array::from(vec![0.1, f64::NAN])),
            Arc::new(StringArray::from(vec!["a<b & \"c\"\u{1}", ""])),
        ];
        let batch = columns::batch(&schema, rows).unwrap();
        let mut out = vec![];
        write(&mut Table::new(schema, vec![batch]).cut(true), &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
