//! Tests of the archive as its callers see it.

mod journey;
mod night;
