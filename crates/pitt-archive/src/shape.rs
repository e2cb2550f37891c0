//! Fitting a survey's columns to its table.
//!
//! A table's schema is the union of all schemas its survey has used:
//! - a column that a batch lacks is null, a column that the table lacks is added to it;
//! - whole numbers of any width are 64 bit; text of any kind is text; bytes (stamps) are left out, they are in `packets`;
//! - a column that comes with another type goes to `<name>__<type>` beside the first (`__int64`, `__float64`,
//!   `__utf8`, `__boolean`, `__struct`, `__list`, `__map`), and so does one that differs from another only in case,
//!   which Delta cannot hold;
//! - the same holds inside structs, lists and maps.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, RecordBatch, StructArray, new_null_array};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef};

/// Type in which a table keeps a column of this type; `None` for bytes.
fn stored_type(from: &DataType) -> Option<DataType> {
    Some(match from {
        t if t.is_integer() => DataType::Int64,
        DataType::Float16 | DataType::Float32 => DataType::Float32,
        DataType::Float64 => DataType::Float64,
        DataType::Boolean => DataType::Boolean,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => {
            return None;
        }
        DataType::Dictionary(_, values) => stored_type(values)?,
        DataType::List(item) | DataType::LargeList(item) => DataType::List(Arc::new(Field::new(
            "element",
            stored_type(item.data_type())?,
            true,
        ))),
        DataType::Struct(fields) => {
            let kept = merge(&Fields::empty(), fields);
            if kept.is_empty() {
                return None;
            }
            DataType::Struct(kept)
        }
        DataType::Map(entries, _) => return stored_map(entries),
        _ => DataType::Utf8,
    })
}

fn stored_map(entries: &FieldRef) -> Option<DataType> {
    let DataType::Struct(pair) = entries.data_type() else {
        return None;
    };
    let value = stored_type(pair.get(1)?.data_type())?;
    Some(map_of(value))
}

fn map_of(value: DataType) -> DataType {
    let pair = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", value, true),
    ]);
    DataType::Map(
        Arc::new(Field::new("key_value", DataType::Struct(pair), false)),
        false,
    )
}

fn map_value(entries: &FieldRef) -> Option<&DataType> {
    match entries.data_type() {
        DataType::Struct(pair) => Some(pair.get(1)?.data_type()),
        _ => None,
    }
}

/// Union of two stored types, if one column can hold both.
fn union(a: &DataType, b: &DataType) -> Option<DataType> {
    match (a, b) {
        (DataType::Struct(a), DataType::Struct(b)) => Some(DataType::Struct(merge(a, b))),
        (DataType::List(a), DataType::List(b)) => {
            let item = union(a.data_type(), b.data_type())?;
            Some(DataType::List(Arc::new(Field::new("element", item, true))))
        }
        (DataType::Map(a, _), DataType::Map(b, _)) => {
            Some(map_of(union(map_value(a)?, map_value(b)?)?))
        }
        (a, b) if a == b => Some(a.clone()),
        _ => None,
    }
}

fn type_word(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int64 => "int64",
        DataType::Float32 => "float32",
        DataType::Float64 => "float64",
        DataType::Boolean => "boolean",
        DataType::Struct(_) => "struct",
        DataType::List(_) => "list",
        DataType::Map(..) => "map",
        _ => "utf8",
    }
}

/// Where a column of this name and stored type goes: its slot, or the name of the new one.
fn slot(table: &[FieldRef], name: &str, data_type: &DataType) -> Result<usize, String> {
    match table
        .iter()
        .position(|f| f.name().eq_ignore_ascii_case(name))
    {
        Some(at)
            if table[at].name() == name && union(table[at].data_type(), data_type).is_some() =>
        {
            Ok(at)
        }
        Some(_) => {
            let other = format!("{name}__{}", type_word(data_type));
            table.iter().position(|f| f.name() == &other).ok_or(other)
        }
        None => Err(name.to_owned()),
    }
}

/// The table's columns, grown by what `incoming` has and they have not.
pub(crate) fn merge(table: &Fields, incoming: &Fields) -> Fields {
    let mut merged: Vec<FieldRef> = table.to_vec();
    for field in incoming {
        let Some(data_type) = stored_type(field.data_type()) else {
            continue;
        };
        match slot(&merged, field.name(), &data_type) {
            Ok(at) => {
                if let Some(both) = union(merged[at].data_type(), &data_type) {
                    let grown = merged[at].as_ref().clone().with_data_type(both);
                    merged[at] = Arc::new(grown);
                }
            }
            Err(name) => {
                let new = Field::new(name, data_type, true).with_metadata(field.metadata().clone());
                merged.push(Arc::new(new));
            }
        }
    }
    merged.into()
}

/// The columns of a decoded batch that its table keeps: all but the history lists and the stamps.
pub(crate) fn kept_columns(schema: &Schema) -> Vec<usize> {
    let is_history = |t: &DataType| match t {
        DataType::List(item) | DataType::LargeList(item) => {
            matches!(item.data_type(), DataType::Struct(_))
        }
        _ => false,
    };
    (0..schema.fields().len())
        .filter(|&i| {
            !is_history(schema.field(i).data_type()) && !holds_stamp(schema.field(i).data_type())
        })
        .collect()
}

