//! SQL for alerts: filters over the stream and queries over the archive.
//!
//! A [`FilterSet`] holds many [`Filter`]s, compiled once per schema and evaluated over Arrow batches of decoded alerts;
//! [`Engine`] answers SQL over tables of Parquet files. Both know the same [`functions`] for astronomers. This floor is the
//! only one that names DataFusion. It decodes no packets and writes nothing into the archive.
//!
//! ```
//! use pitt_query::{Catalogs, Filter, FilterSet, Surveys};
//!
//! let filter = Filter::parse("rising", "detections('r', 30) >= 3 AND rise_rate('r') > 0.1")?;
//! let set = FilterSet::compile(vec![filter], &Surveys::new(), &Catalogs::new())?;
//! assert!(set.disabled().is_empty());
//!
//! let error = Filter::parse("typo", "rise_rat('r') > 0.1").unwrap_err();
//! assert_eq!(error.to_string(), "filter `typo`, line 1, column 1: no function `rise_rat` (did you mean `rise_rate`?)");
//! # Ok::<(), pitt_query::FilterError>(())
//! ```

pub mod catalog;
mod completion;
mod dialect;
mod error;
pub mod filter;
pub mod functions;
pub mod sql;
mod suggest;

pub use catalog::{Catalog, Catalogs};
pub use completion::{Completion, NameKind, completions, functions_markdown};
pub use error::{FilterError, FilterProblem, Place, QueryError};
pub use filter::{Disabled, Failure, Filter, FilterSet, Judgement, Needs, Surveys, Verdict};
pub use sql::{
    Budget, DataFile, Engine, InMemory, Limits, OutputFormat, Rows, TableSource, is_id, json_row,
    write_rows,
};
