//! Filters that failed: where their matches end, and that they stay off.
//!
//! A filter takes alerts up to the first one, in the order of the source, that it fails on. Workers see batches in no
//! order, so this is settled where the batches are in order again: in the store, by [`Switches::pass`].

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use pitt_alert::{Decoded, Packet};
use pitt_query::{Disabled, Failure};
use serde::{Deserialize, Serialize};

use crate::filters::{AtWork, Book, Member};
use crate::kept;
use crate::pipeline::{Hit, Worked};
use crate::source::now_us;

/// One version of a filter that failed, and at what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchedOff {
    /// Name of the filter.
    pub filter: String,
    /// Its version.
    pub version: String,
    /// What went wrong.
    pub reason: String,
    /// In which survey's alerts.
    pub survey: String,
    /// The alert it failed on; text, as ids are in JSON.
    pub alert_id: Option<String>,
    /// Partition of the source that brought the alert.
    pub partition: String,
    /// Position in it.
    pub offset: i64,
    /// When, microseconds UTC since 1970.
    pub at_us: i64,
}

/// The filters of an archive that are switched off: `<archive>/filters-off.json`, an array of [`SwitchedOff`].
///
/// Written anew, synced and renamed into place before the batch that brought the failure is appended. A record whose
/// alert was not committed before a crash does not count: the alert is read again, and the filter fails on it again.
#[derive(Clone, Debug)]
pub struct OffList(PathBuf);

impl OffList {
    /// That of an archive.
    pub fn of(archive: &Path) -> Self {
        Self(archive.join("filters-off.json"))
    }

    /// All of them.
    ///
    /// # Errors
    /// The file cannot be read, or is something else.
    pub fn read(&self) -> Result<Vec<SwitchedOff>> {
        if !self.0.exists() {
            return Ok(vec![]);
        }
        let read = fs::read(&self.0).map_err(anyhow::Error::from);
        read.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?))
            .with_context(|| format!("cannot read `{}`", self.0.display()))
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.0
    }

    /// Changes the list, while no other process does.
    ///
    /// # Errors
    /// The file cannot be read or written, or `change` fails.
    pub fn change<T>(&self, change: impl FnOnce(&mut Vec<SwitchedOff>) -> Result<T>) -> Result<T> {
        let archive = self.0.parent().unwrap_or(Path::new("."));
        let _held = Book::of(archive).lock()?;
        let before = self.read()?;
        let mut list = before.clone();
        let done = change(&mut list)?;
        if list != before {
            kept::write(&self.0, &serde_json::to_vec_pretty(&list)?, kept::READABLE)?;
        }
        Ok(done)
    }

    /// Takes a filter, or one version of it, off the list: whether it was there.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn forget(&self, filter: &str, version: Option<&str>) -> Result<bool> {
        self.change(|list| {
            let before = list.len();
            list.retain(|off| off.filter != filter || version.is_some_and(|v| v != off.version));
            Ok(list.len() < before)
        })
    }

    /// The failures of earlier runs that count: what they failed on is committed.
    ///
    /// # Errors
    /// The list or `stands`, which tells the next position of a partition, cannot be read.
    pub(crate) fn committed(
        &self,
        stands: impl Fn(&str) -> Result<i64>,
    ) -> Result<Vec<SwitchedOff>> {
        let mut counting = vec![];
        for off in self.read()? {
            if off.offset < stands(&off.partition)? {
                counting.push(off);
            }
        }
        Ok(counting)
    }
}

impl SwitchedOff {
    /// The same as a filter has it.
    pub(crate) fn disabled(&self) -> Disabled {
        let name = &self.filter;
        Disabled {
            reason: format!(
                "{} (in an earlier run; change it, or `pitt filter on {name}`)",
                self.reason
            ),
            survey: self.survey.clone(),
            alert_id: self.alert_id.as_deref().and_then(|id| id.parse().ok()),
        }
    }
}

/// Ends the matches of filters that fail.
pub(super) struct Switches {
    at_work: Arc<AtWork>,
    list: OffList,
}

/// A record's place in a batch: packet and record of it.
type Place = (usize, u32);

