//! The archive as the pipeline's last stage.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use pitt_alert::{AlertBatch, Decoded, Packet};
use pitt_archive::{Archive, Match, Writer};
use pitt_query::FilterSet;

use super::switches::{OffList, Switches};
use crate::filters;
use crate::pipeline::{Counters, Hit, Stage, Store};
use crate::publish::MatchListener;

/// Writes to an archive, and counts what it took.
pub struct ArchiveStore {
    archive: Archive,
    writer: Writer,
    /// Name and version of each filter.
    filters: Vec<(Arc<str>, Arc<str>)>,
    switches: Switches,
    /// Matches since the last commit, to tell those of alerts that came twice.
    seen: HashSet<(Arc<str>, i64, usize)>,
    /// Where the times of commits are counted.
    counters: Option<Arc<Counters>>,
    /// Who hears of matches once the archive has claimed them.
    listener: Option<Box<dyn MatchListener>>,
}

impl ArchiveStore {
    /// A store for one run.
    pub fn new(archive: Archive, writer: Writer, filters: &Arc<FilterSet>) -> Self {
        let switches = Switches::new(filters.clone(), OffList::of(archive.folder()));
        let name = |filter: &pitt_query::Filter| (filter.name().into(), filters::version(filter));
        let filters = filters.filters().iter().map(name).collect();
        Self {
            archive,
            writer,
            filters,
            switches,
            seen: HashSet::new(),
            counters: None,
            listener: None,
        }
    }

    /// Tells somebody of matches once the archive has claimed them.
    pub fn heard_by(mut self, listener: Box<dyn MatchListener>) -> Self {
        self.listener = Some(listener);
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
        packets: &[Packet],
        decoded: &Decoded,
        hits: &[Hit],
        duplicates: bool,
        counters: &Counters,
    ) -> Result<()> {
        for hit in hits {
            let batch = &decoded.batches[hit.batch];
            for &row in &hit.rows {
                let Some(alert_id) = alert_id(batch, row) else {
                    continue;
                };
                let fresh = self
                    .seen
                    .insert((batch.survey.clone(), alert_id, hit.filter));
                let packet = &packets[batch.origins[row as usize].packet];
                if fresh && (!duplicates || self.is_first(packet, &batch.survey, alert_id)?) {
                    counters.add_matches(hit.filter, 1);
                }
            }
        }
        Ok(())
    }
}

impl Store for ArchiveStore {
    fn append(
        &mut self,
        packets: &[Packet],
        decoded: &Decoded,
        hits: &[Hit],
        counters: &Counters,
    ) -> Result<()> {
        let hits = &*self.switches.pass(packets, decoded, hits)?;
        let mut taken: Vec<(&Hit, u32)> = hits
            .iter()
            .flat_map(|hit| hit.rows.iter().map(move |row| (hit, *row)))
            .collect();
        // An alert's matches follow each other: whoever publishes them reads its packet once.
        taken.sort_by_key(|(hit, row)| (hit.batch, *row));
        let matches: Vec<Match> = taken
            .into_iter()
            .filter_map(|(hit, row)| {
                let batch = &decoded.batches[hit.batch];
                let (filter, version) = self.filters[hit.filter].clone();
                let alert_id = alert_id(batch, row)?;
                Some(Match {
                    survey: batch.survey.clone(),
                    alert_id,
                    filter,
                    version,
                })
            })
            .collect();
        let report = self.writer.append(packets, decoded, &matches)?;
        if let Some(listener) = &mut self.listener {
            listener.matched(packets, decoded, &matches, &report.matches);
        }
        counters.stored.add(report.stored);
        counters.duplicates.add(report.duplicates);
        counters.quarantined.add(report.quarantined);
        counters.add_rejected(&decoded.rejected);
        self.count(packets, decoded, hits, report.duplicates > 0, counters)
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
    fn append(
        &mut self,
        _packets: &[Packet],
        decoded: &Decoded,
        hits: &[Hit],
        counters: &Counters,
    ) -> Result<()> {
        counters.stored.add(decoded.rows() as u64);
        counters.quarantined.add(decoded.rejected.len() as u64);
        hits.iter()
            .for_each(|hit| counters.add_matches(hit.filter, hit.rows.len() as u64));
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
