//! The query engine: tables in, statements checked, rows streamed out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::dataframe::DataFrame;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::DFParserBuilder;
use tokio::runtime::Runtime;

use super::budget::Budget;
use super::growth::{self, REFUSED_FUNCTIONS};
use super::memory::InMemory;
use super::names::Names;
use super::patience;
use super::rows::{Rows, timeout};
use super::table::{FilesTable, TableSource};
use super::union::{column_or_null, shared_columns};
use crate::catalog::Catalogs;
use crate::dialect::AlertSql;
use crate::error::QueryError;
use crate::functions::udf::{BindCalls, named_functions};

/// Bounds on one query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Most rows given; [`Rows::truncated`] tells when there were more.
    pub rows: usize,
    /// Longest time from the start of the query to its last row.
    pub time: Duration,
}

impl Default for Limits {
    /// A million rows, ten minutes.
    fn default() -> Self {
        Limits {
            rows: 1_000_000,
            time: Duration::from_secs(600),
        }
    }
}

/// Longest text of a query `[bytes]`.
const MAX_QUERY_BYTES: usize = 65_536;
/// Stack of a thread that evaluates: planning recurs over expressions `[bytes]`.
const STACK_BYTES: usize = 8 << 20;
/// Deepest nesting of parentheses in a query.
const MAX_NESTING: usize = 50;
/// Columns not shown in a table unless asked for by its other name.
const PACKET_BYTES: [&str; 3] = ["packet", "frame_header", "frame_sync"];

/// SQL over tables of Parquet files.
///
/// | table | rows |
/// |---|---|
/// | `ztf`, `lsst`, .. | one an alert: the survey's columns and the common ones |
/// | `alerts` | all surveys together, common columns only |
/// | `packets` | one a record received, without the packets' bytes |
/// | `packet_bytes` | the same with them |
/// | `forced`, `matches`, `quarantine`, .. | as the archive has them |
///
/// Calls block and must not come from async code.
pub struct Engine {
    context: SessionContext,
    runtime: Runtime,
    names: Names,
}

