//! Positions and radii as parameters.

use pitt_sky::coords::{Icrs, PositionError};

use super::problem::Problem;

/// Largest radius of a cone: beyond it, SQL is the better tool `[arcsec]`.
pub const MOST_ARCSEC: f64 = 36_000.0;

/// A position, each part in degrees or sexagesimal (right ascension then in hours).
///
/// # Errors
/// It is no position on the sphere.
pub fn center(ra: &str, dec: &str) -> Result<Icrs, Problem> {
    let (ra, dec) = (plain(ra), plain(dec));
    format!("{ra} {dec}")
        .parse()
        .map_err(|error: PositionError| {
            let ra_is_good = format!("{ra} 0").parse::<Icrs>().is_ok();
            let place = if ra_is_good { "dec" } else { "ra" };
            Problem::bad_parameter(place, super::problem::shown(&error.to_string()))
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_wrong_is_named() {
        let place = |ra: &str, dec: &str| center(ra, dec).unwrap_err().place.unwrap();
        assert_eq!(place("x", "0"), "ra");
        assert_eq!(place("10:20:30", "91"), "dec");
        assert_eq!(place("10 20 30", ""), "dec");
        assert_eq!(place("", ""), "ra");
        assert!(center("10 20 30", "-04 05 06").is_ok());
    }
}
