//! One Delta table's log: creating it, committing files and transactions to it, listing what it holds.
//!
//! The log is written by `deltalake-core` without its `datafusion` feature: we write the Parquet files
//! ourselves and commit `add` actions for them. A commit carries at least one `txn` action whose application
//! id every writer of the table uses, so the library's conflict check turns away a writer that worked from an
//! older version ([`ArchiveError::Fenced`]); it does not look at the numbers, [`crate::Writer`] does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use deltalake_core::kernel::engine::arrow_conversion::{TryFromArrow, TryIntoArrow};
use deltalake_core::kernel::transaction::{
    CommitBuilder, CommitConflictError, CommitProperties, TransactionError,
};
use deltalake_core::kernel::{Action, Add, MetadataExt, StructType, Transaction};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, logstore_with};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use deltalake_core::{DeltaTable, DeltaTableError};
use object_store::ObjectStore;
use tokio::runtime::Runtime;
use url::Url;

use crate::error::ArchiveError;
use crate::folder::SyncedFolder;
use crate::part::{Part, PartName};
use crate::read;

/// Commits of a table between two checkpoints of its log.
const CHECKPOINT_EVERY: u64 = 100;

/// What one archive shares among its tables: the runtime, the store and the root folder.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) root: PathBuf,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) runtime: Arc<Threads>,
}

/// The runtime that log calls wait on. The last clone of an archive may go anywhere, also where waiting is not allowed.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    /// Waits for an answer.
    pub(crate) fn block_on<F: Future>(&self, answer: F) -> F::Output {
        match &self.0 {
            Some(runtime) => runtime.block_on(answer),
            None => unreachable!("the runtime is taken only when this is dropped"),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Nothing of ours runs there any more: every call waits for its answer.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Site {
    /// The site of an archive: over the file system, synced, unless another store is given.
    pub(crate) fn new(
        root: &Path,
        store: Option<Arc<dyn ObjectStore>>,
    ) -> Result<Self, ArchiveError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("pitt-archive")
            .enable_all()
            .build()
            .map_err(ArchiveError::io(root))?;
        Ok(Self {
            root: root.to_owned(),
            store: store.unwrap_or_else(|| Arc::new(SyncedFolder::default())),
            runtime: Arc::new(Threads(Some(runtime))),
        })
    }
}

/// A table at the version last read or committed.
pub(crate) struct DeltaLog {
    pub(crate) name: String,
    folder: PathBuf,
    site: Site,
    log: LogStoreRef,
    state: DeltaTableState,
}

/// A data file of a table, as its log lists it.
#[derive(Debug, Clone)]
pub struct TableFile {
    /// Absolute path.
    pub path: PathBuf,
    /// Name, which also carries the commit sequence and the checksum.
    pub name: PartName,
    /// Size in bytes.
    pub size: u64,
    /// Rows.
    pub rows: u64,
    /// Delta statistics (`minValues`, `maxValues` per column) as JSON.
    pub stats: String,
}

impl TableFile {
    /// Smallest and largest value of an integer column, when the log has them.
    pub fn range_i64(&self, column: &str) -> Option<(i64, i64)> {
        let stats: serde_json::Value = serde_json::from_str(&self.stats).ok()?;
        let bound = |side: &str| stats.get(side)?.get(column)?.as_i64();
        Some((bound("minValues")?, bound("maxValues")?))
    }

    /// Reads top-level columns of all rows, in the order asked for.
    pub fn read(
        &self,
        columns: &[&str],
    ) -> Result<impl Iterator<Item = Result<RecordBatch, ArchiveError>> + use<>, ArchiveError> {
        read::columns(&self.path, columns)
    }

    /// Reads top-level columns of some rows, whose numbers ascend, in the order asked for.
    ///
    /// # Errors
    /// The file cannot be read, or has no such row or column.
    pub fn read_rows(
        &self,
        columns: &[&str],
        rows: &[u64],
    ) -> Result<Vec<RecordBatch>, ArchiveError> {
        read::rows(&self.path, columns, rows)
    }

    /// Smallest and largest value of a text column, when the log has them.
    pub fn range_text(&self, column: &str) -> Option<(String, String)> {
        let stats: serde_json::Value = serde_json::from_str(&self.stats).ok()?;
        let bound = |side: &str| Some(stats.get(side)?.get(column)?.as_str()?.to_owned());
        Some((bound("minValues")?, bound("maxValues")?))
    }
}

/// What a commit adds to a table.
#[derive(Default)]
pub(crate) struct Addition<'a> {
    pub(crate) parts: &'a [Part],
    pub(crate) txns: Vec<(String, i64)>,
    /// The table's new schema when it has grown.
    pub(crate) schema: Option<SchemaRef>,
}

