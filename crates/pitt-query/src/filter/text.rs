//! From the text of a filter to its predicate and columns, within stated bounds and with nothing else let through.

mod select;
mod syntax;

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use crate::dialect::AlertSql;
use crate::error::FilterProblem;
use select::statement;
use syntax::{syntax, trailing};

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
    /// Where in the text.
    pub(crate) span: Span,
    /// What.
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
    /// Name in the output.
    pub(crate) name: String,
    /// What it is.
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
    /// What must be true of an alert; null counts as false.
    pub(crate) predicate: Expr,
    /// What is given of one that matches.
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
