//! A table as an answer: JSON, CSV, Parquet, VOTable or an Arrow stream, from Arrow batches.

use std::io::Write;
use std::vec;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{Field, SchemaRef};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use parquet::errors::ParquetError;
use pitt_query::{OutputFormat, QueryError, Rows, json_row, write_rows};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::columns;
use super::problem::{Problem, shown};
use super::votable;
use crate::suggest;

/// The content type of CSV in full.
const CSV_UTF8: &str = "text/csv; charset=utf-8";

/// How a table is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An object with `rows`, `columns`, `next` and `truncated`.
    #[default]
    Json,
    /// Names in the first line, nulls empty (RFC 4180).
    Csv,
    /// Parquet, zstd.
    Parquet,
    /// VOTable 1.4 with units and UCDs.
    Votable,
    /// An Arrow IPC stream.
    Arrow,
}

impl Format {
    /// Format, content types (the first is what is sent), ending of a file.
    const ALL: [(Self, &[&str], &str); 5] = [
        (Self::Json, &["application/json"], "json"),
        (Self::Csv, &["text/csv"], "csv"),
        (
            Self::Parquet,
            &["application/vnd.apache.parquet", "application/x-parquet"],
            "parquet",
        ),
        (Self::Votable, &["application/x-votable+xml"], "vot"),
        (
            Self::Arrow,
            &["application/vnd.apache.arrow.stream"],
            "arrows",
        ),
    ];

    /// The format of a content type.
    pub fn of_content_type(kind: &str) -> Option<Self> {
        let known = Self::ALL
            .iter()
            .find(|(_, kinds, _)| kinds.iter().any(|known| known.eq_ignore_ascii_case(kind)));
        known.map(|(format, _, _)| *format)
    }

    /// What tables can be sent as.
    pub fn content_types() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(_, kinds, _)| kinds[0])
    }

    /// Content type and ending of a file.
    fn words(self) -> (&'static str, &'static str) {
        let known = Self::ALL.iter().find(|(format, _, _)| *format == self);
        known.map_or(("application/json", "json"), |(_, kinds, ending)| {
            (kinds[0], *ending)
        })
    }

    /// Headers of an answer in this format; `name` becomes a file's where the format is for files.
    pub fn headers(self, name: &str) -> HeaderMap {
        let (kind, ending) = self.words();
        let mut headers = HeaderMap::new();
        // Without it some take text for Latin-1.
        let kind = if self == Self::Csv { CSV_UTF8 } else { kind };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if matches!(
            self,
            Self::Parquet | Self::Arrow | Self::Votable | Self::Csv
        ) {
            let file = format!("inline; filename=\"{name}.{ending}\"");
            if let Ok(file) = HeaderValue::from_str(&file) {
                headers.insert(header::CONTENT_DISPOSITION, file);
            }
        }
        headers
    }
}

/// How a table is wanted.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Shape {
    /// Columns wanted, in this order: `a,b,c`. All, when left out.
    #[param(style = Form, explode = false, example = json!(null))]
    pub columns: Option<Vec<String>>,
    /// Form of the answer; the header `Accept` can say it too. `output_format` is understood as well.
    #[serde(rename = "output-format")]
    #[param(inline)]
    pub format: Option<Format>,
}

impl Shape {
    /// The format wanted.
    pub fn format(&self) -> Format {
        self.format.unwrap_or_default()
    }
}

/// What is known when the last row is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// Where to go on, when there is more.
    pub next: Option<String>,
    /// Whether rows were left out.
    pub truncated: bool,
}

/// Where rows come from.
pub trait Source {
    /// The columns.
    fn schema(&self) -> SchemaRef;
    /// The next rows; `None` after the last.
    fn more(&mut self) -> Option<Result<RecordBatch, QueryError>>;
    /// What is known after the last.
    fn ending(&self) -> Ending;
}

/// A table at hand.
pub struct Table {
    schema: SchemaRef,
    batches: vec::IntoIter<RecordBatch>,
    ending: Ending,
}

