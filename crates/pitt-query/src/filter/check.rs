//! Checks an expression node by node: what is allowed, which column and function is meant, which types meet.
//!
//! Every column is replaced by one quoted name, the path of the column (`"candidate.magpsf"`), so that later steps see a
//! flat table of exactly the columns in use.

mod calls;
mod names;
mod words;

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::sql::sqlparser::ast::{BinaryOperator, CastKind, Expr, Spanned, UnaryOperator};

use self::words::{advice, constant, literal, refused, shown, wrong_type};
use super::builtin::Class;
use super::columns::Found;
use super::text::{Fault, bound};
use crate::catalog::Catalogs;
use crate::error::FilterProblem;

/// Most nodes of an expression, elements of `IN` lists not counted.
pub const MAX_NODES: usize = 1_000;
/// Deepest nesting of an expression; a chain of `AND` counts as one level per part.
pub const MAX_DEPTH: usize = 128;

/// Type of an expression: what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Of(DataType),
    Class(Class),
}

impl Kind {
    pub(crate) fn class(&self) -> Class {
        match self {
            Kind::Class(class) => *class,
            Kind::Of(data_type) => class_of(data_type),
        }
    }
}

fn class_of(data_type: &DataType) -> Class {
    match data_type {
        DataType::Null => Class::Any,
        DataType::Boolean => Class::Truth,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Class::Text,
        DataType::Dictionary(_, values) => class_of(values),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => Class::List,
        DataType::Struct(_) => Class::Struct,
        numeric if numeric.is_numeric() => Class::Number,
        _ => Class::Other,
    }
}

/// The columns an expression reads: path and type by the flat name.
pub(crate) type Used = BTreeMap<String, Found>;

/// Walks expressions and collects the columns they read.
pub(crate) struct Checker<'a> {
    /// The columns there are; `None` checks everything else.
    pub(crate) fields: Option<&'a Fields>,
    /// The catalogs there are; `None` checks everything else.
    pub(crate) catalogs: Option<&'a Catalogs>,
    pub(crate) used: Used,
    nodes: usize,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(fields: Option<&'a Fields>, catalogs: Option<&'a Catalogs>) -> Checker<'a> {
        Checker {
            fields,
            catalogs,
            used: Used::new(),
            nodes: 0,
        }
    }

    /// Checks a predicate; its value must be true or false.
    pub(crate) fn predicate(&mut self, expr: &mut Expr) -> Result<(), Fault> {
        let class = self.walk(expr, 0)?.class();
        match class.fits(Class::Truth) {
            true => Ok(()),
            false => Err(wrong_type(
                expr.span(),
                format!("the predicate is {}, not true or false", class.words()),
                "compare it with something, for example `.. > 0`",
            )),
        }
    }

    /// Checks an expression of any type.
    pub(crate) fn walk(&mut self, expr: &mut Expr, depth: usize) -> Result<Kind, Fault> {
        self.nodes += 1;
        bound(
            "nested expressions",
            depth,
            MAX_DEPTH,
            "use `IN (..)` or split the filter",
        )?;
        bound("expressions", self.nodes, MAX_NODES, "split the filter")?;
        let next = depth + 1;
        match expr {
            Expr::Value(value) => literal(&value.value, value.span),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.column(expr),
            Expr::CompoundFieldAccess { .. } => self.access(expr, next),
            Expr::Nested(inner) => self.walk(inner, next),
            Expr::UnaryOp { .. } => self.unary(expr, next),
            Expr::BinaryOp { .. } => self.binary(expr, next),
            Expr::Function(call) => self.function(call, next),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => self.any(inner, next),
            Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner) => {
                self.expect(inner, Class::Truth, "`IS TRUE` and its kin", next)?;
                Ok(Kind::Of(DataType::Boolean))
            }
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.compare(left, [right], next)
            }
            Expr::Between {
                expr, low, high, ..
            } => self.compare(expr, [low, high], next),
            Expr::InList { expr, list, .. } => self.in_list(expr, list, next),
            Expr::Like {
                any: false,
                expr,
                pattern,
                ..
            }
            | Expr::ILike {
                any: false,
                expr,
                pattern,
                ..
            } => {
                self.expect(expr, Class::Text, "`LIKE`", next)?;
                self.expect(pattern, Class::Text, "`LIKE`", next)?;
                Ok(Kind::Of(DataType::Boolean))
            }
            Expr::Case { .. } => self.case(expr, next),
            Expr::Cast { .. } => self.cast(expr, next),
            Expr::Floor { expr, .. } | Expr::Ceil { expr, .. } => {
                self.expect(expr, Class::Number, "rounding", next)?;
                Ok(Kind::Of(DataType::Float64))
            }
            other => Err(refused(other)),
        }
    }
}

