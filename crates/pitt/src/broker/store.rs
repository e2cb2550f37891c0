//! The archive as the pipeline's last stage.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use pitt_alert::{AlertBatch, Packet};
use pitt_archive::{Archive, Match, Writer};

use super::switches::{OffList, Switches};
use crate::filters::AtWork;
use crate::pipeline::{Counters, Hit, Stage, Store, Worked};
use crate::publish::MatchListener;

/// Writes to an archive, and counts what it took.
pub struct ArchiveStore {
    archive: Archive,
    writer: Writer,
    switches: Switches,
    /// Matches since the last commit, to tell those of alerts that came twice.
    seen: HashSet<(Arc<str>, i64, Arc<str>)>,
    /// Where the times of commits are counted.
    counters: Option<Arc<Counters>>,
    /// Who hears of matches once the archive has claimed them.
    listeners: Vec<Box<dyn MatchListener>>,
}

impl ArchiveStore {
    /// A store for one run, of batches that `filters` judge.
    pub fn new(archive: Archive, writer: Writer, filters: &Arc<AtWork>) -> Self {
        let switches = Switches::new(filters.clone(), OffList::of(archive.folder()));
        Self {
            archive,
            writer,
            switches,
            seen: HashSet::new(),
            counters: None,
            listeners: vec![],
        }
    }

    /// Tells somebody of matches once the archive has claimed them.
    pub fn heard_by(mut self, listener: Box<dyn MatchListener>) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Counts the time of each commit.
    pub fn timed(mut self, counters: &Arc<Counters>) -> Self {
        self.counters = Some(counters.clone());
        self
    }

    /// Whether a matched alert is new in this packet; asked only about batches that brought a duplicate.
    fn is_first(&self, packet: &Packet, survey: &str, alert_id: i64) -> Result<bool> {
        let stored = self.archive.packet(survey, alert_id)?;
        Ok(stored.is_none_or(|stored| stored.position == packet.position))
    }

    fn count(
        &mut self,
        batch: &Worked,
        hits: &[Hit],
        duplicates: bool,
        counters: &Counters,
    ) -> Result<()> {
        for hit in hits {
            let alerts = &batch.decoded.batches[hit.batch];
            let filter = &batch.filters.members()[hit.filter].name;
            let mut fresh = 0;
            for &row in &hit.rows {
                let Some(alert_id) = alert_id(alerts, row) else {
                    continue;
                };
                let key = (alerts.survey.clone(), alert_id, filter.clone());
                let packet = &batch.packets[alerts.origins[row as usize].packet];
                if self.seen.insert(key)
                    && (!duplicates || self.is_first(packet, &alerts.survey, alert_id)?)
                {
                    fresh += 1;
                }
            }
            counters.add_matches(filter, fresh);
        }
        Ok(())
    }
}

/// What the filters took, the matches of an alert one after the other.
fn matches_of(batch: &Worked, hits: &[Hit]) -> Vec<Match> {
    let mut taken: Vec<(&Hit, u32)> = hits
        .iter()
        .flat_map(|hit| hit.rows.iter().map(move |row| (hit, *row)))
        .collect();
    // An alert's matches follow each other: whoever publishes them reads its packet once.
    taken.sort_by_key(|(hit, row)| (hit.batch, *row));
    let one = |(hit, row): (&Hit, u32)| {
        let alerts = &batch.decoded.batches[hit.batch];
        let member = &batch.filters.members()[hit.filter];
        Some(Match {
            survey: alerts.survey.clone(),
            alert_id: alert_id(alerts, row)?,
            filter: member.name.clone(),
            version: member.version.clone(),
        })
    };
    taken.into_iter().filter_map(one).collect()
}

impl Store for ArchiveStore {
    fn append(&mut self, batch: &Worked, counters: &Counters) -> Result<()> {
        let hits = &*self.switches.pass(batch)?;
        let matches = matches_of(batch, hits);
        let (packets, decoded) = (&batch.packets, &batch.decoded);
        let report = self.writer.append(packets, decoded, &matches)?;
        for listener in &mut self.listeners {
            listener.matched(packets, decoded, &matches, &report.matches);
        }
        counters.stored.add(report.stored);
        counters.duplicates.add(report.duplicates);
        counters.quarantined.add(report.quarantined);
        counters.add_rejected(&decoded.rejected);
        self.count(batch, hits, report.duplicates > 0, counters)
    }

    fn commit_due(&mut self) -> Result<()> {
        if self.writer.commit_due() {
            self.commit()
        } else {
            Ok(())
        }
    }

    fn commit(&mut self) -> Result<()> {
        let begin = Instant::now();
        let report = self.writer.commit()?;
        if let Some(counters) = &self.counters {
            counters.stage(Stage::Commit).add_since(begin);
        }
        // From now on the archive itself tells which of them it has.
        self.seen.clear();
        for listener in &mut self.listeners {
            listener.committed();
        }
        tracing::info!(
            commit = report.commit,
            rows = report.rows,
            bytes = report.bytes,
            "committed"
        );
        Ok(())
    }
}

/// Keeps nothing: for measuring the stages before it, and for filters over files.
#[derive(Debug, Default)]
pub struct NoStore;

impl Store for NoStore {
    fn append(&mut self, batch: &Worked, counters: &Counters) -> Result<()> {
        counters.stored.add(batch.decoded.rows() as u64);
        counters
            .quarantined
            .add(batch.decoded.rejected.len() as u64);
        for hit in &batch.hits {
            let filter = &batch.filters.members()[hit.filter].name;
            counters.add_matches(filter, hit.rows.len() as u64);
        }
        Ok(())
    }

    fn commit_due(&mut self) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The alert id of a row; `None` in a batch without common columns.
pub(crate) fn alert_id(batch: &AlertBatch, row: u32) -> Option<i64> {
    let ids = batch
        .records
        .column_by_name("alert_id")?
        .as_primitive_opt::<Int64Type>()?;
    Some(ids.value(row as usize))
}
