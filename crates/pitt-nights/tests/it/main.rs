//! Against a small web server like the archive's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod server;
mod transfers;
