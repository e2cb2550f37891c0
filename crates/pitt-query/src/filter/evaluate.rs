//! Evaluating a plan over one batch.
//!
//! A filter's parts are evaluated cheap ones first, each narrowing the rows that are left; a filter with no rows left
//! costs nothing more. Calls of our functions are computed for the rows that still need them and remembered, so that
//! the next filter that asks for the same gets it for nothing.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, Float64Array, Int64Array,
    RecordBatch, RecordBatchOptions, new_null_array,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::compute::filter;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::ColumnarValue;

use super::plan::{CallSlot, ColumnSlot, Part, Plan, PlannedFilter, Source};
use crate::error::plain_message;
use crate::functions::call::{Arguments, Call, Opened, numbers};
use crate::functions::number::Numbers;
use crate::functions::points::Points;

/// What one filter gave: the rows it takes, and why it stopped if it did.
pub(crate) struct Outcome {
    pub(crate) rows: Vec<u32>,
    /// Reason, and the row it failed on if that is known. Rows before it are in `rows`.
    pub(crate) failure: Option<(String, Option<usize>)>,
}

/// One batch under evaluation, with everything computed so far.
pub(crate) struct Evaluation<'a> {
    plan: &'a Plan,
    rows: usize,
    columns: Vec<ArrayRef>,
    points: Vec<Option<Arc<Points>>>,
    numbers: Vec<Option<Numbers>>,
    calls: Vec<Computed>,
    /// Results of parts over all rows, of those that need no calls.
    parts: Vec<Option<BooleanBuffer>>,
}

