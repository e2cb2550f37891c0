//! Matches on their way to their table, each with its number.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Schema, SchemaRef};
use pitt_alert::{Decoded, Packet};

use crate::error::ArchiveError;
use crate::journal::{Common, Entry, Outcome, Source};
use crate::tables::{self, MATCHES};

/// A filter took an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Survey of the alert.
    pub survey: Arc<str>,
    /// The alert.
    pub alert_id: i64,
    /// Name of the filter.
    pub filter: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
}

/// A match that is new, and the number it has from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberedMatch {
    /// Lane of the process that numbered it.
    pub lane: u32,
    /// Its number in the lane: from 1, ascending by 1.
    pub seq: u64,
    /// Which of the matches given to `append` it is.
    pub filter: usize,
    /// Which of the packets given to `append` brought the alert.
    pub packet: usize,
    /// Batch of the decoded alerts that holds it.
    pub batch: usize,
    /// Its row in that batch.
    pub row: usize,
    /// When it was numbered, microseconds since 1970, UTC.
    pub matched_us: i64,
}

/// A row to be of `matches`.
#[derive(Debug, Clone)]
pub(super) struct MatchRow {
    /// Which filter took which alert.
    pub(super) taken: Match,
    /// Lane of its number.
    pub(super) lane: u32,
    /// Its number there.
    pub(super) seq: u64,
    /// When it was numbered, microseconds since 1970, UTC.
    pub(super) matched_us: i64,
    /// Index of the alert's packet among those of the append.
    pub(super) packet: usize,
    /// Index of its batch in what was decoded.
    pub(super) batch: usize,
    /// Row of that batch.
    pub(super) row: usize,
}

/// A match of an alert that is stored: which of those given, of which entry.
pub(super) struct Taken {
    /// Index among the matches given.
    pub(super) given: usize,
    /// Index among the entries of the append.
    pub(super) entry: usize,
    /// Index of the alert's batch in what was decoded.
    pub(super) batch: usize,
    /// Row of that batch.
    pub(super) row: usize,
}

/// The matches of alerts stored, in the order given; those of duplicates are dropped, theirs are there already.
pub(super) fn taken(matches: &[Match], entries: &[Entry], decoded: &Decoded) -> Vec<Taken> {
    if matches.is_empty() {
        return Vec::new();
    }
    let common = Common::of_all(decoded);
    let mut stored: HashMap<(&str, i64), (usize, usize, usize)> = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if let (Outcome::Stored, Source::Alert { batch, row }) = (entry.outcome, entry.source)
            && let Some(alert_id) = common[batch].alert_id(row)
        {
            stored.insert((&decoded.batches[batch].survey, alert_id), (at, batch, row));
        }
    }
    // A survey may send an alert twice in one batch, and the filters then take it twice.
    let mut seen = HashSet::new();
    let mut taken = Vec::new();
    for (given, found) in matches.iter().enumerate() {
        if let Some(&(entry, batch, row)) = stored.get(&(&*found.survey, found.alert_id))
            && seen.insert((&found.survey, found.alert_id, &found.filter, &found.version))
        {
            taken.push(Taken {
                given,
                entry,
                batch,
                row,
            });
        }
    }
    taken
}

/// Rows of `matches`, with the columns that the table has by now.
pub(super) fn rows(
    found: &[MatchRow],
    packets: &[Packet],
    decoded: &Decoded,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArchiveError> {
    let common = Common::of_all(decoded);
    let text = |value: fn(&MatchRow) -> &str| -> ArrayRef {
        Arc::new(
            found
                .iter()
                .map(|m| Some(value(m)))
                .collect::<StringArray>(),
        )
    };
    let objects = found.iter().map(|m| common[m.batch].object_id(m.row));
    let times = found.iter().map(|m| common[m.batch].mjd_tai(m.row));
    let nights = found.iter().map(|m| common[m.batch].night(m.row));
    let ids = found.iter().map(|m| m.taken.alert_id);
    let received = found.iter().map(|m| packets[m.packet].received_us);
    let lanes = found.iter().map(|m| i32::try_from(m.lane).ok());
    let numbers = found.iter().map(|m| i64::try_from(m.seq).ok());
    let columns: Vec<ArrayRef> = vec![
        text(|m| &m.taken.survey),
        Arc::new(ids.collect::<Int64Array>()),
        Arc::new(objects.collect::<StringArray>()),
        Arc::new(times.collect::<Float64Array>()),
        Arc::new(nights.collect::<Int32Array>()),
        text(|m| &m.taken.filter),
        text(|m| &m.taken.version),
        Arc::new(received.collect::<Int64Array>()),
        Arc::new(lanes.collect::<Int32Array>()),
        Arc::new(numbers.collect::<Int64Array>()),
        Arc::new(found.iter().map(|m| m.matched_us).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(Arc::new(tables::matches()), columns)
        .and_then(|rows| {
            let order = schema
                .fields()
                .iter()
                .map(|f| rows.schema().index_of(f.name()));
            let rows = rows.project(&order.collect::<Result<Vec<_>, _>>()?)?;
            RecordBatch::try_new(schema.clone(), rows.columns().to_vec())
        })
        .map_err(ArchiveError::arrow(MATCHES))
}

/// The columns of `matches`, when a table of an older version lacks some.
pub(crate) fn grown(now: &SchemaRef) -> Option<SchemaRef> {
    let wanted = tables::matches();
    let missing = wanted.fields().iter();
    let missing: Vec<_> = missing
        .filter(|f| now.index_of(f.name()).is_err())
        .cloned()
        .collect();
    if missing.is_empty() {
        return None;
    }
    let fields = now.fields().iter().cloned().chain(missing);
    Some(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// The row of `matches` of a match that has its number.
pub(super) fn row_of(numbered: &NumberedMatch, matches: &[Match]) -> MatchRow {
    MatchRow {
        taken: matches[numbered.filter].clone(),
        lane: numbered.lane,
        seq: numbered.seq,
        matched_us: numbered.matched_us,
        packet: numbered.packet,
        batch: numbered.batch,
        row: numbered.row,
    }
}
