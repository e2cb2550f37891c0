//! ZTF's public nights.

use std::path::PathBuf;

use anyhow::Result;
use pitt::download::{Plan, listing, shelf};
use pitt::pipeline::Stop;
use pitt_nights::{Choice, Shelved};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::archive::settings;
use crate::errors;

/// Fetches nights into an archive. Gives what was said before, the nights, and what went wrong.
#[pyfunction]
#[pyo3(signature = (folder=None, url=None, newest=1, nights=None, keep=None, force=false, say=None))]
#[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
pub(crate) fn download<'py>(
    py: Python<'py>,
    folder: Option<PathBuf>,
    url: Option<String>,
    newest: usize,
    nights: Option<Vec<String>>,
    keep: Option<PathBuf>,
    force: bool,
    say: Option<Py<PyAny>>,
) -> PyResult<(Vec<Bound<'py, PyDict>>, Vec<String>)> {
    let stop = Stop::default();
    let run = || -> Result<(Vec<Shelved>, Vec<String>)> {
        let mut settings = settings(folder)?;
        if let Some(url) = url {
            settings.archive_url = url;
        }
        let choice = match nights {
            Some(nights) => Choice::parse(&nights)?,
            None => Choice::Newest(newest),
        };
        let (client, listing) = listing(&settings)?;
        let plan = Plan::make(&settings, client, &listing, &choice)?;
        if let Some(say) = &say {
            let text = plan.announce();
            Python::attach(|py| say.call1(py, (text,)).map(drop))?;
        }
        plan.check_room(keep.as_deref(), force)?;
        if plan.wanted.is_empty() {
            return Ok((vec![], vec![]));
        }
        let fetched = plan.fetch(&settings, keep, &stop, |_, _| {
            // Ctrl-C in a notebook or a terminal.
            if Python::attach(|py| py.check_signals().is_err()) {
                stop.ask();
            }
        })?;
        Ok((fetched.nights, fetched.report.damaged))
    };
    let (nights, damaged) = py.detach(run).map_err(errors::download)?;
    if stop.asked() {
        return Err(pyo3::exceptions::PyKeyboardInterrupt::new_err(
            "stopped; the same call goes on from here",
        ));
    }
    let nights = nights.iter().map(|night| note(py, night));
    Ok((nights.collect::<PyResult<_>>()?, damaged))
}

/// The public nights in an archive.
#[pyfunction]
#[pyo3(signature = (folder=None))]
pub(crate) fn releases(
    py: Python<'_>,
    folder: Option<PathBuf>,
) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let settings = settings(folder).map_err(errors::archive)?;
    let nights = shelf(&settings).all().map_err(errors::archive)?;
    nights.iter().map(|night| note(py, night)).collect()
}

fn note<'py>(py: Python<'py>, night: &Shelved) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("night", night.night)?;
    dict.set_item("url", &night.url)?;
    dict.set_item("partition", &night.partition)?;
    dict.set_item("md5", night.md5.map(|md5| md5.to_string()))?;
    dict.set_item("size", night.size)?;
    dict.set_item("packets", night.packets)?;
    dict.set_item("refused", &night.refused)?;
    dict.set_item("complete", night.complete)?;
    Ok(dict)
}
