//! Answers of the index as tables.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array, StringArray, UInt32Array};
use pitt_archive::{ConeHit, Point};

use crate::tables::Table;

/// A light curve.
pub(crate) fn points_table(points: &[Point]) -> Table {
    let texts = |text: fn(&Point) -> Option<&str>| -> ArrayRef {
        Arc::new(points.iter().map(text).collect::<StringArray>())
    };
    let flux = |flux: fn(&Point) -> f32| -> ArrayRef {
        let known = points
            .iter()
            .map(flux)
            .map(|flux| Some(flux).filter(|f| !f.is_nan()));
        Arc::new(known.collect::<Float32Array>())
    };
    let ids = points.iter().map(|point| point.alert_id);
    let times = points.iter().map(|point| point.mjd_tai);
    Table::of_columns(vec![
        ("survey", "", texts(|p| Some(&p.survey))),
        ("alert_id", "", Arc::new(ids.collect::<Int64Array>())),
        ("mjd_tai", "d", Arc::new(times.collect::<Float64Array>())),
        ("band", "", texts(|p| p.band.as_deref())),
        ("psf_flux", "nJy", flux(|p| p.psf_flux)),
        ("psf_flux_err", "nJy", flux(|p| p.psf_flux_err)),
    ])
}

/// What is near a position.
pub(crate) fn hits_table(hits: &[ConeHit]) -> Table {
    let texts = |text: fn(&ConeHit) -> &str| -> ArrayRef {
        let texts = hits.iter().map(|hit| Some(text(hit)));
        Arc::new(texts.collect::<StringArray>())
    };
    let reals = |real: fn(&ConeHit) -> f64| -> ArrayRef {
        Arc::new(hits.iter().map(real).collect::<Float64Array>())
    };
    let counts = hits.iter().map(|hit| hit.n_detections);
    Table::of_columns(vec![
        ("object_id", "", texts(|h| &h.object_id)),
        ("survey", "", texts(|h| &h.survey)),
        ("ra", "deg", reals(|h| h.ra)),
        ("dec", "deg", reals(|h| h.dec)),
        ("separation", "arcsec", reals(|h| h.separation_arcsec)),
        (
            "n_detections",
            "",
            Arc::new(counts.collect::<UInt32Array>()),
        ),
        ("last_mjd_tai", "d", reals(|h| h.last_mjd_tai)),
    ])
}
