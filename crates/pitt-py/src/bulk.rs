//! Many packets to tables, Python let go meanwhile.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, BinaryViewArray, RecordBatch};
use pitt::source::Outlet;
use pitt_alert::{Decoder, Packet, Selection, SurveyColumns, WriterSchema};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::archive::settings;
use crate::errors::{self, DecodeError};
use crate::packets::{Schemas, packet, reason};
use crate::tables::Table;

/// Packets decoded together: as many as stay in the processor's caches with their columns.
const PART: usize = 1000;

/// Survey, version of the writer's schema, and rows.
type Decoding = (String, Option<String>, Table);
/// Which packet, and what is wrong with it.
type Rejection = (String, String);

/// Bytes of a packet, or a file, tarball or folder.
#[derive(FromPyObject)]
pub(crate) enum Given {
    /// A packet; Python's own bytes, not copied.
    Bytes(PyBackedBytes),
    /// Where packets are.
    Path(PathBuf),
}

/// Decodes packets to tables, one for each writer's schema: `(survey, version, table)`, and what cannot be read.
#[pyfunction]
#[pyo3(signature = (packets, schemas=None, stamps=false, columns=None))]
pub(crate) fn decode(
    py: Python<'_>,
    packets: Vec<Given>,
    schemas: Option<Schemas>,
    stamps: bool,
    columns: Option<Vec<String>>,
) -> PyResult<(Vec<Decoding>, Vec<Rejection>)> {
    let store = Schemas::store(schemas.as_ref());
    let survey = match (columns, stamps) {
        (Some(columns), _) => SurveyColumns::Only(columns.into_iter().collect()),
        (None, true) => SurveyColumns::All,
        (None, false) => SurveyColumns::AllButStamps,
    };
    let mut decoder = Decoder::new(store);
    decoder.select(Selection {
        survey,
        ..Selection::default()
    });
    py.detach(|| {
        let mut bulk = Bulk {
            decoder,
            packets: vec![],
            decodings: vec![],
            rejected: vec![],
            raised: None,
        };
        for (index, given) in packets.into_iter().enumerate() {
            bulk.take(index, given)?;
        }
        bulk.finish()
    })
}

/// Packets being decoded, part by part.
struct Bulk {
    decoder: Decoder,
    packets: Vec<Packet>,
    /// By schema: survey, schema, batches.
    decodings: Vec<(Arc<str>, Arc<WriterSchema>, Vec<RecordBatch>)>,
    rejected: Vec<Rejection>,
    /// Ctrl-C.
    raised: Option<PyErr>,
}

impl Bulk {
    fn take(&mut self, index: usize, given: Given) -> PyResult<()> {
        let unreadable = |path: &PathBuf, error: &dyn std::fmt::Display| {
            DecodeError::new_err(format!("cannot read `{}`: {error}", path.display()))
        };
        let flow = match given {
            Given::Bytes(bytes) => {
                let mut packet = packet(bytes);
                packet.name = format!("packet {index}").into();
                self.packet(packet)
            }
            Given::Path(path) if path.is_dir() || is_tarball(&path) => {
                let settings = settings(None).map_err(errors::archive)?;
                let report = pitt::trial::each_packet(&settings, &path, self)
                    .map_err(|error| unreadable(&path, &pitt::command::told(&error)))?;
                let damaged = report.damaged.into_iter();
                let told = damaged.map(|what| (path.display().to_string(), what));
                self.rejected.extend(told);
                ControlFlow::Continue(())
            }
            Given::Path(path) => {
                let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, &error))?;
                self.packet(Packet::unplaced(&path.to_string_lossy(), bytes))
            }
        };
        match self.raised.take() {
            Some(raised) if flow.is_break() => Err(raised),
            _ => Ok(()),
        }
    }

    fn close(&mut self) -> ControlFlow<()> {
        let decoded = self.decoder.decode(&self.packets);
        for rejected in &decoded.rejected {
            let name = self.packets[rejected.packet].name.to_string();
            self.rejected.push((name, reason(rejected)));
        }
        for batch in decoded.batches {
            let records = owned(&batch.records);
            let print = batch.schema.fingerprint();
            let mut known = self.decodings.iter_mut();
            match known.find(|(_, schema, _)| schema.fingerprint() == print) {
                Some((_, _, batches)) => batches.push(records),
                None => self
                    .decodings
                    .push((batch.survey, batch.schema, vec![records])),
            }
        }
        self.packets.clear();
        match Python::attach(|py| py.check_signals()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(raised) => {
                self.raised = Some(raised);
                ControlFlow::Break(())
            }
        }
    }

    fn finish(mut self) -> PyResult<(Vec<Decoding>, Vec<Rejection>)> {
        if !self.packets.is_empty() {
            let _ = self.close();
        }
        if let Some(raised) = self.raised {
            return Err(raised);
        }
        let tables = self.decodings.into_iter();
        let tables = tables.map(|(survey, schema, batches)| {
            let table = Table::new(batches[0].schema(), batches);
            (
                survey.to_string(),
                schema.version().map(str::to_owned),
                table,
            )
        });
        Ok((tables.collect(), self.rejected))
    }
}

impl Outlet for Bulk {
    fn packet(&mut self, packet: Packet) -> ControlFlow<()> {
        self.packets.push(packet);
        if self.packets.len() < PART {
            return ControlFlow::Continue(());
        }
        self.close()
    }

    fn pause(&mut self, _wait: Duration) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn flush(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn is_tarball(path: &Path) -> bool {
    let name = path.to_string_lossy();
    [".tar", ".tar.gz", ".tgz"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// Stamps are views into the packets: as columns of their own they keep only what they show.
fn owned(records: &RecordBatch) -> RecordBatch {
    let columns = records.columns().iter().map(|column| {
        let views = column.as_any().downcast_ref::<BinaryViewArray>();
        views.map_or_else(|| column.clone(), |views| Arc::new(views.gc()) as _)
    });
    RecordBatch::try_new(records.schema(), columns.collect()).unwrap_or_else(|_| records.clone())
}
