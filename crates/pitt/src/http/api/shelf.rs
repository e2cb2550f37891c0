//! The data files of a table that may hold what is looked for, by the bounds that its log has of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use pitt_archive::{Archive, ArchiveError, PartName, TableFile};
use serde_json::Value;

/// Smallest and largest values of a file; `None` where the log does not have them: then anything may be there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Middle of the exposure, d (TAI).
    pub mjd_tai: Option<(f64, f64)>,
    /// Night, YYYYMMDD.
    pub night: Option<(i64, i64)>,
    /// Alert.
    pub alert_id: Option<(i64, i64)>,
    /// Nested HEALPix cell of order 29.
    pub cell: Option<(i64, i64)>,
    /// Object.
    pub object_id: Option<(String, String)>,
}

impl Bounds {
    fn of(file: &TableFile) -> Self {
        let stats: Value = serde_json::from_str(&file.stats).unwrap_or_default();
        let pair = |column: &str| {
            let side = |side: &str| stats.get(side)?.get(column).cloned();
            side("minValues").zip(side("maxValues"))
        };
        let whole = |column: &str| {
            pair(column).and_then(|(low, high)| Some((low.as_i64()?, high.as_i64()?)))
        };
        let texts = |(low, high): (Value, Value)| {
            Some((low.as_str()?.to_owned(), high.as_str()?.to_owned()))
        };
        Self {
            mjd_tai: pair("mjd_tai").and_then(|(low, high)| Some((low.as_f64()?, high.as_f64()?))),
            night: whole("night"),
            alert_id: whole("alert_id"),
            cell: whole("_healpix_29"),
            object_id: pair("object_id").and_then(texts),
        }
    }

    /// Whether this night may be there.
    pub fn has_night(&self, night: i32) -> bool {
        self.night
            .is_none_or(|(low, high)| (low..=high).contains(&night.into()))
    }

    /// Whether this alert may be there.
    pub fn has_alert(&self, alert_id: i64) -> bool {
        self.alert_id
            .is_none_or(|(low, high)| (low..=high).contains(&alert_id))
    }

    /// Whether this object may be there.
    pub fn has_object(&self, object_id: &str) -> bool {
        let range = self.object_id.as_ref();
        range.is_none_or(|(low, high)| low.as_str() <= object_id && object_id <= high.as_str())
    }

    /// Whether times from `since` to `until` may be there.
    pub fn has_time(&self, since: f64, until: f64) -> bool {
        self.mjd_tai
            .is_none_or(|(low, high)| low <= until && since <= high)
    }
}

/// What is known of the files, each read once from the log: a file never changes.
#[derive(Default)]
pub struct Shelf(Mutex<HashMap<(String, PartName), Arc<Bounds>>>);

impl Shelf {
    /// The files of a table that `wanted` does not rule out, oldest first, with their bounds.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn files(
        &self,
        archive: &Archive,
        table: &str,
        wanted: impl Fn(&Bounds) -> bool,
    ) -> Result<Vec<(TableFile, Arc<Bounds>)>, ArchiveError> {
        let files = archive.snapshot(table)?.map(|snapshot| snapshot.files);
        Ok(self.choose(table, files.unwrap_or_default(), wanted))
    }

    /// The same, and the rows of the table that no file has yet: these columns of them.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn latest(
        &self,
        archive: &Archive,
        table: &str,
        columns: &[&str],
        wanted: impl Fn(&Bounds) -> bool,
    ) -> Result<Latest, ArchiveError> {
        let Some(latest) = archive.latest(|name| name == table)?.pop() else {
            return Ok(Latest::default());
        };
        let chosen = latest.fresh.iter().map(|rows| {
            let schema = rows.schema_ref();
            let at = columns.iter().map(|column| schema.index_of(column));
            rows.project(&at.collect::<Result<Vec<_>, _>>()?)
        });
        let chosen: Result<_, arrow_schema::ArrowError> = chosen.collect();
        Ok(Latest {
            fresh: chosen.map_err(|source| ArchiveError::Arrow {
                table: table.to_owned(),
                source,
            })?,
            files: self.choose(table, latest.table.files, wanted),
        })
    }

    fn choose(
        &self,
        table: &str,
        files: Vec<TableFile>,
        wanted: impl Fn(&Bounds) -> bool,
    ) -> Vec<(TableFile, Arc<Bounds>)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = vec![];
        for file in files {
            let key = (table.to_owned(), file.name);
            let bounds = known
                .entry(key)
                .or_insert_with(|| Arc::new(Bounds::of(&file)))
                .clone();
            if wanted(&bounds) {
                found.push((file, bounds));
            }
        }
        found
    }
}

/// Files of a table, and rows that no file has yet, as of one moment.
#[derive(Default)]
pub struct Latest {
    /// The files that were wanted, oldest first, with their bounds.
    pub files: Vec<(TableFile, Arc<Bounds>)>,
    /// The rows, in the order in which they will be committed.
    pub fresh: Vec<RecordBatch>,
}
