//! Calls of functions: ours, those of SQL, and those a filter may not call.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr as Planned, lit};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectNamePart,
    Spanned, Value,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::words::{constant, shown};
use super::{Checker, Kind};
use crate::catalog::Catalogs;
use crate::error::FilterProblem;
use crate::filter::builtin::{Builtin, Class, builtin, builtin_names, is_aggregate};
use crate::filter::columns::find;
use crate::filter::text::Fault;
use crate::functions::bind::{BindError, bind, plain_column};
use crate::functions::{ArgumentKind, FunctionSpec, function, functions};
use crate::suggest::nearest;

impl Checker<'_> {
    pub(super) fn function(&mut self, call: &mut Function, depth: usize) -> Result<Kind, Fault> {
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
            *part = ObjectNamePart::Identifier(Ident {
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
            let fits = class.fits(Class::Number) || (takes_text && class == Class::Text);
            if !fits {
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
