//! Rows being gathered under one writer's schema.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use bytes::Bytes;

use crate::avro::column::RecordColumn;
use crate::avro::cursor::{Cursor, Fault};
use crate::avro::plan;
use crate::reason::{Problem, Reason, Rejected};
use crate::schemas::WriterSchema;
use crate::selection::Selection;
use crate::survey::points::ListKind;
use crate::survey::read::Rows;
use crate::survey::{Common, common_fields};

/// Most records of a schema without fields that a block may hold.
const MAX_EMPTY_RECORDS: usize = 65_536;

/// Alerts of one writer's schema, in the order of the packets.
#[derive(Clone, Debug)]
pub struct AlertBatch {
    /// `ztf`, `lsst`, or a word from the schema's name.
    pub survey: Arc<str>,
    /// The schema they were written with.
    pub schema: Arc<WriterSchema>,
    /// The survey's own columns, then the common ones.
    pub records: RecordBatch,
    /// Where each row came from, one entry a row.
    pub origins: Vec<Origin>,
}

/// Where a row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Index into the packets that were given.
    pub packet: usize,
    /// Number of the record in its container; 0 for the usual packet of one record.
    pub record: u32,
}

/// The compiled plan of one schema and selection, and the rows it has read so far.
pub(crate) struct Gathering {
    schema: Arc<WriterSchema>,
    root: RecordColumn,
    /// What the plan reads, in its order.
    fields: Fields,
    /// Which of them come out.
    kept: Vec<usize>,
    lists: Vec<ListKind>,
    output: SchemaRef,
    has_views: bool,
    buffers: Vec<Buffer>,
    origins: Vec<Origin>,
}

impl Gathering {
    pub(crate) fn new(schema: Arc<WriterSchema>, selection: &Selection) -> Gathering {
        let mapping = schema.mapping();
        let wanted = selection.wanted(schema.root(), mapping);
        let (root, fields) = plan::compile(schema.root(), &wanted);
        let lists = selection.lists();
        let kept: Vec<usize> = (0..fields.len())
            .filter(|&at| selection.keeps(fields[at].name()))
            .collect();
        let common = if mapping.is_some() {
            common_fields(&lists)
        } else {
            Vec::new()
        };
        let own = kept.iter().map(|&at| renamed(&fields[at], &common));
        let output: Vec<FieldRef> = own.chain(common.iter().cloned()).collect();
        let output = Arc::new(Schema::new(output));
        let has_views = fields.iter().any(|field| holds_views(field.data_type()));
        let (buffers, origins) = (Vec::new(), Vec::new());
        Gathering {
            schema,
            root,
            fields,
            kept,
            lists,
            output,
            has_views,
            buffers,
            origins,
        }
    }

    /// Makes room for as much as the last batch had, at most `limit` values in a column.
    pub(crate) fn reserve(&mut self, limit: usize) {
        self.root
            .fields
            .iter_mut()
            .for_each(|column| column.reserve(limit));
    }

    /// Reads `count` records that fill `bytes[start..]` exactly. Records before a bad one stay; the error says which
    /// record it is.
    pub(crate) fn read(
        &mut self,
        bytes: &Bytes,
        start: usize,
        count: usize,
        first: Origin,
    ) -> Result<(), (u32, Problem)> {
        let rows_before = self.origins.len();
        let min_size = self.schema.root().min_size();
        let most = (bytes.len() - start)
            .checked_div(min_size)
            .unwrap_or(MAX_EMPTY_RECORDS);
        if count > most {
            return Err((
                first.record,
                Problem::new(
                    Reason::BadData,
                    format!("{count} records cannot fit in the block"),
                ),
            ));
        }
        if self.has_views && count > 0 {
            self.buffers.push(Buffer::from(bytes.clone()));
        }
        let buffer = self.buffers.len().saturating_sub(1) as u32;
        let mut cursor = Cursor::new(bytes, start, buffer);
        for record in first.record..first.record.saturating_add(count as u32) {
            if let Err(fault) = self.root.read(&mut cursor) {
                self.root.truncate(self.origins.len());
                return Err((record, Problem::datum(fault, cursor.position())));
            }
            self.origins.push(Origin {
                packet: first.packet,
                record,
            });
        }
        if cursor.remaining() > 0 {
            self.root.truncate(rows_before);
            self.origins.truncate(rows_before);
            return Err((
                first.record,
                Problem::datum(Fault::Trailing, cursor.position()),
            ));
        }
        Ok(())
    }