impl DeltaLog {
    /// Opens the table if it exists.
    pub(crate) fn open(site: &Site, name: &str) -> Result<Option<Self>, ArchiveError> {
        let folder = site.root.join(name);
        if !folder.join("_delta_log").is_dir() {
            return Ok(None);
        }
        let log = log_store(site, name, &folder)?;
        let exists = site.runtime.block_on(log.is_delta_table_location());
        if !exists.map_err(|e| log_error(name, e))? {
            return Ok(None);
        }
        let state = site
            .runtime
            .block_on(DeltaTableState::try_new(log.as_ref(), None));
        Ok(Some(Self {
            name: name.to_owned(),
            folder,
            site: site.clone(),
            log,
            state: state.map_err(|e| log_error(name, e))?,
        }))
    }

    /// Opens the table, creating it with `schema` if it does not exist.
    pub(crate) fn open_or_create(
        site: &Site,
        name: &str,
        schema: &Schema,
    ) -> Result<Self, ArchiveError> {
        if let Some(table) = Self::open(site, name)? {
            return Ok(table);
        }
        let folder = site.root.join(name);
        std::fs::create_dir_all(&folder).map_err(ArchiveError::io(&folder))?;
        let log = log_store(site, name, &folder)?;
        let columns = kernel_schema(name, schema)?;
        let create = CreateBuilder::new()
            .with_log_store(log.clone())
            .with_save_mode(SaveMode::Ignore)
            .with_table_name(name)
            .with_columns(columns.fields().cloned())
            .with_raise_if_key_not_exists(false)
            .with_configuration([
                (
                    "delta.checkpointInterval",
                    Some(CHECKPOINT_EVERY.to_string().as_str()),
                ),
                ("pitt.format", Some(crate::tables::FORMAT)),
            ]);
        let table: DeltaTable = site
            .runtime
            .block_on(create.into_future())
            .map_err(|e| log_error(name, e))?;
        let state = table
            .state
            .ok_or_else(|| log_error(name, DeltaTableError::NotInitialized))?;
        Ok(Self {
            name: name.to_owned(),
            folder,
            site: site.clone(),
            log,
            state,
        })
    }

    /// Version of the log this handle stands at.
    pub(crate) fn version(&self) -> u64 {
        self.state.version()
    }

    /// Identity of the table, drawn when it was created.
    pub(crate) fn id(&self) -> &str {
        self.state.metadata().id()
    }

    /// Folder of the table.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The table's schema.
    pub(crate) fn schema(&self) -> Result<SchemaRef, ArchiveError> {
        let schema: Schema = self
            .state
            .schema()
            .as_ref()
            .try_into_arrow()
            .map_err(ArchiveError::arrow(&self.name))?;
        Ok(Arc::new(schema))
    }

    /// Position last committed under an application id.
    pub(crate) fn txn(&self, app_id: &str) -> Result<Option<i64>, ArchiveError> {
        let lookup = self.state.transaction_version(self.log.as_ref(), app_id);
        self.site
            .runtime
            .block_on(lookup)
            .map_err(|e| log_error(&self.name, e))
    }

    /// The live files, oldest commit first.
    pub(crate) fn files(&self) -> Result<Vec<TableFile>, ArchiveError> {
        let mut files = Vec::new();
        for view in self.state.log_data().iter() {
            let path = view.path();
            let name = PartName::parse(&path).ok_or_else(|| ArchiveError::Format {
                table: self.name.clone(),
                detail: format!("its log lists `{path}`, which is not a file of ours"),
            })?;
            files.push(TableFile {
                path: self.folder.join(path.as_ref()),
                name,
                size: u64::try_from(view.size()).unwrap_or(0),
                rows: view.num_records().unwrap_or(0) as u64,
                stats: view.stats().unwrap_or_default(),
            });
        }
        files.sort_by_key(|f| f.name);
        Ok(files)
    }

