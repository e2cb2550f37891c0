//! Avro, read by the writer's schema straight into Arrow.

pub(crate) mod column;
pub(crate) mod container;
pub(crate) mod cursor;
pub(crate) mod nested;
pub(crate) mod plan;
pub(crate) mod schema;
pub(crate) mod skip;
pub(crate) mod values;
