//! Positions and radii as parameters.

use pitt_sky::coords::Icrs;

use super::problem::Problem;

/// Largest radius of a cone: beyond it, SQL is the better tool `[arcsec]`.
pub const MOST_ARCSEC: f64 = 36_000.0;

/// A position, each part in degrees or sexagesimal (right ascension then in hours).
///
/// # Errors
/// It is no position on the sphere.
pub fn center(ra: &str, dec: &str) -> Result<Icrs, Problem> {
    format!("{} {}", plain(ra), plain(dec)).parse().map_err(
        |error: pitt_sky::coords::PositionError| {
            Problem::bad_parameter("ra", super::problem::shown(&error.to_string()))
        },
    )
}

/// Parts of one angle, parted by colons: `10 20 30` is as good as `10:20:30`.
fn plain(angle: &str) -> String {
    angle.split_whitespace().collect::<Vec<_>>().join(":")
}

/// A radius within its bounds `[arcsec]`.
///
/// # Errors
/// It is not.
pub fn radius(arcsec: f64) -> Result<f64, Problem> {
    if arcsec > 0.0 && arcsec <= MOST_ARCSEC {
        return Ok(arcsec);
    }
    let detail =
        format!("`radius` is {arcsec}, expected more than 0 and at most {MOST_ARCSEC} arcsec");
    Err(Problem::bad_parameter("radius", detail)
        .hint("larger areas are a query on `alerts` in SQL"))
}
