//! Magnitudes and fluxes with the same last digit everywhere.
//!
//! As in `pitt_sky::photometry`, but on `libm`, whose results do not depend on the platform's C library.

/// Zero point of nanojansky `[mag AB]`.
const ZERO_POINT: f64 = 31.4;

/// Flux `[nJy]` of an AB magnitude.
pub(crate) fn flux_njy(mag: f64) -> f64 {
    libm::exp((ZERO_POINT - mag) * (std::f64::consts::LN_10 / 2.5))
}

/// AB magnitude of a positive flux `[nJy]`.
pub(crate) fn mag(flux_njy: f64) -> f64 {
    ZERO_POINT - 2.5 * libm::log10(flux_njy)
}

/// Magnitude uncertainty of a flux with that uncertainty.
pub(crate) fn mag_err(flux: f64, flux_err: f64) -> f64 {
    pitt_sky::photometry::POGSON * flux_err / flux
}
