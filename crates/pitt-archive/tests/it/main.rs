//! Tests of the archive as its callers see it.

mod crash;
mod damage;
mod failure;
mod journey;
mod night;
mod real;
mod tools;
