//! An Avro schema, read leniently: what real writers produce counts, not only what the specification allows.
//!
//! Differences from the specification, each needed for a survey's packets:
//! - a name with dots in it and no `namespace` is a full name (all LSST schemas, ZTF since 2021);
//! - a reference that is not found as written is looked for by its last word, when only one type has it;
//! - defaults are ignored, so an invalid one does no harm (we read by the writer's schema alone);
//! - names may hold any characters, and a record may have two fields of one name (the last keeps it).
//!
//! A record that contains itself is refused: it has no columns.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

/// Deepest nesting of types, counted through references.
pub(crate) const MAX_DEPTH: usize = 64;
/// Most types a schema may have once every reference is written out.
pub(crate) const MAX_TYPES: usize = 50_000;

/// A type as a writer declared it, references resolved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Arc<[String]>),
    Array(Arc<Type>),
    Map(Arc<Type>),
    Union(Arc<[Type]>),
    Record(Arc<Record>),
}

/// A record's fields in the writer's order.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    /// Full name: namespace and name.
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
    extent: Extent,
}

/// One field of a record.
#[derive(Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) doc: Option<String>,
    pub(crate) ty: Type,
    /// Avro's logical type, such as `timestamp-micros`.
    pub(crate) logical: Option<String>,
}

/// How large a type is: nesting, number of types inside, and the fewest bytes a value takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Extent {
    depth: usize,
    types: usize,
    pub(crate) min_size: usize,
}

impl Type {
    pub(crate) fn extent(&self) -> Extent {
        let leaf = |min_size| Extent {
            depth: 1,
            types: 1,
            min_size,
        };
        match self {
            Type::Null => leaf(0),
            Type::Fixed(size) => leaf(*size),
            Type::Float => leaf(4),
            Type::Double => leaf(8),
            Type::Array(item) | Type::Map(item) => Extent {
                min_size: 1,
                ..item.extent().wrapped()
            },
            Type::Union(branches) => {
                let extents: Vec<_> = branches.iter().map(Type::extent).collect();
                let min = extents.iter().map(|e| e.min_size).min().unwrap_or(0);
                let inner = extents.into_iter().fold(Extent::default(), Extent::joined);
                Extent {
                    min_size: 1 + min,
                    ..inner.wrapped()
                }
            }
            Type::Record(record) => record.extent,
            _ => leaf(1),
        }
    }

    /// Avro's word for the type; of a record the last word of its name.
    pub(crate) fn word(&self) -> &str {
        match self {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Int => "int",
            Type::Long => "long",
            Type::Float => "float",
            Type::Double => "double",
            Type::Bytes => "bytes",
            Type::String => "string",
            Type::Fixed(_) => "fixed",
            Type::Enum(_) => "enum",
            Type::Array(_) => "array",
            Type::Map(_) => "map",
            Type::Union(_) => "union",
            Type::Record(record) => last_word(&record.name),
        }
    }

    /// The record inside, also under a union with null.
    pub(crate) fn as_record(&self) -> Option<&Record> {
        match self {
            Type::Record(record) => Some(record),
            Type::Union(branches) => branches.iter().find_map(|b| match b {
                Type::Record(record) => Some(record.as_ref()),
                _ => None,
            }),
            _ => None,
        }
    }
}

impl Extent {
    fn wrapped(self) -> Extent {
        Extent {
            depth: self.depth + 1,
            types: self.types.saturating_add(1),
            ..self
        }
    }

    fn joined(self, other: Extent) -> Extent {
        Extent {
            depth: self.depth.max(other.depth),
            types: self.types.saturating_add(other.types),
            min_size: self.min_size.saturating_add(other.min_size),
        }
    }
}

