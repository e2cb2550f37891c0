//! Binding: a call as written (`detections('r', 30)`) becomes a call of a function with its constants fixed, whose
//! arguments are the columns it reads.

use std::sync::Arc;

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ScalarUDF};
use pitt_sky::band::Band;

use super::call::{Call, CatalogRef};
use super::curve::{Curve, CurveOp};
use super::number::Bits;
use super::spec::{ArgumentKind, FunctionSpec, Op};
use super::udf::BoundUdf;
use crate::catalog::{Catalog, Catalogs, MAX_MATCH_RADIUS_ARCSEC};
use crate::suggest::nearest;

/// Why a call cannot be bound.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BindError {
    /// Position of the argument (from 0), if one is to blame, and what is wrong.
    Argument(Option<usize>, String),
    /// No such catalog: its name and the nearest known one.
    Catalog(String, Option<String>),
    /// A column that the function reads by itself is not there.
    Column(&'static str),
}

/// Constants of a call, by kind, in order.
#[derive(Default)]
struct Constants {
    bands: Vec<i8>,
    numbers: Vec<f64>,
    texts: Vec<String>,
}

/// Checks the number of arguments and the constants, and gives the bound expression.
///
/// `column` gives the expression for a column the function reads by itself.
pub(crate) fn bind(
    spec: &'static FunctionSpec,
    args: Vec<Expr>,
    catalogs: &Catalogs,
    column: &dyn Fn(&str) -> Option<Expr>,
) -> Result<Expr, BindError> {
    check_count(spec, args.len())?;
    let (constants, given) = constants(spec, args)?;
    let own = |name: &'static str| column(name).ok_or(BindError::Column(name));
    match spec.op {
        Op::Curve(op) => {
            let curve = curve(op, &constants)?;
            let mut args = curve
                .lists()
                .iter()
                .map(|list| own(list))
                .collect::<Result<Vec<_>, _>>()?;
            args.push(own("mjd_tai")?);
            Ok(call(spec.name, Call::Curve(curve), args))
        }
        Op::Number(op) => {
            let args = match given.is_empty() {
                true => spec
                    .columns
                    .iter()
                    .map(|name| own(name))
                    .collect::<Result<Vec<_>, _>>()?,
                false => given,
            };
            Ok(call(spec.name, Call::Number(op), args))
        }
        Op::Match | Op::MatchDistance | Op::MatchColumn => {
            bind_match(spec, &constants, catalogs, [own("ra")?, own("dec")?])
        }
    }
}

fn check_count(spec: &FunctionSpec, given: usize) -> Result<(), BindError> {
    let (least, most) = (spec.required(), spec.arguments.len());
    let takes_all_or_none = matches!(spec.op, Op::Number(_)) && least == 0;
    if given >= least && given <= most && !(takes_all_or_none && given != 0 && given != most) {
        return Ok(());
    }
    let wanted = match (least, most) {
        (_, most) if takes_all_or_none => format!("none or {most}"),
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most}"),
    };
    Err(BindError::Argument(
        None,
        format!("{given} arguments given, {wanted} wanted"),
    ))
}

/// Sorts the arguments into constants and expressions. An optional band may be skipped: `detections(30)`.
fn constants(spec: &FunctionSpec, args: Vec<Expr>) -> Result<(Constants, Vec<Expr>), BindError> {
    let mut found = Constants::default();
    let mut given = Vec::new();
    let mut wanted = spec.arguments.iter();
    for (position, arg) in args.into_iter().enumerate() {
        let mut argument = wanted.next();
        if argument.is_some_and(|a| a.optional && a.kind == ArgumentKind::Band)
            && number(&arg).is_some()
        {
            argument = wanted.next();
        }
        let fail = |problem: String| BindError::Argument(Some(position), problem);
        let Some(argument) = argument else {
            return Err(fail("one argument too many, or not in order".into()));
        };
        match argument.kind {
            ArgumentKind::Band => found.bands.push(band(&arg).map_err(fail)?),
            ArgumentKind::Constant => {
                let value = number(&arg).filter(|v| v.is_finite() && *v >= 0.0);
                found.numbers.push(value.ok_or_else(|| {
                    fail(format!(
                        "`{}` must be a number written out, not negative",
                        argument.name
                    ))
                })?);
            }
            ArgumentKind::Catalog | ArgumentKind::CatalogColumn => {
                found.texts.push(text(&arg).ok_or_else(|| {
                    fail(format!("`{}` must be a name in quotes", argument.name))
                })?);
            }
            ArgumentKind::Number => given.push(arg),
        }
    }
    Ok((found, given))
}

