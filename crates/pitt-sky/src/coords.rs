//! Positions on the sky: separations, offsets, frames, and the ways people write them.

use std::{fmt, str::FromStr};

const ARCSEC_PER_RADIAN: f64 = 206_264.806_247_096_36;

/// JD of J2000.0 (TT).
const J2000_JD: f64 = 2_451_545.0;

/// A position in the International Celestial Reference System.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Icrs {
    /// Right ascension `[deg]`, 0 to 360.
    pub ra_deg: f64,
    /// Declination `[deg]`, -90 to 90.
    pub dec_deg: f64,
}

/// A text that is not a position.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PositionError {
    /// The text does not split into a right ascension and a declination.
    #[error("`{0}` is not a position (write `155.1 -4.1` in degrees, or `10:20:30 -04:05:06`)")]
    Shape(String),
    /// One part is not a number.
    #[error("`{part}` in `{text}` is not a number")]
    Number {
        /// The whole text.
        text: String,
        /// The part that could not be read.
        part: String,
    },
    /// A coordinate is off the sphere.
    #[error("{name} `{value}` is outside {range}")]
    Range {
        /// `right ascension` or `declination`.
        name: &'static str,
        /// The value as read.
        value: f64,
        /// What is allowed.
        range: &'static str,
    },
}

impl Icrs {
    /// A checked position: right ascension in 0 to 360 deg (360 itself counts as 0), declination in -90 to 90 deg.
    pub fn new(ra_deg: f64, dec_deg: f64) -> Result<Self, PositionError> {
        if !(0.0..=360.0).contains(&ra_deg) {
            return Err(PositionError::Range {
                name: "right ascension",
                value: ra_deg,
                range: "0 to 360 deg",
            });
        }
        if !(-90.0..=90.0).contains(&dec_deg) {
            return Err(PositionError::Range {
                name: "declination",
                value: dec_deg,
                range: "-90 to 90 deg",
            });
        }
        Ok(Icrs {
            ra_deg: ra_deg % 360.0,
            dec_deg,
        })
    }

    /// Great-circle separation `[arcsec]`, exact at all angles (Vincenty's form, by way of unit vectors).
    pub fn separation_arcsec(self, other: Icrs) -> f64 {
        let (ra1, dec1) = self.radians();
        let (ra2, dec2) = other.radians();
        let (sin_d, cos_d) = (ra2 - ra1).sin_cos();
        let ((s1, c1), (s2, c2)) = (dec1.sin_cos(), dec2.sin_cos());
        let across = (c2 * sin_d).hypot(c1 * s2 - s1 * c2 * cos_d);
        let along = s1 * s2 + c1 * c2 * cos_d;
        across.atan2(along) * ARCSEC_PER_RADIAN
    }

    /// Position angle of `other` seen from here `[deg]`, 0 to 360, from north through east.
    pub fn position_angle_deg(self, other: Icrs) -> f64 {
        let (ra1, dec1) = self.radians();
        let (ra2, dec2) = other.radians();
        let (sin_d, cos_d) = (ra2 - ra1).sin_cos();
        let y = sin_d * dec2.cos();
        let x = dec2.sin() * dec1.cos() - dec2.cos() * dec1.sin() * cos_d;
        y.atan2(x).to_degrees().rem_euclid(360.0)
    }

    /// The position `distance_arcsec` from here in direction `angle_deg`, from north through east.
    pub fn offset(self, angle_deg: f64, distance_arcsec: f64) -> Icrs {
        let (ra, dec) = self.radians();
        let (sin_a, cos_a) = angle_deg.to_radians().sin_cos();
        let (sin_r, cos_r) = (distance_arcsec / ARCSEC_PER_RADIAN).sin_cos();
        let (sin_d, cos_d) = dec.sin_cos();
        let sin_dec = (sin_d * cos_r + cos_d * sin_r * cos_a).clamp(-1.0, 1.0);
        let shift = (sin_a * sin_r * cos_d).atan2(cos_r - sin_d * sin_dec);
        Icrs {
            ra_deg: (ra + shift).to_degrees().rem_euclid(360.0),
            dec_deg: sin_dec.asin().to_degrees(),
        }
    }

    /// Galactic longitude (0 to 360) and latitude `[deg]`; IAU 1958 system as in the Hipparcos catalogue (SOFA `icrs2g`).
    pub fn to_galactic(self) -> (f64, f64) {
        let (ra, dec) = self.radians();
        let (l, b) = sofars::coords::icrs2g(ra, dec);
        (l.to_degrees().rem_euclid(360.0), b.to_degrees())
    }

    /// Ecliptic longitude (0 to 360) and latitude `[deg]`, mean ecliptic and equinox J2000.0 (SOFA `eqec06`).
    pub fn to_ecliptic(self) -> (f64, f64) {
        let (ra, dec) = self.radians();
        let (lon, lat) = sofars::coords::eqec06(J2000_JD, 0.0, ra, dec);
        (lon.to_degrees().rem_euclid(360.0), lat.to_degrees())
    }

    /// `hh:mm:ss.sss ±dd:mm:ss.ss`, rounded to 1 ms of time and 10 mas.
    pub fn format_sexagesimal(self) -> String {
        let ra_ms = (self.ra_deg.rem_euclid(360.0) * 240_000.0).round() as i64 % 86_400_000;
        let dec_cas = (self.dec_deg.abs() * 360_000.0).round() as i64;
        let sign = if self.dec_deg < 0.0 { '-' } else { '+' };
        format!(
            "{:02}:{:02}:{:02}.{:03} {sign}{:02}:{:02}:{:02}.{:02}",
            ra_ms / 3_600_000,
            ra_ms / 60_000 % 60,
            ra_ms / 1000 % 60,
            ra_ms % 1000,
            dec_cas / 360_000,
            dec_cas / 6000 % 60,
            dec_cas / 100 % 60,
            dec_cas % 100,
        )
    }