impl Engine {
    /// Makes the tables known. Queries hold no more memory than `budget` has, with those of all engines that share it.
    pub fn open(
        tables: &[TableSource],
        catalogs: &Catalogs,
        budget: &Budget,
    ) -> Result<Engine, QueryError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().min(8)))
            .enable_time()
            .thread_name("pitt-query")
            .thread_stack_size(STACK_BYTES)
            .build()
            .map_err(|source| QueryError::File {
                path: "query threads".into(),
                source,
            })?;
        let context = session(catalogs, budget)?;
        let mut engine = Engine {
            context,
            runtime,
            names: Names::default(),
        };
        engine.register(tables)?;
        engine.names = Names::of(engine.tables());
        Ok(engine)
    }

    fn register(&self, tables: &[TableSource]) -> Result<(), QueryError> {
        let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for table in tables {
            let name = match table.name.split_once('/') {
                Some(("alerts", survey)) => survey.to_string(),
                Some((group, part)) => format!("{group}_{part}"),
                None => table.name.clone(),
            };
            let hidden: &[&str] = if name == "packets" {
                &PACKET_BYTES
            } else {
                &[]
            };
            self.context
                .register_table(name.as_str(), Arc::new(FilesTable::new(table, hidden)?))?;
            if name == "packets" {
                self.context
                    .register_table("packet_bytes", Arc::new(FilesTable::new(table, &[])?))?;
            }
            if let Some((group, _)) = table.name.split_once('/') {
                groups.entry(group).or_default().push(name);
            }
        }
        for (group, parts) in groups {
            let view = self.runtime.block_on(self.union(group, &parts))?;
            self.context.register_table(group, view.into_view())?;
        }
        Ok(())
    }

    /// All parts of a group in one table: of `alerts` the common columns, of others those that every part has.
    async fn union(&self, group: &str, parts: &[String]) -> Result<DataFrame, QueryError> {
        let mut frames = Vec::new();
        for part in parts {
            frames.push(self.context.table(part.as_str()).await?);
        }
        let columns = shared_columns(group, &frames);
        let mut all: Option<DataFrame> = None;
        for frame in frames {
            let chosen: Vec<Expr> = columns
                .iter()
                .map(|field| column_or_null(&frame, field))
                .collect();
            let frame = frame.select(chosen)?;
            all = Some(match all {
                Some(before) => before.union(frame)?,
                None => frame,
            });
        }
        all.ok_or_else(|| QueryError::Batch(format!("table `{group}` has no parts")))
    }

    /// Runs one statement that only reads: `SELECT`, `DESCRIBE`, `EXPLAIN`, `SHOW TABLES`.
    pub fn query(&self, sql: &str, limits: &Limits) -> Result<Rows<'_>, QueryError> {
        self.run(&self.context, sql, limits)
    }

    /// The same over tables that have rows in memory besides those in files. They are this query's own.
    pub fn query_with(
        &self,
        rows: InMemory,
        sql: &str,
        limits: &Limits,
    ) -> Result<Rows<'_>, QueryError> {
        let mut state = self.context.state();
        state.config_mut().set_extension(Arc::new(rows));
        self.run(&SessionContext::new_with_state(state), sql, limits)
    }

    fn run(
        &self,
        context: &SessionContext,
        sql: &str,
        limits: &Limits,
    ) -> Result<Rows<'_>, QueryError> {
        let started = Instant::now();
        let running = async {
            let plan = self.plan(context, sql).await?;
            let frame = context.execute_logical_plan(plan).await?;
            let with = Arc::new(frame.task_ctx());
            let steps = patience::making_way(frame.create_physical_plan().await?)?;
            Ok::<_, QueryError>(execute_stream(steps, with)?)
        };
        let stream = self
            .runtime
            .block_on(async { tokio::time::timeout(limits.time, running).await });
        let stream = stream.map_err(|_| timeout(limits))??;
        Rows::new(&self.runtime, stream, limits, started)
    }

    /// Names and schemas of the tables, for listings and completion.
    pub fn tables(&self) -> Vec<(String, SchemaRef)> {
        let Some(schema) = self
            .context
            .catalog("datafusion")
            .and_then(|c| c.schema("public"))
        else {
            return Vec::new();
        };
        let mut names = schema.table_names();
        names.sort();
        let table = |name: String| {
            let table = self.runtime.block_on(schema.table(&name)).ok().flatten()?;
            Some((name, table.schema()))
        };
        names.into_iter().filter_map(table).collect()
    }

    async fn plan(&self, context: &SessionContext, sql: &str) -> Result<LogicalPlan, QueryError> {
        if sql.len() > MAX_QUERY_BYTES {
            return Err(QueryError::Sql(format!(
                "{} bytes long, at most {MAX_QUERY_BYTES} are allowed",
                sql.len()
            )));
        }
        growth::check_text(sql)?;
        let mut statements = DFParserBuilder::new(sql)
            .with_dialect(&AlertSql)
            .with_recursion_limit(MAX_NESTING)
            .build()?
            .parse_statements()?;
        let mut statement = match (statements.pop_front(), statements.is_empty()) {
            (Some(statement), true) => statement,
            (None, _) => return Err(QueryError::Sql("the query is empty".into())),
            _ => {
                return Err(QueryError::Sql(
                    "several statements (give one at a time)".into(),
                ));
            }
        };
        let word = statement
            .to_string()
            .split_whitespace()
            .next()
            .unwrap_or("this")
            .to_uppercase();
        growth::check_tables(&statement)?;
        self.names.settle(&mut statement)?;
        let planned = context.state().statement_to_plan(statement).await;
        let plan = planned.map_err(|error| self.names.explain(error.into()))?;
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        read_only
            .verify_plan(&plan)
            .map_err(|_| QueryError::ReadOnly {
                what: format!("`{word}`"),
            })?;
        growth::check(&plan)?;
        Ok(plan)
    }
}

fn session(catalogs: &Catalogs, budget: &Budget) -> Result<SessionContext, QueryError> {
    let mut config = SessionConfig::new().with_information_schema(true);
    config.options_mut().sql_parser.enable_ident_normalization = false;
    config.options_mut().execution.parquet.pushdown_filters = true;
    // One that doubles a text at each step would end only with the memory.
    config.options_mut().execution.enable_recursive_ctes = false;
    let environment = RuntimeEnvBuilder::new()
        .with_memory_pool(budget.0.clone())
        .build_arc()?;
    let context = SessionContext::new_with_config_rt(config, environment);
    for name in REFUSED_FUNCTIONS {
        context.deregister_udf(name);
        context.deregister_udtf(name);
    }
    for function in named_functions() {
        context.register_udf(function);
    }
    let mut registry = context.clone();
    registry.register_function_rewrite(Arc::new(BindCalls {
        catalogs: catalogs.clone(),
    }))?;
    Ok(context)
}
