//! Compares Arrow rows with the reference's values, one by one.

use std::io::Read;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, StructArray};
use arrow_schema::DataType;

/// One value as the reference has it.
#[derive(Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Record(Vec<(String, Value)>),
}

/// Reads the reference's form.
pub struct Source<R>(pub R);

impl<R: Read> Source<R> {
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0
            .read_exact(&mut bytes)
            .expect("the reference goes on");
        bytes
    }

    pub fn letter(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub fn count(&mut self) -> usize {
        u32::from_le_bytes(self.array()) as usize
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; self.count()];
        self.0
            .read_exact(&mut bytes)
            .expect("the reference goes on");
        bytes
    }

    pub fn text(&mut self) -> String {
        String::from_utf8(self.bytes()).expect("text")
    }

    pub fn value(&mut self) -> Value {
        match self.letter() {
            b'n' => Value::Null,
            b't' => Value::Bool(true),
            b'f' => Value::Bool(false),
            b'i' => Value::Int(i64::from_le_bytes(self.array())),
            b'd' => Value::Double(f64::from_le_bytes(self.array())),
            b's' => Value::Text(self.text()),
            b'b' => Value::Bytes(self.bytes()),
            b'[' => Value::List((0..self.count()).map(|_| self.value()).collect()),
            b'{' => Value::Record(
                (0..self.count())
                    .map(|_| (self.text(), self.value()))
                    .collect(),
            ),
            other => panic!("unknown letter {other}"),
        }
    }
}

/// Counts the values compared, and collects where they differ.
#[derive(Default)]
pub struct Comparison {
    pub packets: usize,
    pub records: usize,
    pub values: usize,
    pub differences: Vec<String>,
}

impl Comparison {
    fn differ(&mut self, path: &str, found: &str, expected: &Value) {
        let expected: String = format!("{expected:?}").chars().take(80).collect();
        self.differences
            .push(format!("{path}: {found}, the reference has {expected}"));
    }

    /// Compares the fields of row `row` with a record of the reference.
    pub fn record(
        &mut self,
        array: &StructArray,
        row: usize,
        expected: &[(String, Value)],
        path: &str,
    ) {
        for (name, value) in expected {
            let path = format!("{path}.{name}");
            match array
                .column_by_name(name)
                .or_else(|| array.column_by_name(&format!("survey_{name}")))
            {
                Some(column) => self.value(column, row, value, &path),
                None => self.differ(&path, "no such column", value),
            }
        }
    }

    fn value(&mut self, array: &ArrayRef, row: usize, expected: &Value, path: &str) {
        self.values += 1;
        if array.is_null(row) || *array.data_type() == DataType::Null {
            if *expected != Value::Null {
                self.differ(path, "null", expected);
            }
            return;
        }
        let equal = match (array.data_type(), expected) {
            (DataType::Boolean, Value::Bool(v)) => array.as_boolean().value(row) == *v,
            (DataType::Int32, Value::Int(v)) => {
                i64::from(array.as_primitive::<Int32Type>().value(row)) == *v
            }
            (DataType::Int64, Value::Int(v)) => array.as_primitive::<Int64Type>().value(row) == *v,
            (DataType::Float32, Value::Double(v)) => {
                f64::from(array.as_primitive::<Float32Type>().value(row)).to_bits() == v.to_bits()
            }
            (DataType::Float64, Value::Double(v)) => {
                array.as_primitive::<Float64Type>().value(row).to_bits() == v.to_bits()
            }
            (DataType::Utf8, Value::Text(v)) => array.as_string::<i32>().value(row) == v,
            (DataType::BinaryView, Value::Bytes(v)) => array.as_binary_view().value(row) == v,
            (DataType::List(_), Value::List(items)) => {
                return self.list(&array.as_list::<i32>().value(row), items, path);
            }
            (DataType::Map(_, _), Value::Record(entries)) => {
                return self.map(&array.as_map().value(row), entries, path);
            }
            (DataType::Struct(_), Value::Record(fields))
                if !is_union(array.as_struct(), expected) =>
            {
                return self.record(array.as_struct(), row, fields, path);
            }
            (DataType::Struct(_), value) => {
                return self.branch(array.as_struct(), row, value, path);
            }
            _ => false,
        };
        if !equal {
            self.differ(
                path,
                &format!("a {} with another value", array.data_type()),
                expected,
            );
        }
    }

    fn list(&mut self, items: &ArrayRef, expected: &[Value], path: &str) {
        if items.len() != expected.len() {
            self.differences.push(format!(
                "{path}: {} items, the reference has {}",
                items.len(),
                expected.len()
            ));
            return;
        }
        for (at, value) in expected.iter().enumerate() {
            self.value(items, at, value, &format!("{path}[{at}]"));
        }
    }

    fn map(&mut self, entries: &StructArray, expected: &[(String, Value)], path: &str) {
        // A key written twice stands twice in Arrow; a Python dict keeps the last.
        for (key, value) in expected {
            let keys = entries.column(0).as_string::<i32>();
            let found = (0..entries.len()).rfind(|&at| keys.value(at) == key);
            match found {
                Some(at) => self.value(entries.column(1), at, value, &format!("{path}{{{key}}}")),
                None => self.differ(path, &format!("no key {key}"), value),
            }
        }
    }

    /// A union of several types: exactly one branch holds the value.
    fn branch(&mut self, array: &StructArray, row: usize, expected: &Value, path: &str) {
        let chosen: Vec<_> = array
            .columns()
            .iter()
            .filter(|column| column.is_valid(row))
            .collect();
        match chosen[..] {
            [column] => self.value(column, row, expected, path),
            _ => self.differ(
                path,
                &format!("{} branches of a union", chosen.len()),
                expected,
            ),
        }
    }
}

/// Whether the struct stands for a union: a record of the reference has its own field names.
fn is_union(array: &StructArray, expected: &Value) -> bool {
    match expected {
        Value::Record(fields) => fields
            .iter()
            .any(|(name, _)| array.column_by_name(name).is_none()),
        _ => true,
    }
}
