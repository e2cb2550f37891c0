//! Messages into a stream.

use std::time::Duration;

use bytes::Bytes;
use pitt_kafka::Access;
use pitt_kafka::produce;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{self, StreamError};

/// Makes sure that a topic is there.
#[pyfunction]
#[pyo3(signature = (servers, topic, timeout_s=30.0))]
pub(crate) fn ensure_topic(
    py: Python<'_>,
    servers: String,
    topic: &str,
    timeout_s: f64,
) -> PyResult<()> {
    let access = Access {
        servers,
        ..Access::default()
    };
    let patience = Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::from_secs(30));
    let made = py.detach(|| produce::ensure_topic(&access, topic, patience));
    made.map_err(errors::stream)?.map_err(StreamError::new_err)
}

/// Sends each packet of an iterator as a message and waits until all are delivered; gives the number delivered, and
/// what became of the others.
#[pyfunction]
#[pyo3(signature = (servers, topic, packets, timeout_s=30.0))]
pub(crate) fn send(
    py: Python<'_>,
    servers: String,
    topic: &str,
    packets: &Bound<'_, PyAny>,
    timeout_s: f64,
) -> PyResult<(u64, Vec<String>)> {
    let mut messages = vec![];
    for packet in packets.try_iter()? {
        let packet = packet?;
        let bytes = packet.cast::<PyBytes>()?;
        messages.push(Bytes::copy_from_slice(bytes.as_bytes()));
    }
    let access = Access {
        servers,
        ..Access::default()
    };
    let patience = Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::from_secs(30));
    let sent = py.detach(|| produce::send(&access, topic, &messages, patience));
    let sent = sent.map_err(errors::stream)?;
    Ok((sent.delivered, sent.failed))
}
