//! What a filter would have matched, counted.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use pitt_alert::AlertBatch;
use pitt_alert::message::Annotation;

use super::Judged;

/// Examples kept.
const EXAMPLES: usize = 10;

/// Counts of one night.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NightTally {
    /// Alerts seen.
    pub alerts: u64,
    /// Of them taken.
    pub matches: u64,
}

/// What a filter would have matched.
#[derive(Debug, Default)]
pub struct Tally {
    alerts: u64,
    matches: u64,
    rejected: u64,
    nights: BTreeMap<i32, NightTally>,
    examples: Vec<Annotation>,
    took: Duration,
}

impl Tally {
    /// Adds what a trial makes of a batch.
    pub fn add(&mut self, judged: &Judged<'_>) {
        self.add_nights(judged, |_| true);
    }

    /// The same of the nights that are wanted; alerts without a night always count.
    pub fn add_nights(&mut self, judged: &Judged<'_>, wanted: impl Fn(i32) -> bool) {
        self.took += judged.took;
        self.rejected += judged.decoded.rejected.len() as u64;
        for (batch, counted) in judged.decoded.batches.iter().zip(&judged.counted) {
            for row in counted {
                let night = night(batch, *row);
                if night.is_none_or(&wanted) {
                    self.alerts += 1;
                    if let Some(night) = night {
                        self.nights.entry(night).or_default().alerts += 1;
                    }
                }
            }
        }
        for (index, verdict) in &judged.taken {
            let batch = &judged.decoded.batches[*index];
            for row in &verdict.rows {
                self.take(batch, *row, &wanted);
            }
        }
    }

    fn take(&mut self, batch: &AlertBatch, row: u32, wanted: impl Fn(i32) -> bool) {
        let night = night(batch, row);
        if !night.is_none_or(wanted) {
            return;
        }
        self.matches += 1;
        if let Some(night) = night {
            self.nights.entry(night).or_default().matches += 1;
        }
        if self.examples.len() < EXAMPLES {
            self.examples.extend(Annotation::of(batch, row as usize, 0));
        }
    }

    /// Alerts seen.
    pub fn alerts(&self) -> u64 {
        self.alerts
    }

    /// Of them taken.
    pub fn matches(&self) -> u64 {
        self.matches
    }

    /// Packets, or records of them, that cannot be read.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Alerts and matches by night, YYYYMMDD, the newest last.
    pub fn nights(&self) -> &BTreeMap<i32, NightTally> {
        &self.nights
    }

    /// The first that were taken.
    pub fn examples(&self) -> &[Annotation] {
        &self.examples
    }

    /// Time an alert takes the filter `[us]`.
    pub fn cost_us(&self) -> f64 {
        self.took.as_secs_f64() * 1e6 / self.alerts.max(1) as f64
    }
}

fn night(batch: &AlertBatch, row: u32) -> Option<i32> {
    let nights = batch.records.column_by_name("night")?;
    Some(nights.as_primitive_opt::<Int32Type>()?.value(row as usize))
}
