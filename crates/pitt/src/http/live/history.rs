//! Matches from the archive, with their alerts.

use std::sync::Arc;

use anyhow::{Context, Result};
use pitt_alert::message::Annotation;
use pitt_alert::{Decoder, Packet, Selection};
use pitt_archive::{Archive, LoggedMatch};

use super::row::MatchEntry;

/// Reads matches and decodes their alerts as far as rows need; remembers the last alert, which many filters may have taken.
#[derive(Default)]
pub(super) struct History {
    /// For so many schemas of the archive.
    decoder: Option<(usize, Decoder)>,
    last: Option<Annotation>,
}

/// A page of a lane's matches.
#[derive(Default)]
pub(super) struct Page {
    /// Those that are wanted.
    pub(super) entries: Vec<Arc<MatchEntry>>,
    /// Number of the last match read, wanted or not; where it began when there was none.
    pub(super) reached: u64,
}

impl History {
    /// The committed matches of a lane after a number, without a gap.
    pub(super) fn after(
        &mut self,
        archive: &Archive,
        lane: u32,
        seq: u64,
        limit: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Page> {
        let mut page = Page {
            reached: seq,
            ..Page::default()
        };
        for logged in archive.matches_after(lane, seq, limit)? {
            if wanted(&logged.filter) {
                let alert = self.alert(archive, &logged.survey, logged.alert_id)?;
                page.entries.push(Arc::new(entry(lane, &logged, alert)));
            }
            page.reached = logged.seq;
        }
        Ok(page)
    }

    /// The common columns of a stored alert.
    pub(super) fn alert(
        &mut self,
        archive: &Archive,
        survey: &str,
        alert_id: i64,
    ) -> Result<Annotation> {
        if let Some(last) = &self.last
            && (last.alert_id, &*last.survey) == (alert_id, survey)
        {
            return Ok(last.clone());
        }
        let mut stored = archive.packet(survey, alert_id)?;
        if stored.is_none() {
            // Another process committed it: the index here follows when asked.
            archive.refresh()?;
            stored = archive.packet(survey, alert_id)?;
        }
        let told =
            || format!("alert {alert_id} of {survey} is not in the archive (run `pitt verify`)");
        let stored = stored.with_context(told)?;
        let record = stored.record;
        let found = self.decode(archive, stored.into_packet(), record)?;
        self.last = Some(found.clone());
        Ok(found)
    }

    fn decode(&mut self, archive: &Archive, packet: Packet, record: u32) -> Result<Annotation> {
        let schemas = archive.schemas().len();
        if self
            .decoder
            .as_ref()
            .is_none_or(|(known, _)| *known != schemas)
        {
            let mut decoder = Decoder::new(archive.schema_store()?);
            decoder.select(Selection::common_only());
            self.decoder = Some((schemas, decoder));
        }
        let (_, decoder) = self.decoder.as_mut().context("no decoder")?;
        let received_us = packet.received_us;
        let decoded = decoder.decode(&[packet]);
        let found = Annotation::of_record(&decoded, record, received_us);
        found.context("a stored alert cannot be decoded (run `pitt verify`)")
    }
}

fn entry(lane: u32, logged: &LoggedMatch, alert: Annotation) -> MatchEntry {
    let filter = (logged.filter.clone(), logged.version.clone());
    MatchEntry::new((lane, logged.seq), filter, logged.matched_us, alert)
}
