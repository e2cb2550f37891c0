//! A filter tried on packets that are here: an archive's, those in files, or in memory. Behind `pitt filter test`,
//! `pitt filter run`, the filter tests of the HTTP API and Python's `test_filter`.
//!
//! Packets are decoded and the filter is evaluated as the running broker does, a batch at a time, so a trial gives the
//! verdicts that the stream would. Nothing is written.

mod batches;
mod tally;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use arrow_array::RecordBatch;
use pitt_alert::{Decoded, Origin, Packet, SchemaStore};
use pitt_archive::Archive;
use pitt_query::{Catalogs, Disabled, Filter, FilterSet, Surveys, Verdict};

pub use batches::each_packet;
pub use tally::{NightTally, Tally};

use crate::broker;
use crate::config::Settings;
use crate::filters::Roster;
use crate::pipeline::Stop;
use crate::source::{Outlet, SourceReport};
use batches::Batches;

/// Positions of packets in a batch and the records of them to count; `None` counts every record.
type Stored = Option<BTreeSet<(usize, u32)>>;

/// Where the packets of a trial come from.
pub enum Ground<'a> {
    /// Stored packets, in the order of their receipt.
    Archive {
        /// The archive.
        archive: &'a Archive,
        /// Nights to look at, YYYYMMDD; every one when left out.
        nights: Option<&'a BTreeSet<i32>>,
    },
    /// A packet's file, a tarball, or a folder of both.
    Path(&'a Path),
    /// These.
    Packets(Vec<Packet>),
}

/// How much of the history a trial may take.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Nights, YYYYMMDD; all when there are none.
    pub nights: Vec<i32>,
    /// Most alerts.
    pub alerts: u64,
    /// Longest time.
    pub time: Duration,
    /// Who may break it off.
    pub stop: Stop,
}

/// One filter, compiled, and the schemas to decode with.
pub struct Trial {
    filters: Arc<Roster>,
    schemas: SchemaStore,
}

/// What the filter makes of one batch of packets.
pub struct Judged<'a> {
    filters: &'a FilterSet,
    /// The packets, decoded as far as the filter needs.
    pub decoded: &'a Decoded,
    /// Rows that count, by their batch: what is not a duplicate.
    pub counted: Vec<Vec<u32>>,
    /// Batches of which it takes rows, and the rows, those that count alone.
    pub taken: Vec<(usize, Verdict)>,
    /// Time that the filter took.
    pub took: Duration,
}

impl Trial {
    /// A trial of a filter, with the schemas to read packets by.
    ///
    /// # Errors
    /// The filter does not fit ([`crate::filters::Refused`]).
    pub fn new(
        filter: Filter,
        surveys: &Surveys,
        catalogs: &Catalogs,
        schemas: SchemaStore,
    ) -> Result<Self> {
        let set = broker::compile(vec![filter], surveys, catalogs)?;
        Ok(Self {
            filters: Arc::new(Roster::of(set)),
            schemas,
        })
    }

    /// The same with what the settings name: the surveys' schemas, and the archive's schemas and catalogs if there is one.
    ///
    /// # Errors
    /// The filter is refused, or a schema or catalog cannot be read.
    pub fn with_settings(settings: &Settings, filter: Filter) -> Result<Self> {
        let folder = Path::new(&settings.archive);
        let schemas = broker::schemas(settings, Some(folder).filter(|folder| folder.is_dir()))?;
        let catalogs = crate::catalogs::load(folder)?;
        Self::new(
            filter,
            &crate::filters::known_surveys()?,
            &catalogs,
            schemas,
        )
    }

    /// Decodes by these writers' schemas, in place of those it had.
    #[must_use]
    pub fn with_schemas(mut self, schemas: SchemaStore) -> Self {
        self.schemas = schemas;
        self
    }

    /// The filter.
    pub fn filter(&self) -> &Filter {
        &self.filters.set().filters()[0]
    }

