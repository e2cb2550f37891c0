//! Which columns there are: per survey, in any schema version, nested ones by their path.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use crate::suggest::nearest;

/// The schemas known per survey: reference schemas, and those of stored alerts.
///
/// A filter is checked against them before any alert arrives, and a column that one version of a survey's schema has
/// and another lacks is null there.
#[derive(Debug, Clone, Default)]
pub struct Surveys {
    by_name: BTreeMap<String, SchemaRef>,
}

impl Surveys {
    /// No schemas.
    pub fn new() -> Surveys {
        Surveys::default()
    }

    /// Adds a schema of a survey; columns and nested fields that are new are added to those already known.
    ///
    /// `schema` is that of decoded batches: the survey's columns and the common ones.
    pub fn insert(&mut self, survey: &str, schema: &Schema) {
        let fields = match self.by_name.get(survey) {
            Some(known) => union(known.fields(), schema.fields()),
            None => schema.fields().clone(),
        };
        self.by_name
            .insert(survey.to_string(), Arc::new(Schema::new(fields)));
    }

    /// All that is known of a survey.
    pub fn get(&self, survey: &str) -> Option<&SchemaRef> {
        self.by_name.get(survey)
    }

    /// Names of the surveys, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Whether no schema is known.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// All fields of both; of a field in both, the first, with the nested fields of the second added.
fn union(first: &Fields, second: &Fields) -> Fields {
    let mut fields: Vec<Arc<Field>> = first
        .iter()
        .map(
            |field| match second.iter().find(|f| f.name() == field.name()) {
                Some(other) => Arc::new(
                    field
                        .as_ref()
                        .clone()
                        .with_data_type(union_type(field.data_type(), other.data_type())),
                ),
                None => Arc::clone(field),
            },
        )
        .collect();
    fields.extend(
        second
            .iter()
            .filter(|f| !first.iter().any(|known| known.name() == f.name()))
            .cloned(),
    );
    fields.into()
}

fn union_type(first: &DataType, second: &DataType) -> DataType {
    match (first, second) {
        (DataType::Struct(a), DataType::Struct(b)) => DataType::Struct(union(a, b)),
        (DataType::List(a), DataType::List(b)) => {
            let item = union_type(a.data_type(), b.data_type());
            DataType::List(Arc::new(a.as_ref().clone().with_data_type(item)))
        }
        _ => first.clone(),
    }
}

/// Why a written name is no column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NoColumn {
    /// Nothing of that name; the nearest name or other advice.
    Unknown(Option<String>),
    /// Several names differ from it only in case.
    Ambiguous(Vec<String>),
}

/// A column found: the names from the top down, and its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) path: Vec<String>,
    pub(crate) data_type: DataType,
}

/// Finds `parts` (`candidate`, `magpsf`) in a schema: the exact name, or the only one equal but for case.
pub(crate) fn find(fields: &Fields, parts: &[&str]) -> Result<Found, NoColumn> {
    let written = parts.join(".");
    let mut found = Found {
        path: Vec::new(),
        data_type: DataType::Struct(fields.clone()),
    };
    for part in parts {
        let DataType::Struct(inner) = &found.data_type else {
            return Err(NoColumn::Unknown(Some(not_a_struct(&found, part))));
        };
        let field = match field(inner, part) {
            Ok(field) => Arc::clone(field),
            Err(several) if several.is_empty() => {
                return Err(NoColumn::Unknown(suggest(fields, &written)));
            }
            Err(several) => {
                let prefix: String = found.path.iter().map(|p| format!("{p}.")).collect();
                return Err(NoColumn::Ambiguous(
                    several
                        .iter()
                        .map(|name| format!("{prefix}{name}"))
                        .collect(),
                ));
            }
        };
        found.path.push(field.name().clone());
        found.data_type = field.data_type().clone();
    }
    Ok(found)
}

/// The field of that name, or the only one equal but for case; `Err` lists those it could be.
pub(crate) fn field<'a>(fields: &'a Fields, name: &str) -> Result<&'a Arc<Field>, Vec<String>> {
    if let Some(field) = fields.iter().find(|f| f.name() == name) {
        return Ok(field);
    }
    let near: Vec<&Arc<Field>> = fields
        .iter()
        .filter(|f| f.name().eq_ignore_ascii_case(name))
        .collect();
    match near.as_slice() {
        [field] => Ok(field),
        several => Err(several.iter().map(|f| f.name().clone()).collect()),
    }
}

fn not_a_struct(found: &Found, part: &str) -> String {
    let path = found.path.join(".");
    match &found.data_type {
        DataType::List(_) => {
            format!("`{path}` is a list: write `{path}[1].{part}` for its first element")
        }
        _ => format!("`{path}` has no fields inside"),
    }
}

fn suggest(fields: &Fields, written: &str) -> Option<String> {
    let names = leaf_names(fields);
    nearest(written, names.iter().map(String::as_str)).map(str::to_string)
}

/// Every name one may write: top-level columns and nested fields with their path.
pub(crate) fn leaf_names(fields: &Fields) -> Vec<String> {
    let mut names = Vec::new();
    for field in fields {
        names.push(field.name().clone());
        if let DataType::Struct(inner) = field.data_type() {
            names.extend(
                leaf_names(inner)
                    .into_iter()
                    .map(|leaf| format!("{}.{leaf}", field.name())),
            );
        }
    }
    names
}
