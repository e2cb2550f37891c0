//! What a part of a predicate may do and what it costs: the cheap ones go first, and those that can fail go alone.

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use super::physical::downcast;
use crate::functions::udf::BoundUdf;

/// Whether some value of the inputs can make the evaluation fail. Unknown kinds of nodes count as fallible.
pub(super) fn is_fallible(expr: &Arc<dyn PhysicalExpr>, schema: &Schema) -> bool {
    let this = if let Some(binary) = downcast::<BinaryExpr>(expr) {
        let computes = matches!(
            binary.op(),
            Operator::Plus
                | Operator::Minus
                | Operator::Multiply
                | Operator::Divide
                | Operator::Modulo
        );
        computes && !expr.data_type(schema).is_ok_and(|t| t.is_floating())
    } else if let Some(cast) = downcast::<CastExpr>(expr) {
        !widens(
            &cast.expr().data_type(schema).unwrap_or(DataType::Null),
            &expr.data_type(schema).unwrap_or(DataType::Null),
        )
    } else {
        !(downcast::<Column>(expr).is_some()
            || downcast::<Literal>(expr).is_some()
            || downcast::<IsNullExpr>(expr).is_some()
            || downcast::<IsNotNullExpr>(expr).is_some()
            || downcast::<NotExpr>(expr).is_some()
            || downcast::<LikeExpr>(expr).is_some()
            || downcast::<InListExpr>(expr).is_some()
            || downcast::<ScalarFunctionExpr>(expr).is_some_and(is_ours))
    };
    this || expr
        .children()
        .into_iter()
        .any(|child| is_fallible(child, schema))
}

fn is_ours(function: &ScalarFunctionExpr) -> bool {
    let implementation: &dyn Any = function.fun().inner().as_ref();
    implementation.is::<BoundUdf>()
}

/// Whether a conversion of numbers cannot fail.
fn widens(from: &DataType, to: &DataType) -> bool {
    let text =
        |t: &DataType| matches!(t, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    let size = |t: &DataType| t.primitive_width().unwrap_or(0);
    if from == to || (text(from) && text(to)) {
        return true;
    }
    match (
        from.is_numeric(),
        to.is_floating(),
        from.is_signed_integer() && to.is_signed_integer(),
    ) {
        (true, true, _) => size(to) >= size(from),
        (_, _, true) => size(to) >= size(from),
        _ => false,
    }
}

/// Rough cost of an expression: the order alone matters.
pub(super) fn cost(expr: &Arc<dyn PhysicalExpr>) -> u32 {
    let own = if downcast::<Column>(expr).is_some() || downcast::<Literal>(expr).is_some() {
        0
    } else if downcast::<LikeExpr>(expr).is_some() {
        20
    } else if downcast::<ScalarFunctionExpr>(expr).is_some() {
        10
    } else {
        2
    };
    own + expr.children().into_iter().map(cost).sum::<u32>()
}
