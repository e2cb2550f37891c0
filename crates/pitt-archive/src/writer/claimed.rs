//! Writing beside other processes: what is decided when a batch is claimed.

mod turn;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use pitt_alert::{Decoded, Packet};

use super::matched::{self, MatchRow};
use super::{Decision, Match, NumberedMatch, Span, Writer, now_us};
use crate::archive::Inner;
use crate::claims::{
    ClaimTurn, ClaimedAlert, ClaimedMatch, ClaimedSpan, Claims, Place, Record, any_released,
    spans_on_disk,
};
use crate::crash;
use crate::error::ArchiveError;
use crate::journal::{self, Common, Entry, Outcome, Source};
use crate::tables::PACKETS;
use crate::writer::table;

/// What a writer with claims keeps beside them.
pub(super) struct Beside {
    pub(super) claims: Claims,
    /// Where this writer itself stands in each partition that it has had.
    stood: HashMap<String, i64>,
    /// Commits up to this one are in `Writer::next` and in the index.
    seen: u64,
    /// Whether the log was read since the writer opened. Between the two, others may have committed claims and dropped
    /// them from the log.
    begun: bool,
}

impl Beside {
    /// Claims for a writer that opens, when it wants them or when there are some that must come out as they were claimed.
    pub(super) fn open(inner: &Inner, seen: u64) -> Result<Option<Self>, ArchiveError> {
        let root = &inner.site.root;
        let mut wanted = inner.options.claims || any_released(root);
        for span in spans_on_disk(root) {
            let next = table(&inner.tables(), PACKETS)?.txn(&span.partition)?;
            wanted = wanted || span.next > next.unwrap_or(0);
            if wanted {
                break;
            }
        }
        Ok(wanted.then(|| Self {
            claims: Claims::new(root, inner.lane.as_ref().map(|lane| lane.session)),
            stood: HashMap::new(),
            seen,
            begun: false,
        }))
    }
}

fn fenced(partition: &str) -> ArchiveError {
    ArchiveError::Fenced {
        place: format!("partition `{partition}`"),
    }
}

fn place_of(entry: &Entry, packets: &[Packet]) -> Place {
    let position = &packets[entry.packet].position;
    Place {
        partition: position.partition.clone(),
        offset: position.offset,
        record: entry.record,
    }
}

impl Writer {
    /// Claims a batch: its positions, the alerts that are new, and numbers for their matches.
    pub(super) fn claim(
        &mut self,
        beside: &mut Beside,
        packets: &[Packet],
        decoded: &Decoded,
        matches: &[Match],
    ) -> Result<Decision, ArchiveError> {
        let mut fresh = false;
        loop {
            let mut entries = journal::entries(packets, decoded);
            self.mark_committed(&mut entries, packets, decoded)?;
            let spans = self.positions_after(packets);
            let spans = spans.map_err(|error| gap_or_fenced(error, &beside.stood))?;
            let turn = beside.claims.lock()?;
            let same = beside.claims.read(&turn)?;
            if !same || !std::mem::replace(&mut beside.begun, true) {
                drop(turn);
                self.refresh(beside)?;
                fresh = true;
                continue;
            }
            if self.takes_over(beside, packets)? && !fresh {
                drop(turn);
                self.refresh(beside)?;
                fresh = true;
                continue;
            }
            return self.decide(beside, &turn, (entries, spans), packets, decoded, matches);
        }
    }

    /// Whether a batch goes on where another writer was last.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Fenced`] when that was after this one: it has lost the partition.
    fn takes_over(&mut self, beside: &Beside, packets: &[Packet]) -> Result<bool, ArchiveError> {
        let mut over = false;
        let mut asked: HashSet<&str> = HashSet::new();
        for packet in packets {
            let partition = &*packet.position.partition;
            if !asked.insert(partition) {
                continue;
            }
            let committed = self.committed_next(partition)?;
            if !beside.claims.is_others(partition, committed) {
                continue;
            }
            let open = self.open.as_ref();
            let has = open.is_some_and(|open| open.positions.contains_key(partition));
            let goes_on = beside.stood.get(partition) == Some(&packet.position.offset);
            if has || goes_on {
                return Err(fenced(partition));
            }
            over = true;
        }
        Ok(over)
    }

    fn decide(
        &mut self,
        beside: &mut Beside,
        turn: &ClaimTurn,
        (mut entries, spans): (Vec<Entry>, BTreeMap<String, Span>),
        packets: &[Packet],
        decoded: &Decoded,
        matches: &[Match],
    ) -> Result<Decision, ArchiveError> {
        let mut record = Record::default();
        let fresh = mark_claimed(&mut entries, &beside.claims, packets, decoded, &mut record);
        let mut rows = Vec::new();
        for entry in entries.iter().filter(|e| e.outcome == Outcome::Stored) {
            rows.extend(claimed_rows(entry, &beside.claims, packets, decoded));
        }
        let redone: Vec<Place> = rows.iter().map(|(place, _)| place.clone()).collect();
        let mut rows: Vec<MatchRow> = rows.into_iter().map(|(_, row)| row).collect();
        self.last_seq = self.last_seq.max(beside.claims.last_seq(self.lane));
        let numbered = self.number_fresh((&fresh, &rows), &entries, decoded, matches, &mut record);
        rows.extend(numbered.iter().map(|n| matched::row_of(n, matches)));
        for packet in packets {
            let partition = &packet.position.partition;
            if record.spans.iter().any(|s| s.partition == *partition) {
                continue;
            }
            let next = spans.get(&**partition).map_or(0, |span| span.next);
            record.spans.push(ClaimedSpan {
                partition: partition.clone(),
                from: packet.position.offset,
                next,
            });
        }
        beside.claims.claim(turn, record)?;
        crash::point("claimed");
        let stood = spans.iter().map(|(p, span)| (p.clone(), span.next));
        beside.stood.extend(stood);
        Ok(Decision {
            entries,
            spans,
            numbered,
            rows,
            redone,
        })
    }