impl Table {
    /// A table of these rows.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self {
            schema,
            batches: batches.into_iter(),
            ending: Ending::default(),
        }
    }

    /// The same, with other UCDs of these columns.
    pub fn with_ucds(mut self, ucds: &[(&str, &str)]) -> Self {
        for (name, ucd) in ucds {
            self.schema = columns::with_ucd(&self.schema, name, ucd);
        }
        self
    }

    /// The same, saying where it goes on.
    pub fn going_on(self, next: Option<String>) -> Self {
        let truncated = next.is_some();
        Self {
            ending: Ending { next, truncated },
            ..self
        }
    }

    /// The same, saying that it is cut off.
    pub fn cut(self, truncated: bool) -> Self {
        Self {
            ending: Ending {
                next: None,
                truncated,
            },
            ..self
        }
    }
}

impl Source for Table {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn more(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        let batch = self.batches.next()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        Some(batch.map_err(QueryError::from))
    }

    fn ending(&self) -> Ending {
        self.ending.clone()
    }
}

impl Source for Rows<'_> {
    fn schema(&self) -> SchemaRef {
        columns::with_ucds(Rows::schema(self))
    }

    fn more(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        let batch = self.next()?;
        let schema = Source::schema(self);
        Some(batch.and_then(|batch| Ok(batch.with_schema(schema)?)))
    }

    fn ending(&self) -> Ending {
        Ending {
            next: None,
            truncated: self.truncated(),
        }
    }
}

/// Some columns of another source.
struct Chosen<'a> {
    source: &'a mut dyn Source,
    schema: SchemaRef,
    columns: Vec<usize>,
}

impl<'a> Chosen<'a> {
    fn new(source: &'a mut dyn Source, names: &[String]) -> Result<Self, Problem> {
        let all = source.schema();
        let column = |name: &String| {
            all.index_of(name).map_err(|_| {
                let names = all.fields().iter().map(|field| field.name().as_str());
                let hint = suggest::hint(name, names.clone());
                let detail = format!("there is no column `{}`{hint}", shown(name));
                let known = format!("there are {}", names.collect::<Vec<_>>().join(", "));
                Problem::bad_parameter("columns", detail).hint(known)
            })
        };
        let columns: Vec<usize> = names.iter().map(column).collect::<Result<_, _>>()?;
        if let Some(at) = (1..names.len()).find(|at| names[..*at].contains(&names[*at])) {
            let detail = format!("column `{}` is asked for twice", shown(&names[at]));
            return Err(Problem::bad_parameter("columns", detail).hint("name each once"));
        }
        let schema = all.project(&columns).map_err(|error| {
            Problem::bad_parameter(
                "columns",
                format!("these columns cannot be chosen: {error}"),
            )
        })?;
        Ok(Self {
            source,
            schema: schema.into(),
            columns,
        })
    }
}

impl Source for Chosen<'_> {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn more(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        let batch = self.source.more()?;
        Some(batch.and_then(|batch| Ok(batch.project(&self.columns)?)))
    }

    fn ending(&self) -> Ending {
        self.source.ending()
    }
}

/// Writes a table as it is wanted; gives what is known at its end.
///
/// # Errors
/// A column that is not there, rows that do not come, or a client that has gone.
pub fn write(
    source: &mut dyn Source,
    shape: &Shape,
    out: &mut (impl Write + Send),
) -> Result<Ending, Problem> {
    let mut chosen;
    let source = match &shape.columns {
        Some(names) => {
            chosen = Chosen::new(source, names)?;
            &mut chosen as &mut dyn Source
        }
        None => source,
    };
    match shape.format() {
        Format::Json => write_json(source, out)?,
        Format::Csv => write_file(OutputFormat::Csv, source, out)?,
        Format::Parquet => write_file(OutputFormat::Parquet, source, out).map_err(unfit)?,
        Format::Votable => votable::write(source, out)?,
        Format::Arrow => write_arrow(source, out)?,
    }
    Ok(source.ending())
}

fn write_file(
    format: OutputFormat,
    source: &mut dyn Source,
    out: &mut (impl Write + Send),
) -> Result<(), QueryError> {
    let schema = source.schema();
    write_rows(format, &schema, std::iter::from_fn(|| source.more()), out)?;
    Ok(())
}

/// Parquet has no form for some types of SQL, intervals for one.
fn unfit(problem: QueryError) -> Problem {
    match problem {
        QueryError::Parquet(ParquetError::NYI(what)) => {
            let detail = format!("a column has a type that Parquet cannot have: {what}");
            Problem::bad_parameter("output-format", detail)
                .hint("cast the column, to text for example, or take another format")
        }
        other => other.into(),
    }
}

