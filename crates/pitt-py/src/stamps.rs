//! Image stamps as planes of pixels.

use pitt_alert::stamps;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::DecodeError;

/// Name, (rows, columns), float32 pixels from the bottom row up, and header of each plane.
type PlaneOf<'py> = (
    String,
    (usize, usize),
    Bound<'py, PyBytes>,
    Vec<(String, String)>,
);

/// The planes of a stamp: FITS, gzipped or not, or JPEG.
#[pyfunction]
pub(crate) fn planes<'py>(
    py: Python<'py>,
    stamp: &Bound<'py, PyBytes>,
) -> PyResult<Vec<PlaneOf<'py>>> {
    let planes = stamps::decode(stamp.as_bytes())
        .map_err(|error| DecodeError::new_err(error.to_string()))?;
    let planes = planes.into_iter().map(|plane| {
        let pixels: Vec<u8> = plane
            .pixels
            .iter()
            .flat_map(|pixel| pixel.to_ne_bytes())
            .collect();
        let cards = plane.cards.into_iter();
        let cards = cards.map(|card| (card.keyword, card.value)).collect();
        let shape = (plane.height, plane.width);
        (plane.name, shape, PyBytes::new(py, &pixels), cards)
    });
    Ok(planes.collect())
}
