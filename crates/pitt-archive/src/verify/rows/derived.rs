//! Rows of the derived tables, against what the journal says.

use std::collections::HashSet;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;

use super::{Journal, number, text};
use crate::archive::Archive;
use crate::ledger::Ledger;
use crate::read;
use crate::tables::{MATCHES, QUARANTINE};
use crate::verify::Check;
use crate::verify::files::Listing;

pub(super) fn check_alerts(listing: &Listing, journal: &mut Journal) -> Vec<Check> {
    let mut checks = Vec::new();
    let surveys: Vec<String> = listing
        .tables
        .keys()
        .filter(|t| t.starts_with("alerts/"))
        .cloned()
        .collect();
    for name in surveys {
        let mut check = Check::new(&name);
        let survey = journal.survey(name.trim_start_matches("alerts/"));
        let stored = &mut journal.stored;
        let mut seen = 0;
        each_row(
            listing,
            &name,
            &["alert_id"],
            &mut check,
            |rows, i, check| {
                let alert_id = number(rows, 0, i);
                let first = match stored.get_mut(&(survey, alert_id)) {
                    Some(seen) => !std::mem::replace(seen, true),
                    None => false,
                };
                seen += 1;
                check.expect(first, || {
                    format!("{alert_id} is not in `packets`, or here twice")
                });
            },
        );
        let expected = journal.counts.get(&survey).copied().unwrap_or(0);
        if seen != expected {
            check.wrong(|| format!("{seen} alerts, `packets` has {expected}"));
        }
        checks.push(check);
    }
    checks
}

pub(super) fn check_simple(listing: &Listing, name: &str, journal: &Journal) -> Check {
    let mut check = Check::new(name);
    each_row(
        listing,
        name,
        &["survey", "alert_id"],
        &mut check,
        |rows, i, check| {
            let (survey, alert_id) = (text(rows, 0, i), number(rows, 1, i));
            check.expect(journal.stored(survey, alert_id), || {
                format!("{survey} {alert_id} is not stored")
            });
        },
    );
    check
}

pub(super) fn check_matches(listing: &Listing, journal: &Journal, ledger: &mut Ledger) -> Check {
    let mut check = Check::new(MATCHES);
    let mut seen: HashSet<(String, i64, String, String)> = HashSet::new();
    let columns = ["survey", "alert_id", "filter", "version"];
    each_row(listing, MATCHES, &columns, &mut check, |rows, i, check| {
        let (survey, alert_id) = (text(rows, 0, i), number(rows, 1, i));
        let (filter, version) = (text(rows, 2, i), text(rows, 3, i));
        let key = (
            survey.to_owned(),
            alert_id,
            filter.to_owned(),
            version.to_owned(),
        );
        let taken = (key.2.clone(), key.3.clone());
        *ledger.matched.entry(taken).or_default() += 1;
        let right = journal.stored(survey, alert_id) && seen.insert(key);
        check.expect(right, || {
            format!("{survey} {alert_id}, filter {filter}: not stored, or here twice")
        });
    });
    check
}

pub(super) fn check_quarantine(listing: &Listing, journal: &mut Journal) -> Check {
    let mut check = Check::new(QUARANTINE);
    let waiting = &mut journal.quarantined;
    let columns = ["partition", "offset", "record", "packet"];
    each_row(
        listing,
        QUARANTINE,
        &columns,
        &mut check,
        |rows, i, check| {
            let (partition, offset) = (text(rows, 0, i), number(rows, 1, i));
            let record = rows.column(2).as_primitive::<Int32Type>().value(i);
            let crc32 = i64::from(crc32fast::hash(rows.column(3).as_binary::<i32>().value(i)));
            let expected = waiting.remove(&(partition.to_owned(), offset, record));
            check.expect(expected == Some(crc32), || {
            format!("{partition}@{offset}, record {record}: not in `packets`, here twice, or other bytes")
        });
        },
    );
    for (partition, offset, record) in waiting.keys() {
        check.wrong(|| format!("{partition}@{offset}, record {record}: missing"));
    }
    check
}

pub(super) fn check_index_counts(
    archive: &Archive,
    journal: &Journal,
    listing: &Listing,
    check: &mut Check,
) {
    if listing.commits != listing.committed {
        return;
    }
    if let Some(index) = &*archive.inner.index() {
        match index.count_ids() {
            Ok(count) if count == journal.stored.len() as u64 => {}
            other => check.wrong(|| {
                format!(
                    "{other:?} alert ids, `packets` has {}",
                    journal.stored.len()
                )
            }),
        }
    }
}

/// Calls `row` with every row of some columns of a table; what cannot be read is a problem.
fn each_row(
    listing: &Listing,
    name: &str,
    columns: &[&str],
    check: &mut Check,
    mut row: impl FnMut(&RecordBatch, usize, &mut Check),
) {
    for file in listing.files(name) {
        let batches = match read::columns(&file.path, columns) {
            Ok(batches) => batches,
            Err(error) => {
                check.wrong(|| error.to_string());
                continue;
            }
        };
        for rows in batches {
            match rows {
                Ok(rows) => (0..rows.num_rows()).for_each(|i| row(&rows, i, check)),
                Err(error) => {
                    check.wrong(|| error.to_string());
                    break;
                }
            }
        }
    }
}
