//! SQL for alerts: filters over the stream and queries over the archive.

pub mod catalog;
mod dialect;
mod error;
pub mod filter;
pub mod functions;
pub mod sql;
mod suggest;

pub use catalog::{Catalog, Catalogs};
pub use error::{FilterError, FilterProblem, Place, QueryError};
pub use filter::{Disabled, Filter, FilterSet, Needs, Surveys, Verdict};
pub use sql::{DataFile, Engine, Limits, OutputFormat, Rows, TableSource, write_rows};
