//! Tests of the archive as its callers see it.
#![expect(clippy::unwrap_used, reason = "what tests share expects what the tests expect")]

mod crash;
mod damage;
mod failure;
mod growth;
mod journey;
mod night;
mod real;
mod tools;
