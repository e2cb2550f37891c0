//! Rows of tables that stand in no file yet.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::ExecutionPlan;

/// Rows that tables have besides those in their files, for one query.
///
/// A table's batches need its columns, by name and type; their order is free, and further columns are passed over. Files that lack a
/// column have nulls there as ever. A table must be known to the engine, if need be without files, to have rows here.
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    tables: HashMap<String, Vec<RecordBatch>>,
}

impl InMemory {
    /// Adds rows to a table, which has the name of its [`TableSource`](super::TableSource).
    pub fn add(&mut self, table: &str, rows: impl IntoIterator<Item = RecordBatch>) {
        let batches = self.tables.entry(table.to_owned()).or_default();
        batches.extend(rows);
    }

    /// A plan that gives a table's rows; `None` if it has none here.
    pub(super) fn scan(
        &self,
        table: &str,
        schema: &SchemaRef,
        projection: Option<&Vec<usize>>,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(batches) = self.tables.get(table).filter(|rows| !rows.is_empty()) else {
            return Ok(None);
        };
        let fitted = batches.iter().map(|rows| fit(table, schema, rows));
        let fitted = fitted.collect::<Result<Vec<_>>>()?;
        let projection = projection.cloned();
        let plan = MemorySourceConfig::try_new_exec(&[fitted], schema.clone(), projection)?;
        Ok(Some(plan))
    }
}

/// The batch in the table's columns.
fn fit(table: &str, schema: &SchemaRef, rows: &RecordBatch) -> Result<RecordBatch> {
    if Arc::ptr_eq(rows.schema_ref(), schema) {
        return Ok(rows.clone());
    }
    let columns = schema.fields().iter().map(|field| {
        let column = rows.column_by_name(field.name()).cloned();
        column.ok_or_else(|| {
            let column = field.name();
            DataFusionError::Execution(format!("rows in memory of `{table}` lack `{column}`"))
        })
    });
    let columns = columns.collect::<Result<_>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}
