//! Columns by name: nested ones, elements of lists, and what was meant instead.

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Ident, Spanned, Subscript, Value};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::words::{refused, wrong_type};
use super::{Checker, Kind};
use crate::error::FilterProblem;
use crate::filter::builtin::Class;
use crate::filter::columns::{NoColumn, field, find};
use crate::filter::text::Fault;

impl Checker<'_> {
    /// A column by name; replaced by its flat name.
    pub(super) fn column(&mut self, expr: &mut Expr) -> Result<Kind, Fault> {
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
    pub(super) fn access(&mut self, expr: &mut Expr, depth: usize) -> Result<Kind, Fault> {
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

fn unknown(column: String, why: NoColumn) -> FilterProblem {
    match why {
        NoColumn::Unknown(suggestion) => FilterProblem::UnknownColumn { column, suggestion },
        NoColumn::Ambiguous(candidates) => FilterProblem::AmbiguousColumn { column, candidates },
    }
}
