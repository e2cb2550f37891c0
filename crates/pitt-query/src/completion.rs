//! Names an editor can offer, and a listing for people: columns of a survey and functions, with units and meaning.

use std::fmt::Write as _;

use datafusion::arrow::datatypes::{DataType, Field, Fields};

use crate::filter::{Surveys, builtin_names};
use crate::functions::functions;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A column, or a field inside one.
    Column,
    /// A function for astronomers, from [`functions`].
    Function,
    /// A function of SQL.
    SqlFunction,
}

/// A name that may be written in a filter.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// As written: `candidate.magpsf`, `rise_rate(band)`, `abs`.
    pub text: String,
    /// What it stands for.
    pub kind: NameKind,
    /// Type of the column, or of the function's result.
    pub data_type: String,
    /// Unit, empty for none.
    pub unit: String,
    /// Meaning, empty when nobody said.
    pub description: String,
}

/// All names a filter for a survey may use; functions alone when nothing is known of the survey.
pub fn completions(surveys: &Surveys, survey: &str) -> Vec<Completion> {
    let mut names = Vec::new();
    if let Some(schema) = surveys.get(survey) {
        columns(schema.fields(), "", &mut names);
    }
    names.extend(functions().iter().map(|spec| Completion {
        text: spec.signature(),
        kind: NameKind::Function,
        data_type: spec.returns_word().to_string(),
        unit: spec.unit.to_string(),
        description: spec.description.to_string(),
    }));
    names.extend(builtin_names().map(|name| Completion {
        text: name.to_string(),
        kind: NameKind::SqlFunction,
        data_type: String::new(),
        unit: String::new(),
        description: String::new(),
    }));
    names
}

fn columns(fields: &Fields, prefix: &str, names: &mut Vec<Completion>) {
    for field in fields {
        let text = format!("{prefix}{}", field.name());
        if let DataType::Struct(inner) = field.data_type() {
            columns(inner, &format!("{text}."), names);
            continue;
        }
        names.push(Completion {
            text,
            kind: NameKind::Column,
            data_type: type_word(field),
            unit: metadata(field, "unit"),
            description: metadata(field, "description"),
        });
    }
}

fn metadata(field: &Field, key: &str) -> String {
    field.metadata().get(key).cloned().unwrap_or_default()
}

fn type_word(field: &Field) -> String {
    match field.data_type() {
        DataType::List(_) => "list".to_string(),
        DataType::Utf8 => "text".to_string(),
        DataType::Boolean => "true or false".to_string(),
        DataType::Binary | DataType::BinaryView => "bytes".to_string(),
        other => other.to_string().to_lowercase(),
    }
}

/// The table of functions in Markdown, as `docs/filters.md` shows it.
pub fn functions_markdown() -> String {
    let mut text = String::from(
        "| function | gives | unit | meaning | formula or source |\n|---|---|---|---|---|\n",
    );
    for spec in functions() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            spec.signature(),
            spec.returns_word(),
            spec.unit,
            spec.description,
            spec.source
        );
    }
    text
}
