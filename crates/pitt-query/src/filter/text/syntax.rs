//! What is wrong with a text that the parser does not take, in words for people.

use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use super::{Fault, MAX_PARENTHESES};
use crate::error::FilterProblem;

pub(super) fn trailing(next: &TokenWithSpan) -> Fault {
    let message = format!(
        "`{}` is out of place (expected the end, `AND`, `OR` or an operator)",
        next.token
    );
    Fault::at(next.span, FilterProblem::Syntax { message })
}

/// The next token, or the last one where the text ends too early.
pub(super) fn here(parser: &Parser) -> Span {
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
pub(super) fn syntax(parser: &Parser, error: &ParserError) -> Fault {
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
