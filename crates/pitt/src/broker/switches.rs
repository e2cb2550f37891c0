//! Filters that failed: where their matches end, and that they stay off.
//!
//! A filter takes alerts up to the first one, in the order of the source, that it fails on. Workers see batches in no
//! order, so this is settled where the batches are in order again: in the store, by [`Switches::pass`].

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use pitt_alert::{Decoded, Packet};
use pitt_query::{Disabled, Failure, Filter, FilterSet};
use serde::{Deserialize, Serialize};

use crate::filters;
use crate::pipeline::Hit;
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

    /// Keeps these and no others.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, list: &[SwitchedOff]) -> Result<()> {
        // A name of this process's own: another one may write its list at the same time.
        let new = self
            .0
            .with_extension(format!("json.{}", std::process::id()));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec_pretty(list)?)?;
            file.sync_all()?;
            fs::rename(&new, &self.0)
        };
        write().with_context(|| format!("cannot write `{}`", self.0.display()))
    }

    /// Switches off those of `set` that failed in earlier runs at this version, and were committed.
    ///
    /// # Errors
    /// The list or `stands`, which tells the next position of a partition, cannot be read.
    pub(super) fn apply(
        &self,
        set: &FilterSet,
        stands: impl Fn(&str) -> Result<i64>,
    ) -> Result<()> {
        for off in self.read()? {
            let same = |filter: &Filter| {
                filter.name() == off.filter && *filters::version(filter) == *off.version
            };
            let Some(index) = set.filters().iter().position(same) else {
                continue;
            };
            if off.offset < stands(&off.partition)? {
                set.switch_off(index, off.disabled());
            }
        }
        Ok(())
    }
}

impl SwitchedOff {
    fn disabled(&self) -> Disabled {
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
    set: Arc<FilterSet>,
    list: OffList,
}

/// A record's place in a batch: packet and record of it.
type Place = (usize, u32);

impl Switches {
    pub(super) fn new(set: Arc<FilterSet>, list: OffList) -> Self {
        Self { set, list }
    }

    /// Takes away what filters took from the first alert on that they fail on, and switches them off.
    ///
    /// To be called with the batches in order.
    ///
    /// # Errors
    /// It cannot be recorded.
    pub(super) fn pass<'a>(
        &self,
        packets: &[Packet],
        decoded: &Decoded,
        hits: &'a [Hit],
    ) -> Result<Cow<'a, [Hit]>> {
        let off = self.set.disabled();
        let is_off = |filter: usize| off.iter().any(|(index, _)| *index == filter);
        if !hits
            .iter()
            .any(|hit| hit.failed.is_some() || is_off(hit.filter))
        {
            return Ok(Cow::Borrowed(hits));
        }
        let mut kept: Vec<Hit> = hits.to_vec();
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
            self.record(&packets[place.0], &failure)?;
            self.set.switch_off(failure.filter, failure.why);
        }
        kept.retain(|hit| !hit.rows.is_empty());
        Ok(Cow::Owned(kept))
    }

    fn record(&self, packet: &Packet, failure: &Failure) -> Result<()> {
        let filter = &self.set.filters()[failure.filter];
        let new = SwitchedOff {
            filter: filter.name().to_owned(),
            version: filters::version(filter).to_string(),
            reason: failure.why.reason.clone(),
            survey: failure.why.survey.clone(),
            alert_id: failure.why.alert_id.map(|id| id.to_string()),
            partition: packet.position.partition.to_string(),
            offset: packet.position.offset,
            at_us: now_us(),
        };
        let mut list = self.list.read()?;
        list.retain(|old| (&old.filter, &old.version) != (&new.filter, &new.version));
        list.push(new);
        self.list.write(&list)
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