fn curve(op: CurveOp, constants: &Constants) -> Result<Curve, BindError> {
    let band = constants.bands.first().copied();
    let other_band = constants.bands.get(1).copied();
    if op == CurveOp::Color && band == other_band {
        return Err(BindError::Argument(
            Some(1),
            "a colour needs two different bands".into(),
        ));
    }
    let days = constants.numbers.first().map(|days| Bits::new(*days));
    Ok(Curve {
        op,
        band,
        other_band,
        days,
    })
}

fn bind_match(
    spec: &'static FunctionSpec,
    constants: &Constants,
    catalogs: &Catalogs,
    [ra, dec]: [Expr; 2],
) -> Result<Expr, BindError> {
    let name = constants.texts.first().map_or("", String::as_str);
    let Some(catalog) = catalogs.get(name) else {
        let suggestion = nearest(name, catalogs.names()).map(str::to_string);
        return Err(BindError::Catalog(name.to_string(), suggestion));
    };
    let radius_arcsec = constants.numbers.first().copied().unwrap_or(0.0);
    if radius_arcsec > MAX_MATCH_RADIUS_ARCSEC {
        let problem =
            format!("radius {radius_arcsec} arcsec, at most {MAX_MATCH_RADIUS_ARCSEC} are allowed");
        return Err(BindError::Argument(Some(spec.arguments.len() - 1), problem));
    }
    let catalog_ref = CatalogRef(Arc::clone(catalog));
    let row = Call::MatchRow {
        catalog: catalog_ref.clone(),
        radius_arcsec: Bits::new(radius_arcsec),
    };
    let row = call("match_row", row, vec![ra.clone(), dec.clone()]);
    Ok(match spec.op {
        Op::MatchDistance => call(
            spec.name,
            Call::MatchDistance {
                catalog: catalog_ref,
            },
            vec![ra, dec, row],
        ),
        Op::MatchColumn => {
            let column =
                catalog_column(catalog, constants.texts.get(1).map_or("", String::as_str))?;
            call(
                spec.name,
                Call::CatalogValue {
                    catalog: catalog_ref,
                    column,
                },
                vec![row],
            )
        }
        _ => row.is_not_null(),
    })
}

fn catalog_column(catalog: &Catalog, name: &str) -> Result<usize, BindError> {
    let schema = catalog.columns().schema();
    let known: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let exact = known.iter().position(|k| *k == name);
    exact
        .or_else(|| known.iter().position(|k| k.eq_ignore_ascii_case(name)))
        .ok_or_else(|| {
            let advice = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has {}", known.join(", ")),
            };
            BindError::Argument(
                Some(1),
                format!(
                    "catalog `{}` has no column `{name}`, {advice}",
                    catalog.name()
                ),
            )
        })
}

fn call(name: &str, call: Call, args: Vec<Expr>) -> Expr {
    let udf = ScalarUDF::new_from_impl(BoundUdf::new(name, call));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(udf), args))
}

fn band(arg: &Expr) -> Result<i8, String> {
    let name = text(arg).ok_or("a band must be written out, as `'g'`")?;
    let band = Band::from_name(&name)
        .ok_or_else(|| format!("no band `{name}`, there are u, g, r, i, z, y"))?;
    Ok(band.index().cast_signed())
}

fn text(arg: &Expr) -> Option<String> {
    match arg {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => {
            Some(text.clone())
        }
        _ => None,
    }
}

fn number(arg: &Expr) -> Option<f64> {
    match arg {
        Expr::Literal(ScalarValue::Int64(value), _) => value.map(|v| v as f64),
        Expr::Literal(ScalarValue::UInt64(value), _) => value.map(|v| v as f64),
        Expr::Literal(ScalarValue::Float64(value), _) => *value,
        Expr::Negative(inner) => number(inner).map(|v| -v),
        _ => None,
    }
}

/// A column by its plain name, exactly as written.
pub(crate) fn plain_column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}
