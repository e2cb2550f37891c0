//! Tests of the archive as its callers see it.
#![expect(
    clippy::unwrap_used,
    reason = "what tests share expects what the tests expect"
)]
#![expect(
    clippy::print_stdout,
    reason = "tests say what they skipped and counted"
)]

mod beside;
mod crash;
mod damage;
mod failure;
mod fleet;
mod gaps;
mod growth;
mod journey;
mod latest;
mod night;
mod numbers;
mod real;
mod received;
mod release;
mod tiny;
mod tools;
