//! Integration tests of `pitt-alert`: real packets where they are at hand (`PITT_TEST_DATA`), generated ones everywhere.

#![expect(
    clippy::print_stdout,
    reason = "tests say what they compared, and what they skip"
)]
#![expect(
    clippy::unwrap_used,
    reason = "tests say what they expect by unwrapping, also in what they share"
)]
#![expect(
    unreachable_pub,
    reason = "a test binary exports nothing; its modules share what they need"
)]

mod allocation;
mod bad;
mod common;
mod frames;
mod messages;
mod packets;
mod real;
mod reference;
mod roundtrip;
mod schemas;
mod stamps;
mod values;
