//! SQL over the archive, and what there is to ask.

use std::time::Duration;

use axum::extract::State;
use pitt_query::Limits;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::Answer;
use super::params::TableParams;
use super::pool::Lane;
use super::problem::Problem;
use super::table::{self, ColumnInfo, Shape, TableBody};

/// Longest a query may take: an answer must have begun by then.
const MOST_TIME: Duration = Duration::from_secs(25);

/// A query.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SqlQuery {
    /// One `SELECT`, `DESCRIBE`, `EXPLAIN` or `SHOW TABLES`.
    #[param(example = "SELECT survey, count(*) AS n FROM alerts GROUP BY survey")]
    pub query: String,
    /// Most rows, up to the setting `query.max_rows`, which holds when left out.
    #[param(minimum = 1)]
    pub limit: Option<usize>,
}

/// SQL over the whole archive, read-only; the rows are sent as they come
///
/// Alerts and matches are there the moment they are received, before they are committed; the other tables have what is committed.
/// Bounded in time (25 s, or `query.timeout_s` if that is less), memory (`query.memory_mb`, for all queries together) and rows.
/// `truncated` says when there were more. A failure after the first rows breaks the connection off.
#[utoipa::path(method(get, post), path = "/sql", tag = "sql", operation_id = "sql",
    params(SqlQuery, Shape),
    responses((status = 200, description = "The rows.", body = TableBody)))]
pub async fn sql(
    State(api): State<Api>,
    TableParams(query, shape): TableParams<SqlQuery>,
) -> Answer {
    let limits = limits(&api, query.limit)?;
    let format = shape.format();
    api.stream(("query", format), move |api, out| {
        let (engine, fresh) = api.engine_and_fresh()?;
        let mut rows = engine.query_with(fresh, &query.query, &limits)?;
        table::write(&mut rows, &shape, out)?;
        Ok(())
    })
    .await
}

/// The bounds of a query.
///
/// # Errors
/// More rows are wanted than the settings allow.
pub fn limits(api: &Api, wanted: Option<usize>) -> Result<Limits, Problem> {
    let settings = &api.settings.query;
    let rows = wanted.unwrap_or(settings.max_rows);
    if rows == 0 || rows > settings.max_rows {
        let detail = format!("`limit` is {rows}, expected 1 to {}", settings.max_rows);
        return Err(Problem::bad_parameter("limit", detail)
            .hint("the setting `query.max_rows` allows more"));
    }
    let time = Duration::from_secs_f64(settings.timeout_s).min(MOST_TIME);
    Ok(Limits { rows, time })
}

/// The tables.
#[derive(Serialize, ToSchema)]
pub struct TablesBody {
    tables: Vec<TableInfo>,
}

/// A table.
#[derive(Serialize, ToSchema)]
pub struct TableInfo {
    /// Its name in SQL.
    #[schema(example = "alerts")]
    name: String,
    /// Its columns; those inside a struct by their path.
    columns: Vec<ColumnInfo>,
}

/// Tables that SQL can ask, with columns, units and meanings
#[utoipa::path(method(get, post), path = "/tables", tag = "sql", operation_id = "tables",
    responses((status = 200, description = "The tables.", body = TablesBody)))]
pub async fn tables(State(api): State<Api>) -> Answer {
    let asked = api.ask(Lane::Long, |api| {
        let tables = api.engine()?.tables().into_iter();
        let table = |(name, schema): (String, arrow_schema::SchemaRef)| {
            let schema = super::columns::with_ucds(&schema);
            let mut columns = vec![];
            schema
                .fields()
                .iter()
                .for_each(|field| describe(field, "", &mut columns));
            TableInfo { name, columns }
        };
        Ok(TablesBody {
            tables: tables.map(table).collect(),
        })
    });
    super::answer::json(&asked.await?)
}

fn describe(field: &arrow_schema::Field, before: &str, columns: &mut Vec<ColumnInfo>) {
    let name = format!("{before}{}", field.name());
    if let arrow_schema::DataType::Struct(inner) = field.data_type() {
        inner
            .iter()
            .for_each(|field| describe(field, &format!("{name}."), columns));
        return;
    }
    columns.push(ColumnInfo {
        name,
        ..ColumnInfo::of(field)
    });
}