    /// The batch of everything read, and nothing left. Rows whose alert id is missing are rejected.
    pub(crate) fn finish(&mut self, rejected: &mut Vec<Rejected>) -> Option<AlertBatch> {
        let origins = std::mem::take(&mut self.origins);
        let buffers = std::mem::take(&mut self.buffers);
        let arrays = self.root.finish_fields(&self.fields, &buffers);
        match arrays.and_then(|arrays| self.batch(arrays, origins.len())) {
            Ok(records) => self.without_missing_ids(records, origins, rejected),
            Err(error) => {
                let problem = |o: &Origin| {
                    Problem::new(Reason::BadData, format!("arrow: {error}"))
                        .rejected(o.packet, Some(o.record))
                };
                rejected.extend(origins.iter().map(problem));
                None
            }
        }
    }

    fn batch(&self, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = self.kept.iter().map(|&at| arrays[at].clone()).collect();
        if let Some(mapping) = self.schema.mapping() {
            let mut common = Common::new(rows, &self.lists);
            mapping.fill(
                &Rows {
                    fields: &self.fields,
                    arrays: &arrays,
                    len: rows,
                },
                &mut common,
            );
            columns.extend(common.finish(mapping.name())?);
        }
        // A missing alert id is taken out afterwards; until then its column may hold nulls.
        let schema = relaxed(&self.output, &columns);
        RecordBatch::try_new_with_options(
            schema,
            columns,
            &RecordBatchOptions::new().with_row_count(Some(rows)),
        )
    }

    fn without_missing_ids(
        &self,
        records: RecordBatch,
        origins: Vec<Origin>,
        rejected: &mut Vec<Rejected>,
    ) -> Option<AlertBatch> {
        let missing = self
            .schema
            .mapping()
            .and_then(|_| records.column_by_name("alert_id")?.nulls().cloned());
        let (records, origins) = match missing.filter(|nulls| nulls.null_count() > 0) {
            None => (records, origins),
            Some(nulls) => {
                let lost = origins.iter().zip(nulls.iter()).filter(|(_, valid)| !valid);
                let problem = || Problem::new(Reason::NoAlertId, "the record has no alert id");
                rejected.extend(lost.map(|(o, _)| problem().rejected(o.packet, Some(o.record))));
                let left = origins
                    .iter()
                    .zip(nulls.iter())
                    .filter(|(_, valid)| *valid)
                    .map(|(o, _)| *o)
                    .collect();
                let records =
                    filter_record_batch(&records, &BooleanArray::new(nulls.into_inner(), None))
                        .ok()?;
                (
                    RecordBatch::try_new(self.output.clone(), records.columns().to_vec()).ok()?,
                    left,
                )
            }
        };
        let batch = AlertBatch {
            survey: self.schema.survey().clone(),
            schema: self.schema.clone(),
            records,
            origins,
        };
        (!batch.origins.is_empty()).then_some(batch)
    }
}

/// The output schema, with `alert_id` nullable while it holds nulls.
fn relaxed(schema: &SchemaRef, columns: &[ArrayRef]) -> SchemaRef {
    let Ok(at) = schema.index_of("alert_id") else {
        return schema.clone();
    };
    if columns.get(at).is_none_or(|ids| ids.null_count() == 0) || schema.field(at).is_nullable() {
        return schema.clone();
    }
    let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    fields[at] = Arc::new(fields[at].as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields))
}

/// A survey's own column that is called like a common one gets `survey_` before its name.
fn renamed(field: &FieldRef, common: &[FieldRef]) -> FieldRef {
    if common.iter().any(|c| c.name() == field.name()) {
        let name = format!("survey_{}", field.name());
        return Arc::new(Field::clone(field).with_name(name));
    }
    field.clone()
}

fn holds_views(data_type: &DataType) -> bool {
    match data_type {
        DataType::BinaryView => true,
        DataType::List(item) | DataType::Map(item, _) => holds_views(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_views(field.data_type())),
        _ => false,
    }
}