fn holds_stamp(data_type: &DataType) -> bool {
    match data_type {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
        DataType::Struct(fields) => fields.iter().any(|f| holds_stamp(f.data_type())),
        _ => false,
    }
}

/// Fits a batch to a table's schema, which must have been grown by it.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = conform_columns(
        batch.schema().fields(),
        batch.columns(),
        schema.fields(),
        batch.num_rows(),
    )?;
    RecordBatch::try_new(schema.clone(), columns)
}

fn conform_columns(
    from: &Fields,
    columns: &[ArrayRef],
    to: &Fields,
    rows: usize,
) -> Result<Vec<ArrayRef>, ArrowError> {
    let mut placed: Vec<Option<ArrayRef>> = vec![None; to.len()];
    for (field, column) in from.iter().zip(columns) {
        let Some(data_type) = stored_type(field.data_type()) else {
            continue;
        };
        if let Ok(at) = slot(to, field.name(), &data_type) {
            placed[at] = Some(conform_array(column, to[at].data_type())?);
        }
    }
    let filled = placed.into_iter().zip(to);
    Ok(filled
        .map(|(column, field)| column.unwrap_or_else(|| new_null_array(field.data_type(), rows)))
        .collect())
}

fn conform_array(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (DataType::Struct(from), DataType::Struct(fields)) => {
            let source = array.as_struct();
            let columns = conform_columns(from, source.columns(), fields, source.len())?;
            let nulls = source.nulls().cloned();
            Ok(Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns,
                nulls,
                source.len(),
            )?))
        }
        (DataType::List(_), DataType::List(item)) => {
            let source = array.as_list::<i32>();
            let values = conform_array(source.values(), item.data_type())?;
            let offsets = source.offsets().clone();
            Ok(Arc::new(ListArray::try_new(
                item.clone(),
                offsets,
                values,
                source.nulls().cloned(),
            )?))
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            conform_map(array.as_map(), entries, *sorted)
        }
        (from, to) if from == to => Ok(array.clone()),
        _ => arrow_cast::cast(array, to),
    }
}

fn conform_map(
    source: &MapArray,
    entries: &FieldRef,
    sorted: bool,
) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(pair) = entries.data_type() else {
        return Err(ArrowError::SchemaError("a map of no pairs".to_owned()));
    };
    let columns = vec![
        conform_array(source.keys(), pair[0].data_type())?,
        conform_array(source.values(), pair[1].data_type())?,
    ];
    let pairs = StructArray::try_new(pair.clone(), columns, None)?;
    let offsets = source.offsets().clone();
    let map = MapArray::try_new(
        entries.clone(),
        offsets,
        pairs,
        source.nulls().cloned(),
        sorted,
    )?;
    Ok(Arc::new(map))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, Int32Array, Int64Array, StringArray};

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
            .unwrap()
    }

    fn grow(table: &SchemaRef, batch: &RecordBatch) -> SchemaRef {
        Arc::new(Schema::new(merge(table.fields(), batch.schema().fields())))
    }

    #[test]
    fn a_new_column_is_added_and_an_old_one_is_null() {
        let first = batch(vec![("a", Arc::new(Int32Array::from(vec![1])))]);
        let second = batch(vec![("b", Arc::new(StringArray::from(vec!["x"])))]);
        let table = grow(&grow(&Arc::new(Schema::empty()), &first), &second);
        let fitted = conform(&second, &table).unwrap();
        assert_eq!(table.field(0).data_type(), &DataType::Int64);
        assert!(fitted.column(0).is_null(0));
        assert_eq!(fitted.column(1).as_string::<i32>().value(0), "x");
    }

    #[test]
    fn another_type_goes_to_a_column_of_its_own_also_inside_a_struct() {
        let inner = |array: ArrayRef| -> ArrayRef {
            let fields = Fields::from(vec![Field::new("x", array.data_type().clone(), true)]);
            Arc::new(StructArray::new(fields, vec![array], None))
        };
        let first = batch(vec![("s", inner(Arc::new(Int64Array::from(vec![1]))))]);
        let second = batch(vec![("s", inner(Arc::new(Float64Array::from(vec![2.5]))))]);
        let table = grow(&grow(&Arc::new(Schema::empty()), &first), &second);
        let fitted = conform(&second, &table).unwrap();
        let s = fitted.column(0).as_struct();
        assert_eq!(s.column_names(), ["x", "x__float64"]);
        assert!(s.column(0).is_null(0));
        assert_eq!(grow(&table, &first), table);
    }

    #[test]
    fn names_that_differ_in_case_only_do_not_clash() {
        let both = batch(vec![
            ("h", Arc::new(Int64Array::from(vec![1]))),
            ("H", Arc::new(Int64Array::from(vec![2]))),
        ]);
        let table = grow(&Arc::new(Schema::empty()), &both);
        assert_eq!(table.field(1).name(), "H__int64");
        let fitted = conform(&both, &table).unwrap();
        assert_eq!(
            fitted
                .column(1)
                .as_primitive::<arrow_array::types::Int64Type>()
                .value(0),
            2
        );
    }
}
