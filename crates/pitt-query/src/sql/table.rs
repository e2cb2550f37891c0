//! A table as a list of Parquet files, as a Delta log gives it: nothing is listed or guessed.

use std::path::Path as FilePath;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::object_store::path::Path;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;

use super::memory::InMemory;

/// One Parquet file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Absolute path on this machine.
    pub path: std::path::PathBuf,
    /// Size in bytes.
    pub size: u64,
}

/// A table to query: its name, the files it stands in and the schema they share.
#[derive(Debug, Clone)]
pub struct TableSource {
    /// Name in the archive. `alerts/ztf` becomes the table `ztf`, and one part of the table `alerts`.
    pub name: String,
    /// Schema of the whole table; a file that lacks a column has nulls there.
    pub schema: SchemaRef,
    /// The files.
    pub files: Vec<DataFile>,
}

/// A table over files, with some columns left out of sight.
#[derive(Debug)]
pub(crate) struct FilesTable {
    /// Name in the archive.
    name: String,
    schema: SchemaRef,
    files: Vec<PartitionedFile>,
}

impl FilesTable {
    /// The table with all columns but those named in `hidden`.
    pub(crate) fn new(source: &TableSource, hidden: &[&str]) -> Result<FilesTable> {
        let shown = source
            .schema
            .fields()
            .iter()
            .filter(|f| !hidden.contains(&f.name().as_str()))
            .cloned();
        let files = source
            .files
            .iter()
            .map(partitioned)
            .collect::<Result<Vec<_>>>()?;
        Ok(FilesTable {
            name: source.name.clone(),
            schema: Arc::new(Schema::new(shown.collect::<Vec<_>>())),
            files,
        })
    }
}

fn partitioned(file: &DataFile) -> Result<PartitionedFile> {
    let path: &FilePath = &file.path;
    let location = Path::from_absolute_path(path).map_err(|error| {
        DataFusionError::External(format!("{}: {error}", path.display()).into())
    })?;
    let mut part = PartitionedFile::new("", file.size);
    part.object_meta.location = location;
    Ok(part)
}

/// Deals the files out to so many groups, the largest first, each to the group with the least.
fn groups(files: &[PartitionedFile], count: usize) -> Vec<FileGroup> {
    let mut sorted: Vec<&PartitionedFile> = files.iter().collect();
    sorted.sort_by_key(|file| std::cmp::Reverse(file.object_meta.size));
    let mut groups: Vec<(u64, Vec<PartitionedFile>)> =
        vec![(0, Vec::new()); count.clamp(1, files.len().max(1))];
    for file in sorted {
        if let Some(least) = groups.iter_mut().min_by_key(|group| group.0) {
            least.0 += file.object_meta.size;
            least.1.push(file.clone());
        }
    }
    groups
        .into_iter()
        .map(|(_, files)| FileGroup::new(files))
        .collect()
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = match self.files.is_empty() {
            true => None,
            false => Some(self.scan_files(state, projection, limit)?),
        };
        let memory = match state.config().get_extension::<InMemory>() {
            Some(rows) => rows.scan(&self.name, &self.schema, projection)?,
            None => None,
        };
        match (files, memory) {
            (Some(files), Some(memory)) => UnionExec::try_new(vec![files, memory]),
            (Some(only), None) | (None, Some(only)) => Ok(only),
            (None, None) => {
                let schema = match projection {
                    Some(projection) => Arc::new(self.schema.project(projection)?),
                    None => Arc::clone(&self.schema),
                };
                Ok(Arc::new(EmptyExec::new(schema)))
            }
        }
    }

    /// Predicates prune row groups and pages by their statistics, and are then applied to the rows that are left.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

impl FilesTable {
    fn scan_files(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(state.table_options().parquet.clone());
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(groups(&self.files, state.config().target_partitions()))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}
