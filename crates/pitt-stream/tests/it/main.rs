//! The endpoint as clients meet it: by the protocol, and through Python's two Kafka libraries.

#![expect(
    clippy::unwrap_used,
    reason = "tests say what they expect by unwrapping"
)]
#![expect(
    clippy::print_stdout,
    reason = "tests say what they skipped and counted"
)]

mod client;
mod crash;
mod java;
mod limits;
mod protocol;
mod python;
mod rdkafka_client;
mod signing;
mod transactions;
