//! Tests of filters and queries as their users meet them.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod catalogs;
mod docs;
mod errors;
mod evaluation;
mod fixture;
mod growth;
mod hostile;
mod memory;
mod queries;
mod stream;
