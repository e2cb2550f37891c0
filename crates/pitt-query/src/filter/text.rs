//! From the text of a filter to its predicate and columns, within stated bounds and with nothing else let through.

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, Query, Select, SelectItem, SetExpr, Spanned, Statement, TableFactor,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use crate::dialect::AlertSql;
use crate::error::FilterProblem;

/// Longest text of a filter `[bytes]`.
pub const MAX_TEXT_BYTES: usize = 65_536;
/// Most words, operators and literals of a filter.
pub const MAX_TOKENS: usize = 16_384;
/// Most words and operators; literals, commas and parentheses do not count.
pub const MAX_OPERATORS: usize = 2_000;
/// Deepest nesting of parentheses and calls.
pub const MAX_PARENTHESES: usize = 50;

/// A problem with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) problem: FilterProblem,
}

impl Fault {
    pub(crate) fn at(span: Span, problem: FilterProblem) -> Fault {
        Fault { span, problem }
    }

    pub(crate) fn not_allowed(
        span: Span,
        what: impl Into<String>,
        instead: impl Into<String>,
    ) -> Fault {
        let problem = FilterProblem::NotAllowed {
            what: what.into(),
            instead: instead.into(),
        };
        Fault { span, problem }
    }
}

/// One column of the output of a filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutputColumn {
    pub(crate) name: String,
    pub(crate) expr: Expr,
}

/// What a filter gives for a match.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Projection {
    /// The common columns without the lists (a bare predicate).
    Usual,
    /// `SELECT *`: every column.
    All,
    /// The columns written out.
    Columns(Vec<OutputColumn>),
}

/// A filter taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) predicate: Expr,
    pub(crate) projection: Projection,
}

/// Parses `SELECT .. FROM alerts WHERE ..` or a bare predicate.
pub(crate) fn parse(text: &str) -> Result<Parsed, Fault> {
    let tokens = tokens(text)?;
    let first = tokens
        .iter()
        .find(|t| !matches!(t.token, Token::Whitespace(_)));
    let Some(first) = first else {
        let message =
            "the filter is empty (write a predicate, for example `candidate.magpsf < 18`)";
        return Err(Fault::at(
            Span::empty(),
            FilterProblem::Syntax {
                message: message.into(),
            },
        ));
    };
    if starts_statement(&first.token) {
        let span = first.span;
        return statement(tokens, span);
    }
    let tokens = refuse_second_statement(tokens)?;
    let mut parser = parser(tokens);
    let predicate = parser
        .parse_expr()
        .map_err(|error| syntax(&parser, &error))?;
    let next = parser.peek_token();
    if !matches!(next.token, Token::EOF | Token::SemiColon) {
        return Err(trailing(&next));
    }
    Ok(Parsed {
        predicate,
        projection: Projection::Usual,
    })
}

fn parser(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&AlertSql)
        .with_recursion_limit(MAX_PARENTHESES)
        .with_tokens_with_locations(tokens)
}

fn starts_statement(token: &Token) -> bool {
    const STATEMENTS: [&str; 32] = [
        "SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "DROP", "ALTER",
        "TRUNCATE", "COPY", "SET", "RESET", "EXPLAIN", "DESCRIBE", "SHOW", "VACUUM", "GRANT",
        "REVOKE", "CALL", "EXECUTE", "PREPARE", "BEGIN", "COMMIT", "ROLLBACK", "ATTACH", "DETACH",
        "INSTALL", "LOAD", "PRAGMA", "USE", "VALUES",
    ];
    matches!(token, Token::Word(word) if word.quote_style.is_none()
        && STATEMENTS.contains(&word.value.to_uppercase().as_str()))
}

