//! SQL over the archive: read-only, bounded in time, rows and memory.

mod engine;
mod memory;
mod names;
mod output;
mod table;

pub use engine::{Engine, Limits, Rows};
pub use memory::InMemory;
pub use output::{OutputFormat, is_id, json_row, write_rows};
pub use table::{DataFile, TableSource};
