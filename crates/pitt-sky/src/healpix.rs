//! HEALPix cells, nested order, depth 29: the key under which positions are stored and found.
//!
//! Built on `cdshealpix`, the CDS's own library. Depth 29 cells are 0.4 milliarcsec wide, so the key is the position.

use std::ops::Range;

use cdshealpix::nested;

/// The depth of our keys, the deepest that HEALPix has: order 29, as in HATS's `_healpix_29`.
pub const DEPTH: u8 = 29;

/// The key of a row that has no usable position.
pub const NO_POSITION: i64 = -1;

/// Cells of the coverage are this many levels finer than the depth at which one cell holds the cone.
const REFINEMENT: u8 = 3;

/// The nested HEALPix cell of a position at depth 29.
///
/// | argument | unit | meaning |
/// |---|---|---|
/// | `ra_deg` | deg, ICRS | right ascension, any turn |
/// | `dec_deg` | deg, ICRS | declination, -90 to 90 |
///
/// Returns 0 to 12 x 4^29 - 1, or [`NO_POSITION`] when a coordinate is not finite or the declination is off the sphere.
pub fn hash29(ra_deg: f64, dec_deg: f64) -> i64 {
    if !ra_deg.is_finite() || !dec_deg.is_finite() || dec_deg.abs() > 90.0 {
        return NO_POSITION;
    }
    let lon = ra_deg.rem_euclid(360.0).to_radians();
    nested::hash(DEPTH, lon, dec_deg.to_radians()) as i64
}

/// Ranges of depth-29 cells that cover a cone, ascending and apart from one another.
///
/// | argument | unit | meaning |
/// |---|---|---|
/// | `ra_deg`, `dec_deg` | deg, ICRS | centre |
/// | `radius_arcsec` | arcsec | half-angle; up to 648,000 (the whole sky) |
///
/// The ranges hold the cone and a little more: test each find by its exact separation. A centre or radius that is not
/// a number, and a negative radius, cover nothing.
pub fn cone_ranges29(ra_deg: f64, dec_deg: f64, radius_arcsec: f64) -> Vec<Range<i64>> {
    let centre = hash29(ra_deg, dec_deg);
    if centre == NO_POSITION || radius_arcsec.is_nan() || radius_arcsec < 0.0 {
        return Vec::new();
    }
    // Far below a cell of depth 29 the cover would be the one cell; its neighbours matter at the edges.
    let radius = (radius_arcsec.max(0.001) / 3600.0)
        .to_radians()
        .min(std::f64::consts::PI);
    let depth = covering_depth(radius);
    let shift = 2 * u32::from(DEPTH - depth);
    let lon = ra_deg.rem_euclid(360.0).to_radians();
    let cells = nested::cone_coverage_approx(depth, lon, dec_deg.to_radians(), radius);
    let mut ranges: Vec<Range<i64>> = Vec::new();
    for cell in cells.flat_iter() {
        let start = (cell << shift) as i64;
        let end = ((cell + 1) << shift) as i64;
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

fn covering_depth(radius: f64) -> u8 {
    let start = if cdshealpix::has_best_starting_depth(radius) {
        cdshealpix::best_starting_depth(radius)
    } else {
        0
    };
    (start + REFINEMENT).min(DEPTH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::coords::Icrs;

    #[test]
    fn cells_agree_with_astropy_healpix() {
        // astropy_healpix 2.0.1: HEALPix(nside=2**29, order="nested").lonlat_to_healpix(ra, dec)
        assert_eq!(
            hash29(279.234_734_79, 38.783_688_96),
            1_048_946_924_800_220_628
        );
        assert_eq!(hash29(10.6847, 41.269), 190_633_880_095_749_920);
        assert_eq!(hash29(83.633, -22.0145), 1_482_358_765_853_333_026);
        assert_eq!(hash29(0.1, -89.5), 2_305_880_573_725_531_703);
    }

    #[test]
    fn poles_and_bad_positions() {
        assert!(hash29(0.0, 90.0) >= 0);
        assert!(hash29(0.0, -90.0) >= 0);
        assert_eq!(hash29(370.0, 10.0), hash29(10.0, 10.0));
        assert_eq!(hash29(f64::NAN, 0.0), NO_POSITION);
        assert_eq!(hash29(0.0, 90.1), NO_POSITION);
        assert!(cone_ranges29(0.0, 0.0, f64::NAN).is_empty());
    }

    proptest! {
        #[test]
        fn cones_hold_every_position_inside(
            ra in 0.0..360.0f64, dec in -90.0..90.0f64, radius in 0.01..20_000.0f64,
            part in 0.0..0.999f64, angle in 0.0..360.0f64,
        ) {
            let centre = Icrs { ra_deg: ra, dec_deg: dec };
            let inside = centre.offset(angle, radius * part);
            let hash = hash29(inside.ra_deg, inside.dec_deg);
            let ranges = cone_ranges29(ra, dec, radius);
            prop_assert!(ranges.iter().any(|r| r.contains(&hash)));
            prop_assert!(ranges.windows(2).all(|w| w[0].end < w[1].start));
        }
    }
}
