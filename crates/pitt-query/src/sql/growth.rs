//! What a query may make of little: how large a value may become, and how large the query itself.
//!
//! The memory of sorts, joins and groups is counted while they run, that of a single expression is not: `s || s` in ten steps
//! makes a gigabyte of a name. So the size that a text, a list or a structure can reach is reckoned from the plan, and a
//! query in which it is too large is refused before anything is computed, constants included.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction, WindowFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, Visit, Visitor, visit_relations};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::dialect::AlertSql;
use crate::error::QueryError;

/// Functions that make a value of any size from a number; queries do without them.
pub(super) const REFUSED_FUNCTIONS: [&str; 7] = [
    "repeat",
    "lpad",
    "rpad",
    "array_repeat",
    "array_resize",
    "range",
    "generate_series",
];
/// Functions that put one argument wherever another has something: the size of the result is a product. With the place of the
/// first argument that is put in.
const MULTIPLYING: [(&str, usize); 6] = [
    ("replace", 2),
    ("array_replace", 2),
    ("array_replace_n", 2),
    ("array_replace_all", 2),
    ("array_to_string", 1),
    ("concat_ws", 0),
];
/// Aggregates that keep all values.
const GATHERING: [&str; 2] = ["array_agg", "string_agg"];

/// Size that a text, list or structure of a table counts as `[bytes]`.
const OF_COLUMN: u64 = 64;
/// Size that what an aggregate gathers counts as; its memory is counted while it runs `[bytes]`.
const GATHERED: u64 = 1024;
/// Size of a number, a time or a truth value `[bytes]`.
const FIXED: u64 = 8;
/// Largest value that may come about `[bytes]`: of a batch of rows that is a hundred megabytes.
const MOST_BYTES: u64 = 16 << 10;
/// Most tables of a statement.
const MOST_TABLES: u64 = 200;
/// Most steps of a plan. Tables named in a `WITH` count wherever they are used, since they are computed there.
const MOST_STEPS: usize = 1000;
/// Most steps upon one another: planning recurs.
const DEEPEST: usize = 100;

/// Most words and operators of a query; literals, commas and parentheses do not count. A chain of them is as deep as it is long,
/// and not everything that recurs over it watches its stack.
const MOST_OPERATORS: usize = 1000;

/// Refuses a text that is too much for whoever recurs over it.
///
/// # Errors
/// It has too many words and operators.
pub(super) fn check_text(sql: &str) -> Result<(), QueryError> {
    // What is no SQL at all, the parser says better.
    let tokens = Tokenizer::new(&AlertSql, sql)
        .tokenize()
        .unwrap_or_default();
    let counts = |token: &&Token| {
        !matches!(
            token,
            Token::Whitespace(_)
                | Token::Comma
                | Token::Number(..)
                | Token::SingleQuotedString(_)
                | Token::LParen
                | Token::RParen
        )
    };
    let found = tokens.iter().filter(counts).count();
    match found > MOST_OPERATORS {
        true => Err(refused(format!(
            "it has {found} words and operators, at most {MOST_OPERATORS} are allowed (use `IN (..)`, or split it)"
        ))),
        false => Ok(()),
    }
}

/// Refuses a statement that would be large only once it is planned: where a table of a `WITH` is named, all of it stands again.
///
/// # Errors
/// It reads too many tables.
pub(super) fn check_tables(statement: &Statement) -> Result<(), QueryError> {
    let sql = match statement {
        Statement::Statement(sql) => sql,
        Statement::Explain(explain) => return check_tables(&explain.statement),
        _ => return Ok(()),
    };
    let mut tables = Tables::default();
    let _ = sql.visit(&mut tables);
    match tables.most > MOST_TABLES {
        true => Err(refused(format!(
            "it reads more than {MOST_TABLES} tables (one named in `WITH` counts, with what it reads, wherever it is used)"
        ))),
        false => Ok(()),
    }
}

/// How many tables are read.
#[derive(Default)]
struct Tables {
    /// By each name of a `WITH`, in lower case: more names than there are may be meant, never fewer.
    named: HashMap<String, u64>,
    most: u64,
}

impl Tables {
    fn read_by(&mut self, query: &Query) -> u64 {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            let read = self.read_by(&table.query).max(1);
            self.named
                .insert(table.alias.name.value.to_lowercase(), read);
        }
        let mut read: u64 = 0;
        let _ = visit_relations(query, |name| {
            let name = name.to_string().replace('"', "").to_lowercase();
            read = read.saturating_add(self.named.get(&name).copied().unwrap_or(1));
            ControlFlow::<()>::Continue(())
        });
        read
    }
}

