//! Reads survey columns out of Arrow arrays, whatever numeric type a writer chose and whether or not they are there.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, StringArray, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Fields};

/// The decoded columns of a batch, by name.
pub(crate) struct Rows<'a> {
    pub(crate) fields: &'a Fields,
    pub(crate) arrays: &'a [ArrayRef],
    pub(crate) len: usize,
}

/// The fields of a record in every row (or in every item of a list).
#[derive(Clone)]
pub(crate) struct Members<'a> {
    record: Option<&'a StructArray>,
}

/// The records of a list in every row.
pub(crate) struct Lists<'a> {
    ends: &'a [i32],
    pub(crate) items: Members<'a>,
}

/// A numeric column. Missing columns, nulls and nulls of the parent read as missing.
pub(crate) struct Number<'a> {
    values: Kind<'a>,
    nulls: [Option<&'a NullBuffer>; 2],
}

enum Kind<'a> {
    Missing,
    F32(&'a [f32]),
    F64(&'a [f64]),
    I32(&'a [i32]),
    I64(&'a [i64]),
}

/// A text column. Missing columns and nulls read as `None`.
pub(crate) struct Text<'a>(Option<&'a StringArray>);

impl<'a> Rows<'a> {
    fn column(&self, name: &str) -> Option<&'a ArrayRef> {
        let at = self.fields.iter().position(|field| field.name() == name)?;
        self.arrays.get(at)
    }

    pub(crate) fn number(&self, name: &str) -> Number<'a> {
        Number::of(self.column(name), None)
    }

    pub(crate) fn text(&self, name: &str) -> Text<'a> {
        Text(self.column(name).and_then(|array| array.as_string_opt()))
    }

    pub(crate) fn record(&self, name: &str) -> Members<'a> {
        Members {
            record: self.column(name).and_then(|array| array.as_struct_opt()),
        }
    }

    pub(crate) fn list(&self, name: &str) -> Lists<'a> {
        let list = self
            .column(name)
            .and_then(|array| array.as_list_opt::<i32>());
        Lists {
            ends: list.map(|list| list.value_offsets()).unwrap_or_default(),
            items: Members {
                record: list.and_then(|list| list.values().as_struct_opt()),
            },
        }
    }
}

impl<'a> Members<'a> {
    fn column(&self, names: &[&str]) -> Option<&'a ArrayRef> {
        names
            .iter()
            .find_map(|name| self.record?.column_by_name(name))
    }

    /// The first column of these names that is there.
    pub(crate) fn number(&self, names: &[&str]) -> Number<'a> {
        Number::of(
            self.column(names),
            self.record.and_then(|record| record.nulls()),
        )
    }

    /// The first column of these names that is there.
    pub(crate) fn text(&self, names: &[&str]) -> Text<'a> {
        Text(self.column(names).and_then(|array| array.as_string_opt()))
    }
}

impl Lists<'_> {
    /// Items of row `row`.
    pub(crate) fn range(&self, row: usize) -> Range<usize> {
        match self.ends.get(row..row + 2) {
            Some(&[start, end]) => start as usize..end as usize,
            _ => 0..0,
        }
    }
}

impl<'a> Number<'a> {
    fn of(array: Option<&'a ArrayRef>, parent: Option<&'a NullBuffer>) -> Number<'a> {
        let Some(array) = array else {
            return Number {
                values: Kind::Missing,
                nulls: [None, None],
            };
        };
        let values = match array.data_type() {
            DataType::Float32 => Kind::F32(array.as_primitive::<Float32Type>().values()),
            DataType::Float64 => Kind::F64(array.as_primitive::<Float64Type>().values()),
            DataType::Int32 => Kind::I32(array.as_primitive::<Int32Type>().values()),
            DataType::Int64 => Kind::I64(array.as_primitive::<Int64Type>().values()),
            _ => Kind::Missing,
        };
        Number {
            values,
            nulls: [array.nulls(), parent],
        }
    }

    fn is_null(&self, at: usize) -> bool {
        self.nulls.iter().flatten().any(|nulls| nulls.is_null(at))
    }

    /// The value, `NaN` when it is missing.
    pub(crate) fn get(&self, at: usize) -> f64 {
        if self.is_null(at) {
            return f64::NAN;
        }
        match self.values {
            Kind::Missing => f64::NAN,
            Kind::F32(values) => f64::from(values[at]),
            Kind::F64(values) => values[at],
            Kind::I32(values) => f64::from(values[at]),
            Kind::I64(values) => values[at] as f64,
        }
    }

    /// The value of an integer column.
    pub(crate) fn integer(&self, at: usize) -> Option<i64> {
        match self.values {
            _ if self.is_null(at) => None,
            Kind::I32(values) => Some(i64::from(values[at])),
            Kind::I64(values) => Some(values[at]),
            _ => None,
        }
    }
}

impl<'a> Text<'a> {
    pub(crate) fn get(&self, at: usize) -> Option<&'a str> {
        let texts = self.0?;
        texts.is_valid(at).then(|| texts.value(at))
    }
}
