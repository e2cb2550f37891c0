//! SQL for alerts: filters over the stream and queries over the archive.

pub mod catalog;
mod dialect;
mod error;
pub mod filter;
pub mod functions;
mod suggest;

pub use catalog::{Catalog, Catalogs};
pub use error::{FilterError, FilterProblem, Place, QueryError};
pub use filter::{Disabled, Filter, FilterSet, Needs, Surveys, Verdict};
