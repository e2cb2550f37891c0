//! The broker put together: an archive, filters, and the pipeline between them.

mod store;
mod switches;
mod work;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use pitt_alert::{Position, SchemaStore};
use pitt_archive::{Archive, ArchiveOptions, Fingerprint, Writer};
use pitt_query::{Catalogs, Filter, FilterSet, Surveys};

pub use store::{ArchiveStore, NoStore};
pub use switches::{OffList, SwitchedOff};
pub use work::DecodeAndFilter;

use crate::config::Settings;
use crate::filters::{self, FilterDesk, Refused};
use crate::pipeline::{self, BatchLimits, Counters, Stop, Terms, Worker};
use crate::publish::{MatchListener, Publishing};
use crate::source::{Outlet, Positions, SourceError, SourceReport};

/// An open archive with its one writer, and compiled filters.
pub struct Broker {
    archive: Archive,
    writer: Writer,
    filters: Arc<FilterDesk>,
    listeners: Vec<Box<dyn MatchListener>>,
    schemas: SchemaStore,
    limits: BatchLimits,
    workers: usize,
    settings: Settings,
}

impl Broker {
    /// Opens the archive for writing and compiles the filters.
    ///
    /// # Errors
    /// Another process writes to the archive, it cannot be read, or a filter does not fit the surveys' schemas.
    pub fn open(settings: &Settings, filters: Vec<Filter>) -> Result<Self> {
        let archive = open_archive(settings, true)?;
        let writer = archive.writer()?;
        let schemas = schemas(settings, Some(archive.folder()))?;
        let failed = OffList::of(archive.folder())
            .committed(|partition| Ok(archive.committed_offset(partition)?))?;
        let filters = FilterDesk::open(archive.folder(), filters, schemas.clone(), &failed)?;
        let workers = match settings.pipeline.workers {
            0 => {
                std::thread::available_parallelism()
                    .map_or(2, usize::from)
                    .max(2)
                    - 1
            }
            chosen => chosen,
        };
        Ok(Self {
            schemas,
            archive,
            writer,
            filters: Arc::new(filters),
            listeners: vec![],
            limits: BatchLimits::from(&settings.pipeline),
            workers,
            settings: settings.clone(),
        })
    }

    /// The archive.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Where sources keep what they have discovered.
    pub fn sources(&self) -> PathBuf {
        self.archive.folder().join("sources")
    }

    /// The filters, and how to change them.
    pub fn filters(&self) -> &Arc<FilterDesk> {
        &self.filters
    }

    /// Tells somebody of matches once the archive has them.
    pub fn hear(&mut self, listener: Box<dyn MatchListener>) {
        self.listeners.push(listener);
    }

    /// The schemas at hand.
    pub fn schemas(&self) -> &SchemaStore {
        &self.schemas
    }

    /// Names of the filters at work.
    pub fn filter_names(&self) -> Vec<String> {
        let roster = self.filters.at_work().now();
        let names = roster
            .members()
            .iter()
            .map(|member| member.name.to_string());
        names.collect()
    }

    /// Where the archive stands in each partition.
    pub fn positions(&mut self) -> Standing<'_> {
        Standing(RefCell::new(&mut self.writer))
    }

    /// Where the archive stands by its commits, for sources that ask while they run.
    pub fn committed(&self) -> Committed {
        Committed(self.archive.clone())
    }

    /// Runs a source to its end, or until somebody asks to stop; then commits.
    ///
    /// # Errors
    /// The archive cannot be written, or the source fails as a whole.
    pub fn run(
        self,
        source: impl FnOnce(&mut dyn Outlet) -> Result<SourceReport> + Send,
        counters: &Arc<Counters>,
        stop: &Stop,
        observe: impl FnMut(&Counters),
    ) -> Result<SourceReport> {
        let at_work = self.filters.at_work();
        let workers = (0..self.workers)
            .map(|_| -> Box<dyn Worker> {
                let worker = DecodeAndFilter::new(self.schemas.clone(), at_work.now());
                Box::new(worker.telling(at_work).timed(counters))
            })
            .collect();
        let publishing = Publishing::start(
            &self.settings,
            &self.archive,
            &self.filters,
            &self.schemas,
            counters,
        )?;
        let mut store = ArchiveStore::new(self.archive, self.writer, at_work).timed(counters);
        let published = publishing.iter().map(Publishing::listener);
        for listener in published.chain(self.listeners) {
            store = store.heard_by(listener);
        }
        let terms = Terms {
            limits: self.limits,
            filters: at_work.clone(),
            counters: counters.clone(),
            stop: stop.clone(),
        };
        let ended = Stop::default();
        let report = std::thread::scope(|scope| {
            let watch = scope.spawn(|| self.filters.watch(&ended));
            let report = pipeline::run(source, workers, &mut store, &terms, observe);
            ended.ask();
            watch.thread().unpark();
            report
        });
        // The last commit is done: what it brought is published too.
        if let Some(publishing) = publishing {
            publishing.finish();
        }
        report
    }
}