impl Switches {
    pub(super) fn new(at_work: Arc<AtWork>, list: OffList) -> Self {
        Self { at_work, list }
    }

    /// Takes away what filters took from the first alert on that they fail on, and switches them off.
    ///
    /// To be called with the batches in order.
    ///
    /// # Errors
    /// It cannot be recorded.
    pub(super) fn pass<'a>(&self, batch: &'a Worked) -> Result<Cow<'a, [Hit]>> {
        let Worked {
            packets,
            filters,
            decoded,
            hits,
        } = batch;
        let is_off = |filter: usize| filters.members()[filter].off().is_some();
        if !hits
            .iter()
            .any(|hit| hit.failed.is_some() || is_off(hit.filter))
        {
            return Ok(Cow::Borrowed(hits));
        }
        let mut kept: Vec<Hit> = hits.clone();
        kept.retain(|hit| !is_off(hit.filter));
        for (place, failure) in first_failures(decoded, &kept) {
            for hit in kept.iter_mut().filter(|hit| hit.filter == failure.filter) {
                let origins = &decoded.batches[hit.batch].origins;
                let before = |row: &u32| {
                    let origin = &origins[*row as usize];
                    (origin.packet, origin.record) < place
                };
                hit.rows.retain(before);
            }
            self.record(
                &filters.members()[failure.filter],
                &packets[place.0],
                &failure,
            )?;
            filters.switch_off(failure.filter, failure.why);
            self.at_work.follow();
        }
        kept.retain(|hit| !hit.rows.is_empty());
        Ok(Cow::Owned(kept))
    }

    fn record(&self, filter: &Member, packet: &Packet, failure: &Failure) -> Result<()> {
        let new = SwitchedOff {
            filter: filter.name.to_string(),
            version: filter.version.to_string(),
            reason: failure.why.reason.clone(),
            survey: failure.why.survey.clone(),
            alert_id: failure.why.alert_id.map(|id| id.to_string()),
            partition: packet.position.partition.to_string(),
            offset: packet.position.offset,
            at_us: now_us(),
        };
        self.list.change(|list| {
            list.retain(|old| (&old.filter, &old.version) != (&new.filter, &new.version));
            list.push(new);
            Ok(())
        })
    }
}

/// Where each filter fails first, in the order of the packets.
fn first_failures(decoded: &Decoded, hits: &[Hit]) -> Vec<(Place, Failure)> {
    let mut first: Vec<(Place, Failure)> = vec![];
    for hit in hits {
        let Some(failure) = &hit.failed else {
            continue;
        };
        let origins = &decoded.batches[hit.batch].origins;
        let Some(origin) = origins.get(failure.row as usize) else {
            continue;
        };
        let place = (origin.packet, origin.record);
        match first.iter_mut().find(|(_, f)| f.filter == failure.filter) {
            Some(known) if known.0 <= place => {}
            Some(known) => *known = (place, failure.clone()),
            None => first.push((place, failure.clone())),
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_note_failures_at_the_same_time_lose_none() {
        const EACH: usize = 20;
        let folder = tempfile::tempdir().unwrap();
        let note = |process: usize| {
            // A list of its own opens the file and its lock anew, as another process does.
            let list = OffList::of(folder.path());
            for number in 0..EACH {
                let off = SwitchedOff {
                    filter: format!("filter_{process}_{number}"),
                    version: "1".into(),
                    reason: "Divide by zero".into(),
                    survey: "ztf".into(),
                    alert_id: None,
                    partition: "p".into(),
                    offset: 7,
                    at_us: 0,
                };
                list.change(|all| {
                    all.push(off);
                    Ok(())
                })
                .unwrap();
            }
        };
        std::thread::scope(|scope| {
            for process in 0..4 {
                let note = &note;
                scope.spawn(move || note(process));
            }
        });
        let all = OffList::of(folder.path()).read().unwrap();
        assert_eq!(all.len(), 4 * EACH);
        assert!(
            OffList::of(folder.path())
                .forget("filter_2_3", None)
                .unwrap()
        );
        let left = OffList::of(folder.path()).read().unwrap();
        assert_eq!(left.len(), 4 * EACH - 1);
    }
}
