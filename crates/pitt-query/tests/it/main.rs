//! Tests of filters and queries as their users meet them.

mod catalogs;
mod docs;
mod errors;
mod evaluation;
mod fixture;
mod hostile;
mod queries;
mod stream;
