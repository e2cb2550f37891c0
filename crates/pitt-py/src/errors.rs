//! Errors as Python exceptions.

use pitt::filters::Refused;
use pitt_query::Disabled;
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
    FilterError,
    PittError,
    "A filter that is refused, or that failed on an alert.\n\n`filter` names it, `line` and `column` (from 1; None when the whole text is meant) say where,\n`problem` why in one line, `suggestion` what to write instead (or None); `alert_id` is the alert it\nfailed on (or None). The message shows the line with the place marked."
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
    module.add("FilterError", FilterError::type_object(py))?;
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

/// What a trial of a filter may end with: the filter refused, an exception of Python's, or no archive.
pub(crate) fn trial(py: Python<'_>, error: anyhow::Error) -> PyErr {
    match error.downcast::<PyErr>() {
        Ok(raised) => raised,
        Err(error) => match error.downcast::<Refused>() {
            Ok(refused) => refused_filter(py, &refused),
            Err(error) => archive(error),
        },
    }
}

fn refused_filter(py: Python<'_>, refused: &Refused) -> PyErr {
    let error = &refused.0;
    let place = |number: u64| (number > 0).then_some(number);
    with_attributes(py, FilterError::new_err(refused.to_string()), |told| {
        told.setattr("filter", &error.filter)?;
        told.setattr("line", place(error.place.line))?;
        told.setattr("column", place(error.place.column))?;
        told.setattr("problem", error.problem.to_string())?;
        told.setattr("suggestion", error.problem.suggestion())?;
        told.setattr("alert_id", py.None())
    })
}

/// A filter that was switched off on the way.
pub(crate) fn failed_filter(py: Python<'_>, filter: &str, why: &Disabled) -> PyErr {
    let at = why
        .alert_id
        .map_or_else(String::new, |id| format!(" at alert {id}"));
    let message = format!(
        "filter `{filter}` failed{at} ({}): {}",
        why.survey, why.reason
    );
    with_attributes(py, FilterError::new_err(message), |told| {
        told.setattr("filter", filter)?;
        told.setattr("line", py.None())?;
        told.setattr("column", py.None())?;
        told.setattr("problem", &why.reason)?;
        told.setattr("suggestion", py.None())?;
        told.setattr("alert_id", why.alert_id)
    })
}

fn with_attributes(
    py: Python<'_>,
    error: PyErr,
    set: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<()>,
) -> PyErr {
    match set(error.value(py).as_any()) {
        Ok(()) => error,
        Err(other) => other,
    }
}
