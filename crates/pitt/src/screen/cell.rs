//! Single values of Arrow columns, for people and for programs.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field};
use serde_json::{Value, json};

/// A value as text. Bytes say only how many they are; nothing is a dash.
pub fn text(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "–".into();
    }
    match array.data_type() {
        DataType::Binary => size(array.as_binary::<i32>().value(row)),
        DataType::BinaryView => size(array.as_binary_view().value(row)),
        DataType::Float32 => float(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        _ => {
            let options = FormatOptions::default();
            let formatter = ArrayFormatter::try_new(array, &options);
            formatter.map_or_else(
                |error| error.to_string(),
                |formatter| formatter.value(row).to_string(),
            )
        }
    }
}

fn size(bytes: &[u8]) -> String {
    format!("{} bytes", super::count(bytes.len() as u64))
}

/// The shortest text that reads back as the same number.
fn float(value: impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A value as JSON. 64-bit ids are texts, because JSON's readers round them; bytes say how many they are.
pub fn json(field: &Field, array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => whole(field.name(), array.as_primitive::<Int64Type>().value(row)),
        DataType::Float32 => short_float(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
        DataType::Binary => json!({"bytes": array.as_binary::<i32>().value(row).len()}),
        DataType::BinaryView => json!({"bytes": array.as_binary_view().value(row).len()}),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            columns
                .map(|(field, column)| (field.name().clone(), json(field, column, row)))
                .collect()
        }
        DataType::List(item) => {
            let items = array.as_list::<i32>().value(row);
            (0..items.len())
                .map(|row| json(item, &items, row))
                .collect()
        }
        _ => text(array, row).into(),
    }
}

fn whole(name: &str, value: i64) -> Value {
    if pitt_query::is_id(name) || value.unsigned_abs() > 1 << 53 {
        value.to_string().into()
    } else {
        value.into()
    }
}

/// A 32-bit float with its own digits, not those of its neighbour in 64 bits; `null` when it is no number.
fn short_float(value: f32) -> Value {
    value
        .to_string()
        .parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
        .into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float32Array, Int64Array};

    use super::*;

    #[test]
    fn ids_survive_and_floats_stay_short() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![3_155_240_240_015_010_001]));
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        assert_eq!(
            json(&field("alert_id"), &ids, 0),
            json!("3155240240015010001")
        );
        let small: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        assert_eq!(json(&field("count"), &small, 0), json!(7));
        let floats: ArrayRef = Arc::new(Float32Array::from(vec![0.1, f32::NAN]));
        assert_eq!(text(&floats, 0), "0.1");
        assert_eq!(
            json(&Field::new("x", DataType::Float32, true), &floats, 0),
            json!(0.1)
        );
        assert_eq!(
            json(&Field::new("x", DataType::Float32, true), &floats, 1),
            Value::Null
        );
    }
}