/// Values of a call so far.
#[derive(Default)]
struct Computed {
    /// Per row: 0 not computed, 1 a value, 2 null. Empty before the first use.
    state: Vec<u8>,
    values: Vec<f64>,
    complete: bool,
    array: Option<ArrayRef>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(plan: &'a Plan, records: &RecordBatch) -> Evaluation<'a> {
        let columns: Vec<ArrayRef> = plan
            .columns
            .iter()
            .map(|slot| column(slot, records))
            .collect();
        Evaluation {
            plan,
            rows: records.num_rows(),
            points: vec![None; columns.len()],
            numbers: vec![None; columns.len()],
            calls: plan.calls.iter().map(|_| Computed::default()).collect(),
            parts: vec![None; plan.parts.len()],
            columns,
        }
    }

    /// The rows a filter takes.
    pub(crate) fn run(&mut self, planned: &PlannedFilter) -> Outcome {
        let mut selection: Option<BooleanBuffer> = None;
        for index in &planned.parts {
            let step = self.narrow(*index, selection.as_ref());
            let narrowed = match step {
                Ok((narrowed, None)) => narrowed,
                Ok((narrowed, Some(failure))) => {
                    return self.failed(planned, *index, narrowed, failure);
                }
                Err(reason) => {
                    return Outcome {
                        rows: Vec::new(),
                        failure: Some((reason, None)),
                    };
                }
            };
            if narrowed.count_set_bits() == 0 {
                return Outcome {
                    rows: Vec::new(),
                    failure: None,
                };
            }
            selection = Some(narrowed);
        }
        let rows = match selection {
            Some(selection) => set_rows(&selection),
            None => (0_u32..).take(self.rows).collect(),
        };
        Outcome {
            rows,
            failure: None,
        }
    }

    /// A filter that failed at a row still takes the rows before it that hold under its remaining parts.
    fn failed(
        &mut self,
        planned: &PlannedFilter,
        at: usize,
        before: BooleanBuffer,
        failure: (String, usize),
    ) -> Outcome {
        let mut selection = before;
        let rest = planned
            .parts
            .iter()
            .skip_while(|index| **index != at)
            .skip(1);
        for index in rest {
            match self.narrow(*index, Some(&selection)) {
                Ok((narrowed, None)) => selection = narrowed,
                // The first failing row is the one that counts; an earlier one in a later part takes its place.
                Ok((narrowed, Some(earlier))) => {
                    return self.failed(planned, *index, narrowed, earlier);
                }
                Err(reason) => {
                    return Outcome {
                        rows: Vec::new(),
                        failure: Some((reason, None)),
                    };
                }
            }
        }
        Outcome {
            rows: set_rows(&selection),
            failure: Some((failure.0, Some(failure.1))),
        }
    }

    /// The rows of the selection for which a part holds. A fallible part may fail at a row; then rows before it are given.
    fn narrow(
        &mut self,
        index: usize,
        selection: Option<&BooleanBuffer>,
    ) -> Result<(BooleanBuffer, Option<(String, usize)>), String> {
        let part = &self.plan.parts[index];
        if part.fallible {
            return self.narrow_fallible(part, selection);
        }
        let known = match self.parts[index].take() {
            Some(known) => known,
            None => {
                self.compute_calls(part, selection)?;
                let batch = self.batch(part)?;
                truth(
                    part.expr.evaluate(&batch).map_err(|e| plain_message(&e))?,
                    self.rows,
                )?
            }
        };
        let narrowed = match selection {
            Some(selection) => selection & &known,
            None => known.clone(),
        };
        if part.calls.is_empty() {
            self.parts[index] = Some(known);
        }
        Ok((narrowed, None))
    }
    fn narrow_fallible(
        &mut self,
        part: &Part,
        selection: Option<&BooleanBuffer>,
    ) -> Result<(BooleanBuffer, Option<(String, usize)>), String> {
        self.compute_calls(part, selection)?;
        let batch = self.batch(part)?;
        let all = BooleanBuffer::new_set(self.rows);
        let rows = set_rows(selection.unwrap_or(&all));
        let chosen = match selection {
            Some(selection) => filter_batch(&batch, selection)?,
            None => batch,
        };
        if let Ok(value) = part.expr.evaluate(&chosen) {
            let held = truth(value, rows.len())?;
            return Ok((scatter(self.rows, &rows, |i| held.value(i)), None));
        }
        let mut held = vec![false; rows.len()];
        for (i, row) in rows.iter().enumerate() {
            match part.expr.evaluate(&chosen.slice(i, 1)) {
                Ok(value) => held[i] = truth(value, 1)?.value(0),
                Err(error) => {
                    let failure = (plain_message(&error), *row as usize);
                    return Ok((scatter(self.rows, &rows, |i| held[i]), Some(failure)));
                }
            }
        }
        Ok((scatter(self.rows, &rows, |i| held[i]), None))
    }

    fn batch(&mut self, part: &Part) -> Result<RecordBatch, String> {
        let columns = part.inputs.iter().map(|slot| self.slot(*slot)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(Arc::clone(&part.schema), columns, &options)
            .map_err(|e| e.to_string())
    }

    /// A batch of column slots of the flat table, in that order.
    pub(crate) fn flat_batch(
        &self,
        flat: &SchemaRef,
        inputs: &[usize],
    ) -> Result<RecordBatch, ArrowError> {
        let columns = inputs
            .iter()
            .map(|slot| Arc::clone(&self.columns[*slot]))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(Arc::new(flat.project(inputs)?), columns, &options)
    }

    fn slot(&mut self, slot: usize) -> ArrayRef {
        match slot.checked_sub(self.columns.len()) {
            None => Arc::clone(&self.columns[slot]),
            Some(call) => {
                let data_type = self.plan.calls[call].call.data_type();
                self.calls[call].array(&data_type, self.rows)
            }
        }
    }

    fn compute_calls(
        &mut self,
        part: &Part,
        selection: Option<&BooleanBuffer>,
    ) -> Result<(), String> {
        for slot in &part.calls {
            self.compute(slot - self.columns.len(), selection)?;
        }
        Ok(())
    }

    /// Computes a call for the rows of the selection that do not have it yet.
    fn compute(&mut self, call: usize, selection: Option<&BooleanBuffer>) -> Result<(), String> {
        if self.calls[call].complete {
            return Ok(());
        }
        let plan = self.plan;
        let CallSlot {
            call: function,
            sources,
        } = &plan.calls[call];
        let arguments = self.arguments(function, sources, selection)?;
        let rows = self.rows;
        let computed = &mut self.calls[call];
        if computed.state.is_empty() {
            computed.state = vec![0; rows];
            computed.values = vec![0.0; rows];
        }
        match selection {
            Some(selection) => selection
                .set_indices()
                .for_each(|row| computed.fill(function, &arguments, row)),
            None => {
                (0..rows).for_each(|row| computed.fill(function, &arguments, row));
                computed.complete = true;
            }
        }
        Ok(())
    }

    fn arguments(
        &mut self,
        function: &Call,
        sources: &[Source],
        selection: Option<&BooleanBuffer>,
    ) -> Result<Arguments, String> {
        let mut opened = Vec::with_capacity(sources.len());
        for (position, source) in sources.iter().enumerate() {
            opened.push(match source {
                Source::Constant(value) => Opened::Numbers(Numbers::Constant(*value)),
                Source::Slot(slot) if *slot >= self.columns.len() => {
                    self.compute(slot - self.columns.len(), selection)?;
                    Opened::Numbers(numbers(&self.slot(*slot))?)
                }
                Source::Slot(slot) if function.takes_points(position) => {
                    Opened::Points(self.points(*slot)?)
                }
                Source::Slot(slot) => Opened::Numbers(self.numbers(*slot)?),
            });
        }
        Ok(Arguments::new(opened))
    }

    fn points(&mut self, slot: usize) -> Result<Arc<Points>, String> {
        if let Some(points) = &self.points[slot] {
            return Ok(Arc::clone(points));
        }
        let points = Arc::new(Points::open(&self.columns[slot])?);
        self.points[slot] = Some(Arc::clone(&points));
        Ok(points)
    }

    fn numbers(&mut self, slot: usize) -> Result<Numbers, String> {
        if let Some(numbers) = &self.numbers[slot] {
            return Ok(numbers.clone());
        }
        let opened = numbers(&self.columns[slot])?;
        self.numbers[slot] = Some(opened.clone());
        Ok(opened)
    }
}

impl Computed {
    fn fill(&mut self, function: &Call, arguments: &Arguments, row: usize) {
        if self.state[row] != 0 {
            return;
        }
        self.array = None;
        match function.value(arguments, row) {
            Some(value) => {
                self.values[row] = value;
                self.state[row] = 1;
            }
            None => self.state[row] = 2,
        }
    }

    /// Values as an array; rows not computed are null, and are not in any selection that reads them.
    fn array(&mut self, data_type: &DataType, rows: usize) -> ArrayRef {
        if let Some(array) = &self.array {
            return Arc::clone(array);
        }
        if self.state.is_empty() {
            return new_null_array(data_type, rows);
        }
        let nulls = NullBuffer::new(self.state.iter().map(|state| *state == 1).collect());
        let array: ArrayRef = match data_type {
            // Counts and row numbers are far below 2^53, where the cast is exact.
            DataType::Int64 => {
                let values = self.values.iter().map(|value| *value as i64).collect();
                Arc::new(Int64Array::new(values, Some(nulls)))
            }
            DataType::Boolean => {
                let values = self.values.iter().map(|value| *value != 0.0).collect();
                Arc::new(BooleanArray::new(values, Some(nulls)))
            }
            _ => Arc::new(Float64Array::new(self.values.clone().into(), Some(nulls))),
        };
        self.array = Some(Arc::clone(&array));
        array
    }
}

/// A column of the batch laid flat: a field inside a struct is null where the struct is.
fn column(slot: &ColumnSlot, records: &RecordBatch) -> ArrayRef {
    let null = || new_null_array(&slot.data_type, records.num_rows());
    let Some((first, inner)) = slot.place.as_deref().and_then(<[usize]>::split_first) else {
        return null();
    };
    let mut array = Arc::clone(records.column(*first));
    for index in inner {
        let Some(parent) = array.as_struct_opt() else {
            return null();
        };
        let child = Arc::clone(parent.column(*index));
        array = match parent.nulls() {
            Some(nulls) if nulls.null_count() > 0 => with_nulls(&child, nulls),
            _ => child,
        };
    }
    array
}

fn with_nulls(child: &ArrayRef, parent: &NullBuffer) -> ArrayRef {
    let nulls = NullBuffer::union(child.nulls(), Some(parent));
    match child.to_data().into_builder().nulls(nulls).build() {
        Ok(data) => datafusion::arrow::array::make_array(data),
        Err(_) => Arc::clone(child),
    }
}

/// The rows for which a value is true; null counts as false.
fn truth(value: ColumnarValue, rows: usize) -> Result<BooleanBuffer, String> {
    match value {
        ColumnarValue::Scalar(ScalarValue::Boolean(value)) => Ok(match value {
            Some(true) => BooleanBuffer::new_set(rows),
            _ => BooleanBuffer::new_unset(rows),
        }),
        ColumnarValue::Scalar(ScalarValue::Null) => Ok(BooleanBuffer::new_unset(rows)),
        ColumnarValue::Scalar(other) => {
            Err(format!("the predicate gives {other}, not true or false"))
        }
        ColumnarValue::Array(array) => {
            let array = array
                .as_boolean_opt()
                .ok_or("the predicate is not true or false")?;
            Ok(match array.nulls() {
                Some(nulls) => array.values() & nulls.inner(),
                None => array.values().clone(),
            })
        }
    }
}

fn set_rows(selection: &BooleanBuffer) -> Vec<u32> {
    // A batch has far fewer than 2^32 rows.
    selection.set_indices().map(|row| row as u32).collect()
}

fn filter_batch(batch: &RecordBatch, selection: &BooleanBuffer) -> Result<RecordBatch, String> {
    let chosen = BooleanArray::new(selection.clone(), None);
    let columns = batch
        .columns()
        .iter()
        .map(|column| filter(column, &chosen))
        .collect::<Result<Vec<_>, _>>();
    let options = RecordBatchOptions::new().with_row_count(Some(selection.count_set_bits()));
    columns
        .and_then(|columns| RecordBatch::try_new_with_options(batch.schema(), columns, &options))
        .map_err(|error| error.to_string())
}

fn scatter(len: usize, rows: &[u32], held: impl Fn(usize) -> bool) -> BooleanBuffer {
    let mut bits = BooleanBufferBuilder::new(len);
    bits.append_n(len, false);
    for (i, row) in rows.iter().enumerate() {
        if held(i) {
            bits.set_bit(*row as usize, true);
        }
    }
    bits.finish()
}
