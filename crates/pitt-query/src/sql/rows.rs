//! What a query gives, batch by batch.

use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::error::Result as PlanResult;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::engine::Limits;
use crate::error::{QueryError, plain_message};

/// Rows of a query as they come, batch by batch.
pub struct Rows<'a> {
    runtime: &'a Runtime,
    /// Has a clock of its own: that of the runtime stands still while all its threads are busy.
    waiting: Runtime,
    batches: mpsc::Receiver<PlanResult<RecordBatch>>,
    evaluation: JoinHandle<()>,
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
    ) -> Result<Self, QueryError> {
        let waiting = Builder::new_current_thread().enable_time().build();
        let waiting = waiting.map_err(|source| QueryError::File {
            path: "clock of the query".into(),
            source,
        })?;
        let schema = plain_names(&stream.schema());
        let (send, batches) = mpsc::channel(1);
        Ok(Self {
            runtime,
            waiting,
            batches,
            evaluation: runtime.spawn(evaluate(stream, send)),
            schema,
            left: limits.rows,
            limits: *limits,
            started,
            truncated: false,
            done: false,
        })
    }

    /// Columns of the result.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether rows were left out because of [`Limits::rows`]; known after the last batch.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// After the last batch: whether it was the last, or the evaluation has broken down.
    fn ended(&mut self) -> Result<(), QueryError> {
        let ended = self.runtime.block_on(&mut self.evaluation);
        ended
            .map_err(|_| QueryError::Batch("the query broke down (this is a fault of ours)".into()))
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        let time = self.limits.time.saturating_sub(self.started.elapsed());
        let next = self.batches.recv();
        let batch = self
            .waiting
            .block_on(async { tokio::time::timeout(time, next).await });
        let Some(batch) = batch.map_err(|_| timeout(&self.limits))? else {
            return self.ended().map(|()| None);
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

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        self.evaluation.abort();
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

/// Hands on the batches of a stream as they are taken. It runs apart from whoever takes them: some steps of a query look at nothing
/// else for a long time, and the limit of time must hold all the same.
async fn evaluate(
    mut stream: SendableRecordBatchStream,
    send: mpsc::Sender<PlanResult<RecordBatch>>,
) {
    while let Some(batch) = stream.next().await {
        if send.send(batch).await.is_err() {
            return;
        }
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
