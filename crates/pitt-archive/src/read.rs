//! Reading data files: a few columns of all rows, or one packet.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use pitt_alert::frame::{self, Frame, FrameKind};
use pitt_alert::{Packet, Position};

use crate::error::ArchiveError;
use crate::part::PositionedFile;

/// Reads top-level columns of a file, in the order asked for.
pub(crate) fn columns(
    path: &Path,
    names: &[&str],
) -> Result<impl Iterator<Item = Result<RecordBatch, ArchiveError>> + use<>, ArchiveError> {
    let file = PositionedFile::open(path)?;
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(ArchiveError::parquet(path))?;
    columns_of(builder, path, names, 8192)
}

/// Reads columns with a prepared reader.
pub(crate) fn columns_of(
    builder: ParquetRecordBatchReaderBuilder<PositionedFile>,
    path: &Path,
    names: &[&str],
    batch_rows: usize,
) -> Result<impl Iterator<Item = Result<RecordBatch, ArchiveError>> + use<>, ArchiveError> {
    let schema = builder.schema().clone();
    let mut roots = Vec::with_capacity(names.len());
    for name in names {
        roots.push(
            schema
                .index_of(name)
                .map_err(ArchiveError::arrow(&path.display().to_string()))?,
        );
    }
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
    let reader = builder
        .with_projection(mask)
        .with_batch_size(batch_rows)
        .build()
        .map_err(ArchiveError::parquet(path))?;
    let mut sorted = roots.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let order: Vec<usize> = roots
        .iter()
        .map(|root| sorted.iter().position(|s| s == root).unwrap_or(0))
        .collect();
    let path = path.to_owned();
    Ok(reader.map(move |batch| {
        let ordered = batch.and_then(|batch| batch.project(&order));
        ordered.map_err(ArchiveError::arrow(&path.display().to_string()))
    }))
}

/// Some entries of a file's footer.
pub(crate) fn footer<const N: usize>(
    path: &Path,
    keys: [&str; N],
) -> Result<[Option<String>; N], ArchiveError> {
    let file = PositionedFile::open(path)?;
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(ArchiveError::parquet(path))?;
    let entries = builder.metadata().file_metadata().key_value_metadata();
    let value = |key: &str| {
        let entry = entries.and_then(|entries| entries.iter().find(|entry| entry.key == key));
        entry.and_then(|entry| entry.value.clone())
    };
    Ok(keys.map(value))
}

/// Columns a packet is put together from.
pub(crate) const PACKET_COLUMNS: [&str; 10] = [
    "frame",
    "frame_header",
    "frame_sync",
    "packet",
    "crc32",
    "schema",
    "partition",
    "offset",
    "name",
    "received_us",
];

/// One row's packet, put together.
#[derive(Clone)]
pub(crate) struct JoinedPacket {
    pub(crate) bytes: Bytes,
    pub(crate) schema: Option<String>,
    pub(crate) partition: String,
    pub(crate) offset: i64,
    pub(crate) name: String,
    pub(crate) received_us: i64,
}

impl JoinedPacket {
    /// The packet as a source gave it.
    pub(crate) fn into_packet(self) -> Packet {
        Packet {
            position: Position {
                partition: self.partition.into(),
                offset: self.offset,
            },
            name: self.name.into(),
            received_us: self.received_us,
            bytes: self.bytes,
        }
    }
}

/// Puts together the packet in a row of a batch of [`PACKET_COLUMNS`]; `Ok(None)` when the row carries none.
///
/// The error is what is damaged, for [`ArchiveError::Damaged`].
pub(crate) fn join_row(
    batch: &RecordBatch,
    i: usize,
    header: impl Fn(&str) -> Option<Bytes>,
) -> Result<Option<JoinedPacket>, String> {
    let text = |column: usize| {
        let array = batch.column(column);
        array.is_valid(i).then(|| array.as_string::<i32>().value(i))
    };
    let bytes = |column: usize| {
        let array = batch.column(column);
        array.is_valid(i).then(|| array.as_binary::<i32>().value(i))
    };
    let (Some(kind), Some(body)) = (text(0), bytes(3)) else {
        return Ok(None);
    };
    let header = match text(1) {
        Some(id) => Some(
            header(id).ok_or_else(|| format!("its header {id} is not in the table `schemas`"))?,
        ),
        None => None,
    };
    let frame = Frame {
        kind: FrameKind::from_name(kind)
            .ok_or_else(|| format!("frame `{kind}` is not known to this version"))?,
        header_id: None,
        header: Bytes::new(),
        sync: bytes(2).and_then(|sync| sync.try_into().ok()),
        body: Bytes::copy_from_slice(body),
    };
    let joined = frame::join(&frame, header.as_deref().unwrap_or_default());
    let expected = batch.column(4).as_primitive::<Int64Type>().value(i);
    let found = i64::from(crc32fast::hash(&joined));
    if found != expected {
        return Err(format!("its CRC-32 is {found:08x}, not {expected:08x}"));
    }
    Ok(Some(JoinedPacket {
        bytes: joined,
        schema: text(5).map(str::to_owned),
        partition: text(6).unwrap_or_default().to_owned(),
        offset: batch.column(7).as_primitive::<Int64Type>().value(i),
        name: text(8).unwrap_or_default().to_owned(),
        received_us: batch.column(9).as_primitive::<Int64Type>().value(i),
    }))
}

