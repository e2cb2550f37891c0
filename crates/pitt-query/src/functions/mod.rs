//! Functions that say things as astronomers do: `detections('r', 30)`, `rise_rate('g')`, `match('gcvs', 1.5)`.
//!
//! [`functions`] is the one table they all stand in. A call is bound once (its bands, days and catalogs are constants)
//! and then evaluated from the columns of a batch, for the rows that are asked for. Everything is computed from what is
//! in the packet; nothing looks ahead.

pub(crate) mod bind;
pub(crate) mod call;
mod curve;
pub(crate) mod number;
pub(crate) mod points;
mod spec;
pub(crate) mod udf;

pub use spec::{Argument, ArgumentKind, FunctionSpec, Returns, function, functions};