    /// Why the filter was switched off on the way, if it was: what comes after that alert is not judged.
    pub fn failed(&self) -> Option<&Disabled> {
        Some(self.filters.set().disabled().first()?.1)
    }

    /// Judges batch after batch, until `each` has enough. Gives what the files had to say, if there were files.
    ///
    /// # Errors
    /// The packets cannot be had as a whole, or what `each` says.
    pub fn pass(
        &mut self,
        settings: &Settings,
        ground: Ground<'_>,
        mut each: impl FnMut(&Judged<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<SourceReport> {
        if let Ground::Archive { archive, .. } = ground {
            self.schemas = archive.schema_store()?;
        }
        let mut batches = Batches::new(self, &mut each);
        let mut report = SourceReport::default();
        match ground {
            Ground::Archive { archive, nights } => {
                let wanted = |night: Option<i32>| {
                    nights.is_none_or(|n| night.is_some_and(|x| n.contains(&x)))
                };
                let _ = batches.replay(archive.replay(None)?, wanted, &Stop::default())?;
            }
            Ground::Path(path) => report = each_packet(settings, path, &mut batches)?,
            Ground::Packets(packets) => {
                let _ = packets
                    .into_iter()
                    .try_for_each(|packet| batches.packet(packet));
            }
        }
        batches.finish()?;
        Ok(report)
    }

    /// The newest part of an archive's history, the newest nights first; whether all of it was seen.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn newest(
        &mut self,
        archive: &Archive,
        bounds: &Bounds,
        tally: &mut Tally,
    ) -> Result<bool> {
        self.schemas = archive.schema_store()?;
        let (began, mut all) = (Instant::now(), true);
        let wanted = |night: i32| bounds.nights.is_empty() || bounds.nights.contains(&night);
        let history = archive.replay_newest(|low, high| {
            bounds.nights.is_empty() || bounds.nights.iter().any(|n| (low..=high).contains(n))
        })?;
        let mut each = |judged: &Judged<'_>| {
            tally.add_nights(judged, wanted);
            let over = tally.alerts() >= bounds.alerts || began.elapsed() >= bounds.time;
            if over || bounds.stop.asked() {
                all = false;
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        };
        let mut batches = Batches::new(self, &mut each);
        let _ = batches.replay(history, |_| true, &bounds.stop)?;
        batches.finish()?;
        Ok(all)
    }

    fn judge<'a>(&'a self, decoded: &'a Decoded, stored: &Stored) -> Judged<'a> {
        let counts = |origin: &Origin| {
            stored
                .as_ref()
                .is_none_or(|stored| stored.contains(&(origin.packet, origin.record)))
        };
        let set = self.filters.set();
        let mut judged = Judged {
            filters: set,
            decoded,
            counted: vec![],
            taken: vec![],
            took: Duration::ZERO,
        };
        for (index, batch) in decoded.batches.iter().enumerate() {
            let rows = (0..).zip(&batch.origins);
            let counted = rows.filter(|(_, origin)| counts(origin));
            judged.counted.push(counted.map(|(row, _)| row).collect());
            if !batch.schema.has_common_columns() {
                continue;
            }
            let begin = Instant::now();
            let verdicts = set.evaluate(&batch.survey, &batch.records);
            judged.took += begin.elapsed();
            for mut verdict in verdicts {
                let count = |row: &u32| counts(&batch.origins[*row as usize]);
                verdict.rows.retain(count);
                judged.taken.push((index, verdict));
            }
        }
        judged
    }
}

impl Judged<'_> {
    /// The rows of the filter's `SELECT`, or the common columns of a bare predicate: a batch for each writer's schema.
    ///
    /// # Errors
    /// A column cannot be computed.
    pub fn outputs(&self) -> Result<Vec<RecordBatch>> {
        let output = |(batch, verdict): &(usize, Verdict)| {
            let alerts = &self.decoded.batches[*batch];
            let output = self
                .filters
                .output(verdict, &alerts.survey, &alerts.records);
            Ok(output?)
        };
        self.taken.iter().map(output).collect()
    }
}
