//! Compiles a writer's schema, and the choice of what is wanted of it, into columns.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, FieldRef, Fields};

use super::column::{Column, RecordColumn, Tag, item_field};
use super::nested::{ListColumn, MapColumn, UnionColumn};
use super::schema::{Field, Record, Type};
use super::skip::Skip;
use super::values::{Strings, Values, Views};

/// What to decode of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    All,
    /// These fields, each with what is wanted inside it. Lists and unions are looked through.
    Fields(BTreeMap<String, Wanted>),
}

impl Wanted {
    /// Adds the field at `path`, and everything in it.
    pub(crate) fn add(&mut self, path: &[&str]) {
        let Wanted::Fields(fields) = self else { return };
        match path {
            [] => *self = Wanted::All,
            [first, rest @ ..] => {
                let inner = fields
                    .entry((*first).to_owned())
                    .or_insert_with(|| Wanted::Fields(BTreeMap::new()));
                inner.add(rest);
            }
        }
    }

    fn of(&self, name: &str) -> Option<&Wanted> {
        match self {
            Wanted::All => Some(self),
            Wanted::Fields(fields) => fields.get(name),
        }
    }
}

/// A column, and the Arrow type of what it reads.
struct Compiled {
    column: Column,
    data_type: DataType,
    nullable: bool,
    /// Leaf columns inside.
    cells: usize,
}

impl Compiled {
    fn leaf(column: Column, data_type: DataType) -> Compiled {
        Compiled {
            column,
            data_type,
            nullable: false,
            cells: 1,
        }
    }
}

/// Compiles a record: its columns, and the Arrow fields of those that are kept.
pub(crate) fn compile(record: &Record, wanted: &Wanted) -> (RecordColumn, Fields) {
    let mut columns = Vec::new();
    let mut fields: Vec<FieldRef> = Vec::new();
    let mut skipped = Vec::new();
    let mut cells = 0;
    for field in &record.fields {
        let Some(inner) = wanted.of(&field.name) else {
            skipped.push(Skip::of(&field.ty));
            continue;
        };
        flush(&mut skipped, &mut columns);
        let compiled = compile_type(&field.ty, inner);
        cells += compiled.cells;
        fields.push(Arc::new(arrow_field(
            field,
            compiled.data_type,
            compiled.nullable,
        )));
        columns.push(compiled.column);
    }
    flush(&mut skipped, &mut columns);
    (RecordColumn::new(columns, cells), fields.into())
}

fn flush(skipped: &mut Vec<Skip>, columns: &mut Vec<Column>) {
    if !skipped.is_empty() {
        columns.push(Column::Skip(Skip::sequence(std::mem::take(skipped))));
    }
}

fn compile_type(ty: &Type, wanted: &Wanted) -> Compiled {
    let leaf = Compiled::leaf;
    match ty {
        Type::Null => Compiled {
            nullable: true,
            ..leaf(Column::Null(0), DataType::Null)
        },
        Type::Boolean => leaf(Column::Boolean(Values::default()), DataType::Boolean),
        Type::Int => leaf(Column::Int(Values::default()), DataType::Int32),
        Type::Long => leaf(Column::Long(Values::default()), DataType::Int64),
        Type::Float => leaf(Column::Float(Values::default()), DataType::Float32),
        Type::Double => leaf(Column::Double(Values::default()), DataType::Float64),
        Type::String => leaf(Column::Text(Strings::default()), DataType::Utf8),
        Type::Bytes => leaf(Column::Bytes(Views::default()), DataType::BinaryView),
        Type::Fixed(size) => leaf(Column::Fixed(*size, Views::default()), DataType::BinaryView),
        Type::Enum(symbols) => leaf(
            Column::Enum(symbols.clone(), Strings::default()),
            DataType::Utf8,
        ),
        Type::Record(record) => {
            let (column, fields) = compile(record, wanted);
            let cells = column.cells + 1;
            Compiled {
                cells,
                ..leaf(Column::Record(column), DataType::Struct(fields))
            }
        }
        Type::Array(item) => {
            let inner = compile_type(item, wanted);
            let data_type = DataType::List(item_field(inner.data_type, inner.nullable));
            leaf(
                Column::List(ListColumn::new(inner.column, item.extent().min_size)),
                data_type,
            )
        }
        Type::Map(value) => compile_map(value, wanted),
        Type::Union(branches) => compile_union(branches, wanted),
    }
}

