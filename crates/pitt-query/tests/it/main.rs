//! Tests of filters and queries as their users meet them.

mod errors;
mod evaluation;
mod fixture;