fn write_arrow(source: &mut dyn Source, out: &mut impl Write) -> Result<(), Problem> {
    let failed = |error| Problem::from(QueryError::Arrow(error));
    let mut writer = StreamWriter::try_new(out, &source.schema()).map_err(failed)?;
    while let Some(batch) = source.more() {
        writer.write(&batch?).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

/// What a client did not take.
pub(super) fn gone(error: std::io::Error) -> Problem {
    let path = "the answer".to_owned();
    Problem::from(QueryError::File {
        path,
        source: error,
    })
}

fn write_json(source: &mut dyn Source, out: &mut impl Write) -> Result<(), Problem> {
    out.write_all(b"{\"rows\":[").map_err(gone)?;
    let mut line = String::new();
    let mut first = true;
    while let Some(batch) = source.more() {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            line.clear();
            line.push_str(if first { "\n" } else { ",\n" });
            first = false;
            json_row(&batch, row, &mut line)?;
            out.write_all(line.as_bytes()).map_err(gone)?;
        }
    }
    let schema = source.schema();
    let columns: Vec<ColumnInfo> = schema
        .fields()
        .iter()
        .map(|field| ColumnInfo::of(field))
        .collect();
    let Ending { next, truncated } = source.ending();
    let end = serde_json::json!({"columns": columns, "next": next, "truncated": truncated});
    let end = end.to_string();
    write!(out, "\n],\n{}", &end[1..]).map_err(gone)
}

/// A column of a table.
#[derive(Serialize, ToSchema)]
pub struct ColumnInfo {
    /// Its name.
    #[schema(example = "psf_flux")]
    pub name: String,
    /// Unit; `null` for none.
    #[schema(example = "nJy")]
    pub unit: Option<String>,
    /// What it measures, in the IVOA's words (UCD1+).
    #[schema(example = "phot.flux.density")]
    pub ucd: Option<String>,
    /// Meaning.
    pub description: Option<String>,
    /// `int64`, `float64`, `text`, `boolean`, ..
    #[schema(example = "float32")]
    pub datatype: String,
}

impl ColumnInfo {
    /// What a field says of itself.
    pub fn of(field: &Field) -> Self {
        let word = |key: &str| {
            field
                .metadata()
                .get(key)
                .filter(|text| !text.is_empty())
                .cloned()
        };
        let unit = columns::unit(field);
        Self {
            name: field.name().clone(),
            unit: Some(unit.to_owned()).filter(|unit| !unit.is_empty()),
            ucd: word("ucd"),
            description: word("description").or_else(|| word("doc")),
            datatype: datatype(field),
        }
    }
}

/// The type of a column in a word.
pub fn datatype(field: &Field) -> String {
    use arrow_schema::DataType::{Binary, BinaryView, Dictionary, List, Struct, Utf8, Utf8View};
    match field.data_type() {
        Utf8 | Utf8View | Dictionary(..) => "text".to_owned(),
        Binary | BinaryView => "bytes".to_owned(),
        List(_) => "list".to_owned(),
        Struct(_) => "struct".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

/// A table in JSON.
#[derive(Serialize, ToSchema)]
#[schema(as = Table)]
pub struct TableBody {
    /// The rows, each an object with the columns as keys. 64-bit ids are texts.
    pub rows: Vec<serde_json::Map<String, serde_json::Value>>,
    /// The columns.
    pub columns: Vec<ColumnInfo>,
    /// Give it as `cursor` for what follows; `null` at the end.
    pub next: Option<String>,
    /// Whether there are more rows than these.
    pub truncated: bool,
}

/// Headers that say of every format what JSON says at its end.
pub fn ending_headers(ending: &Ending) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let truncated = HeaderValue::from_static(if ending.truncated { "true" } else { "false" });
    headers.insert(HeaderName::from_static("x-truncated"), truncated);
    let next = ending
        .next
        .as_deref()
        .and_then(|next| HeaderValue::from_str(next).ok());
    if let Some(next) = next {
        headers.insert(HeaderName::from_static("x-next-cursor"), next);
    }
    headers
}