/// Splits the text and holds it to the bounds, before anything recurses over it.
fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, Fault> {
    let advice = "put long lists of objects into a catalog and use `match`";
    bound("text in bytes", text.len(), MAX_TEXT_BYTES, advice)?;
    let tokens = Tokenizer::new(&AlertSql, text)
        .tokenize_with_location()
        .map_err(|error| {
            let span = Span::new(error.location, error.location);
            Fault::at(
                span,
                FilterProblem::Syntax {
                    message: format!("{} (is a quote missing?)", error.message),
                },
            )
        })?;
    let solid = || {
        tokens
            .iter()
            .map(|t| &t.token)
            .filter(|t| !matches!(t, Token::Whitespace(_)))
    };
    bound(
        "words, operators and literals",
        solid().count(),
        MAX_TOKENS,
        advice,
    )?;
    let operators = solid().filter(|t| {
        !matches!(
            t,
            Token::Comma
                | Token::Number(..)
                | Token::SingleQuotedString(_)
                | Token::LParen
                | Token::RParen
        )
    });
    bound(
        "words and operators",
        operators.count(),
        MAX_OPERATORS,
        "split the filter, or use `IN (..)`",
    )?;
    Ok(tokens)
}

pub(crate) fn bound(
    what: &'static str,
    found: usize,
    limit: usize,
    advice: &'static str,
) -> Result<(), Fault> {
    match found > limit {
        true => Err(Fault::at(
            Span::empty(),
            FilterProblem::TooLarge {
                what,
                found,
                limit,
                advice,
            },
        )),
        false => Ok(()),
    }
}

/// Refuses text after a semicolon.
fn refuse_second_statement(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, Fault> {
    let mut ended = false;
    for token in &tokens {
        match &token.token {
            Token::SemiColon => ended = true,
            Token::Whitespace(_) | Token::EOF => {}
            _ if ended => {
                return Err(Fault::not_allowed(
                    token.span,
                    "a second statement",
                    "keep one filter in a file",
                ));
            }
            _ => {}
        }
    }
    Ok(tokens)
}

fn statement(tokens: Vec<TokenWithSpan>, first: Span) -> Result<Parsed, Fault> {
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

fn trailing(next: &TokenWithSpan) -> Fault {
    let message = format!(
        "`{}` is out of place (expected the end, `AND`, `OR` or an operator)",
        next.token
    );
    Fault::at(next.span, FilterProblem::Syntax { message })
}

/// The next token, or the last one where the text ends too early.
fn here(parser: &Parser) -> Span {
    let next = parser.peek_token_ref();
    if next.token != Token::EOF {
        return next.span;
    }
    let solid = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_) | Token::EOF);
    let seen = (0..parser.index()).rev().map(|i| parser.token_at(i));
    seen.into_iter()
        .find(solid)
        .map_or(Span::empty(), |token| token.span)
}

/// The parser's message, with the place it speaks of.
fn syntax(parser: &Parser, error: &ParserError) -> Fault {
    let here = here(parser);
    match error {
        ParserError::RecursionLimitExceeded => Fault::at(
            here,
            FilterProblem::TooLarge {
                what: "nested parentheses and calls",
                found: MAX_PARENTHESES + 1,
                limit: MAX_PARENTHESES,
                advice: "write it flatter",
            },
        ),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            let (message, place) = split_place(message);
            let span = place.map_or(here, |place| Span::new(place, place));
            Fault::at(
                span,
                FilterProblem::Syntax {
                    message: format!("{message} (see `docs/filters.md` for the form of a filter)"),
                },
            )
        }
    }
}

/// Splits `.. at Line: 3, Column: 7` off a message of the parser.
fn split_place(message: &str) -> (String, Option<Location>) {
    let Some((text, place)) = message.rsplit_once(" at Line: ") else {
        return (message.trim().to_string(), None);
    };
    let numbers: Option<(u64, u64)> = place
        .split_once(", Column: ")
        .and_then(|(line, column)| Some((line.trim().parse().ok()?, column.trim().parse().ok()?)));
    (
        text.trim().to_string(),
        numbers.map(|(line, column)| Location { line, column }),
    )
}
