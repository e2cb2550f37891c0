//! Decoding and filtering of one batch.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use pitt_alert::{
    AlertBatch, Decoded, Decoder, Packet, SchemaStore, Selection, SurveyColumns, WriterSchema,
};

use crate::filters::{AtWork, Roster};
use crate::pipeline::{Counters, Hit, Stage, Worker};

/// Decodes what the tables and the filters need, and evaluates the filters.
///
/// The tables of alerts keep every column of the survey but stamps and history. Which these are is only known once a
/// schema has been seen: a batch that brings a new one is decoded a second time with its columns added.
pub struct DecodeAndFilter {
    decoder: Decoder,
    filters: Arc<Roster>,
    /// Columns of the survey that are decoded: those of the tables, and those that the filters read.
    columns: BTreeSet<String>,
    /// Columns of the tables, of all schemas seen.
    flat: BTreeSet<String>,
    schemas: HashSet<u128>,
    /// Whether the tables are written too, or only the filters count.
    tables: bool,
    /// Who is told of schemas.
    at_work: Option<Arc<AtWork>>,
    /// Where times are counted.
    counters: Option<Arc<Counters>>,
    /// Batches so far.
    turn: u64,
}

/// Of so many batches of a worker, one tells what each filter costs,
const MEASURED_EVERY: u64 = 64;
/// and these of the first: not the very first, which finds everything cold.
const MEASURED_FIRST: std::ops::Range<u64> = 1..9;

impl DecodeAndFilter {
    /// A worker that decodes for tables and filters.
    pub fn new(schemas: SchemaStore, filters: Arc<Roster>) -> Self {
        Self::with(schemas, filters, true)
    }

    /// A worker that decodes for filters alone.
    pub fn filters_only(schemas: SchemaStore, filters: Arc<Roster>) -> Self {
        Self::with(schemas, filters, false)
    }

    /// Counts the time of each batch's decoding and filtering.
    pub fn timed(mut self, counters: &Arc<Counters>) -> Self {
        self.counters = Some(counters.clone());
        self
    }

    /// Keeps a packet of each schema, for filters that come later to be tried on.
    pub fn telling(mut self, at_work: &Arc<AtWork>) -> Self {
        self.at_work = Some(at_work.clone());
        self
    }

    fn with(schemas: SchemaStore, filters: Arc<Roster>, tables: bool) -> Self {
        let columns = filters.set().selection().columns.clone();
        let mut worker = Self {
            decoder: Decoder::new(schemas),
            filters,
            columns,
            flat: BTreeSet::new(),
            schemas: HashSet::new(),
            tables,
            at_work: None,
            counters: None,
            turn: 0,
        };
        worker.select();
        worker
    }

    /// Goes on with other filters, and decodes what these read.
    pub fn turn_to(&mut self, filters: &Arc<Roster>) {
        if Arc::ptr_eq(&self.filters, filters) {
            return;
        }
        let same = self.filters.set().selection() == filters.set().selection();
        self.filters = filters.clone();
        if !same {
            self.columns.clone_from(&filters.set().selection().columns);
            self.columns.extend(self.flat.iter().cloned());
            self.select();
        }
    }

    /// Decodes a batch.
    pub fn decode(&mut self, packets: &[Packet]) -> Decoded {
        let decoded = self.decoder.decode(packets);
        let known = self.columns.len();
        for batch in &decoded.batches {
            if self.schemas.insert(batch.schema.fingerprint()) {
                self.meet(batch, packets);
            }
        }
        if !self.tables || self.filters.set().selection().all {
            return decoded;
        }
        if self.columns.len() == known {
            return decoded;
        }
        self.select();
        self.decoder.decode(packets)
    }

    /// Takes note of a new schema.
    fn meet(&mut self, batch: &AlertBatch, packets: &[Packet]) {
        let origin = batch.origins.first();
        if let (Some(at_work), Some(origin)) = (&self.at_work, origin) {
            at_work.met(batch.schema.fingerprint(), &packets[origin.packet]);
        }
        if self.tables {
            self.flat.extend(flat_columns(&batch.schema));
            self.columns.extend(self.flat.iter().cloned());
        }
    }

    /// Evaluates the filters over a decoded batch.
    pub fn filter(&self, decoded: &Decoded) -> Vec<Hit> {
        self.judge_all(decoded, |alerts| {
            self.filters.set().judge(&alerts.survey, &alerts.records)
        })
    }

