//! The six optical bands that ZTF and Rubin share.

use std::fmt;

/// A broad optical band, in order of wavelength.
///
/// ZTF observes in `g`, `r`, `i`; Rubin in all six. The two surveys' bandpasses differ slightly; a joint light curve
/// that needs better than a few hundredths of a magnitude must correct for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Band {
    /// Near ultraviolet, 367 nm.
    U,
    /// Green, 483 nm.
    G,
    /// Red, 622 nm.
    R,
    /// Near infrared, 755 nm.
    I,
    /// Near infrared, 869 nm.
    Z,
    /// Near infrared, 971 nm.
    Y,
}

impl Band {
    /// All bands, in order of wavelength; [`Band::index`] is the place in this list.
    pub const ALL: [Band; 6] = [Band::U, Band::G, Band::R, Band::I, Band::Z, Band::Y];

    /// Names of all bands in the order of [`Band::ALL`].
    pub const NAMES: [&'static str; 6] = ["u", "g", "r", "i", "z", "y"];

    /// The band's place in [`Band::ALL`], 0 to 5.
    pub const fn index(self) -> u8 {
        self as u8
    }

    /// The one-letter name, lower case.
    pub const fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The band of that one-letter name (lower case); `None` for any other text.
    pub fn from_name(name: &str) -> Option<Band> {
        Self::NAMES
            .iter()
            .position(|n| *n == name)
            .map(|i| Self::ALL[i])
    }

    /// Effective wavelength `[nm]` of Rubin's filter, LSST Science Requirements, LPM-17 (rounded).
    pub const fn wavelength_nm(self) -> f64 {
        [367.0, 483.0, 622.0, 755.0, 869.0, 971.0][self as usize]
    }

    /// The colour in which Rubin's publications draw this band on a white page, as `#rrggbb`.
    ///
    /// Source: RTN-045, Guidelines for figures (colour-blind safe set for light backgrounds).
    pub const fn color_hex(self) -> &'static str {
        [
            "#1600ea", "#31de1f", "#b52626", "#370201", "#ba52ff", "#61a2b3",
        ][self as usize]
    }
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_agree() {
        for (place, band) in Band::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(band.index()), place);
            assert_eq!(Band::from_name(band.as_str()), Some(band));
        }
        assert_eq!(Band::from_name("R"), None);
    }
}
