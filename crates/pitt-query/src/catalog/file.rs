//! Catalogs in files: Parquet and CSV in, Parquet kept.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::metadata::KeyValue;
use datafusion::parquet::file::properties::WriterProperties;

use super::{Catalog, Catalogs};
use crate::error::QueryError;

/// Most bytes of a CSV file; larger catalogs come as Parquet.
const MAX_CSV_BYTES: u64 = 1 << 31;
/// Footer keys that keep which columns hold the position.
const RA_KEY: &str = "pitt.ra";
const DEC_KEY: &str = "pitt.dec";

impl Catalog {
    /// Reads a catalog from a Parquet or CSV file (by its ending `.parquet` or `.csv`).
    ///
    /// `position` names the columns of right ascension and declination [deg, ICRS]; without it they are guessed.
    /// A CSV file has names in its first line; a column is whole numbers, numbers or text, by what all its cells are.
    pub fn import(
        name: &str,
        file: &Path,
        position: Option<(&str, &str)>,
    ) -> Result<Catalog, QueryError> {
        let ending = file
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or("")
            .to_lowercase();
        let (columns, kept) = match ending.as_str() {
            "parquet" | "pq" => read_parquet(file)?,
            "csv" => (read_csv(name, file)?, None),
            _ => {
                let problem = format!("{} is neither .parquet nor .csv", file.display());
                return Err(QueryError::Catalog {
                    catalog: name.into(),
                    problem,
                });
            }
        };
        let kept = kept.as_ref().map(|(ra, dec)| (ra.as_str(), dec.as_str()));
        Catalog::new(name, columns, position.or(kept))
    }

    /// Keeps the catalog in a folder as `<name>.parquet`, replacing one of that name; gives the path.
    pub fn save(&self, folder: &Path) -> Result<PathBuf, QueryError> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |source| QueryError::File {
                path: path.clone(),
                source,
            }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join(format!("{}.parquet", self.name()));
        let partial = folder.join(format!("{}.parquet.partial", self.name()));
        let file = File::create(&partial).map_err(failed(&partial))?;
        let (ra, dec) = self.position_columns();
        let keys = vec![
            KeyValue::new(RA_KEY.into(), ra.to_string()),
            KeyValue::new(DEC_KEY.into(), dec.to_string()),
        ];
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(keys))
            .build();
        let mut writer = ArrowWriter::try_new(file, self.columns().schema(), Some(properties))?;
        writer.write(self.columns())?;
        let file = writer.into_inner()?;
        file.sync_all().map_err(failed(&partial))?;
        std::fs::rename(&partial, &path).map_err(failed(&path))?;
        Ok(path)
    }
}

impl Catalogs {
    /// Loads every `<name>.parquet` of a folder. A folder that does not exist holds no catalogs.
    pub fn load(folder: &Path) -> Result<Catalogs, QueryError> {
        let mut catalogs = Catalogs::new();
        let failed = |source| QueryError::File {
            path: folder.display().to_string(),
            source,
        };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(catalogs),
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let name = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .map(str::to_string);
            if let (Some("parquet"), Some(name)) = (path.extension().and_then(|e| e.to_str()), name)
            {
                catalogs.insert(Catalog::import(&name, &path, None)?);
            }
        }
        Ok(catalogs)
    }
}

/// The table of a Parquet file, and the position columns its footer names.
fn read_parquet(path: &Path) -> Result<(RecordBatch, Option<(String, String)>), QueryError> {
    let file = File::open(path).map_err(|source| QueryError::File {
        path: path.display().to_string(),
        source,
    })?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let keys = builder
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .cloned()
        .unwrap_or_default();
    let key = |name: &str| {
        keys.iter()
            .find(|pair| pair.key == name)
            .and_then(|pair| pair.value.clone())
    };
    let position = key(RA_KEY).zip(key(DEC_KEY));
    let schema = Arc::clone(builder.schema());
    let batches = builder.build()?.collect::<Result<Vec<_>, _>>()?;
    let columns = concat_batches(&schema, &batches)?;
    let bare = Arc::new(Schema::new(schema.fields().clone()));
    let options = RecordBatchOptions::new().with_row_count(Some(columns.num_rows()));
    let columns = RecordBatch::try_new_with_options(bare, columns.columns().to_vec(), &options)?;
    Ok((columns, position))
}

fn read_csv(name: &str, path: &Path) -> Result<RecordBatch, QueryError> {
    let failed = |source| QueryError::File {
        path: path.display().to_string(),
        source,
    };
    let fail = |problem: String| QueryError::Catalog {
        catalog: name.into(),
        problem,
    };
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_CSV_BYTES {
        return Err(fail(
            "the CSV file is larger than 2 GiB (convert it to Parquet)".into(),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let mut records =
        csv_records(&text).filter(|(_, cells)| !(cells.len() == 1 && cells[0].trim().is_empty()));
    let (_, names) = records
        .next()
        .ok_or_else(|| fail("the CSV file is empty".into()))?;
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for (line, cells) in records {
        if cells.len() != names.len() {
            return Err(fail(format!(
                "line {line} has {} cells, the first line has {}",
                cells.len(),
                names.len()
            )));
        }
        for (column, cell) in columns.iter_mut().zip(cells) {
            column.push(cell);
        }
    }
    let rows = columns.first().map_or(0, Vec::len);
    let typed: Vec<(Field, ArrayRef)> = names
        .iter()
        .zip(&columns)
        .map(|(name, cells)| typed(name.trim(), cells))
        .collect();
    let (fields, arrays): (Vec<_>, Vec<_>) = typed.into_iter().unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        arrays,
        &options,
    )?)
}

/// A column of the narrowest type that all its cells are; an empty cell is null.
fn typed(name: &str, cells: &[String]) -> (Field, ArrayRef) {
    let filled = || {
        cells
            .iter()
            .map(|cell| cell.trim())
            .filter(|cell| !cell.is_empty())
    };
    if filled().all(|cell| cell.parse::<i64>().is_ok()) {
        let values: Int64Array = cells.iter().map(|cell| cell.trim().parse().ok()).collect();
        return (Field::new(name, DataType::Int64, true), Arc::new(values));
    }
    if filled().all(|cell| cell.parse::<f64>().is_ok()) {
        let values: Float64Array = cells.iter().map(|cell| cell.trim().parse().ok()).collect();
        return (Field::new(name, DataType::Float64, true), Arc::new(values));
    }
    let values: StringArray = cells
        .iter()
        .map(|cell| (!cell.is_empty()).then_some(cell.as_str()))
        .collect();
    (Field::new(name, DataType::Utf8, true), Arc::new(values))
}

/// Records of CSV (RFC 4180) with the line each starts on. Lines that start with `#` are comments.
fn csv_records(text: &str) -> impl Iterator<Item = (usize, Vec<String>)> + '_ {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    std::iter::from_fn(move || {
        while rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            line += 1;
        }
        if rest.is_empty() {
            return None;
        }
        let start = line;
        let (cells, used) = csv_record(rest);
        line += rest[..used].matches('\n').count();
        rest = &rest[used..];
        Some((start, cells))
    })
}

/// The cells of the first record, and how many bytes it takes with its line end.
fn csv_record(text: &str) -> (Vec<String>, usize) {
    let mut cells = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if quoted && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                cell.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                cells.push(
                    cell.strip_suffix('\r')
                        .map_or_else(|| cell.clone(), str::to_string),
                );
                return (cells, at + 1);
            }
            c => cell.push(c),
        }
    }
    cells.push(cell);
    (cells, text.len())
}
