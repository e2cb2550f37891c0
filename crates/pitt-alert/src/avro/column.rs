//! Columns that read themselves from a datum: the plan compiled from a writer's schema.
//!
//! A [`Column`] is both the instruction how to read a value and the Arrow buffers it goes to, so that reading a packet
//! is one walk over an enum with no look-ups, no intermediate values and no allocation for a value.

use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{ArrayRef, NullArray, StructArray};
use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, DataType, Field as ArrowField, FieldRef, Fields};

use super::cursor::{Cursor, Fault};
use super::nested::{ListColumn, MapColumn, UnionColumn};
use super::skip::Skip;
use super::values::{Nulls, Strings, Values, Views};

/// First byte of each branch of a union of one type with null, or of one type alone.
#[derive(Clone, Copy)]
pub(crate) struct Tag {
    present: u8,
    /// No byte at all where the union has no null.
    absent: u16,
}

impl Tag {
    pub(crate) const NULL_FIRST: Tag = Tag {
        present: 2,
        absent: 0,
    };
    pub(crate) const NULL_LAST: Tag = Tag {
        present: 0,
        absent: 2,
    };
    pub(crate) const NO_NULL: Tag = Tag {
        present: 0,
        absent: 0x100,
    };

    #[inline(always)]
    fn is_present(self, cursor: &mut Cursor) -> Result<bool, Fault> {
        let byte = cursor.byte()?;
        if byte == self.present {
            Ok(true)
        } else if u16::from(byte) == self.absent {
            Ok(false)
        } else {
            self.unusual(byte, cursor)
        }
    }

    /// The branch written as a number of more than one byte, which is legal.
    #[cold]
    fn unusual(self, first: u8, cursor: &mut Cursor) -> Result<bool, Fault> {
        if first < 0x80 {
            return Err(Fault::Union);
        }
        match cursor.long_after(first)?.checked_mul(2) {
            Some(branch) if branch == i64::from(self.present) => Ok(true),
            Some(branch) if branch == i64::from(self.absent) && self.absent < 0x100 => Ok(false),
            _ => Err(Fault::Union),
        }
    }
}

/// How to read one type, and what was read of it so far.
pub(crate) enum Column {
    Skip(Skip),
    Null(usize),
    Boolean(Values<bool>),
    Int(Values<i32>),
    Long(Values<i64>),
    Float(Values<f32>),
    Double(Values<f64>),
    Text(Strings),
    Bytes(Views),
    OptBoolean(Tag, Values<bool>),
    OptInt(Tag, Values<i32>),
    OptLong(Tag, Values<i64>),
    OptFloat(Tag, Values<f32>),
    OptDouble(Tag, Values<f64>),
    OptText(Tag, Strings),
    OptBytes(Tag, Views),
    Fixed(usize, Views),
    Enum(Arc<[String]>, Strings),
    Record(RecordColumn),
    List(ListColumn),
    Map(MapColumn),
    Union(UnionColumn),
    /// A union with null of anything that has no variant of its own above.
    Opt(Tag, Box<Column>),
}

impl Column {
    /// Adds a row. The arms are written out: a function for the five kinds of optional number makes `cargo bench` a
    /// quarter slower where most fields are skipped.
    #[inline]
    pub(crate) fn read(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        match self {
            Column::Skip(skip) => skip.run(cursor)?,
            Column::Null(rows) => *rows += 1,
            Column::Boolean(values) => values.push(cursor.boolean()?),
            Column::Int(values) => values.push(cursor.int()?),
            Column::Long(values) => values.push(cursor.long()?),
            Column::Float(values) => values.push(cursor.float()?),
            Column::Double(values) => values.push(cursor.double()?),
            Column::Text(strings) => strings.read(cursor)?,
            Column::Bytes(views) => views.read(cursor)?,
            Column::OptBoolean(tag, values) => match tag.is_present(cursor)? {
                true => values.push(cursor.boolean()?),
                false => values.null(),
            },
            Column::OptInt(tag, values) => match tag.is_present(cursor)? {
                true => values.push(cursor.int()?),
                false => values.null(),
            },
            Column::OptLong(tag, values) => match tag.is_present(cursor)? {
                true => values.push(cursor.long()?),
                false => values.null(),
            },
            Column::OptFloat(tag, values) => match tag.is_present(cursor)? {
                true => values.push(cursor.float()?),
                false => values.null(),
            },
            Column::OptDouble(tag, values) => match tag.is_present(cursor)? {
                true => values.push(cursor.double()?),
                false => values.null(),
            },
            Column::OptText(tag, strings) => match tag.is_present(cursor)? {
                true => strings.read(cursor)?,
                false => strings.null(),
            },
            Column::OptBytes(tag, views) => match tag.is_present(cursor)? {
                true => views.read(cursor)?,
                false => views.null(),
            },
            _ => return self.read_nested(cursor),
        }
        Ok(())
    }

