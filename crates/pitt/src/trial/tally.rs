//! What a filter would have matched, counted.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use pitt_alert::message::Annotation;
use pitt_alert::{AlertBatch, Decoded};

use super::{Stored, Trial, counts};

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
    nights: BTreeMap<i32, NightTally>,
    examples: Vec<Annotation>,
    took: Duration,
}

impl Tally {
    /// Adds what a trial takes of a batch, of the nights that are wanted.
    pub fn add(
        &mut self,
        trial: &Trial,
        decoded: &Decoded,
        stored: &Stored,
        wanted: impl Fn(i32) -> bool,
    ) {
        for batch in &decoded.batches {
            for (row, origin) in batch.origins.iter().enumerate() {
                let night = night(batch, row);
                if counts(stored, *origin) && night.is_none_or(&wanted) {
                    self.alerts += 1;
                    if let Some(night) = night {
                        self.nights.entry(night).or_default().alerts += 1;
                    }
                }
            }
        }
        for (index, verdict, took) in trial.verdicts(decoded, stored) {
            self.took += took;
            let batch = &decoded.batches[index];
            for row in verdict.rows {
                self.take(batch, row as usize, &wanted);
            }
        }
    }

    fn take(&mut self, batch: &AlertBatch, row: usize, wanted: impl Fn(i32) -> bool) {
        let night = night(batch, row);
        if !night.is_none_or(wanted) {
            return;
        }
        self.matches += 1;
        if let Some(night) = night {
            self.nights.entry(night).or_default().matches += 1;
        }
        if self.examples.len() < EXAMPLES {
            self.examples.extend(Annotation::of(batch, row, 0));
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

    /// The same by night, the newest last.
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

fn night(batch: &AlertBatch, row: usize) -> Option<i32> {
    let nights = batch.records.column_by_name("night")?;
    Some(nights.as_primitive_opt::<Int32Type>()?.value(row))
}
