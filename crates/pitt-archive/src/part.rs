//! Data files: writing one durably, naming it, and reading parts of it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use crate::crash;
use crate::error::ArchiveError;
use crate::folder::sync_folder;
use crate::groups::RowGroups;
use crate::sink::Sink;

/// Name of a data file: `<commit>-<number>-<xxh3>.parquet`.
///
/// `commit` counts the commits of `packets` (every table's rows derived from that commit bear the same
/// number), `number` the files of one table in it, and `xxh3` is the 64-bit XXH3 hash of the whole file in
/// hexadecimal: a file can be proven without any list, and a file under another name is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartName {
    /// Commit of `packets` that the rows belong to, from 1.
    pub commit: u64,
    /// Number of the file in the commit, from 0.
    pub number: u32,
    /// XXH3-64 of the file's bytes.
    pub hash: u64,
}

impl PartName {
    /// Reads a name back; `None` if it is not one of ours.
    pub fn parse(name: &str) -> Option<Self> {
        let mut words = name.strip_suffix(".parquet")?.split('-');
        let parsed = Self {
            commit: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
            hash: u64::from_str_radix(words.next()?, 16).ok()?,
        };
        (words.next().is_none() && parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:010}-{:03}-{:016x}.parquet",
            self.commit, self.number, self.hash
        )
    }
}

/// A finished, durable data file that no log lists yet.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Its name, with the checksum.
    pub(crate) name: PartName,
    /// Where it is, absolute.
    pub(crate) path: PathBuf,
    /// Size `[bytes]`.
    pub(crate) size: u64,
    /// Rows.
    pub(crate) rows: u64,
    /// Delta statistics of its columns, as JSON.
    pub(crate) stats: String,
    /// When it was finished, milliseconds since 1970, UTC.
    pub(crate) written_ms: i64,
}

impl Part {
    /// A durable file that a crash has left without a log entry; also its schema.
    pub(crate) fn reopen(path: &Path, name: PartName) -> Result<(Self, SchemaRef), ArchiveError> {
        let file = PositionedFile::open(path)?;
        let size = file.size;
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(file).map_err(ArchiveError::parquet(path))?;
        let metadata = builder.metadata();
        let part = Self {
            name,
            path: path.to_owned(),
            size,
            rows: metadata.file_metadata().num_rows().unsigned_abs(),
            stats: delta_stats(metadata),
            written_ms: now_ms(),
        };
        Ok((part, builder.schema().clone()))
    }

    /// Gives the file the number of another commit. Its folder is not synced.
    pub(crate) fn renumber(&mut self, commit: u64) -> Result<(), ArchiveError> {
        let name = PartName {
            commit,
            ..self.name
        };
        let path = self.path.with_file_name(name.to_string());
        if name != self.name {
            std::fs::rename(&self.path, &path).map_err(ArchiveError::io(&path))?;
        }
        (self.name, self.path) = (name, path);
        Ok(())
    }

    /// The file as the log will list it.
    pub(crate) fn as_table_file(&self) -> crate::delta::TableFile {
        crate::delta::TableFile {
            path: self.path.clone(),
            name: self.name,
            size: self.size,
            rows: self.rows,
            stats: self.stats.clone(),
        }
    }
}

/// A data file being written. Row groups go to disk as they fill; memory holds one row group.
///
/// Until it is finished the file's name begins with `.part-`, which no reader lists. Finishing syncs the file,
/// gives it its name, and syncs the folder, so that a log entry never names a file that a power cut can take.
pub(crate) struct PartWriter {
    folder: PathBuf,
    staged: PathBuf,
    commit: u64,
    number: u32,
    writer: RowGroups<Sink>,
    rows: u64,
}

impl PartWriter {
    pub(crate) fn create(
        folder: &Path,
        (commit, number): (u64, u32),
        schema: SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self, ArchiveError> {
        let staged = folder.join(format!(
            ".part-{commit:010}-{number:03}-{}",
            uuid::Uuid::new_v4()
        ));
        let sink = Sink::create(&staged).map_err(ArchiveError::io(&staged))?;
        let writer = RowGroups::new(sink, schema, properties).map_err(write_error(&staged))?;
        Ok(Self {
            folder: folder.to_owned(),
            staged,
            commit,
            number,
            writer,
            rows: 0,
        })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), ArchiveError> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(write_error(&self.staged))
    }