impl Visitor for Tables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.most = self.most.max(self.read_by(query));
        match self.most > MOST_TABLES {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// Refuses a plan that could make more of a row than memory holds.
///
/// # Errors
/// A value or the plan itself could become too large.
pub(super) fn check(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut growth = Growth { steps: 0 };
    growth.plan(plan, 0).map(|_| ())
}

fn refused(what: String) -> QueryError {
    QueryError::Sql(what)
}

struct Growth {
    steps: usize,
}

impl Growth {
    /// The largest value among the columns of a plan `[bytes]`.
    fn plan(&mut self, plan: &LogicalPlan, depth: usize) -> Result<u64, QueryError> {
        self.steps += 1;
        if self.steps > MOST_STEPS || depth > DEEPEST {
            return Err(refused(format!(
                "it has more than {MOST_STEPS} steps, or {DEEPEST} upon one another (a table named in `WITH` counts \
                 wherever it is used)"
            )));
        }
        let inputs = plan.inputs();
        let mut largest = if inputs.is_empty() { OF_COLUMN } else { FIXED };
        for input in inputs {
            largest = largest.max(self.plan(input, depth + 1)?);
        }
        let from = largest;
        for expr in plan.expressions() {
            largest = largest.max(self.expr(&expr, plan, from, depth)?);
        }
        Ok(largest)
    }

    /// The size of an expression's value, over columns of this size.
    fn expr(
        &mut self,
        expr: &Expr,
        plan: &LogicalPlan,
        column: u64,
        depth: usize,
    ) -> Result<u64, QueryError> {
        let parts = self.parts(expr, plan, column, depth)?;
        let sum = sum(&parts);
        let size = match expr {
            Expr::Literal(value, _) => literal(value),
            Expr::ScalarFunction(call) => called(call, &parts),
            Expr::AggregateFunction(AggregateFunction { func, .. }) if gathers(func.name()) => {
                sum.saturating_add(GATHERED)
            }
            Expr::WindowFunction(call) => windowed(call, sum)?,
            _ if parts.is_empty() => column,
            _ => sum,
        };
        if is_fixed(expr, plan) {
            return Ok(FIXED);
        }
        if size > MOST_BYTES {
            let shown: String = expr.to_string().chars().take(60).collect();
            return Err(refused(format!(
                "`{shown}` could become larger than {MOST_BYTES} bytes in each row (put fewer or shorter texts together)"
            )));
        }
        Ok(size)
    }

    /// The sizes of an expression's parts, in their order; those of a subquery are its columns.
    fn parts(
        &mut self,
        expr: &Expr,
        plan: &LogicalPlan,
        column: u64,
        depth: usize,
    ) -> Result<Vec<u64>, QueryError> {
        let mut parts = vec![];
        let mut failed = None;
        let inner = match expr {
            Expr::ScalarSubquery(inner) => Some(inner),
            Expr::Exists(exists) => Some(&exists.subquery),
            Expr::InSubquery(within) => Some(&within.subquery),
            Expr::SetComparison(set) => Some(&set.subquery),
            _ => None,
        };
        if let Some(inner) = inner {
            parts.push(self.plan(&inner.subquery, depth + 1)?);
        }
        expr.apply_children(|part| {
            Ok(match self.expr(part, plan, column, depth) {
                Ok(size) => {
                    parts.push(size);
                    TreeNodeRecursion::Continue
                }
                Err(error) => {
                    failed = Some(error);
                    TreeNodeRecursion::Stop
                }
            })
        })?;
        failed.map_or(Ok(parts), Err)
    }
}

fn gathers(name: &str) -> bool {
    GATHERING.contains(&name)
}

fn sum(parts: &[u64]) -> u64 {
    let all = parts.iter();
    all.fold(0, |sum: u64, part| sum.saturating_add(*part))
}

/// The size of a function's result, from those of its arguments.
fn called(call: &ScalarFunction, parts: &[u64]) -> u64 {
    let name = call.func.name();
    if let Some((_, from)) = MULTIPLYING.iter().find(|(known, _)| *known == name) {
        let put_in = sum(parts.get(*from..).unwrap_or_default());
        let among = sum(parts.get(..(*from).max(1)).unwrap_or_default());
        return match name {
            "concat_ws" => put_in.saturating_add(among.saturating_mul(parts.len() as u64)),
            _ => among
                .saturating_add(1)
                .saturating_mul(put_in.saturating_add(1)),
        };
    }
    sum(parts)
}

/// What gathers all values before a row would do so for every row.
fn windowed(call: &WindowFunction, sum: u64) -> Result<u64, QueryError> {
    let name = call.fun.name();
    match gathers(name) {
        true => Err(refused(format!(
            "`{name}` with `OVER` gathers too much (group by instead)"
        ))),
        false => Ok(sum),
    }
}

fn literal(value: &ScalarValue) -> u64 {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => {
            text.as_ref().map_or(0, |text| text.len() as u64)
        }
        other => other.size() as u64,
    }
}

/// Whether all values of an expression have one size: numbers, times, truth values.
fn is_fixed(expr: &Expr, plan: &LogicalPlan) -> bool {
    let fixed = |kind: PlanResult<DataType>| {
        kind.is_ok_and(|kind| kind.is_primitive() || kind == DataType::Boolean || kind.is_null())
    };
    let inputs = plan.inputs();
    match inputs.as_slice() {
        [] => fixed(expr.get_type(plan.schema().as_ref())),
        [input] => fixed(expr.get_type(input.schema().as_ref())),
        _ => inputs
            .iter()
            .any(|input| fixed(expr.get_type(input.schema().as_ref()))),
    }
}