/// Open files with their footers and page indexes, the most recent ones.
pub(crate) struct OpenFiles {
    limit: usize,
    files: Mutex<HashMap<PathBuf, (u64, OpenFile)>>,
}

#[derive(Clone)]
struct OpenFile {
    file: PositionedFile,
    metadata: ArrowReaderMetadata,
}

impl OpenFiles {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            files: Mutex::new(HashMap::new()),
        }
    }

    fn open(&self, path: &Path) -> Result<OpenFile, ArchiveError> {
        let mut files = self
            .files
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = files.values().map(|(used, _)| *used).max().unwrap_or(0) + 1;
        if let Some((used, open)) = files.get_mut(path) {
            *used = now;
            return Ok(open.clone());
        }
        let open = OpenFile::new(path)?;
        if files.len() >= self.limit
            && let Some(oldest) = files
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(p, _)| p.clone())
        {
            files.remove(&oldest);
        }
        files.insert(path.to_owned(), (now, open.clone()));
        Ok(open)
    }

    /// Reads rows of packets, which ascend: of their bytes, a page each.
    pub(crate) fn packet_rows(
        &self,
        path: &Path,
        rows: &[u64],
    ) -> Result<Vec<RecordBatch>, ArchiveError> {
        self.open(path)?.rows(path, &PACKET_COLUMNS, rows)
    }
}

/// Reads columns of rows of a file, which ascend: of other rows no more than stands on the same pages.
pub(crate) fn rows(
    path: &Path,
    names: &[&str],
    rows: &[u64],
) -> Result<Vec<RecordBatch>, ArchiveError> {
    OpenFile::new(path)?.rows(path, names, rows)
}

impl OpenFile {
    fn new(path: &Path) -> Result<Self, ArchiveError> {
        let file = PositionedFile::open(path)?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata =
            ArrowReaderMetadata::load(&file, options).map_err(ArchiveError::parquet(path))?;
        Ok(Self { file, metadata })
    }

    fn rows(
        self,
        path: &Path,
        names: &[&str],
        rows: &[u64],
    ) -> Result<Vec<RecordBatch>, ArchiveError> {
        let damaged = |row: u64| ArchiveError::Damaged {
            path: path.display().to_string(),
            row,
            detail: "the file has no such row".to_owned(),
        };
        let (groups, selection) =
            selected(self.metadata.metadata().row_groups(), rows).map_err(damaged)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file, self.metadata)
            .with_row_groups(groups)
            .with_row_selection(selection);
        let batches = columns_of(builder, path, names, rows.len().max(1))?;
        let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>()?;
        let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
        match rows.get(found) {
            Some(missing) => Err(damaged(*missing)),
            None => Ok(batches),
        }
    }
}

/// The groups that hold rows of a file, which ascend, and where the rows are in those groups; `Err` with a row that is not in it.
fn selected(groups: &[RowGroupMetaData], rows: &[u64]) -> Result<(Vec<usize>, RowSelection), u64> {
    let (mut chosen, mut selectors) = (vec![], vec![]);
    let (mut first, mut rest) = (0, rows);
    for (index, group) in groups.iter().enumerate() {
        let end = first + group.num_rows().unsigned_abs();
        let here;
        (here, rest) = rest.split_at(rest.partition_point(|row| *row < end));
        if !here.is_empty() {
            chosen.push(index);
            let mut at = first;
            for row in here {
                selectors.push(RowSelector::skip((row - at) as usize));
                selectors.push(RowSelector::select(1));
                at = row + 1;
            }
            selectors.push(RowSelector::skip((end - at) as usize));
        }
        first = end;
    }
    match rest.first() {
        Some(row) => Err(*row),
        None => Ok((chosen, RowSelection::from(selectors))),
    }
}
