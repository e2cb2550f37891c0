//! The archive's tables as the query engine reads them.

use pitt_archive::TableSnapshot;
use pitt_query::{DataFile, TableSource};

/// A table as the query engine reads it.
pub fn source(table: TableSnapshot) -> TableSource {
    let files = table.files.into_iter().map(|file| DataFile {
        path: file.path,
        size: file.size,
    });
    TableSource {
        name: table.name,
        schema: table.schema,
        files: files.collect(),
    }
}
