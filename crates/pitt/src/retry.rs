//! Packets in quarantine read again, as the terminal and the API ask for it.
//!
//! The packets that can be read by now go through a broker of their own: a writer beside the one that may be running, in a
//! lane of its own ([decision 3](https://github.com/pitt-broker/pitt/blob/main/docs/decisions/0003-several-writers-claim-before-they-commit.md)),
//! so that nothing that comes in waits for them.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use pitt_alert::{Decoder, Position, SchemaStore};
use pitt_query::{Engine, Filter, Limits};

use crate::broker::Broker;
use crate::config::Settings;
use crate::pipeline::{Counters, Stop};
use crate::screen::cell;
use crate::source::retried::{PARTITION, Quarantined, Retried};
use crate::source::{Outlet, Positions, SourceReport};

/// Longest time that the quarantine is read.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What is to be read again.
pub struct Again {
    engine: Arc<Engine>,
    sql: String,
    /// Names of the packets that an earlier try has read.
    done: HashSet<String>,
}

impl Again {
    /// The packets of the quarantine, or those with one reason, as the archive of `engine` has them.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn look(engine: Arc<Engine>, reason: Option<&str>) -> Result<Self> {
        let chosen = reason.map_or_else(String::new, |reason| {
            format!("AND reason = '{}'", reason.replace('\'', "''"))
        });
        let sql = format!(
            "SELECT \"partition\", \"offset\", name, reason, packet FROM quarantine \
             WHERE packet IS NOT NULL AND \"partition\" <> '{PARTITION}' {chosen} ORDER BY \"partition\", \"offset\""
        );
        let names = format!("SELECT name FROM packets WHERE \"partition\" = '{PARTITION}'");
        let mut done = HashSet::new();
        for batch in engine.query(&names, &limits())? {
            done.extend(texts(&batch?, "name")?);
        }
        Ok(Self { engine, sql, done })
    }

    /// Hands out what `schemas` can read, from position `next` on; also says how many packets still cannot be read, by reason.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn run(
        &self,
        schemas: SchemaStore,
        next: i64,
        outlet: &mut dyn Outlet,
    ) -> Result<(SourceReport, BTreeMap<String, u64>)> {
        let mut retried = Retried::new(Decoder::new(schemas), next, &self.done);
        'all: for batch in self.engine.query(&self.sql, &limits())? {
            for packet in quarantined(&batch?)? {
                if !retried.offer(&packet, outlet) {
                    break 'all;
                }
            }
        }
        Ok(retried.finish())
    }

    /// Reads them into the archive of these settings, judged by `filters` and those of the archive.
    ///
    /// # Errors
    /// The archive cannot be read or written.
    pub fn into_archive(
        &self,
        settings: &Settings,
        filters: Vec<Filter>,
        counters: &Arc<Counters>,
        stop: &Stop,
    ) -> Result<(SourceReport, BTreeMap<String, u64>)> {
        let mut broker = Broker::open(settings, filters)?;
        let next = broker.positions().next_offset(PARTITION)?;
        let schemas = broker.schemas().clone();
        let unread = Mutex::new(BTreeMap::new());
        let source = |outlet: &mut dyn Outlet| {
            let (report, left) = self.run(schemas, next, outlet)?;
            *unread.lock().unwrap_or_else(PoisonError::into_inner) = left;
            Ok(report)
        };
        let report = broker.run(source, counters, stop, |_| {})?;
        Ok((
            report,
            unread.into_inner().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

fn limits() -> Limits {
    Limits {
        rows: usize::MAX,
        time: LONGEST,
    }
}

fn texts(batch: &RecordBatch, name: &str) -> Result<Vec<String>> {
    let column = batch
        .column_by_name(name)
        .with_context(|| format!("no column `{name}` in quarantine"))?;
    Ok((0..column.len())
        .map(|row| cell::text(column, row))
        .collect())
}

fn quarantined(batch: &RecordBatch) -> Result<Vec<Quarantined>> {
    let text = |name: &str| texts(batch, name);
    let (partitions, names, reasons) = (text("partition")?, text("name")?, text("reason")?);
    let offsets = batch
        .column_by_name("offset")
        .and_then(|c| c.as_primitive_opt::<Int64Type>());
    let packets = batch
        .column_by_name("packet")
        .context("no column `packet` in quarantine")?;
    let offsets = offsets.context("no column `offset` in quarantine")?;
    let packet = |row: usize| {
        packets
            .as_binary_opt::<i32>()
            .map(|bytes| bytes.value(row).to_vec())
            .or_else(|| {
                packets
                    .as_binary_view_opt()
                    .map(|bytes| bytes.value(row).to_vec())
            })
            .context("column `packet` of quarantine is not binary")
    };
    (0..batch.num_rows())
        .map(|row| {
            Ok(Quarantined {
                position: Position {
                    partition: partitions[row].as_str().into(),
                    offset: offsets.value(row),
                },
                name: names[row].clone(),
                reason: reasons[row].clone(),
                bytes: packet(row)?.into(),
            })
        })
        .collect()
}