    fn radians(self) -> (f64, f64) {
        (self.ra_deg.to_radians(), self.dec_deg.to_radians())
    }
}

impl fmt::Display for Icrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6} {:+.6}", self.ra_deg, self.dec_deg)
    }
}

impl FromStr for Icrs {
    type Err = PositionError;

    /// Reads `155.1 -4.1` (degrees), `10:20:30 -04:05:06`, `10h20m30s -4d5m6s` or `10 20 30 -4 5 6`; a comma may part
    /// the two. With three numbers each, or a letter or colon in it, the right ascension is in hours.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text
            .split([',', ' ', '\t'])
            .filter(|p| !p.is_empty())
            .collect();
        let shape = || PositionError::Shape(text.to_owned());
        let (ra, dec) = match parts.len() {
            2 => (parts[0].to_owned(), parts[1].to_owned()),
            6 => (parts[..3].join(":"), parts[3..].join(":")),
            _ => return Err(shape()),
        };
        let hours = ra.contains([':', 'h']);
        let ra = sexagesimal(&ra, text)? * if hours { 15.0 } else { 1.0 };
        Icrs::new(ra, sexagesimal(&dec, text)?)
    }
}

/// One angle of up to three parts, each after the first a sixtieth of the one before.
fn sexagesimal(angle: &str, text: &str) -> Result<f64, PositionError> {
    let negative = angle.starts_with('-');
    let digits = angle
        .trim_start_matches(['+', '-'])
        .trim_end_matches(['s', '"', 'd', 'h']);
    let mut value = 0.0;
    let mut scale = 1.0;
    for (place, part) in digits.split([':', 'h', 'm', 'd', '\'']).enumerate() {
        let number = || PositionError::Number {
            text: text.to_owned(),
            part: part.to_owned(),
        };
        let number = part
            .parse::<f64>()
            .ok()
            .filter(|n| n.is_finite() && *n >= 0.0)
            .ok_or_else(number)?;
        if place > 2 || (place > 0 && number >= 60.0) {
            return Err(PositionError::Shape(text.to_owned()));
        }
        value += number / scale;
        scale *= 60.0;
    }
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ra_deg: f64, dec_deg: f64) -> Icrs {
        Icrs { ra_deg, dec_deg }
    }

    #[test]
    fn frames_agree_with_astropy() {
        // astropy 8.0: SkyCoord(279.23473479, 38.78368896, unit='deg').galactic / .barycentricmeanecliptic
        // (astropy's galactic pole is 20 mas from the Hipparcos catalogue's that SOFA uses.)
        let vega = at(279.234_734_79, 38.783_688_96);
        let (l, b) = vega.to_galactic();
        assert!(
            (l - 67.448_208_14).abs() < 1e-5 && (b - 19.237_252_27).abs() < 1e-5,
            "{l} {b}"
        );
        let (lon, lat) = vega.to_ecliptic();
        assert!(
            (lon - 285.316_40).abs() < 1e-4 && (lat - 61.732_85).abs() < 1e-4,
            "{lon} {lat}"
        );
        let (_, pole) = at(192.859_48, 27.128_25).to_galactic();
        assert!((pole - 90.0).abs() < 1e-4);
    }

    #[test]
    fn positions_are_read_as_people_write_them() {
        let expected = at(155.125, -4.085);
        for text in [
            "155.125 -4.085",
            "155.125, -4.085",
            "10:20:30 -04:05:06",
            "10h20m30s -4d5m6s",
            "10 20 30 -4 5 6",
        ] {
            let read: Icrs = text.parse().expect(text);
            assert!(read.separation_arcsec(expected) < 1e-6, "{text} {read}");
        }
        assert_eq!(
            "1:0:0 -0:30:00".parse::<Icrs>().map(|p| p.dec_deg),
            Ok(-0.5)
        );
    }

    #[test]
    fn bad_positions_say_why() {
        let error = |text: &str| text.parse::<Icrs>().expect_err(text).to_string();
        assert_eq!(
            error("12"),
            "`12` is not a position (write `155.1 -4.1` in degrees, or `10:20:30 -04:05:06`)"
        );
        assert_eq!(error("12 x"), "`x` in `12 x` is not a number");
        assert_eq!(
            error("361 0"),
            "right ascension `361` is outside 0 to 360 deg"
        );
        assert_eq!(
            error("10:20:30 -91"),
            "declination `-91` is outside -90 to 90 deg"
        );
        assert!(error("10:61:30 -9").contains("not a position"));
        assert!(error("nan 0").contains("not a number"));
    }

    #[test]
    fn sexagesimal_rounds_over() {
        assert_eq!(
            at(359.999_999_99, -0.000_001).format_sexagesimal(),
            "00:00:00.000 -00:00:00.00"
        );
        assert_eq!(
            at(155.125, -4.085).format_sexagesimal(),
            "10:20:30.000 -04:05:06.00"
        );
    }

    proptest! {
        #[test]
        fn offsets_and_separations_agree(
            ra in 0.0..360.0f64, dec in -89.0..89.0f64, angle in 0.0..360.0f64, distance in 0.001..300_000.0f64,
        ) {
            let from = at(ra, dec);
            let to = from.offset(angle, distance);
            prop_assert!((from.separation_arcsec(to) - distance).abs() < 1e-5 * distance.max(1.0));
        }

        #[test]
        fn written_positions_are_read_back(ra in 0.0..360.0f64, dec in -90.0..90.0f64) {
            let read: Icrs = at(ra, dec).format_sexagesimal().parse().expect("our own form");
            prop_assert!(read.separation_arcsec(at(ra, dec)) < 0.02);
        }
    }
}
