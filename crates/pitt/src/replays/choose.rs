//! From what was asked to the alerts it covers.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use pitt_archive::{Archive, StoredRecord, TableFile, tables};
use pitt_query::{Engine, Limits};

use super::list::{Draft, Taken};
use super::{Asked, MOST_CHOSEN};

/// Longest time until a list is drawn.
pub const LONGEST: Duration = Duration::from_secs(60);
/// Records between two looks at the clock.
const BREATH: u64 = 4096;

/// Why a selection is refused.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// Too many alerts are named.
    #[error("{0} chooses more than {MOST_CHOSEN} alerts (narrow it, or ask for whole nights)")]
    TooMany(&'static str),
    /// It takes too long.
    #[error("to list the selection takes longer than {} s (narrow it by `night` or `survey`)", LONGEST.as_secs())]
    TooLong,
    /// The query lacks a column.
    #[error(
        "the query gives no column `{0}` (it needs `survey` and `alert_id`: SELECT survey, alert_id FROM ..)"
    )]
    NoColumn(&'static str),
    /// A column of the query cannot be used.
    #[error("column `{0}` of the query is {1}, expected {2}")]
    Column(&'static str, String, &'static str),
}

/// Alerts of a survey, and that the filter took them.
type OfSurvey = HashMap<i64, Option<Taken>>;

/// Alerts that are named, by survey.
#[derive(Debug, Default)]
pub struct Named {
    surveys: HashMap<String, OfSurvey>,
    number: usize,
    /// Versions of the filter.
    pub versions: Vec<String>,
}

impl Named {
    /// What a filter took; of one night alone, if one is given.
    ///
    /// # Errors
    /// That is too much, or cannot be read.
    pub fn by_filter(archive: &Archive, filter: &str, night: Option<i32>) -> Result<Self> {
        let mut named = Self::default();
        let files = archive
            .snapshot(tables::MATCHES)?
            .map(|snapshot| snapshot.files);
        for file in files.unwrap_or_default() {
            if night.is_some_and(|night| !has_night(&file, night)) {
                continue;
            }
            // Files of older versions do not say when.
            let names = ["filter", "version", "survey", "alert_id", "matched_us"];
            let rows: Vec<RecordBatch> = match file.read(&names) {
                Ok(rows) => rows.collect::<Result<_, _>>()?,
                Err(_) => file.read(&names[..4])?.collect::<Result<_, _>>()?,
            };
            for rows in &rows {
                named.take_matches(rows, filter)?;
            }
        }
        Ok(named)
    }

    fn take_matches(&mut self, rows: &RecordBatch, filter: &str) -> Result<()> {
        let text = |column: usize, row: usize| rows.column(column).as_string::<i32>().value(row);
        let ids = rows.column(3).as_primitive::<Int64Type>();
        let times = rows.columns().get(4);
        let times = times.and_then(|times| times.as_primitive_opt::<Int64Type>());
        for row in (0..rows.num_rows()).filter(|row| text(0, *row) == filter) {
            let version = text(1, row);
            let known = self.versions.iter().position(|known| known == version);
            let version = known.unwrap_or_else(|| {
                self.versions.push(version.to_owned());
                self.versions.len() - 1
            });
            let taken = Taken {
                version: u16::try_from(version).context("the filter has too many versions")?,
                at_us: times.filter(|us| us.is_valid(row)).map(|us| us.value(row)),
            };
            self.add(text(2, row), ids.value(row), Some(taken), "the filter")?;
        }
        Ok(())
    }

