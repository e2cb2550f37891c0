//! Packets of alerts, decoded into Arrow batches.
//!
//! A packet is decoded by its *writer's* schema: the survey's columns come out under the survey's own names and
//! nesting, unknown new fields included, and beside them the common columns that all surveys share (`alert_id`,
//! `mjd_tai`, `psf_flux`, `detections` and so on). Stamps stay in the packet and come out as views. What cannot be read
//! is rejected with a [`Reason`], never lost and never a panic.
//!
//! Bytes are hostile until they are read. Lengths and counts are checked against the bytes that are left before anything
//! is allocated, schemas nest at most 64 deep, and memory is bounded as [`Decoder::decode`] says. Every value of some
//! 9,000 real packets equals fastavro's, tests damage 120,000 packets, and `fuzz/` holds a target for cargo-fuzz:
//! `cargo +nightly fuzz run decode`.
//!
//! This floor reads no stream and stores nothing; the registry client in [`SchemaStore`] is its only network access.
//!
//! ```
//! use pitt_alert::{Decoder, Packet, Reason, SchemaStore};
//!
//! let mut decoder = Decoder::new(SchemaStore::new());
//! let page = Packet::unplaced("404.avro", &b"<html>not found</html>"[..]);
//! let decoded = decoder.decode(&[page]);
//! assert!(decoded.batches.is_empty());
//! assert_eq!(decoded.rejected[0].reason, Reason::NotAvro);
//! ```

mod avro;
mod batch;
mod decode;
pub mod frame;
pub mod message;
mod packet;
mod reason;
mod schemas;
mod selection;
pub mod stamps;
mod survey;

pub use avro::schema::SchemaError;
pub use batch::{AlertBatch, Origin};
pub use decode::{Decoded, Decoder};
pub use packet::{Packet, Position, left_out};
pub use reason::{Reason, Rejected};
pub use schemas::{SchemaLookupError, SchemaStore, WriterSchema};
pub use selection::{Selection, SurveyColumns};
