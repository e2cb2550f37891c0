//! The one statement that a filter may be: a plain SELECT from `alerts`.

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, Query, Select, SelectItem, SetExpr, Spanned, Statement, TableFactor,
};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::syntax::{syntax, trailing};
use super::{Fault, OutputColumn, Parsed, Projection, parser, refuse_second_statement};
use crate::error::FilterProblem;

pub(super) fn statement(tokens: Vec<TokenWithSpan>, first: Span) -> Result<Parsed, Fault> {
    let tokens = refuse_second_statement(tokens)?;
    let mut parser = parser(tokens);
    let parsed = parser.parse_statement();
    let query = match parsed {
        Ok(Statement::Query(query)) => query,
        Ok(other) => return Err(no_select(&other.to_string(), first)),
        Err(error) => return Err(syntax(&parser, &error)),
    };
    let next = parser.peek_token();
    if !matches!(next.token, Token::EOF | Token::SemiColon) {
        return Err(trailing(&next));
    }
    select(*query, first)
}

fn no_select(statement: &str, first: Span) -> Fault {
    let word = statement
        .split_whitespace()
        .next()
        .unwrap_or("this")
        .to_uppercase();
    Fault::not_allowed(
        first,
        format!("`{word}`"),
        "a filter only reads: write `SELECT .. FROM alerts WHERE ..`",
    )
}

/// Lets through one plain SELECT from `alerts`.
fn select(query: Query, first: Span) -> Result<Parsed, Fault> {
    let refuse =
        |span: Span, what: &str, instead: &str| Err(Fault::not_allowed(span, what, instead));
    if query.with.is_some() {
        return refuse(first, "`WITH`", "write the expression where it is used");
    }
    if let Some(order) = &query.order_by {
        return refuse(
            order.span(),
            "`ORDER BY`",
            "matches come in the order of the alerts",
        );
    }
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return refuse(
            first,
            "`LIMIT`",
            "make the predicate narrower; every alert is judged by itself",
        );
    }
    let rest = !query.locks.is_empty()
        || query.for_clause.is_some()
        || query.settings.is_some()
        || query.format_clause.is_some()
        || !query.pipe_operators.is_empty();
    let SetExpr::Select(select) = *query.body else {
        return refuse(first, "a union of queries", "join the predicates with `OR`");
    };
    refuse_clauses(&select, rest, first)?;
    check_source(&select, first)?;
    let Some(predicate) = select.selection else {
        let message = "no `WHERE` (a filter needs a predicate: `SELECT .. FROM alerts WHERE ..`)";
        return Err(Fault::at(
            first,
            FilterProblem::Syntax {
                message: message.into(),
            },
        ));
    };
    Ok(Parsed {
        predicate,
        projection: projection(select.projection)?,
    })
}

fn refuse_clauses(select: &Select, rest: bool, first: Span) -> Result<(), Fault> {
    let refuse =
        |span: Span, what: &str, instead: &str| Err(Fault::not_allowed(span, what, instead));
    let grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(exprs, modifiers) => !exprs.is_empty() || !modifiers.is_empty(),
    };
    if grouped {
        return refuse(
            select.group_by.span(),
            "`GROUP BY`",
            "a filter sees one alert at a time; use `pitt query` for statistics",
        );
    }
    if let Some(having) = &select.having {
        return refuse(having.span(), "`HAVING`", "put the condition into `WHERE`");
    }
    if select.distinct.is_some() {
        return refuse(first, "`DISTINCT`", "every alert is judged by itself");
    }
    let other = select.top.is_some()
        || select.into.is_some()
        || !select.lateral_views.is_empty()
        || select.prewhere.is_some()
        || !select.connect_by.is_empty()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
        || !select.named_window.is_empty()
        || select.qualify.is_some()
        || select.exclude.is_some()
        || select.value_table_mode.is_some()
        || select.select_modifiers.is_some();
    match other || rest {
        true => refuse(
            first,
            "this clause",
            "write only `SELECT .. FROM alerts WHERE ..`",
        ),
        false => Ok(()),
    }
}

fn check_source(select: &Select, first: Span) -> Result<(), Fault> {
    let [from] = select.from.as_slice() else {
        let what = if select.from.is_empty() {
            "a `SELECT` without `FROM`"
        } else {
            "more than one table"
        };
        return Err(Fault::not_allowed(first, what, "write `FROM alerts`"));
    };
    if let Some(join) = from.joins.first() {
        return Err(Fault::not_allowed(
            join.span(),
            "a join",
            "match positions with `match('catalog', radius_arcsec)`",
        ));
    }
    match &from.relation {
        TableFactor::Table {
            name,
            alias: None,
            args: None,
            sample: None,
            version: None,
            ..
        } => {
            let is_alerts = name.0.len() == 1
                && name.0[0]
                    .as_ident()
                    .is_some_and(|ident| ident.value.eq_ignore_ascii_case("alerts"));
            match is_alerts {
                true => Ok(()),
                false => Err(Fault::not_allowed(
                    name.span(),
                    format!("the table `{name}`"),
                    "a filter reads `FROM alerts`",
                )),
            }
        }
        TableFactor::Table { name, .. } => Err(Fault::not_allowed(
            name.span(),
            "an alias or option of the table",
            "write `FROM alerts`",
        )),
        other => Err(Fault::not_allowed(
            other.span(),
            "a subquery",
            "a filter reads `FROM alerts`",
        )),
    }
}

fn projection(items: Vec<SelectItem>) -> Result<Projection, Fault> {
    let mut columns: Vec<OutputColumn> = Vec::new();
    let count = items.len();
    for item in items {
        let span = item.span();
        let (expr, alias) = match item {
            SelectItem::Wildcard(_) if count == 1 => return Ok(Projection::All),
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
            _ => {
                return Err(Fault::not_allowed(
                    span,
                    "`*` beside other columns",
                    "write `SELECT *` alone, or the columns",
                ));
            }
        };
        let name = alias.map_or_else(|| output_name(&expr), |alias: Ident| alias.value);
        if columns.iter().any(|column| column.name == name) {
            return Err(Fault::not_allowed(
                span,
                format!("a second column `{name}`"),
                "give it another name with `AS`",
            ));
        }
        columns.push(OutputColumn { name, expr });
    }
    Ok(Projection::Columns(columns))
}

/// The name of an output column without `AS`: the last part of a column, else the text of the expression.
fn output_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        Expr::CompoundIdentifier(parts) => {
            parts.last().map(|p| p.value.clone()).unwrap_or_default()
        }
        other => other.to_string(),
    }
}
