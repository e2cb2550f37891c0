//! Pictures: image stamps and light curves as PNG, drawn without system fonts or a display.

mod axis;
mod canvas;
mod dates;
mod light_curve;
mod orientation;
mod picture;
mod stamps;

use std::path::{Path, PathBuf};

pub use light_curve::{Kind, LightCurvePlot, PlotPoint, Quantity};
pub use orientation::{Orientation, unmirrored};
pub use picture::Way;
pub use stamps::{StampPanel, StampsPlot};

/// What can go wrong when a picture is drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// No memory for the picture, or no size.
    #[error("cannot draw a picture of {width} x {height} pixels")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The embedded font cannot be read.
    #[error("the embedded font cannot be read")]
    Font,
    /// Nothing to draw.
    #[error("there is nothing to draw: {what}")]
    Empty {
        /// What is missing.
        what: String,
    },
    /// PNG encoding failed.
    #[error("cannot encode the picture: {0}")]
    Encode(#[from] png::EncodingError),
    /// The file cannot be written.
    #[error("cannot write picture `{}`: {source}", file.display())]
    Write {
        /// The file named.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Writes a picture; the folder it goes to must exist.
///
/// # Errors
/// The file cannot be written.
pub fn write_png(file: &Path, png: &[u8]) -> Result<(), PlotError> {
    std::fs::write(file, png).map_err(|source| PlotError::Write {
        file: file.into(),
        source,
    })
}
