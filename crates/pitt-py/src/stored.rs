//! Stored alerts, one after the other.

use std::sync::{Mutex, PoisonError};

use pitt_alert::{Decoded, Decoder, Packet};
use pitt_archive::{Replay, Replayed};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::packets::dict;
use crate::{errors, packets};

/// Alerts one after the other, in constant memory: dicts, or `bytes` of packets.
#[pyclass(frozen, module = "pitt_broker._native")]
pub(crate) struct Packets {
    state: Mutex<State>,
    survey: Option<String>,
    partition: Option<String>,
    night: Option<i32>,
    raw: bool,
}

struct State {
    replay: Replay,
    decoder: Decoder,
    /// Alerts of the packet under way, the last one first.
    waiting: Vec<Py<PyDict>>,
}

#[pymethods]
impl Packets {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(alert) = state.waiting.pop() {
                return Ok(Some(alert.into_any()));
            }
            let replay = &mut state.replay;
            let next = py.detach(|| replay.next());
            let Some(replayed) = next.transpose().map_err(errors::archive)? else {
                return Ok(None);
            };
            if !self.wants(&replayed) {
                continue;
            }
            if self.raw && self.survey.is_none() {
                let bytes = PyBytes::new(py, &replayed.packet.bytes);
                return Ok(Some(bytes.unbind().into_any()));
            }
            let packet = replayed.packet.clone();
            let Some(alerts) = self.alerts(py, &mut state.decoder, &replayed)? else {
                continue;
            };
            if self.raw {
                return Ok(Some(PyBytes::new(py, &packet.bytes).unbind().into_any()));
            }
            state.waiting = alerts;
        }
    }
}

impl Packets {
    /// Those of a survey, of partitions that begin so, of a night; all that are left out.
    pub(crate) fn new(
        replay: Replay,
        decoder: Decoder,
        survey: Option<String>,
        partition: Option<String>,
        night: Option<i32>,
        raw: bool,
    ) -> Self {
        let state = State {
            replay,
            decoder,
            waiting: vec![],
        };
        Self {
            state: Mutex::new(state),
            survey,
            partition,
            night,
            raw,
        }
    }

    fn wants(&self, replayed: &Replayed) -> bool {
        let partition = &replayed.packet.position.partition;
        let of_partition = |begin: &String| partition.starts_with(begin.as_str());
        self.partition.as_ref().is_none_or(of_partition)
            && self.night.is_none_or(|night| replayed.night == Some(night))
    }

    /// The stored alerts of a packet, the last one first; `None` if it is another survey's.
    fn alerts(
        &self,
        py: Python<'_>,
        decoder: &mut Decoder,
        replayed: &Replayed,
    ) -> PyResult<Option<Vec<Py<PyDict>>>> {
        let packets: [Packet; 1] = [replayed.packet.clone()];
        let decoded = py.detach(|| decoder.decode(&packets));
        let mut alerts = vec![];
        for batch in &decoded.batches {
            if self
                .survey
                .as_ref()
                .is_some_and(|survey| **survey != *batch.survey)
            {
                return Ok(None);
            }
            if self.raw {
                continue;
            }
            for (row, origin) in batch.origins.iter().enumerate() {
                if replayed.stored.contains(&origin.record) {
                    alerts.push(dict(py, batch, row)?.unbind());
                }
            }
        }
        if alerts.is_empty() && !self.raw {
            return Err(undecodable(&replayed.packet.name, &decoded));
        }
        alerts.reverse();
        Ok(Some(alerts))
    }
}

/// A packet of the archive that cannot be decoded, which should not be.
pub(crate) fn undecodable(name: &str, decoded: &Decoded) -> PyErr {
    let why = decoded.rejected.first();
    let why = why.map_or_else(|| "nothing in it".to_owned(), packets::reason);
    errors::archive(anyhow::anyhow!(
        "stored packet {name} cannot be decoded: {why} (run `pitt verify`)"
    ))
}
