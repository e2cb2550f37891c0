//! Tests of filters and queries as their users meet them.

mod catalogs;
mod errors;
mod evaluation;
mod fixture;
mod queries;
mod stream;
