//! Columns of tables that are several tables together.

use datafusion::arrow::datatypes::Field;
use datafusion::common::{Column, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, cast};

use crate::filter::COMMON;

/// Fields of a union: name and type of the first part that has it.
pub(super) fn shared_columns(group: &str, frames: &[DataFrame]) -> Vec<Field> {
    let find = |frame: &DataFrame, name: &str| {
        frame
            .schema()
            .field_with_unqualified_name(name)
            .ok()
            .cloned()
    };
    if group == "alerts" {
        let names = COMMON.into_iter().chain(["_healpix_29"]);
        return names
            .filter_map(|name| frames.iter().find_map(|frame| find(frame, name)))
            .map(|f| f.as_ref().clone())
            .collect();
    }
    let Some(first) = frames.first() else {
        return Vec::new();
    };
    let everywhere = |name: &str| frames.iter().all(|frame| find(frame, name).is_some());
    first
        .schema()
        .fields()
        .iter()
        .filter(|f| everywhere(f.name()))
        .map(|f| f.as_ref().clone())
        .collect()
}

/// A part's column as the union has it, null where the part lacks it.
pub(super) fn column_or_null(frame: &DataFrame, field: &Field) -> Expr {
    let name = field.name();
    let Ok(own) = frame.schema().field_with_unqualified_name(name) else {
        let null = ScalarValue::try_from(field.data_type()).unwrap_or(ScalarValue::Null);
        return Expr::Literal(null, None).alias(name);
    };
    let column = Expr::Column(Column::new_unqualified(name));
    match own.data_type() == field.data_type() {
        true => column,
        false => cast(column, field.data_type().clone()).alias(name),
    }
}
