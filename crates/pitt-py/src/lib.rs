//! The native half of the Python packages `pitt_broker` and `mock_stream`: a thin skin over the crates below, no logic.
//!
//! Tables cross to Python by Arrow's C stream interface (`__arrow_c_stream__`), without a copy. Whatever takes longer than
//! a moment runs with Python's lock released. Names and documentation for users are in `python/pitt_broker`.

mod answers;
mod archive;
mod bulk;
mod dicts;
mod errors;
mod filters;
mod history;
mod nights;
mod packets;
mod produce;
mod simulate;
mod stamps;
mod stored;
mod tables;

use pyo3::prelude::*;

/// Loaded as `pitt_broker._native`.
#[pymodule]
fn _native(py: Python<'_>, module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<archive::Archive>()?;
    module.add_class::<stored::Packets>()?;
    module.add_class::<tables::Table>()?;
    module.add_class::<packets::Schemas>()?;
    module.add_class::<filters::Trial>()?;
    module.add_class::<simulate::Simulation>()?;
    module.add_class::<simulate::Visit>()?;
    module.add_function(wrap_pyfunction!(bulk::decode, module)?)?;
    module.add_function(wrap_pyfunction!(packets::alerts, module)?)?;
    module.add_function(wrap_pyfunction!(packets::datum, module)?)?;
    module.add_function(wrap_pyfunction!(history::of_packet, module)?)?;
    module.add_function(wrap_pyfunction!(history::of_dict, module)?)?;
    module.add_function(wrap_pyfunction!(filters::check_filter, module)?)?;
    module.add_function(wrap_pyfunction!(filters::try_filter, module)?)?;
    module.add_function(wrap_pyfunction!(stamps::planes, module)?)?;
    module.add_function(wrap_pyfunction!(nights::download, module)?)?;
    module.add_function(wrap_pyfunction!(nights::releases, module)?)?;
    module.add_function(wrap_pyfunction!(produce::ensure_topic, module)?)?;
    module.add_function(wrap_pyfunction!(produce::send, module)?)?;
    errors::register(py, module)
}