impl Record {
    /// Fewest bytes a value takes.
    pub(crate) fn min_size(&self) -> usize {
        self.extent.min_size
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SchemaError {
    /// The text is no JSON; what the JSON parser says, with line and column.
    #[error("the schema is not JSON: {0}")]
    Json(String),
    /// The outermost type is another than a record; its name in Avro.
    #[error("the schema's outermost type is `{0}`, but alerts are records")]
    NotARecord(String),
    /// A type is named that is none of Avro's and stands nowhere before; the name, with its namespace if it has one.
    #[error("`{0}` is neither an Avro type nor defined before its use")]
    UnknownType(String),
    /// An attribute that a type needs is missing, or is of another kind; what and where.
    #[error("{0}")]
    Malformed(String),
    /// A record has itself as a field, at any depth; its full name.
    #[error("record `{0}` contains itself, which no table can hold")]
    Recursive(String),
    /// More types, or types in types, than any survey's schema has: it would take long to compile.
    #[error("the schema is nested deeper than {MAX_DEPTH} or has more than {MAX_TYPES} types")]
    TooLarge,
}

/// Reads a schema whose outermost type is a record.
pub(crate) fn parse(json: &str) -> Result<Arc<Record>, SchemaError> {
    let value: Value = serde_json::from_str(json).map_err(|e| SchemaError::Json(e.to_string()))?;
    match Parser::default().ty(&value, "")? {
        Type::Record(record) => Ok(record),
        other => Err(SchemaError::NotARecord(other.word().to_owned())),
    }
}

#[derive(Default)]
struct Parser {
    named: HashMap<String, Type>,
    open: Vec<String>,
}

impl Parser {
    fn ty(&mut self, value: &Value, namespace: &str) -> Result<Type, SchemaError> {
        let ty = match value {
            Value::String(name) => self.reference(name, namespace)?,
            Value::Array(branches) => {
                let branches: Result<Vec<_>, _> =
                    branches.iter().map(|b| self.ty(b, namespace)).collect();
                Type::Union(branches?.into())
            }
            Value::Object(object) => self.object(object, namespace)?,
            other => return Err(SchemaError::Malformed(format!("`{other}` is not a type"))),
        };
        let extent = ty.extent();
        if extent.depth > MAX_DEPTH || extent.types > MAX_TYPES {
            return Err(SchemaError::TooLarge);
        }
        Ok(ty)
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
    ) -> Result<Type, SchemaError> {
        let inner = |key: &str| {
            object
                .get(key)
                .ok_or_else(|| SchemaError::Malformed(format!("a type lacks `{key}`")))
        };
        let kind = match inner("type")? {
            Value::String(kind) => kind.as_str(),
            nested => return self.ty(nested, namespace),
        };
        match kind {
            "record" | "error" => self.record(object, namespace),
            "array" => Ok(Type::Array(self.ty(inner("items")?, namespace)?.into())),
            "map" => Ok(Type::Map(self.ty(inner("values")?, namespace)?.into())),
            "enum" => {
                let symbols = inner("symbols")?.as_array().into_iter().flatten();
                let symbols = symbols
                    .filter_map(|s| s.as_str().map(str::to_owned))
                    .collect::<Vec<_>>();
                Ok(self.define(full_name(object, namespace)?.0, Type::Enum(symbols.into())))
            }
            "fixed" => {
                let size = inner("size")?
                    .as_u64()
                    .and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or_else(|| {
                    SchemaError::Malformed("a fixed type's `size` is not a number".into())
                })?;
                Ok(self.define(full_name(object, namespace)?.0, Type::Fixed(size)))
            }
            name => self.reference(name, namespace),
        }
    }

    fn record(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
    ) -> Result<Type, SchemaError> {
        let (name, namespace) = full_name(object, namespace)?;
        let fields = object.get("fields").and_then(Value::as_array);
        let fields = fields
            .ok_or_else(|| SchemaError::Malformed(format!("record `{name}` lacks `fields`")))?;
        self.open.push(name.clone());
        let fields: Result<Vec<_>, _> = fields
            .iter()
            .map(|f| self.field(f, &name, &namespace))
            .collect();
        self.open.pop();
        let mut fields = fields?;
        number_namesakes(&mut fields);
        let extent = fields
            .iter()
            .map(|f| f.ty.extent())
            .fold(Extent::default(), Extent::joined)
            .wrapped();
        Ok(self.define(
            name.clone(),
            Type::Record(Arc::new(Record {
                name,
                fields,
                extent,
            })),
        ))
    }

    fn field(
        &mut self,
        value: &Value,
        record: &str,
        namespace: &str,
    ) -> Result<Field, SchemaError> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let lacks = |what: &str| {
            SchemaError::Malformed(format!("a field of record `{record}` lacks `{what}`"))
        };
        let name = text("name").ok_or_else(|| lacks("name"))?;
        let ty = value.get("type").ok_or_else(|| lacks("type"))?;
        Ok(Field {
            name,
            doc: text("doc"),
            ty: self.ty(ty, namespace)?,
            logical: logical(ty),
        })
    }

    fn define(&mut self, name: String, ty: Type) -> Type {
        self.named.insert(name, ty.clone());
        ty
    }

    fn reference(&self, name: &str, namespace: &str) -> Result<Type, SchemaError> {
        Ok(match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "long" => Type::Long,
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::String,
            _ => return self.named(name, namespace),
        })
    }

    fn named(&self, name: &str, namespace: &str) -> Result<Type, SchemaError> {
        let qualified = join_name(namespace, name);
        if let Some(ty) = self.named.get(&qualified).or_else(|| self.named.get(name)) {
            return Ok(ty.clone());
        }
        if self
            .open
            .iter()
            .any(|open| *open == qualified || open == name)
        {
            return Err(SchemaError::Recursive(name.to_owned()));
        }
        let word = last_word(name);
        let mut alike = self
            .named
            .iter()
            .filter(|(full, _)| last_word(full) == word);
        match (alike.next(), alike.next()) {
            (Some((_, ty)), None) => Ok(ty.clone()),
            _ => Err(SchemaError::UnknownType(name.to_owned())),
        }
    }
}

/// Full name and namespace that a definition gives, inside `enclosing`.
pub(crate) fn full_name(
    object: &Map<String, Value>,
    enclosing: &str,
) -> Result<(String, String), SchemaError> {
    let name = object.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| SchemaError::Malformed("a named type lacks `name`".into()))?;
    let namespace = object
        .get("namespace")
        .and_then(Value::as_str)
        .unwrap_or(enclosing);
    let full = join_name(namespace, name);
    let namespace = full
        .rsplit_once('.')
        .map_or("", |(namespace, _)| namespace)
        .to_owned();
    Ok((full, namespace))
}

/// Of fields with the same name (WINTER has two `sgmag1`) the last keeps it; the others get a number behind theirs.
fn number_namesakes(fields: &mut [Field]) {
    let mut taken: HashSet<String> = HashSet::new();
    for field in fields.iter_mut().rev() {
        let plain = field.name.clone();
        let mut number = 1;
        while !taken.insert(field.name.clone()) {
            field.name = format!("{plain}_{number}");
            number += 1;
        }
    }
}

fn join_name(namespace: &str, name: &str) -> String {
    if namespace.is_empty() || name.contains('.') {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

pub(crate) fn last_word(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn logical(ty: &Value) -> Option<String> {
    match ty {
        Value::Object(object) => match object.get("logicalType").and_then(Value::as_str) {
            Some(logical) => Some(logical.to_owned()),
            None => object
                .get("type")
                .filter(|inner| !inner.is_string())
                .and_then(logical),
        },
        Value::Array(branches) => branches.iter().find_map(logical),
        _ => None,
    }
}