fn compile_map(value: &Type, wanted: &Wanted) -> Compiled {
    let inner = compile_type(value, wanted);
    let fields = vec![
        ArrowField::new("keys", DataType::Utf8, false),
        ArrowField::new("values", inner.data_type, inner.nullable),
    ];
    let entries = ArrowField::new("entries", DataType::Struct(fields.into()), false);
    let column = Column::Map(MapColumn::new(inner.column, value.extent().min_size));
    Compiled::leaf(column, DataType::Map(Arc::new(entries), false))
}

fn compile_union(branches: &[Type], wanted: &Wanted) -> Compiled {
    let (tag, ty) = match branches {
        [Type::Null, ty] if *ty != Type::Null => (Tag::NULL_FIRST, ty),
        [ty, Type::Null] if *ty != Type::Null => (Tag::NULL_LAST, ty),
        [ty] => (Tag::NO_NULL, ty),
        _ => return compile_branches(branches, wanted),
    };
    let inner = compile_type(ty, wanted);
    let column = match inner.column {
        Column::Boolean(values) => Column::OptBoolean(tag, values),
        Column::Int(values) => Column::OptInt(tag, values),
        Column::Long(values) => Column::OptLong(tag, values),
        Column::Float(values) => Column::OptFloat(tag, values),
        Column::Double(values) => Column::OptDouble(tag, values),
        Column::Text(strings) => Column::OptText(tag, strings),
        Column::Bytes(views) => Column::OptBytes(tag, views),
        other => Column::Opt(tag, Box::new(other)),
    };
    Compiled {
        column,
        nullable: true,
        ..inner_type(inner.data_type, inner.cells)
    }
}

fn inner_type(data_type: DataType, cells: usize) -> Compiled {
    Compiled {
        column: Column::Null(0),
        data_type,
        nullable: true,
        cells,
    }
}

/// A union of several types becomes a struct with one nullable field a branch, named after the branch's type.
fn compile_branches(branches: &[Type], wanted: &Wanted) -> Compiled {
    let mut columns = Vec::new();
    let mut fields = Vec::new();
    let mut cells = 1;
    let mut used: HashMap<String, usize> = HashMap::new();
    for branch in branches {
        if *branch == Type::Null {
            columns.push(Column::Skip(Skip::Bytes(0)));
            continue;
        }
        let inner = compile_type(branch, wanted);
        let mut name = branch.word().to_owned();
        let times = used.entry(name.clone()).or_insert(0);
        *times += 1;
        if *times > 1 {
            name = format!("{name}_{times}");
        }
        fields.push(ArrowField::new(name, inner.data_type, true));
        columns.push(inner.column);
        cells += inner.cells;
    }
    let column = Column::Union(UnionColumn::new(columns, cells));
    Compiled {
        column,
        data_type: DataType::Struct(fields.into()),
        nullable: true,
        cells,
    }
}

fn arrow_field(field: &Field, data_type: DataType, nullable: bool) -> ArrowField {
    let mut metadata = HashMap::new();
    if let Some(doc) = &field.doc {
        metadata.insert("description".to_owned(), doc.clone());
        if let Some(unit) = unit_in(doc) {
            metadata.insert("unit".to_owned(), unit.to_owned());
        }
    }
    if let Some(logical) = &field.logical {
        metadata.insert("avro.logicalType".to_owned(), logical.clone());
    }
    ArrowField::new(&field.name, data_type, nullable).with_metadata(metadata)
}

/// The unit that a survey's own description ends with, such as `[mag]`.
fn unit_in(doc: &str) -> Option<&str> {
    const UNITS: [&str; 14] = [
        "mag", "deg", "degrees", "arcsec", "pixels", "pixel", "days", "day", "DN", "sec",
        "seconds", "nJy", "nmgy", "AU",
    ];
    let (_, tail) = doc.rsplit_once('[')?;
    let unit = tail.split_once(']')?.0.trim();
    UNITS.contains(&unit).then_some(unit)
}
