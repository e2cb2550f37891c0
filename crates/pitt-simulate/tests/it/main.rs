//! Packets as others read them, and the sky they tell of.

#![expect(
    clippy::unwrap_used,
    reason = "tests say what they expect by unwrapping"
)]

mod bytes;
mod decode;
mod reference;
mod schemas;
mod sky;
