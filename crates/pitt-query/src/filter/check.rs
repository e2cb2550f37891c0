//! Checks an expression node by node: what is allowed, which column and function is meant, which types meet.
//!
//! Every column is replaced by one quoted name, the path of the column (`"candidate.magpsf"`), so that later steps see a
//! flat table of exactly the columns in use.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::logical_expr::{Expr as Planned, lit};
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, Spanned, Subscript, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::builtin::{Builtin, Class, builtin, builtin_names, is_aggregate};
use super::columns::{Found, NoColumn, field, find};
use super::text::{Fault, bound};
use crate::catalog::Catalogs;
use crate::error::FilterProblem;
use crate::functions::bind::{BindError, bind, plain_column};
use crate::functions::{ArgumentKind, FunctionSpec, function, functions};
use crate::suggest::nearest;

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

    /// A column by name; replaced by its flat name.
    fn column(&mut self, expr: &mut Expr) -> Result<Kind, Fault> {
        let span = expr.span();
        let parts: Vec<Ident> = match expr {
            Expr::Identifier(ident) => vec![ident.clone()],
            Expr::CompoundIdentifier(parts) => parts.clone(),
            other => return Err(refused(other)),
        };
        let (name, kind) = self.resolve(&parts, span)?;
        *expr = Expr::Identifier(Ident {
            value: name,
            quote_style: Some('"'),
            span,
        });
        Ok(kind)
    }

    fn resolve(&mut self, parts: &[Ident], span: Span) -> Result<(String, Kind), Fault> {
        let mut names: Vec<&str> = parts.iter().map(|p| p.value.as_str()).collect();
        let written = names.join(".");
        let Some(fields) = self.fields else {
            return Ok((written, Kind::Class(Class::Any)));
        };
        let qualified = names.len() > 1 && names[0].eq_ignore_ascii_case("alerts");
        if qualified && field(fields, names[0]).is_err() {
            names.remove(0);
        }
        let found = find(fields, &names).map_err(|why| Fault::at(span, unknown(written, why)))?;
        let name = found.path.join(".");
        let kind = Kind::Of(found.data_type.clone());
        self.used.insert(name.clone(), found);
        Ok((name, kind))
    }

    /// `prv_candidates[1].magpsf`: list elements and the fields inside them.
    fn access(&mut self, expr: &mut Expr, depth: usize) -> Result<Kind, Fault> {
        let span = expr.span();
        let Expr::CompoundFieldAccess { root, access_chain } = expr else {
            return Err(refused(expr));
        };
        let mut parts = match root.as_ref() {
            Expr::Identifier(ident) => vec![ident.clone()],
            Expr::CompoundIdentifier(parts) => parts.clone(),
            _ => {
                return Err(Fault::not_allowed(
                    span,
                    "an element of an expression",
                    "index a column: `detections[1].psf_flux`",
                ));
            }
        };
        while let Some(AccessExpr::Dot(Expr::Identifier(ident))) = access_chain.first() {
            parts.push(ident.clone());
            access_chain.remove(0);
        }
        let (name, mut kind) = self.resolve(&parts, span)?;
        **root = Expr::Identifier(Ident {
            value: name,
            quote_style: Some('"'),
            span,
        });
        for access in access_chain {
            kind = self.step(kind, access, span, depth)?;
        }
        Ok(kind)
    }

    fn step(
        &mut self,
        kind: Kind,
        access: &mut AccessExpr,
        span: Span,
        depth: usize,
    ) -> Result<Kind, Fault> {
        match access {
            AccessExpr::Subscript(Subscript::Index { index }) => {
                self.expect(index, Class::Number, "an index", depth)?;
                match kind {
                    Kind::Of(DataType::List(item)) => Ok(Kind::Of(item.data_type().clone())),
                    Kind::Class(Class::Any) => Ok(kind),
                    _ => Err(wrong_type(
                        span,
                        "only a list has elements".into(),
                        "leave out the `[..]`",
                    )),
                }
            }
            AccessExpr::Dot(name) => {
                let Expr::Identifier(ident) = name.clone() else {
                    return Err(refused(name));
                };
                match kind {
                    Kind::Of(DataType::Struct(fields)) => {
                        let found = find(&fields, &[&ident.value]).map_err(|why| {
                            Fault::at(ident.span, unknown(ident.value.clone(), why))
                        })?;
                        // The planner takes the name of a field as text.
                        let field = Value::SingleQuotedString(found.path[0].clone());
                        *name = Expr::Value(field.with_span(ident.span));
                        Ok(Kind::Of(found.data_type))
                    }
                    Kind::Class(Class::Any) => Ok(kind),
                    _ => {
                        let problem = format!("there is no `{}` inside", ident.value);
                        Err(wrong_type(ident.span, problem, "leave it out"))
                    }
                }
            }
            _ => Err(Fault::not_allowed(
                span,
                "a range of a list",
                "use one element: `detections[1]`",
            )),
        }
    }
}

