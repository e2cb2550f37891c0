//! Errors as Python exceptions.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::{PyTypeInfo, create_exception};

create_exception!(
    pitt_broker,
    PittError,
    PyException,
    "Anything that pitt_broker cannot do; the message says what to do about it."
);
create_exception!(
    pitt_broker,
    ArchiveError,
    PittError,
    "There is no archive, or it cannot be read."
);
create_exception!(
    pitt_broker,
    QueryError,
    PittError,
    "SQL that cannot be run."
);
create_exception!(
    pitt_broker,
    DecodeError,
    PittError,
    "A packet or a stamp that cannot be read."
);
create_exception!(
    pitt_broker,
    DownloadError,
    PittError,
    "A public night that cannot be fetched."
);
create_exception!(
    pitt_broker,
    StreamError,
    PittError,
    "A stream that cannot be reached or does not take a message."
);

pub(crate) fn register(py: Python<'_>, module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PittError", PittError::type_object(py))?;
    module.add("ArchiveError", ArchiveError::type_object(py))?;
    module.add("QueryError", QueryError::type_object(py))?;
    module.add("DecodeError", DecodeError::type_object(py))?;
    module.add("DownloadError", DownloadError::type_object(py))?;
    module.add("StreamError", StreamError::type_object(py))
}

/// An error with its causes, each said once.
pub(crate) fn archive(error: impl Into<anyhow::Error>) -> PyErr {
    ArchiveError::new_err(pitt::command::told(&error.into()))
}

pub(crate) fn query(error: impl Into<anyhow::Error>) -> PyErr {
    QueryError::new_err(pitt::command::told(&error.into()))
}

pub(crate) fn download(error: impl Into<anyhow::Error>) -> PyErr {
    DownloadError::new_err(pitt::command::told(&error.into()))
}

pub(crate) fn stream(error: impl Into<anyhow::Error>) -> PyErr {
    StreamError::new_err(pitt::command::told(&error.into()))
}