/// Where the archive stands, for sources that open.
pub struct Standing<'a>(RefCell<&'a mut Writer>);

impl Positions for Standing<'_> {
    fn next_offset(&self, partition: &str) -> Result<i64, SourceError> {
        self.0
            .borrow_mut()
            .next_offset(partition)
            .map_err(|source| SourceError::Archive {
                partition: partition.to_owned(),
                source: Box::new(source),
            })
    }
}

/// Where the archive stands by its commits; what is on its way is not counted.
pub struct Committed(Archive);

impl Positions for Committed {
    fn next_offset(&self, partition: &str) -> Result<i64, SourceError> {
        let offset = self.0.committed_offset(partition);
        offset.map_err(|source| SourceError::Archive {
            partition: partition.to_owned(),
            source: Box::new(source),
        })
    }

    fn next_offsets(&self, partitions: &[&str]) -> Result<Vec<i64>, SourceError> {
        let failed = |source| SourceError::Archive {
            partition: partitions.join(", "),
            source: Box::new(source),
        };
        let offsets = self.0.committed_by_all(partitions).map_err(failed)?;
        Ok(offsets.into_iter().map(|next| next.unwrap_or(0)).collect())
    }

    fn fingerprints(
        &self,
        positions: &[Position],
    ) -> Result<Vec<Option<Fingerprint>>, SourceError> {
        let failed = |source| SourceError::Archive {
            partition: positions
                .iter()
                .map(|p| &*p.partition)
                .collect::<Vec<_>>()
                .join(", "),
            source: Box::new(source),
        };
        self.0.fingerprints(positions).map_err(failed)
    }
}

/// Compiles filters, and shows where one does not fit.
///
/// # Errors
/// The first filter that does not fit.
pub fn compile(filters: Vec<Filter>, surveys: &Surveys, catalogs: &Catalogs) -> Result<FilterSet> {
    Ok(FilterSet::compile(filters, surveys, catalogs).map_err(Refused)?)
}

/// Opens the archive that the settings name.
///
/// # Errors
/// There is none and `create` is not set, or it cannot be read.
pub fn open_archive(settings: &Settings, create: bool) -> Result<Archive> {
    if !create && !Path::new(&settings.archive).is_dir() {
        anyhow::bail!(
            "there is no archive at `{}` (fill one with `pitt demo` or `pitt run --from FOLDER`, or name another with --archive)",
            settings.archive
        );
    }
    let options = ArchiveOptions {
        create,
        commit_every: Duration::from_secs_f64(settings.commit.every_s),
        commit_bytes: settings.commit.every_mb << 20,
        // Programs of one consumer group share an archive; and matches that readers are told of at once must keep their numbers.
        claims: create
            && (!settings.kafka.is_empty()
                || settings.output.is_on()
                || settings.http.address().is_some()),
        fresh_bytes: match settings.http.address() {
            Some(_) if create => settings.http.recent_rows_bytes(),
            _ => 0,
        },
        ..ArchiveOptions::default()
    };
    Archive::open(&settings.archive, options)
        .with_context(|| format!("cannot open the archive `{}`", settings.archive))
}

/// Where an archive keeps what the registry told, so that it is asked once for each schema.
const REGISTRY_CACHE: &str = "schemas-cache";

/// The schemas at hand: built in, from the folder and from the registry that the settings name.
///
/// Opens no connection: the registry is asked when an id turns up that is not at hand. Its answers are kept in the
/// archive's folder, if there is one.
///
/// # Errors
/// The folder cannot be read.
pub fn schemas(settings: &Settings, archive: Option<&Path>) -> Result<SchemaStore> {
    let mut store = filters::built_in_schemas()?;
    if !settings.schema_dir.is_empty() {
        store = store
            .with_folder(&settings.schema_dir)
            .context("`schema_dir`")?;
    }
    if settings.registry.is_empty() {
        return Ok(store);
    }
    if let Some(archive) = archive {
        store = store.with_cache(archive.join(REGISTRY_CACHE));
    }
    Ok(store.with_registry(&settings.registry))
}
