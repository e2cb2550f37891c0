//! SQL over the archive: read-only, bounded in time, rows and memory.

mod budget;
mod engine;
mod growth;
mod memory;
mod names;
mod output;
mod patience;
mod rows;
mod table;
mod union;

pub use budget::Budget;
pub use engine::{Engine, Limits};
pub use memory::InMemory;
pub use output::{OutputFormat, is_id, json_row, write_rows};
pub use rows::Rows;
pub use table::{DataFile, TableSource};