    /// Numbers the matches of alerts that nobody had, but those of `before`, which have theirs; notes them in the record.
    fn number_fresh(
        &mut self,
        (fresh, before): (&HashMap<usize, u32>, &[MatchRow]),
        entries: &[Entry],
        decoded: &Decoded,
        matches: &[Match],
        record: &mut Record,
    ) -> Vec<NumberedMatch> {
        let before: HashSet<(usize, usize, &str)> = before
            .iter()
            .map(|row| (row.batch, row.row, &*row.taken.filter))
            .collect();
        let mut taken = matched::taken(matches, entries, decoded);
        taken.retain(|taken| {
            let filter = &*matches[taken.given].filter;
            fresh.contains_key(&taken.entry) && !before.contains(&(taken.batch, taken.row, filter))
        });
        record
            .matches
            .extend(taken.iter().map(|taken| ClaimedMatch {
                alert: fresh[&taken.entry],
                filter: matches[taken.given].filter.clone(),
                version: matches[taken.given].version.clone(),
            }));
        record.lane = self.lane;
        record.first_seq = self.last_seq + 1;
        record.matched_us = now_us();
        self.number(&taken, entries, record.matched_us)
    }
}

/// An offset that lies behind because another writer went on from here is no gap.
fn gap_or_fenced(error: ArchiveError, stood: &HashMap<String, i64>) -> ArchiveError {
    match error {
        ArchiveError::Gap {
            partition,
            got,
            expected,
        } if got < expected && stood.get(&partition).is_none_or(|stood| got >= *stood) => {
            fenced(&partition)
        }
        error => error,
    }
}

/// Marks entries whose alert another place has claimed; returns those that nobody had, with their number in the record.
fn mark_claimed(
    entries: &mut [Entry],
    claims: &Claims,
    packets: &[Packet],
    decoded: &Decoded,
    record: &mut Record,
) -> HashMap<usize, u32> {
    let common = Common::of_all(decoded);
    let mut fresh = HashMap::new();
    let mut own: HashMap<(Arc<str>, i64), u32> = HashMap::new();
    for (at, entry) in entries.iter_mut().enumerate() {
        let (Outcome::Stored, Source::Alert { batch, row }) = (entry.outcome, entry.source) else {
            continue;
        };
        let Some(alert_id) = common[batch].alert_id(row) else {
            continue;
        };
        let key = (decoded.batches[batch].survey.clone(), alert_id);
        let place = place_of(entry, packets);
        let bytes = &packets[entry.packet].bytes;
        let (size, hash) = (bytes.len() as u64, xxhash_rust::xxh3::xxh3_128(bytes));
        let first = claims.first_place(&key).filter(|f| !f.place.is_released());
        let first = first.map(|f| (&f.place, f.size, f.hash)).or_else(|| {
            let first = &record.alerts[*own.get(&key)? as usize];
            Some((&first.place, first.size, first.hash))
        });
        match first {
            Some((first, ..)) if *first == place => {}
            Some((first, of, with)) => {
                let byte_equal = (of, with, first.record) == (size, hash, entry.record);
                entry.outcome = Outcome::Duplicate { byte_equal };
            }
            None => {
                let number = record.alerts.len() as u32;
                fresh.insert(at, number);
                record.alerts.push(ClaimedAlert {
                    survey: key.0.clone(),
                    alert_id,
                    place,
                    size,
                    hash,
                });
                own.insert(key, number);
            }
        }
    }
    fresh
}

/// The rows of matches that were numbered when the alert's place was claimed.
fn claimed_rows(
    entry: &Entry,
    claims: &Claims,
    packets: &[Packet],
    decoded: &Decoded,
) -> Vec<(Place, MatchRow)> {
    let Source::Alert { batch, row } = entry.source else {
        return Vec::new();
    };
    let alerts = &decoded.batches[batch];
    let Some(alert_id) = Common::of(&alerts.records).alert_id(row) else {
        return Vec::new();
    };
    let place = place_of(entry, packets);
    let key = (alerts.survey.clone(), alert_id);
    let numbered = claims.matches_of(&key, &place).iter().map(|found| {
        let taken = Match {
            survey: alerts.survey.clone(),
            alert_id,
            filter: found.filter.clone(),
            version: found.version.clone(),
        };
        let row = MatchRow {
            taken,
            lane: found.lane,
            seq: found.seq,
            matched_us: found.matched_us,
            packet: entry.packet,
            batch,
            row,
        };
        (place.clone(), row)
    });
    numbered.collect()
}