    fn read_nested(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        match self {
            Column::Fixed(size, views) => views.read_fixed(*size, cursor),
            Column::Enum(symbols, strings) => {
                let symbol = usize::try_from(cursor.long()?)
                    .ok()
                    .and_then(|index| symbols.get(index));
                strings.push(symbol.ok_or(Fault::Enum)?.as_bytes())
            }
            Column::Record(record) => record.read(cursor),
            Column::List(list) => list.read(cursor),
            Column::Map(map) => map.read(cursor),
            Column::Union(union) => union.read(cursor),
            Column::Opt(tag, inner) => match tag.is_present(cursor)? {
                true => inner.read(cursor),
                false => inner.null(cursor),
            },
            _ => unreachable!("leaf columns are read by `read`"),
        }
    }

    /// Adds a null row, whether or not the writer's type allows one.
    pub(super) fn null(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        match self {
            Column::Skip(_) => {}
            Column::Null(rows) => *rows += 1,
            Column::Boolean(values) | Column::OptBoolean(_, values) => values.null(),
            Column::Int(values) | Column::OptInt(_, values) => values.null(),
            Column::Long(values) | Column::OptLong(_, values) => values.null(),
            Column::Float(values) | Column::OptFloat(_, values) => values.null(),
            Column::Double(values) | Column::OptDouble(_, values) => values.null(),
            Column::Text(strings) | Column::OptText(_, strings) | Column::Enum(_, strings) => {
                strings.null()
            }
            Column::Bytes(views) | Column::OptBytes(_, views) | Column::Fixed(_, views) => {
                views.null()
            }
            Column::Record(record) => record.null(cursor)?,
            Column::List(list) => list.null(),
            Column::Map(map) => map.null(),
            Column::Union(union) => union.null(cursor)?,
            Column::Opt(_, inner) => inner.null(cursor)?,
        }
        Ok(())
    }

    /// Adds a row under an absent parent: null if the type allows it, any value if not.
    fn pad(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        match self {
            Column::Boolean(values) => values.pad(),
            Column::Int(values) => values.pad(),
            Column::Long(values) => values.pad(),
            Column::Float(values) => values.pad(),
            Column::Double(values) => values.pad(),
            Column::Text(strings) | Column::Enum(_, strings) => strings.pad(),
            Column::Bytes(views) | Column::Fixed(_, views) => views.pad(),
            Column::Record(record) => record.pad(cursor)?,
            Column::List(list) => list.pad(),
            Column::Map(map) => map.pad(),
            _ => self.null(cursor)?,
        }
        Ok(())
    }

