//! Row groups of a data file.

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::pages::PacketPages;

/// A Parquet file being written: like [`ArrowWriter`], but for a column of packets, whose pages are [`PacketPages`].
pub(crate) struct RowGroups<W: Write + Send> {
    schema: SchemaRef,
    file: SerializedFileWriter<W>,
    columns: ArrowRowGroupWriterFactory,
    packets: Option<(usize, PacketPages)>,
    group: Vec<ArrowColumnWriter>,
    group_rows: usize,
    most_rows: usize,
}

impl<W: Write + Send> RowGroups<W> {
    pub(crate) fn new(sink: W, schema: SchemaRef, properties: WriterProperties) -> Result<Self> {
        let most_rows = properties
            .max_row_group_row_count()
            .unwrap_or(usize::MAX)
            .max(1);
        let packets = packet_column(&schema, &properties);
        let writer = ArrowWriter::try_new(sink, schema.clone(), Some(properties))?;
        let (file, columns) = writer.into_serialized_writer()?;
        let pages = |column| Ok::<_, ParquetError>((column, PacketPages::new()?));
        Ok(Self {
            schema,
            file,
            columns,
            packets: packets.map(pages).transpose()?,
            group: vec![],
            group_rows: 0,
            most_rows,
        })
    }

    /// Bytes written, and about those of the row group in memory.
    pub(crate) fn bytes(&self) -> usize {
        let columns = self.group.iter().map(|c| c.get_estimated_total_bytes());
        let pages = self.packets.as_ref().map_or(0, |(_, pages)| pages.bytes());
        self.file.bytes_written() + columns.sum::<usize>() + pages
    }

    /// Adds rows; full row groups go to the file.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut from = 0;
        while from < batch.num_rows() {
            let rows = (batch.num_rows() - from).min(self.most_rows - self.group_rows);
            self.add(&batch.slice(from, rows))?;
            from += rows;
            if self.group_rows == self.most_rows {
                self.close_group()?;
            }
        }
        Ok(())
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.group.is_empty() {
            let number = self.file.flushed_row_groups().len();
            self.group = self.columns.create_column_writers(number)?;
        }
        let mut at = 0;
        for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
            if let Some((_, pages)) = self.packets.as_mut().filter(|(packets, _)| *packets == at) {
                push_all(pages, column)?;
                at += 1;
                continue;
            }
            for leaf in compute_leaves(field, column)? {
                let writer = self.group.get_mut(at).ok_or_else(foreign)?;
                writer.write(&leaf)?;
                at += 1;
            }
        }
        self.group_rows += batch.num_rows();
        Ok(())
    }

    fn close_group(&mut self) -> Result<()> {
        self.group_rows = 0;
        let descriptions = self.file.schema_descr().columns().to_vec();
        let writers = std::mem::take(&mut self.group);
        let mut group = self.file.next_row_group()?;
        for (at, (writer, column)) in writers.into_iter().zip(descriptions).enumerate() {
            match self.packets.as_mut().filter(|(packets, _)| *packets == at) {
                Some((_, pages)) => {
                    let (chunk, close) = pages.finish(column)?;
                    group.append_column(&chunk, close)?;
                    pages.recycle(chunk);
                }
                None => writer.close()?.append_to_row_group(&mut group)?,
            }
        }
        group.close()?;
        Ok(())
    }

    /// Adds a key to the footer.
    pub(crate) fn note(&mut self, key: &str, value: String) {
        self.file
            .append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }

    /// Writes what is left, and the footer; also gives back what was written to.
    pub(crate) fn finish(&mut self) -> Result<(ParquetMetaData, &mut W)> {
        if self.group_rows > 0 {
            self.close_group()?;
        }
        let metadata = self.file.finish()?;
        Ok((metadata, self.file.inner_mut()))
    }
}

fn foreign() -> ParquetError {
    ParquetError::General("a batch has more columns than its file".to_owned())
}

/// The column of which each value is to be a page, compressed with Zstandard. Such tables have no nested columns, so its
/// number among fields is that among the file's columns.
fn packet_column(schema: &SchemaRef, properties: &WriterProperties) -> Option<usize> {
    schema.fields().iter().position(|field| {
        let path = ColumnPath::from(field.name().as_str());
        let paged = properties.column_data_page_size_limit(&path) == 1;
        let zstd = matches!(properties.compression(&path), Compression::ZSTD(_));
        paged && zstd && field.data_type() == &DataType::Binary
    })
}

fn push_all(pages: &mut PacketPages, column: &ArrayRef) -> Result<()> {
    if let Some(values) = column.as_binary_view_opt() {
        return values.iter().try_for_each(|value| pages.push(value));
    }
    match column.as_binary_opt::<i32>() {
        Some(values) => values.iter().try_for_each(|value| pages.push(value)),
        None => Err(ParquetError::General(format!(
            "packets come as {}, expected binary",
            column.data_type()
        ))),
    }
}
