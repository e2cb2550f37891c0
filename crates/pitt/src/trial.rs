//! A filter tried on packets that are here: an archive's, those in files, or in memory. Behind `pitt filter test`,
//! `pitt filter run` and Python's `test_filter`.
//!
//! Packets are decoded and the filter is evaluated as the running broker does, so a trial gives the verdicts that the
//! stream would.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use pitt_alert::{Decoded, Origin, Packet, SchemaStore};
use pitt_archive::Archive;
use pitt_query::{Disabled, Filter, FilterSet, Verdict};

use crate::broker::{self, DecodeAndFilter};
use crate::config::Settings;
use crate::screen::cell;
use crate::source::files::{Files, FilesOptions};
use crate::source::{Outlet, SourceReport};
use crate::{catalogs, filters};

/// Alerts evaluated together, as the running broker does.
const BATCH: usize = 1000;
/// Examples that a tally keeps.
const EXAMPLES: usize = 10;

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

/// One filter, compiled, and the schemas to decode with.
pub struct Trial {
    filters: Arc<FilterSet>,
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

/// Positions of packets in a batch and the records of them to count; `None` counts every record.
type Stored = Option<BTreeSet<(usize, u32)>>;

impl Trial {
    /// Makes a filter ready, against the surveys' schemas and the archive's catalogs.
    ///
    /// # Errors
    /// The filter is refused ([`filters::Refused`]), or a catalog cannot be read.
    pub fn new(settings: &Settings, filter: Filter) -> Result<Self> {
        let folder = Path::new(&settings.archive);
        let surveys = filters::known_surveys()?;
        let filters = broker::compile(vec![filter], &surveys, &catalogs::load(folder)?)?;
        let folder = Some(folder).filter(|folder| folder.is_dir());
        Ok(Self {
            filters: Arc::new(filters),
            schemas: broker::schemas(settings, folder)?,
        })
    }

    /// Decodes by these writers' schemas, in place of those of the settings.
    #[must_use]
    pub fn with_schemas(mut self, schemas: SchemaStore) -> Self {
        self.schemas = schemas;
        self
    }

    /// The filter.
    pub fn filter(&self) -> &Filter {
        &self.filters.filters()[0]
    }

