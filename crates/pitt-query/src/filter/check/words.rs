//! The words of refusals, and what literals and constants are.

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Spanned, UnaryOperator, Value};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::Kind;
use crate::error::FilterProblem;
use crate::filter::builtin::Class;
use crate::filter::text::Fault;

pub(super) fn wrong_type(span: Span, problem: String, advice: &str) -> Fault {
    Fault::at(
        span,
        FilterProblem::WrongType {
            problem,
            advice: advice.into(),
        },
    )
}

/// Refuses what has no rule of its own.
pub(super) fn refused(expr: &Expr) -> Fault {
    let (what, instead) = match expr {
        Expr::Subquery(_)
        | Expr::InSubquery { .. }
        | Expr::Exists { .. }
        | Expr::InUnnest { .. } => (
            "a subquery",
            "a filter sees one alert at a time; for lists of positions use `match`",
        ),
        Expr::SimilarTo { .. } | Expr::RLike { .. } => ("a regular expression", "use `LIKE`"),
        Expr::Interval(_)
        | Expr::TypedString(_)
        | Expr::Extract { .. }
        | Expr::AtTimeZone { .. } => (
            "a date",
            "times are numbers: days since MJD 0 (`mjd_tai`), nights as YYYYMMDD (`night`)",
        ),
        _ => (
            "this expression",
            "use comparisons, arithmetic and the functions of `pitt filter functions`",
        ),
    };
    Fault::not_allowed(expr.span(), what, instead)
}

pub(super) fn literal(value: &Value, span: Span) -> Result<Kind, Fault> {
    match value {
        Value::Number(..) => Ok(Kind::Of(DataType::Float64)),
        Value::SingleQuotedString(_) => Ok(Kind::Of(DataType::Utf8)),
        Value::Boolean(_) => Ok(Kind::Of(DataType::Boolean)),
        Value::Null => Ok(Kind::Of(DataType::Null)),
        Value::Placeholder(text) => Err(Fault::not_allowed(
            span,
            format!("the placeholder `{text}`"),
            "write the value",
        )),
        other => Err(Fault::not_allowed(
            span,
            format!("the literal {other}"),
            "use numbers and texts in single quotes",
        )),
    }
}

/// The value of an expression of numbers alone.
pub(super) fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => text.parse().ok(),
            _ => None,
        },
        Expr::Nested(inner) => constant(inner),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => constant(expr).map(|v| -v),
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (constant(left)?, constant(right)?);
            match op {
                BinaryOperator::Plus => Some(left + right),
                BinaryOperator::Minus => Some(left - right),
                BinaryOperator::Multiply => Some(left * right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// An expression in a message: in backticks, and short.
pub(super) fn shown(expr: &Expr) -> String {
    let text = match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        other => other.to_string().replace('"', ""),
    };
    match text.chars().count() > 60 {
        true => format!("`{}…`", text.chars().take(60).collect::<String>()),
        false => format!("`{text}`"),
    }
}

pub(super) fn advice(left: Class, right: Class) -> &'static str {
    match (left, right) {
        (Class::Number, Class::Text) => "write the number without quotes",
        (Class::Text, Class::Number) => "write text in single quotes",
        (Class::Truth, _) | (_, Class::Truth) => "a true or false value needs no comparison",
        (Class::List, _) | (_, Class::List) => "compare one element, as `list[1]`",
        (Class::Struct, _) | (_, Class::Struct) => "compare one of the columns inside",
        _ => "compare values of one type",
    }
}