impl Checker<'_> {
    fn function(&mut self, call: &mut Function, depth: usize) -> Result<Kind, Fault> {
        let span = call.name.span();
        let name = call.name.to_string().to_lowercase();
        if call.over.is_some() {
            return Err(Fault::not_allowed(
                span,
                format!("the window function `{name}`"),
                "a filter sees one alert at a time; its history is in `detections`",
            ));
        }
        if is_aggregate(&name) {
            return Err(Fault::not_allowed(
                span,
                format!("the aggregate `{name}`"),
                "a filter sees one alert at a time; count its history with `detections()`, or use `pitt query`",
            ));
        }
        let plain = call.filter.is_none()
            && call.within_group.is_empty()
            && call.null_treatment.is_none()
            && !call.uses_odbc_syntax;
        let FunctionArguments::List(list) = &mut call.args else {
            return Err(Fault::not_allowed(
                span,
                format!("`{name}` in this form"),
                "write `name(arguments)`",
            ));
        };
        if !plain || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return Err(Fault::not_allowed(
                span,
                format!("`{name}` with these clauses"),
                "write `name(arguments)`",
            ));
        }
        let mut args = Vec::with_capacity(list.args.len());
        for arg in &mut list.args {
            match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => args.push(expr),
                _ => {
                    return Err(Fault::not_allowed(
                        span,
                        format!("such an argument of `{name}`"),
                        "write plain values",
                    ));
                }
            }
        }
        let kind = match (function(&name), builtin(&name)) {
            (Some(spec), _) => self.astronomy(spec, args, span, depth)?,
            (None, Some(known)) => self.builtin(known, args, span, depth)?,
            (None, None) => return Err(unknown_function(name, span)),
        };
        if let Some(part) = call.name.0.last_mut() {
            *part = datafusion::sql::sqlparser::ast::ObjectNamePart::Identifier(Ident {
                value: name,
                quote_style: Some('"'),
                span,
            });
        }
        Ok(kind)
    }

    fn astronomy(
        &mut self,
        spec: &'static FunctionSpec,
        args: Vec<&mut Expr>,
        span: Span,
        depth: usize,
    ) -> Result<Kind, Fault> {
        let mut planned = Vec::with_capacity(args.len());
        let spans: Vec<Span> = args.iter().map(|arg| arg.span()).collect();
        for arg in args {
            planned.push(as_constant(arg));
            let class = self.walk(arg, depth)?.class();
            let takes_text = spec
                .arguments
                .iter()
                .any(|a| !matches!(a.kind, ArgumentKind::Number | ArgumentKind::Constant));
            if !class.fits(Class::Number) && !(takes_text && class == Class::Text) {
                return Err(Fault::at(
                    arg.span(),
                    wrong_arguments(spec, format!("{} is {}", shown(arg), class.words())),
                ));
            }
        }
        self.use_own_columns(spec, span)?;
        self.try_to_bind(spec, planned, &spans, span)
    }

    /// Binds the call to tell what is wrong with its constants, and the type of its result.
    fn try_to_bind(
        &self,
        spec: &'static FunctionSpec,
        planned: Vec<Planned>,
        spans: &[Span],
        span: Span,
    ) -> Result<Kind, Fault> {
        let none = Catalogs::new();
        let bound = bind(spec, planned, self.catalogs.unwrap_or(&none), &|name| {
            Some(plain_column(name))
        });
        match bound {
            Ok(Planned::ScalarFunction(function)) => Ok(function
                .func
                .return_type(&[])
                .map_or(Kind::Class(Class::Any), Kind::Of)),
            Ok(_) => Ok(Kind::Of(DataType::Boolean)),
            Err(BindError::Catalog(..)) if self.catalogs.is_none() => Ok(Kind::Class(Class::Any)),
            Err(BindError::Catalog(catalog, suggestion)) => {
                let place = spans.first().copied().unwrap_or(span);
                Err(Fault::at(
                    place,
                    FilterProblem::UnknownCatalog {
                        catalog,
                        suggestion,
                    },
                ))
            }
            Err(BindError::Argument(position, problem)) => {
                let place = position.and_then(|i| spans.get(i)).copied().unwrap_or(span);
                Err(Fault::at(place, wrong_arguments(spec, problem)))
            }
            Err(BindError::Column(name)) => Err(Fault::at(
                span,
                wrong_arguments(spec, format!("no column `{name}`")),
            )),
        }
    }

    /// The columns a function reads by itself are read too.
    fn use_own_columns(&mut self, spec: &'static FunctionSpec, span: Span) -> Result<(), Fault> {
        let Some(fields) = self.fields else {
            return Ok(());
        };
        for name in spec.columns {
            let found = find(fields, &[name]).map_err(|_| {
                Fault::at(
                    span,
                    wrong_arguments(
                        spec,
                        format!(
                            "it reads the column `{name}`, which alerts of this survey do not have"
                        ),
                    ),
                )
            })?;
            self.used.insert((*name).to_string(), found);
        }
        Ok(())
    }

    fn builtin(
        &mut self,
        known: &'static Builtin,
        args: Vec<&mut Expr>,
        span: Span,
        depth: usize,
    ) -> Result<Kind, Fault> {
        let usage = || format!("{}({})", known.name, vec![".."; known.least].join(", "));
        let wrong = |problem: String| FilterProblem::WrongArguments {
            function: known.name.into(),
            problem,
            usage: usage(),
        };
        if args.len() < known.least || args.len() > known.most {
            let problem = format!(
                "{} arguments given, {} to {} wanted",
                args.len(),
                known.least,
                known.most
            );
            return Err(Fault::at(span, wrong(problem)));
        }
        let mut first: Option<Kind> = None;
        for (i, arg) in args.into_iter().enumerate() {
            let kind = self.walk(arg, depth)?;
            let wanted = match (i, known.gives, &first) {
                (0, _, _) => known.takes,
                (_, None, Some(first)) => first.class(),
                _ => known.then,
            };
            if !kind.class().fits(wanted) {
                let problem = format!(
                    "{} is {}, not {}",
                    shown(arg),
                    kind.class().words(),
                    wanted.words()
                );
                return Err(Fault::at(arg.span(), wrong(problem)));
            }
            if first.as_ref().is_none_or(|kind| kind.class() == Class::Any) {
                first = Some(kind);
            }
        }
        Ok(match known.gives {
            Some(class) => Kind::Class(class),
            None => first.unwrap_or(Kind::Class(Class::Any)),
        })
    }
}

