//! What a query gives, batch by batch.

use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::runtime::Runtime;

use super::engine::Limits;
use crate::error::{QueryError, plain_message};

/// Rows of a query as they come, batch by batch.
pub struct Rows<'a> {
    runtime: &'a Runtime,
    stream: SendableRecordBatchStream,
    schema: SchemaRef,
    left: usize,
    limits: Limits,
    started: Instant,
    truncated: bool,
    done: bool,
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        runtime: &'a Runtime,
        stream: SendableRecordBatchStream,
        limits: &Limits,
        started: Instant,
    ) -> Self {
        Self {
            runtime,
            schema: plain_names(&stream.schema()),
            stream,
            left: limits.rows,
            limits: *limits,
            started,
            truncated: false,
            done: false,
        }
    }

    /// Columns of the result.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether rows were left out because of [`Limits::rows`]; known after the last batch.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let time = self.limits.time.saturating_sub(self.started.elapsed());
        let next = self.stream.next();
        let batch = self
            .runtime
            .block_on(async { tokio::time::timeout(time, next).await });
        let Some(batch) = batch.map_err(|_| timeout(&self.limits))? else {
            return Ok(None);
        };
        let batch = batch.map_err(|error| QueryError::Sql(plain_message(&error)))?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        if batch.num_rows() <= self.left {
            self.left -= batch.num_rows();
            return Ok(Some(batch));
        }
        self.truncated = true;
        self.done = true;
        Ok((self.left > 0).then(|| batch.slice(0, self.left)))
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<RecordBatch, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.advance().transpose();
        self.done |= !matches!(next, Some(Ok(_)));
        next
    }
}

/// Names of nested columns as one writes them: `ztf.candidate[magpsf]` becomes `candidate.magpsf`.
fn plain_names(schema: &SchemaRef) -> SchemaRef {
    let plain = |field: &Field| {
        let word = |c: char| c.is_ascii_alphanumeric() || "_[].".contains(c);
        let Some((column, _)) = field
            .name()
            .split_once('[')
            .filter(|_| field.name().chars().all(word))
        else {
            return field.clone();
        };
        let nested = &field.name()[column.len()..];
        let column = column.rsplit('.').next().unwrap_or(column);
        let name = format!("{column}{}", nested.replace('[', ".").replace(']', ""));
        field.clone().with_name(name)
    };
    let fields: Vec<Field> = schema.fields().iter().map(|field| plain(field)).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

pub(super) fn timeout(limits: &Limits) -> QueryError {
    QueryError::Timeout {
        seconds: limits.time.as_secs_f64(),
    }
}