    /// Forgets every row from `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        match self {
            Column::Skip(_) => {}
            Column::Null(len) => *len = (*len).min(rows),
            Column::Boolean(values) | Column::OptBoolean(_, values) => values.truncate(rows),
            Column::Int(values) | Column::OptInt(_, values) => values.truncate(rows),
            Column::Long(values) | Column::OptLong(_, values) => values.truncate(rows),
            Column::Float(values) | Column::OptFloat(_, values) => values.truncate(rows),
            Column::Double(values) | Column::OptDouble(_, values) => values.truncate(rows),
            Column::Text(strings) | Column::OptText(_, strings) | Column::Enum(_, strings) => {
                strings.truncate(rows)
            }
            Column::Bytes(views) | Column::OptBytes(_, views) | Column::Fixed(_, views) => {
                views.truncate(rows)
            }
            Column::Record(record) => record.truncate(rows),
            Column::List(list) => list.truncate(rows),
            Column::Map(map) => map.truncate(rows),
            Column::Union(union) => union.truncate(rows),
            Column::Opt(_, inner) => inner.truncate(rows),
        }
    }

    /// Makes room for as many values as the last batch had, at most `limit` in a column.
    pub(crate) fn reserve(&mut self, limit: usize) {
        match self {
            Column::Skip(_) | Column::Null(_) => {}
            Column::Boolean(values) | Column::OptBoolean(_, values) => values.reserve(limit),
            Column::Int(values) | Column::OptInt(_, values) => values.reserve(limit),
            Column::Long(values) | Column::OptLong(_, values) => values.reserve(limit),
            Column::Float(values) | Column::OptFloat(_, values) => values.reserve(limit),
            Column::Double(values) | Column::OptDouble(_, values) => values.reserve(limit),
            Column::Text(strings) | Column::OptText(_, strings) | Column::Enum(_, strings) => {
                strings.reserve(limit)
            }
            Column::Bytes(views) | Column::OptBytes(_, views) | Column::Fixed(_, views) => {
                views.reserve(limit)
            }
            Column::Record(record) => record
                .fields
                .iter_mut()
                .for_each(|column| column.reserve(limit)),
            Column::List(list) => list.item.reserve(limit),
            Column::Map(map) => map.value.reserve(limit),
            Column::Union(union) => union
                .branches
                .iter_mut()
                .for_each(|column| column.reserve(limit)),
            Column::Opt(_, inner) => inner.reserve(limit),
        }
    }

    /// The rows as an Arrow array of `field`'s type, and none left. Views point into `buffers`.
    pub(crate) fn finish(
        &mut self,
        field: &ArrowField,
        buffers: &[Buffer],
    ) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Column::Skip(_) => {
                return Err(ArrowError::SchemaError(
                    "a skipped column was asked for".into(),
                ));
            }
            Column::Null(rows) => Arc::new(NullArray::new(std::mem::take(rows))),
            Column::Boolean(values) | Column::OptBoolean(_, values) => values.finish_bool(),
            Column::Int(values) | Column::OptInt(_, values) => values.finish::<Int32Type>(),
            Column::Long(values) | Column::OptLong(_, values) => values.finish::<Int64Type>(),
            Column::Float(values) | Column::OptFloat(_, values) => values.finish::<Float32Type>(),
            Column::Double(values) | Column::OptDouble(_, values) => values.finish::<Float64Type>(),
            Column::Text(strings) | Column::OptText(_, strings) | Column::Enum(_, strings) => {
                strings.finish()?
            }
            Column::Bytes(views) | Column::OptBytes(_, views) | Column::Fixed(_, views) => {
                views.finish(buffers)?
            }
            Column::Record(record) => record.finish(field, buffers)?,
            Column::List(list) => list.finish(field, buffers)?,
            Column::Map(map) => map.finish(field, buffers)?,
            Column::Union(union) => union.finish(field, buffers)?,
            Column::Opt(_, inner) => inner.finish(field, buffers)?,
        })
    }
}

/// A record: its fields, the skipped ones among them.
#[derive(Default)]
pub(crate) struct RecordColumn {
    pub(crate) fields: Vec<Column>,
    /// Leaf columns inside, what an absent record costs.
    pub(crate) cells: usize,
    rows: usize,
    nulls: Nulls,
}

impl RecordColumn {
    pub(crate) fn new(fields: Vec<Column>, cells: usize) -> Self {
        RecordColumn {
            fields,
            cells,
            ..Default::default()
        }
    }

    #[inline]
    pub(crate) fn read(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        for field in &mut self.fields {
            field.read(cursor)?;
        }
        self.rows += 1;
        Ok(())
    }

    fn null(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        cursor.spend(self.cells)?;
        self.nulls.push(self.rows);
        self.pad(cursor)
    }

    fn pad(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        for field in &mut self.fields {
            field.pad(cursor)?;
        }
        self.rows += 1;
        Ok(())
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.nulls.truncate(rows);
        for field in &mut self.fields {
            field.truncate(rows);
        }
    }

    /// The columns that are kept, as arrays of `fields`' types, and no row left.
    pub(crate) fn finish_fields(
        &mut self,
        fields: &Fields,
        buffers: &[Buffer],
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        self.rows = 0;
        let columns = self
            .fields
            .iter_mut()
            .filter(|column| !matches!(column, Column::Skip(_)));
        columns
            .zip(fields)
            .map(|(column, field)| column.finish(field, buffers))
            .collect()
    }

    fn finish(&mut self, field: &ArrowField, buffers: &[Buffer]) -> Result<ArrayRef, ArrowError> {
        let DataType::Struct(fields) = field.data_type() else {
            return Err(not_of_type(field));
        };
        let rows = self.rows;
        let nulls = self.nulls.finish(rows);
        let arrays = self.finish_fields(fields, buffers)?;
        Ok(Arc::new(StructArray::try_new_with_length(
            fields.clone(),
            arrays,
            nulls,
            rows,
        )?))
    }
}

pub(super) fn not_of_type(field: &ArrowField) -> ArrowError {
    ArrowError::SchemaError(format!(
        "column `{}` was compiled for another type",
        field.name()
    ))
}

/// The item field of lists, named as Parquet and Arrow do.
pub(crate) fn item_field(data_type: DataType, nullable: bool) -> FieldRef {
    Arc::new(ArrowField::new("item", data_type, nullable))
}
