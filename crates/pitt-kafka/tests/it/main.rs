//! Integration tests of `pitt-kafka`, against the stream of this repository in the same process.

#![expect(
    clippy::unwrap_used,
    reason = "tests say what they expect by unwrapping, also in what they share"
)]

mod publish;