    /// Bytes on disk and in memory so far, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.writer.bytes() as u64
    }

    /// Lets the file be of another commit.
    pub(crate) fn renumber(&mut self, commit: u64) {
        self.commit = commit;
    }

    /// Adds a key to the file's footer.
    pub(crate) fn note(&mut self, key: &str, value: String) {
        self.writer.note(key, value);
    }

    pub(crate) fn finish(mut self) -> Result<Part, ArchiveError> {
        let (metadata, sink) = self.writer.finish().map_err(write_error(&self.staged))?;
        let stats = delta_stats(&metadata);
        let (size, hash) = sink.finish().map_err(ArchiveError::io(&self.staged))?;
        let name = PartName {
            commit: self.commit,
            number: self.number,
            hash,
        };
        let path = self.folder.join(name.to_string());
        crash::point("file-before-name");
        std::fs::rename(&self.staged, &path).map_err(ArchiveError::io(&path))?;
        sync_folder(&self.folder).map_err(ArchiveError::io(&self.folder))?;
        Ok(Part {
            name,
            path,
            size,
            rows: self.rows,
            stats,
            written_ms: now_ms(),
        })
    }
}

/// Tells a full disk from a wrong file.
fn write_error(path: &Path) -> impl FnOnce(ParquetError) -> ArchiveError + use<> {
    let path = path.to_owned();
    move |error| match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(source) => ArchiveError::io(&path)(*source),
            Err(other) => ArchiveError::parquet(&path)(ParquetError::External(other)),
        },
        other => ArchiveError::parquet(&path)(other),
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Columns whose smallest and largest values go into the Delta log, where readers prune files by them.
const PRUNING: [&str; 9] = [
    "alert_id",
    "object_id",
    "mjd_tai",
    "night",
    "ra",
    "_healpix_29",
    "offset",
    "received_us",
    "seq",
];

/// Delta statistics of a file, from its footer.
fn delta_stats(metadata: &ParquetMetaData) -> String {
    let mut bounds: [Map<String, Value>; 2] = [Map::new(), Map::new()];
    let schema = metadata.file_metadata().schema_descr();
    for (index, column) in schema.columns().iter().enumerate() {
        let name = column.path().string();
        if !PRUNING.contains(&name.as_str()) {
            continue;
        }
        if let Some((low, high)) = column_bounds(metadata, index) {
            bounds[0].insert(name.clone(), low);
            bounds[1].insert(name, high);
        }
    }
    let [low, high] = bounds;
    json!({
        "numRecords": metadata.file_metadata().num_rows(),
        "minValues": low,
        "maxValues": high,
    })
    .to_string()
}

fn column_bounds(metadata: &ParquetMetaData, column: usize) -> Option<(Value, Value)> {
    let mut bounds: Option<(Value, Value)> = None;
    for group in metadata.row_groups() {
        let (low, high) = match chunk_bounds(group.column(column).statistics()?) {
            Some(found) => found,
            // A row group of nulls bounds nothing; anything else unknown makes the whole unknown.
            None if all_null(group.column(column).statistics()?, group.num_rows()) => continue,
            None => return None,
        };
        bounds = Some(match bounds {
            None => (low, high),
            Some((a, b)) => (smaller(a, low, true), smaller(b, high, false)),
        });
    }
    bounds
}

fn all_null(statistics: &Statistics, rows: i64) -> bool {
    statistics.null_count_opt() == u64::try_from(rows).ok()
}

fn chunk_bounds(statistics: &Statistics) -> Option<(Value, Value)> {
    match statistics {
        Statistics::Int32(s) => Some((json!(s.min_opt()?), json!(s.max_opt()?))),
        Statistics::Int64(s) => Some((json!(s.min_opt()?), json!(s.max_opt()?))),
        Statistics::Double(s) => Some((json!(s.min_opt()?), json!(s.max_opt()?))),
        Statistics::ByteArray(s) if s.min_is_exact() && s.max_is_exact() => Some((
            json!(std::str::from_utf8(s.min_opt()?.data()).ok()?),
            json!(std::str::from_utf8(s.max_opt()?.data()).ok()?),
        )),
        _ => None,
    }
}

fn smaller(a: Value, b: Value, want_smaller: bool) -> Value {
    let b_less = match (&a, &b) {
        (Value::String(a), Value::String(b)) => b < a,
        (a, b) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => b < a,
            _ => b.as_f64() < a.as_f64(),
        },
    };
    if b_less == want_smaller { b } else { a }
}

/// A file read by position, so that threads can share it.
#[derive(Debug, Clone)]
pub(crate) struct PositionedFile {
    file: Arc<File>,
    size: u64,
}

impl PositionedFile {
    pub(crate) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let file = File::open(path).map_err(ArchiveError::io(path))?;
        let size = file.metadata().map_err(ArchiveError::io(path))?.len();
        Ok(Self {
            file: Arc::new(file),
            size,
        })
    }
}

impl Length for PositionedFile {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for PositionedFile {
    type T = io::BufReader<PositionedReader>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(io::BufReader::new(PositionedReader {
            file: self.file.clone(),
            position: start,
        }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if start.saturating_add(length as u64) > self.size {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} of {}",
                self.size
            )));
        }
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, start)?;
        Ok(buffer.into())
    }
}

/// Sequential reads from a position of a shared file.
#[derive(Debug)]
pub(crate) struct PositionedReader {
    file: Arc<File>,
    position: u64,
}

impl Read for PositionedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}
