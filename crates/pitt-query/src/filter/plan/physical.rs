//! From a checked expression to a physical one, and from that to calls of ours.

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr as Planned, Operator};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal, NegativeExpr};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::sql::sqlparser::ast::{Expr, ExprWithAlias};

use super::Source;
use crate::catalog::Catalogs;
use crate::functions::bind::{bind, plain_column};
use crate::functions::call::Call;
use crate::functions::udf::{BoundUdf, as_named};

/// A checked expression as a physical one over the flat table, with our functions bound.
pub(crate) fn physical(
    expr: &Expr,
    flat: &DFSchema,
    catalogs: &Catalogs,
    state: &SessionState,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let named = ExprWithAlias {
        expr: expr.clone(),
        alias: None,
    };
    let planned = state.create_logical_expr_from_sql_expr(named, flat)?;
    let column = |name: &str| {
        flat.has_column_with_unqualified_name(name)
            .then(|| plain_column(name))
    };
    let bound = planned.transform_up(|node: Planned| {
        let Some(spec) = as_named(&node) else {
            return Ok(Transformed::no(node));
        };
        let Planned::ScalarFunction(function) = node else {
            return Ok(Transformed::no(node));
        };
        let bound = bind(spec, function.args, catalogs, &column);
        bound
            .map(Transformed::yes)
            .map_err(|error| DataFusionError::Plan(format!("{}: {error:?}", spec.name)))
    })?;
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(flat.clone()))
        .build();
    let simplifier = ExprSimplifier::new(context);
    let coerced = simplifier.coerce(bound.data, flat)?;
    checked(
        state.create_physical_expr(simplifier.simplify(coerced)?, flat)?,
        flat.as_arrow(),
    )
}

/// Makes sums, differences, products and signs of whole numbers fail instead of wrapping around.
fn checked(
    expr: Arc<dyn PhysicalExpr>,
    schema: &Schema,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let checked = expr.transform_up(|node| {
        if !node.data_type(schema)?.is_integer() {
            return Ok(Transformed::no(node));
        }
        if let Some(negative) = downcast::<NegativeExpr>(&node) {
            let zero = ScalarValue::new_zero(&node.data_type(schema)?)?;
            let (zero, arg) = (Arc::new(Literal::new(zero)), Arc::clone(negative.arg()));
            let difference = BinaryExpr::new(zero, Operator::Minus, arg);
            return Ok(Transformed::yes(Arc::new(
                difference.with_fail_on_overflow(true),
            )));
        }
        match downcast::<BinaryExpr>(&node) {
            Some(binary) => Ok(Transformed::yes(Arc::new(
                binary.clone().with_fail_on_overflow(true),
            ))),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(checked.data)
}

/// A call of a function of ours whose arguments are all columns or constants.
pub(super) fn as_call(node: &Arc<dyn PhysicalExpr>) -> Option<(Call, Vec<Source>)> {
    let function = downcast::<ScalarFunctionExpr>(node)?;
    let implementation: &dyn Any = function.fun().inner().as_ref();
    let call = implementation.downcast_ref::<BoundUdf>()?.call();
    if !call.by_row() {
        return None;
    }
    let sources = function
        .args()
        .iter()
        .map(source)
        .collect::<Option<Vec<_>>>()?;
    Some((call.clone(), sources))
}

fn source(arg: &Arc<dyn PhysicalExpr>) -> Option<Source> {
    use crate::functions::number::Numbers;
    use crate::functions::udf::constant;
    if let Some(column) = downcast::<Column>(arg) {
        return Some(Source::Slot(column.index()));
    }
    let literal = downcast::<Literal>(arg)?;
    match constant(literal.value()) {
        Ok(Numbers::Constant(value)) => Some(Source::Constant(value)),
        _ => None,
    }
}

/// Renumbers the columns of an expression from 0 on; gives the slots in that order.
pub(crate) fn compact(
    expr: Arc<dyn PhysicalExpr>,
) -> Result<(Arc<dyn PhysicalExpr>, Vec<usize>), DataFusionError> {
    let mut inputs: Vec<usize> = Vec::new();
    let expr = expr.transform_up(|node| {
        let Some(column) = downcast::<Column>(&node) else {
            return Ok(Transformed::no(node));
        };
        let slot = column.index();
        let position = inputs
            .iter()
            .position(|known| *known == slot)
            .unwrap_or_else(|| {
                inputs.push(slot);
                inputs.len() - 1
            });
        let renumbered: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column.name(), position));
        Ok(Transformed::yes(renumbered))
    })?;
    Ok((expr.data, inputs))
}

pub(super) fn downcast<T: 'static>(expr: &Arc<dyn PhysicalExpr>) -> Option<&T> {
    let any: &dyn Any = expr.as_ref();
    any.downcast_ref::<T>()
}
