//! The consumer against a stream of our own in this process, and against librdkafka's mock cluster for errors.

#![expect(
    clippy::unwrap_used,
    reason = "tests say what they expect by unwrapping"
)]

mod errors;
mod flow;
mod ground;
mod members;
mod nights;
mod publish;
mod renewed;
mod signing;
