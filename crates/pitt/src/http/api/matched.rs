//! Rows of `matches`: which filters took an alert, what of an object, what on a night.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use pitt_archive::{Archive, tables};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::problem::Problem;
use super::shelf::Bounds;
use crate::http::live::row::MatchEntry;

/// That a filter took an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Name of the filter.
    pub filter: String,
    /// Its version.
    pub version: String,
    /// Survey of the alert.
    pub survey: String,
    /// The alert.
    pub alert_id: i64,
    /// Its object.
    pub object_id: Option<String>,
    /// Its time, d (TAI); `NaN` without.
    pub mjd_tai: f64,
    /// When it was matched, microseconds since 1970, UTC; `None` in archives of older versions.
    pub matched_us: Option<i64>,
}

impl Match {
    /// What no two matches share.
    fn key(&self) -> (i64, &str, &str, &str) {
        (self.alert_id, &self.filter, &self.version, &self.survey)
    }
}

impl From<&MatchEntry> for Match {
    fn from(entry: &MatchEntry) -> Self {
        Self {
            filter: entry.filter.to_string(),
            version: entry.version.to_string(),
            survey: entry.alert.survey.to_string(),
            alert_id: entry.alert.alert_id,
            object_id: entry.alert.object_id.clone(),
            mjd_tai: entry.alert.mjd_tai.unwrap_or(f64::NAN),
            matched_us: Some(entry.matched_us),
        }
    }
}

/// A filter that took an alert.
#[derive(Clone, Debug, Serialize, ToSchema, PartialEq)]
pub struct TakenBy {
    /// Name of the filter.
    pub filter: String,
    /// Its version.
    pub version: String,
    /// When, microseconds since 1970, UTC.
    pub matched_us: Option<i64>,
}

impl From<Match> for TakenBy {
    fn from(taken: Match) -> Self {
        Self {
            filter: taken.filter,
            version: taken.version,
            matched_us: taken.matched_us,
        }
    }
}

const COLUMNS: [&str; 7] = [
    "filter",
    "version",
    "survey",
    "alert_id",
    "object_id",
    "mjd_tai",
    "matched_us",
];

impl Api {
    /// The matches that `wanted` takes, of the files that `may_hold` does not rule out, in order of commit; then those that are
    /// not committed yet.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn matches(
        &self,
        archive: &Archive,
        may_hold: impl Fn(&Bounds) -> bool,
        mut wanted: impl FnMut(&str, &str, i64, Option<&str>) -> bool,
    ) -> Result<Vec<Match>, Problem> {
        // The feed first: what is committed meanwhile comes from both, and counts once. It may know more than there was room for.
        let fed = self.live.feed.uncommitted();
        let latest = self
            .shelf
            .latest(archive, tables::MATCHES, &COLUMNS, may_hold)?;
        let mut found = vec![];
        for (file, _) in latest.files {
            // Files of older versions do not say when.
            let rows: Vec<RecordBatch> = match file.read(&COLUMNS) {
                Ok(rows) => rows.collect::<Result<_, _>>()?,
                Err(_) => file.read(&COLUMNS[..6])?.collect::<Result<_, _>>()?,
            };
            rows.iter()
                .for_each(|rows| take(rows, &mut wanted, &mut found));
        }
        for rows in &latest.fresh {
            take(rows, &mut wanted, &mut found);
        }
        let mut fed: Vec<Match> = fed.iter().map(|entry| Match::from(&**entry)).collect();
        fed.retain(|m| wanted(&m.filter, &m.survey, m.alert_id, m.object_id.as_deref()));
        let known: HashSet<_> = found.iter().map(Match::key).collect();
        fed.retain(|new| !known.contains(&new.key()));
        found.extend(fed);
        Ok(found)
    }
}

fn take(
    rows: &RecordBatch,
    wanted: &mut impl FnMut(&str, &str, i64, Option<&str>) -> bool,
    found: &mut Vec<Match>,
) {
    let text = |column: usize, row: usize| rows.column(column).as_string::<i32>().value(row);
    let ids = rows.column(3).as_primitive::<Int64Type>();
    let objects = rows.column(4).as_string::<i32>();
    let times = rows.column(5).as_primitive::<Float64Type>();
    let matched = rows
        .columns()
        .get(6)
        .and_then(|column| column.as_primitive_opt::<Int64Type>());
    for row in 0..rows.num_rows() {
        let object_id = objects.is_valid(row).then(|| objects.value(row));
        if wanted(text(0, row), text(2, row), ids.value(row), object_id) {
            found.push(Match {
                filter: text(0, row).to_owned(),
                version: text(1, row).to_owned(),
                survey: text(2, row).to_owned(),
                alert_id: ids.value(row),
                object_id: object_id.map(str::to_owned),
                mjd_tai: if times.is_valid(row) {
                    times.value(row)
                } else {
                    f64::NAN
                },
                matched_us: matched
                    .filter(|us| us.is_valid(row))
                    .map(|us| us.value(row)),
            });
        }
    }
}