    /// Reads what others have committed since.
    pub(crate) fn update(&mut self) -> Result<(), ArchiveError> {
        let before = self.version();
        let files = self.state.log_data().num_files();
        let update = self.state.update(self.log.as_ref(), None);
        let updated = self.site.runtime.block_on(update);
        updated.map_err(|e| log_error(&self.name, e))?;
        // A version without files (numbers that stay empty) is not seen whole by an update: it is read from the beginning.
        let files_after = self.state.log_data().num_files();
        let no_files = before != self.version() && files == files_after;
        if no_files || before / CHECKPOINT_EVERY != self.version() / CHECKPOINT_EVERY {
            self.start_afresh()?;
        }
        Ok(())
    }

    /// A long-lived snapshot grows with every update: it is read again from the last checkpoint.
    fn start_afresh(&mut self) -> Result<(), ArchiveError> {
        let fresh = DeltaTableState::try_new(self.log.as_ref(), None);
        let fresh = self.site.runtime.block_on(fresh);
        self.state = fresh.map_err(|e| log_error(&self.name, e))?;
        Ok(())
    }

    /// Commits files, positions and a grown schema in one step.
    pub(crate) fn commit(&mut self, addition: Addition<'_>) -> Result<u64, ArchiveError> {
        let mut actions = Vec::new();
        if let Some(schema) = &addition.schema {
            let schema = kernel_schema(&self.name, schema)?;
            let metadata = self.state.metadata().clone().with_schema(&schema);
            actions.push(Action::Metadata(
                metadata.map_err(|e| log_error(&self.name, e.into()))?,
            ));
        }
        actions.extend(addition.parts.iter().map(|part| Action::Add(add(part))));
        let txns = addition
            .txns
            .iter()
            .map(|(app, version)| Transaction::new(app, *version));
        let properties = CommitProperties::default().with_application_transactions(txns.collect());
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: None,
            predicate: None,
        };
        let commit = CommitBuilder::from(properties).with_actions(actions).build(
            Some(&self.state),
            self.log.clone(),
            operation,
        );
        let done = self
            .site
            .runtime
            .block_on(commit.into_future())
            .map_err(|e| log_error(&self.name, e))?;
        self.state = done.snapshot;
        if done.metrics.new_checkpoint_created || addition.parts.is_empty() {
            self.start_afresh()?;
        }
        Ok(done.version)
    }
}

fn log_store(site: &Site, name: &str, folder: &Path) -> Result<LogStoreRef, ArchiveError> {
    let url = Url::from_directory_path(folder).map_err(|()| ArchiveError::Location {
        location: folder.display().to_string(),
    })?;
    logstore_with(site.store.clone(), &url, StorageConfig::default())
        .map_err(|e| log_error(name, e))
}

fn kernel_schema(name: &str, schema: &Schema) -> Result<StructType, ArchiveError> {
    StructType::try_from_arrow(schema).map_err(ArchiveError::arrow(name))
}

fn log_error(table: &str, source: DeltaTableError) -> ArchiveError {
    let fenced = matches!(
        &source,
        DeltaTableError::Transaction {
            source: TransactionError::CommitConflict(
                CommitConflictError::ConcurrentTransaction | CommitConflictError::MetadataChanged
            )
        }
    );
    if fenced {
        return ArchiveError::Fenced {
            place: format!("table `{table}`"),
        };
    }
    ArchiveError::Log {
        table: table.to_owned(),
        source: Box::new(source),
    }
}

fn add(part: &Part) -> Add {
    Add {
        path: part.name.to_string(),
        partition_values: Default::default(),
        size: i64::try_from(part.size).unwrap_or(i64::MAX),
        modification_time: part.written_ms,
        data_change: true,
        stats: Some(part.stats.clone()),
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
        clustering_provider: None,
    }
}