    /// The rows of a query, by its columns `survey` and `alert_id`.
    ///
    /// # Errors
    /// The query fails, lacks a column, or gives too much.
    pub fn by_sql(engine: &Engine, sql: &str, time: Duration) -> Result<Self> {
        let limits = Limits {
            rows: MOST_CHOSEN + 1,
            time,
        };
        let mut named = Self::default();
        for rows in engine.query(sql, &limits)? {
            let rows = rows?;
            let surveys = column(&rows, "survey", &DataType::Utf8, "a text")?;
            let ids = column(&rows, "alert_id", &DataType::Int64, "a whole number")?;
            let (surveys, ids) = (surveys.as_string::<i32>(), ids.as_primitive::<Int64Type>());
            let whole = |row: &usize| surveys.is_valid(*row) && ids.is_valid(*row);
            for row in (0..rows.num_rows()).filter(whole) {
                named.add(surveys.value(row), ids.value(row), None, "the query")?;
            }
        }
        Ok(named)
    }

    fn add(
        &mut self,
        survey: &str,
        id: i64,
        taken: Option<Taken>,
        who: &'static str,
    ) -> Result<()> {
        if !self.surveys.contains_key(survey) {
            self.surveys.insert(survey.to_owned(), OfSurvey::new());
        }
        let of_survey = self.surveys.get_mut(survey).context("a survey is there")?;
        if of_survey.insert(id, taken).is_none() {
            self.number += 1;
        }
        ensure!(self.number <= MOST_CHOSEN, ChoiceError::TooMany(who));
        Ok(())
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.number == 0
    }

    fn find(&self, stored: &StoredRecord<'_>) -> Option<Option<Taken>> {
        self.surveys
            .get(stored.survey)?
            .get(&stored.alert_id)
            .copied()
    }

    /// The least and the greatest id.
    fn range(&self) -> Option<(i64, i64)> {
        let ids = || self.surveys.values().flat_map(HashMap::keys).copied();
        ids().min().zip(ids().max())
    }
}

/// A column of a query, as this kind; nothing that would have to be read from text.
fn column(
    rows: &RecordBatch,
    name: &'static str,
    kind: &DataType,
    expected: &'static str,
) -> Result<ArrayRef> {
    let column = rows
        .column_by_name(name)
        .ok_or(ChoiceError::NoColumn(name))?;
    let found = column.data_type();
    let bad = || ChoiceError::Column(name, found.to_string(), expected);
    ensure!(found.is_integer() == kind.is_integer(), bad());
    Ok(arrow_cast::cast(column, kind).map_err(|_| bad())?)
}

fn has_night(file: &TableFile, night: i32) -> bool {
    let range = file.range_i64("night");
    range.is_none_or(|(low, high)| (low..=high).contains(&night.into()))
}

/// Lists the stored alerts that were asked for; only those that are named, if any had to be.
///
/// # Errors
/// They are too many, it takes too long, the archive cannot be read or the list not be written.
pub fn draw(
    archive: &Archive,
    asked: &Asked,
    named: Option<&Named>,
    draft: &mut Draft,
    until: Instant,
) -> Result<()> {
    let range = named.map(Named::range);
    let wants = |file: &TableFile| {
        let ids = file.range_i64("alert_id");
        asked.night.is_none_or(|night| has_night(file, night))
            && range.is_none_or(|range| match (range, ids) {
                (Some((low, high)), Some((first, last))) => first <= high && low <= last,
                (range, _) => range.is_some(),
            })
    };
    let (mut outcome, mut seen) = (Ok(()), 0_u64);
    archive.each_stored(wants, |stored| {
        seen += 1;
        if seen.is_multiple_of(BREATH) && Instant::now() > until {
            outcome = Err(ChoiceError::TooLong.into());
        } else if is_asked(asked, &stored) {
            let found = named.map_or(Some(None), |named| named.find(&stored));
            outcome = found.map_or(Ok(()), |taken| draft.add(&stored, taken));
        }
        match outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    outcome
}

fn is_asked(asked: &Asked, stored: &StoredRecord<'_>) -> bool {
    asked.night.is_none_or(|night| stored.night == Some(night))
        && asked
            .survey
            .as_ref()
            .is_none_or(|survey| survey == stored.survey)
}