impl Checker<'_> {
    fn any(&mut self, expr: &mut Expr, depth: usize) -> Result<Kind, Fault> {
        self.walk(expr, depth)?;
        Ok(Kind::Of(DataType::Boolean))
    }

    fn expect(
        &mut self,
        expr: &mut Expr,
        wanted: Class,
        what: &str,
        depth: usize,
    ) -> Result<Kind, Fault> {
        let kind = self.walk(expr, depth)?;
        match kind.class().fits(wanted) {
            true => Ok(kind),
            false => Err(wrong_type(
                expr.span(),
                format!(
                    "{what} takes {}, but {} is {}",
                    wanted.words(),
                    shown(expr),
                    kind.class().words()
                ),
                "check the column, or convert it",
            )),
        }
    }

    /// Checks that values can be compared with the first.
    fn compare<const N: usize>(
        &mut self,
        left: &mut Expr,
        others: [&mut Box<Expr>; N],
        depth: usize,
    ) -> Result<Kind, Fault> {
        let class = self.walk(left, depth)?.class();
        for right in others {
            let other = self.walk(right, depth)?.class();
            let comparable =
                class.fits(other) && !matches!(class, Class::List | Class::Struct | Class::Other);
            if !comparable {
                return Err(wrong_type(
                    left.span().union(&right.span()),
                    format!(
                        "{} is {}, {} is {}",
                        shown(left),
                        class.words(),
                        shown(right),
                        other.words()
                    ),
                    advice(class, other),
                ));
            }
        }
        Ok(Kind::Of(DataType::Boolean))
    }

    fn in_list(&mut self, expr: &mut Expr, list: &mut [Expr], depth: usize) -> Result<Kind, Fault> {
        let class = self.walk(expr, depth)?.class();
        for item in list {
            let other = match item {
                Expr::Value(value) => literal(&value.value, value.span)?.class(),
                _ => self.walk(item, depth)?.class(),
            };
            if !class.fits(other) {
                let problem = format!(
                    "{} is {}, {} is {}",
                    shown(expr),
                    class.words(),
                    shown(item),
                    other.words()
                );
                return Err(wrong_type(item.span(), problem, advice(class, other)));
            }
        }
        Ok(Kind::Of(DataType::Boolean))
    }

    fn unary(&mut self, expr: &mut Expr, depth: usize) -> Result<Kind, Fault> {
        let span = expr.span();
        let Expr::UnaryOp { op, expr: inner } = expr else {
            return Err(refused(expr));
        };
        match op {
            UnaryOperator::Not => self.expect(inner, Class::Truth, "`NOT`", depth),
            UnaryOperator::Plus | UnaryOperator::Minus => {
                self.expect(inner, Class::Number, "a sign", depth)
            }
            other => Err(Fault::not_allowed(
                span,
                format!("the operator `{other}`"),
                "use a function or plain arithmetic",
            )),
        }
    }

    fn binary(&mut self, expr: &mut Expr, depth: usize) -> Result<Kind, Fault> {
        let span = expr.span();
        let Expr::BinaryOp { left, op, right } = expr else {
            return Err(refused(expr));
        };
        match op {
            BinaryOperator::And | BinaryOperator::Or => {
                self.expect(left, Class::Truth, &format!("`{op}`"), depth)?;
                self.expect(right, Class::Truth, &format!("`{op}`"), depth)?;
                Ok(Kind::Of(DataType::Boolean))
            }
            BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq => self.compare(left, [right], depth),
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::BitwiseAnd
            | BinaryOperator::BitwiseOr => {
                self.expect(left, Class::Number, &format!("`{op}`"), depth)?;
                self.expect(right, Class::Number, &format!("`{op}`"), depth)?;
                let divides = matches!(op, BinaryOperator::Divide | BinaryOperator::Modulo);
                if divides && constant(right) == Some(0.0) {
                    return Err(Fault::at(right.span(), FilterProblem::DivisionByZero));
                }
                Ok(Kind::Class(Class::Number))
            }
            BinaryOperator::StringConcat => {
                self.expect(left, Class::Text, "`||`", depth)?;
                self.expect(right, Class::Text, "`||`", depth)?;
                Ok(Kind::Of(DataType::Utf8))
            }
            other => Err(Fault::not_allowed(
                span,
                format!("the operator `{other}`"),
                "use `LIKE`, a comparison or arithmetic",
            )),
        }
    }

    fn case(&mut self, expr: &mut Expr, depth: usize) -> Result<Kind, Fault> {
        let Expr::Case {
            operand,
            conditions,
            else_result,
            ..
        } = expr
        else {
            return Err(refused(expr));
        };
        let wanted = match operand {
            Some(operand) => self.walk(operand, depth)?.class(),
            None => Class::Truth,
        };
        let mut result = Kind::Class(Class::Any);
        for when in conditions {
            self.expect(&mut when.condition, wanted, "`WHEN`", depth)?;
            let kind = self.expect(&mut when.result, result.class(), "this `CASE`", depth)?;
            if result.class() == Class::Any {
                result = kind;
            }
        }
        if let Some(otherwise) = else_result {
            self.expect(otherwise, result.class(), "this `CASE`", depth)?;
        }
        Ok(result)
    }

    fn cast(&mut self, expr: &mut Expr, depth: usize) -> Result<Kind, Fault> {
        use datafusion::sql::sqlparser::ast::DataType as Sql;
        let span = expr.span();
        let Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon | CastKind::TryCast,
            expr: inner,
            data_type,
            array: false,
            ..
        } = expr
        else {
            return Err(refused(expr));
        };
        let class = self.walk(inner, depth)?.class();
        if matches!(class, Class::List | Class::Struct | Class::Other) {
            return Err(wrong_type(
                inner.span(),
                format!(
                    "{} is {} and cannot be converted",
                    shown(inner),
                    class.words()
                ),
                "convert one value",
            ));
        }
        match data_type {
            Sql::Int(None) | Sql::Integer(None) | Sql::BigInt(None) => {
                Ok(Kind::Of(DataType::Int64))
            }
            Sql::Real | Sql::Float(_) | Sql::Double(_) | Sql::DoublePrecision => {
                Ok(Kind::Of(DataType::Float64))
            }
            Sql::Varchar(None) | Sql::Text => Ok(Kind::Of(DataType::Utf8)),
            Sql::Boolean | Sql::Bool => Ok(Kind::Of(DataType::Boolean)),
            other => Err(Fault::not_allowed(
                span,
                format!("the type `{other}`"),
                "convert to INT, BIGINT, REAL, DOUBLE, TEXT or BOOLEAN",
            )),
        }
    }
}
