//! Webhooks: a filter's matches, sent to an address as they come.
//!
//! ```text
//! feed of matches ──a batch, signed──▶ receiver: 2xx ──▶ the cursor, on disk
//!                                       not taken    ──▶ again, later and later ──▶ dead letters
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`hook`], [`desk`] | which webhooks there are, on disk, and how to change that |
//! | [`address`] | where they may go |
//! | [`shelf`] | how far each has come, and what its receiver did not take, on disk |
//! | [`courier`] | one request: signed, bounded in time and bytes, to an address that was checked |
//! | `carrier` | the thread of one webhook |
//! | [`delivery`] | the threads of all, in one process of an archive at a time |
//!
//! A match is delivered at least once: the cursor goes on after the receiver has said 2xx, and a batch is on disk, with its number,
//! before it is sent for the first time. What is sent again after a crash is the same batch under the same id. Every webhook has a thread
//! of its own and reads the feed as other readers do: one that waits for its receiver holds up neither ingest nor another webhook.

pub mod address;
mod carrier;
pub mod courier;
pub mod delivery;
pub mod desk;
pub mod hook;
mod mail;
pub mod shelf;
mod tally;
mod wait;

pub use courier::Patience;
pub use delivery::Delivery;
pub use desk::HookDesk;
pub use hook::Hook;
