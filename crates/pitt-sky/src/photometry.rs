//! AB magnitudes and flux densities in nanojansky.

/// AB magnitude of 1 nJy: `2.5 log10(3631e9)`, rounded as Rubin does (DMTN-093).
pub const ZERO_POINT_AB: f64 = 31.4;

/// `2.5 / ln 10`: a relative flux error times this is a magnitude error (small-error limit).
pub const POGSON: f64 = 1.085_736_204_758_129_6;

/// Converts an AB magnitude to a flux density.
///
/// `f = 10^((31.4 - m) / 2.5)`, the zero point Rubin uses for nanojansky.
///
/// | argument | unit | meaning |
/// |---|---|---|
/// | `mag_ab` | mag (AB) | total magnitude, any band |
///
/// Returns nJy, always positive; the sign of a difference flux is the caller's. `NaN` in, `NaN` out.
///
/// Source: Oke & Gunn 1983, doi:10.1086/160817.
pub fn flux_njy(mag_ab: f64) -> f64 {
    10f64.powf((ZERO_POINT_AB - mag_ab) / 2.5)
}

/// Converts a flux density `[nJy]` to an AB magnitude, the inverse of [`flux_njy`].
///
/// Returns mag (AB); `NaN` when the flux is not positive, since a magnitude of it does not exist.
pub fn mag_ab(flux_njy: f64) -> f64 {
    if flux_njy > 0.0 {
        ZERO_POINT_AB - 2.5 * flux_njy.log10()
    } else {
        f64::NAN
    }
}

/// Error of a magnitude `[mag]` from a flux and its error (same unit): `1.0857 err / |flux|`.
///
/// `NaN` when the flux is zero or either is `NaN`. Valid while the error is small against the flux.
pub fn mag_err(flux: f64, flux_err: f64) -> f64 {
    if flux == 0.0 {
        f64::NAN
    } else {
        POGSON * flux_err / flux.abs()
    }
}

/// Error of a flux, in the flux's unit, from the flux and a magnitude error `[mag]`: the inverse of [`mag_err`].
pub fn flux_err_njy(flux: f64, mag_err: f64) -> f64 {
    flux.abs() * mag_err / POGSON
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_microjansky_is_23_9() {
        assert!((mag_ab(1000.0) - 23.9).abs() < 1e-12);
        assert!((flux_njy(23.9) - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn a_negative_flux_has_no_magnitude() {
        assert!(mag_ab(-1.0).is_nan());
        assert!(mag_ab(0.0).is_nan());
        assert!(mag_err(0.0, 1.0).is_nan());
    }

    #[test]
    fn errors_invert() {
        let err = flux_err_njy(-500.0, 0.1);
        assert!((mag_err(-500.0, err) - 0.1).abs() < 1e-15);
        assert!((POGSON - 2.5 / std::f64::consts::LN_10).abs() < 1e-15);
    }
}
