//! The functions as DataFusion sees them: one per name for what people write, and one per bound call for what runs.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};

use super::bind::{BindError, bind};
use super::call::{Call, Opened, numbers};
use super::number::Numbers;
use super::points::Points;
use super::spec::{FunctionSpec, Returns, functions};
use crate::catalog::Catalogs;

/// A call with its constants fixed, evaluated over columns.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct BoundUdf {
    name: String,
    call: Call,
    signature: Signature,
}

impl BoundUdf {
    pub(crate) fn new(name: &str, call: Call) -> BoundUdf {
        BoundUdf {
            name: name.to_string(),
            call,
            signature: Signature::variadic_any(Volatility::Immutable),
        }
    }

    pub(crate) fn call(&self) -> &Call {
        &self.call
    }
}

impl ScalarUDFImpl for BoundUdf {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.call.data_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let fail =
            |problem: String| DataFusionError::Execution(format!("{}: {problem}", self.name));
        if !self.call.by_row() {
            let Some(rows) = args.args.first() else {
                return exec_err!("{}: no argument", self.name);
            };
            let rows = rows.to_array(args.number_rows)?;
            return Ok(ColumnarValue::Array(
                self.call.catalog_values(&rows).map_err(fail)?,
            ));
        }
        let mut opened = Vec::with_capacity(args.args.len());
        for (position, arg) in args.args.iter().enumerate() {
            let argument = open(&self.call, position, arg, args.number_rows);
            opened.push(argument.map_err(fail)?);
        }
        Ok(ColumnarValue::Array(
            self.call.all(opened, args.number_rows),
        ))
    }
}

fn open(call: &Call, position: usize, arg: &ColumnarValue, rows: usize) -> Result<Opened, String> {
    let array = |arg: &ColumnarValue| -> Result<ArrayRef, String> {
        arg.to_array(rows).map_err(|error| error.to_string())
    };
    if call.takes_points(position) {
        return Ok(Opened::Points(Arc::new(Points::open(&array(arg)?)?)));
    }
    if let ColumnarValue::Scalar(scalar) = arg {
        return constant(scalar).map(Opened::Numbers);
    }
    numbers(&array(arg)?).map(Opened::Numbers)
}

/// A constant argument as a number.
pub(crate) fn constant(scalar: &ScalarValue) -> Result<Numbers, String> {
    match scalar.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(value)) => Ok(Numbers::Constant(value)),
        _ => Err(format!("`{scalar}` is not a number")),
    }
}

/// A function as written in SQL; replaced by its bound call before anything is evaluated.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NamedUdf {
    name: &'static str,
    returns: DataType,
    signature: Signature,
}

impl NamedUdf {
    fn new(spec: &FunctionSpec) -> NamedUdf {
        let any = TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::VariadicAny]);
        NamedUdf {
            name: spec.name,
            returns: match spec.returns {
                Returns::Number | Returns::Column => DataType::Float64,
                Returns::Count => DataType::Int64,
                Returns::Truth => DataType::Boolean,
            },
            signature: Signature::new(any, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for NamedUdf {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("`{}` was not bound to its columns", self.name)
    }
}

/// All functions by name, to register with a session.
pub(crate) fn named_functions() -> Vec<ScalarUDF> {
    functions()
        .iter()
        .map(|spec| ScalarUDF::new_from_impl(NamedUdf::new(spec)))
        .collect()
}

/// The spec of a call of one of our functions as written.
pub(crate) fn as_named(expr: &Expr) -> Option<&'static FunctionSpec> {
    let Expr::ScalarFunction(function) = expr else {
        return None;
    };
    let named: &dyn std::any::Any = function.func.inner().as_ref();
    let named = named.downcast_ref::<NamedUdf>()?;
    functions().iter().find(|spec| spec.name == named.name)
}

/// Binds calls in whole queries, where the columns are those of the plan below.
#[derive(Debug)]
pub(crate) struct BindCalls {
    pub(crate) catalogs: Catalogs,
}

impl FunctionRewrite for BindCalls {
    fn name(&self) -> &str {
        "bind_astronomy_functions"
    }

    fn rewrite(
        &self,
        expr: Expr,
        schema: &DFSchema,
        _config: &ConfigOptions,
    ) -> Result<Transformed<Expr>> {
        let Some(spec) = as_named(&expr) else {
            return Ok(Transformed::no(expr));
        };
        let Expr::ScalarFunction(function) = expr else {
            return Ok(Transformed::no(expr));
        };
        let column = |name: &str| {
            let (qualifier, field) = schema.qualified_field_with_unqualified_name(name).ok()?;
            Some(Expr::Column((qualifier, field).into()))
        };
        match bind(spec, function.args, &self.catalogs, &column) {
            Ok(bound) => Ok(Transformed::yes(bound)),
            Err(error) => plan_err!("{}", explain(spec, &error)),
        }
    }
}

/// A bind error as a sentence for queries, where there is no place to point to.
fn explain(spec: &FunctionSpec, error: &BindError) -> String {
    let usage = spec.signature();
    match error {
        BindError::Argument(_, problem) => format!("`{}`: {problem} (usage: `{usage}`)", spec.name),
        BindError::Catalog(name, near) => match near {
            Some(near) => format!("no catalog `{name}` (did you mean `{near}`?)"),
            None => format!("no catalog `{name}` (import it with `pitt catalog import`)"),
        },
        BindError::Column(column) => format!(
            "`{usage}` reads the column `{column}`, which this table does not have (or has twice)"
        ),
    }
}
