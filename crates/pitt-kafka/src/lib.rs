//! Kafka for the broker, by way of librdkafka (why: `docs/decisions/0004`).
//!
//! [`consume`] brings messages in: topics of fixed names or of nights, positions given by whoever stores the data and
//! not by the consumer group, back-pressure by pausing partitions. [`publish`] brings matches out. Neither knows what
//! an alert is: bytes, keys, headers and offsets are all they handle.

mod access;
pub mod consume;
mod error;
pub mod produce;
pub mod publish;
mod sender;

pub use access::{Access, SignIn};
pub use error::KafkaError;
pub use sender::Sender;