    /// Why the filter was switched off on the way, if it was: what comes after that alert is not judged.
    pub fn failure(&self) -> Option<&Disabled> {
        self.filters.disabled().first().map(|(_, why)| *why)
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
            Ground::Archive { archive, nights } => batches.stored(archive, nights)?,
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

    fn judge<'a>(&'a self, decoded: &'a Decoded, stored: &Stored) -> Judged<'a> {
        let counts = |origin: &Origin| {
            stored
                .as_ref()
                .is_none_or(|stored| stored.contains(&(origin.packet, origin.record)))
        };
        let mut judged = Judged {
            filters: &self.filters,
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
            let verdicts = self.filters.evaluate(&batch.survey, &batch.records);
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

/// Packets gathered into batches, decoded, judged, and handed on.
struct Batches<'a, F> {
    trial: &'a Trial,
    worker: DecodeAndFilter,
    each: &'a mut F,
    packets: Vec<Packet>,
    stored: Stored,
    failed: Option<anyhow::Error>,
}

impl<'a, F: FnMut(&Judged<'_>) -> Result<ControlFlow<()>>> Batches<'a, F> {
    fn new(trial: &'a Trial, each: &'a mut F) -> Self {
        let worker = DecodeAndFilter::filters_only(trial.schemas.clone(), trial.filters.clone());
        Self {
            trial,
            worker,
            each,
            packets: vec![],
            stored: None,
            failed: None,
        }
    }

    fn stored(&mut self, archive: &Archive, nights: Option<&BTreeSet<i32>>) -> Result<()> {
        for replayed in archive.replay(None)? {
            let replayed = replayed?;
            let of_night = |nights: &BTreeSet<i32>| {
                replayed.night.is_some_and(|night| nights.contains(&night))
            };
            if !nights.is_none_or(of_night) {
                continue;
            }
            let at = self.packets.len();
            let stored = self.stored.get_or_insert_default();
            stored.extend(replayed.stored.iter().map(|record| (at, *record)));
            if self.packet(replayed.packet).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn close(&mut self) -> ControlFlow<()> {
        let packets = std::mem::take(&mut self.packets);
        let decoded = self.worker.decode(&packets);
        let flow = (self.each)(&self.trial.judge(&decoded, &self.stored));
        if let Some(stored) = &mut self.stored {
            stored.clear();
        }
        flow.unwrap_or_else(|error| {
            self.failed = Some(error);
            ControlFlow::Break(())
        })
    }

    fn finish(mut self) -> Result<()> {
        if self.failed.is_none() && !self.packets.is_empty() {
            let _ = self.close();
        }
        self.failed.map_or(Ok(()), Err)
    }
}

impl<F: FnMut(&Judged<'_>) -> Result<ControlFlow<()>>> Outlet for Batches<'_, F> {
    fn packet(&mut self, packet: Packet) -> ControlFlow<()> {
        self.packets.push(packet);
        if self.packets.len() < BATCH {
            ControlFlow::Continue(())
        } else {
            self.close()
        }
    }

    fn pause(&mut self, _wait: Duration) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn flush(&mut self) -> ControlFlow<()> {
        if self.packets.is_empty() {
            return ControlFlow::Continue(());
        }
        self.close()
    }
}

/// Hands out every packet of a file, tarball or folder from the beginning; its list of files is kept only as long.
///
/// # Errors
/// The path does not exist, or the list cannot be kept.
pub fn each_packet(
    settings: &Settings,
    from: &Path,
    outlet: &mut dyn Outlet,
) -> Result<SourceReport> {
    let sources = tempfile::Builder::new().prefix("pitt-").tempdir()?;
    let options = FilesOptions {
        paths: vec![PathBuf::from(from)],
        sources: sources.path().to_owned(),
        follow: None,
        max_file_bytes: settings.source.max_file_mb << 20,
    };
    Ok(Files::open(options, |_: &str| 0)?.run(outlet)?)
}

/// Counts of one night.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NightCount {
    /// Alerts looked at.
    pub alerts: u64,
    /// Those that the filter takes.
    pub matches: u64,
}

/// An alert that the filter takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The survey's id of it.
    pub alert_id: i64,
    /// The survey.
    pub survey: String,
    /// Its object; empty when it has none.
    pub object_id: String,
}

/// What a filter would have matched, added up over a trial.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Alerts looked at.
    pub alerts: u64,
    /// Those that the filter takes.
    pub matches: u64,
    /// Packets, or records of them, that cannot be read.
    pub rejected: u64,
    /// By night, YYYYMMDD.
    pub nights: BTreeMap<i32, NightCount>,
    /// The first alerts taken.
    pub examples: Vec<Example>,
    /// Time that the filter took.
    pub took: Duration,
}

impl Tally {
    /// Adds a batch.
    pub fn add(&mut self, judged: &Judged<'_>) {
        self.took += judged.took;
        self.rejected += judged.decoded.rejected.len() as u64;
        for (batch, counted) in judged.counted.iter().enumerate() {
            self.alerts += counted.len() as u64;
            let nights = nights_of(judged, batch);
            for night in counted.iter().filter_map(|row| nights.get(*row as usize)) {
                self.nights.entry(*night).or_default().alerts += 1;
            }
        }
        for (batch, verdict) in &judged.taken {
            self.matches += verdict.rows.len() as u64;
            let nights = nights_of(judged, *batch);
            for night in verdict
                .rows
                .iter()
                .filter_map(|row| nights.get(*row as usize))
            {
                self.nights.entry(*night).or_default().matches += 1;
            }
            let room = EXAMPLES - self.examples.len();
            let rows = verdict.rows.iter().take(room);
            self.examples
                .extend(rows.filter_map(|row| example(judged, *batch, *row as usize)));
        }
    }

    /// Time that the filter took for each alert, us.
    pub fn cost_us(&self) -> f64 {
        self.took.as_secs_f64() * 1e6 / self.alerts.max(1) as f64
    }
}

/// The night of each row; empty for alerts without the common columns.
fn nights_of<'a>(judged: &'a Judged<'_>, batch: usize) -> &'a [i32] {
    let records = &judged.decoded.batches[batch].records;
    let nights = records
        .column_by_name("night")
        .and_then(|nights| nights.as_primitive_opt::<Int32Type>());
    nights.map_or(&[], |nights| nights.values())
}

fn example(judged: &Judged<'_>, batch: usize, row: usize) -> Option<Example> {
    let alerts = &judged.decoded.batches[batch];
    let ids = alerts.records.column_by_name("alert_id")?;
    let ids = ids.as_primitive_opt::<Int64Type>()?;
    let objects = alerts.records.column_by_name("object_id");
    Some(Example {
        alert_id: ids.is_valid(row).then(|| ids.value(row))?,
        survey: alerts.survey.to_string(),
        object_id: objects.map_or_else(String::new, |ids| cell::text(ids, row)),
    })
}