    /// The same, and each filter is told what it cost.
    fn filter_measured(&self, decoded: &Decoded) -> Vec<Hit> {
        let members = self.filters.members();
        self.judge_all(decoded, |alerts| {
            let rows = alerts.records.num_rows();
            let took = |filter: usize, took| members[filter].cost.add(took, rows);
            let set = self.filters.set();
            set.judge_timed(&alerts.survey, &alerts.records, took)
        })
    }

    fn judge_all(
        &self,
        decoded: &Decoded,
        judge: impl Fn(&AlertBatch) -> pitt_query::Judgement,
    ) -> Vec<Hit> {
        let mut hits = vec![];
        for (batch, alerts) in decoded.batches.iter().enumerate() {
            if alerts.schema.has_common_columns() {
                let judgement = judge(alerts);
                let taken = |verdict: pitt_query::Verdict| Hit {
                    filter: verdict.filter,
                    batch,
                    rows: verdict.rows,
                    failed: None,
                };
                let failed = |failure: pitt_query::Failure| Hit {
                    filter: failure.filter,
                    batch,
                    rows: vec![],
                    failed: Some(failure),
                };
                hits.extend(judgement.verdicts.into_iter().map(taken));
                hits.extend(judgement.failures.into_iter().map(failed));
            }
        }
        hits
    }

    fn select(&mut self) {
        let needs = self.filters.set().selection();
        let survey = if needs.all {
            SurveyColumns::AllButStamps
        } else {
            SurveyColumns::Only(self.columns.clone())
        };
        self.decoder.select(Selection {
            survey,
            detections: needs.detections,
            // The table of forced photometry is made of this list.
            forced: needs.forced || self.tables,
            nondetections: needs.nondetections,
        });
    }
}

impl Worker for DecodeAndFilter {
    fn work(&mut self, packets: &[Packet], filters: &Arc<Roster>) -> Result<(Decoded, Vec<Hit>)> {
        self.turn_to(filters);
        let begin = Instant::now();
        let decoded = self.decode(packets);
        let filtering = Instant::now();
        let measured = self.turn % MEASURED_EVERY == MEASURED_FIRST.start
            || MEASURED_FIRST.contains(&self.turn);
        self.turn += 1;
        let hits = match measured {
            true => self.filter_measured(&decoded),
            false => self.filter(&decoded),
        };
        if let Some(counters) = &self.counters {
            counters.stage(Stage::Decode).add_between(begin, filtering);
            counters.stage(Stage::Filter).add_since(filtering);
        }
        Ok((decoded, hits))
    }
}

/// The top-level columns of a schema that are neither stamps nor lists. What is not understood is taken.
fn flat_columns(schema: &WriterSchema) -> Vec<String> {
    let json: serde_json::Value = serde_json::from_str(schema.json()).unwrap_or_default();
    let fields = json["fields"].as_array().into_iter().flatten();
    let flat = fields.filter(|field| !is_list(&field["type"]));
    let names = flat.filter_map(|field| field["name"].as_str());
    names
        .filter(|name| !name.to_lowercase().starts_with("cutout"))
        .map(str::to_owned)
        .collect()
}

/// Whether a type is a list of records, or may be one.
fn is_list(data_type: &serde_json::Value) -> bool {
    match data_type.as_array() {
        Some(union) => union.iter().any(is_list),
        None if data_type["type"] == "array" => {
            !PRIMITIVE.iter().any(|name| data_type["items"] == *name)
        }
        // `{"type": {"type": "array", ..}}`, as some writers have it.
        None => {
            !data_type["type"].is_string()
                && !data_type["type"].is_null()
                && is_list(&data_type["type"])
        }
    }
}

const PRIMITIVE: [&str; 7] = [
    "boolean", "int", "long", "float", "double", "string", "bytes",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_and_lists_stay_out() {
        let schema = WriterSchema::parse(pitt_simulate::ztf_schema()).unwrap();
        let columns = flat_columns(&schema);
        assert!(columns.contains(&"candidate".to_owned()), "{columns:?}");
        assert!(
            !columns
                .iter()
                .any(|name| name.starts_with("cutout") || name.starts_with("prv_"))
        );
    }
}