fn wrong_arguments(spec: &FunctionSpec, problem: String) -> FilterProblem {
    FilterProblem::WrongArguments {
        function: spec.name.into(),
        problem,
        usage: spec.signature(),
    }
}

fn wrong_type(span: Span, problem: String, advice: &str) -> Fault {
    Fault::at(
        span,
        FilterProblem::WrongType {
            problem,
            advice: advice.into(),
        },
    )
}

fn unknown(column: String, why: NoColumn) -> FilterProblem {
    match why {
        NoColumn::Unknown(suggestion) => FilterProblem::UnknownColumn { column, suggestion },
        NoColumn::Ambiguous(candidates) => FilterProblem::AmbiguousColumn { column, candidates },
    }
}

fn unknown_function(name: String, span: Span) -> Fault {
    let names = functions().iter().map(|f| f.name).chain(builtin_names());
    let suggestion = nearest(&name, names).map(str::to_string);
    Fault::at(
        span,
        FilterProblem::UnknownFunction {
            function: name,
            suggestion,
        },
    )
}

/// Refuses what has no rule of its own.
fn refused(expr: &Expr) -> Fault {
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

fn literal(value: &Value, span: Span) -> Result<Kind, Fault> {
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

/// A constant as the planner sees it; anything else as a column that stands for it.
fn as_constant(expr: &Expr) -> Planned {
    if let Some(value) = constant(expr).filter(|_| !matches!(expr, Expr::BinaryOp { .. })) {
        return lit(value);
    }
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => lit(text.as_str()),
            _ => plain_column("value"),
        },
        _ => plain_column("value"),
    }
}

/// The value of an expression of numbers alone.
fn constant(expr: &Expr) -> Option<f64> {
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
fn shown(expr: &Expr) -> String {
    let text = match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        other => other.to_string().replace('"', ""),
    };
    match text.chars().count() > 60 {
        true => format!("`{}…`", text.chars().take(60).collect::<String>()),
        false => format!("`{text}`"),
    }
}

fn advice(left: Class, right: Class) -> &'static str {
    match (left, right) {
        (Class::Number, Class::Text) => "write the number without quotes",
        (Class::Text, Class::Number) => "write text in single quotes",
        (Class::Truth, _) | (_, Class::Truth) => "a true or false value needs no comparison",
        (Class::List, _) | (_, Class::List) => "compare one element, as `list[1]`",
        (Class::Struct, _) | (_, Class::Struct) => "compare one of the columns inside",
        _ => "compare values of one type",
    }
}
