//! Light curves: how bright a source truly is, at a time and in a band.
//!
//! Templates are simple shapes with the right time scales, colours and order of brightness; they are no fits to data.
//! Magnitudes are AB. Times are MJD; rest-frame times are stretched by `1 + z`. There is no K-correction beyond a
//! reddening with redshift.

use pitt_sky::band::Band;

use crate::brightness::flux_njy;

/// What a source does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    SupernovaIa,
    CoreCollapse,
    Kilonova,
    RrLyrae,
    EclipsingBinary,
    Mira,
    Agn,
    Asteroid,
    Bogus,
}

impl Class {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SupernovaIa => "supernova_ia",
            Self::CoreCollapse => "supernova_core_collapse",
            Self::Kilonova => "kilonova",
            Self::RrLyrae => "rr_lyrae",
            Self::EclipsingBinary => "eclipsing_binary",
            Self::Mira => "mira",
            Self::Agn => "agn",
            Self::Asteroid => "asteroid",
            Self::Bogus => "bogus",
        }
    }

    /// Appears once and is gone.
    pub(crate) const fn is_transient(self) -> bool {
        matches!(
            self,
            Self::SupernovaIa | Self::CoreCollapse | Self::Kilonova
        )
    }

    pub(crate) const fn is_star(self) -> bool {
        matches!(self, Self::RrLyrae | Self::EclipsingBinary | Self::Mira)
    }
}

/// A transient's shape in one band: days to rise, magnitudes a day of decline until `bend` days, then of the tail.
#[derive(Clone, Copy)]
struct Shape {
    /// Peak colour: magnitude in this band minus the peak in r.
    color: f64,
    decline: f64,
    bend: f64,
    tail: f64,
}

const fn shape(color: f64, decline: f64, bend: f64, tail: f64) -> Shape {
    Shape {
        color,
        decline,
        bend,
        tail,
    }
}

/// Type Ia: 18 days of rise, fast decline in the blue (after Nugent et al. 2002, doi:10.1086/341707).
const IA: [Shape; 6] = [
    shape(0.35, 0.110, 28.0, 0.020),
    shape(0.00, 0.080, 30.0, 0.018),
    shape(0.00, 0.052, 32.0, 0.025),
    shape(0.30, 0.040, 36.0, 0.035),
    shape(0.35, 0.036, 38.0, 0.035),
    shape(0.40, 0.034, 38.0, 0.035),
];

/// Type II: 8 days of rise, then a plateau of some 90 days in the red.
const CORE_COLLAPSE: [Shape; 6] = [
    shape(-0.10, 0.055, 60.0, 0.030),
    shape(-0.05, 0.018, 88.0, 0.060),
    shape(0.00, 0.006, 92.0, 0.060),
    shape(0.05, 0.003, 92.0, 0.050),
    shape(0.05, 0.002, 94.0, 0.045),
    shape(0.05, 0.002, 94.0, 0.045),
];

/// Kilonova: half a day of rise, redder by the day (after AT2017gfo, Villar et al. 2017, doi:10.3847/2041-8213/aa9c84).
const KILONOVA: [Shape; 6] = [
    shape(0.60, 2.10, 3.0, 1.2),
    shape(0.15, 1.60, 4.0, 1.0),
    shape(0.00, 1.00, 5.0, 0.8),
    shape(-0.10, 0.70, 6.0, 0.6),
    shape(-0.20, 0.50, 7.0, 0.5),
    shape(-0.25, 0.40, 8.0, 0.5),
];

/// True brightness of a source over time.
#[derive(Clone, Debug)]
pub(crate) enum Light {
    Transient {
        class: Class,
        /// MJD TAI of the peak in r.
        peak_mjd: f64,
        /// Apparent magnitude of the peak in r.
        peak_mag: f64,
        redshift: f64,
    },
    Periodic {
        class: Class,
        period_d: f64,
        /// MJD TAI of maximum (eclipsing binaries: of the primary minimum).
        epoch_mjd: f64,
        mean_mag: f64,
        amplitude: f64,
        /// g minus r; other bands follow.
        color: f64,
    },
    Agn {
        /// Magnitude offsets, one a day from `start_mjd`.
        walk: Vec<f32>,
        start_mjd: f64,
        mean_mag: f64,
    },
    Steady {
        mag: f64,
        /// Rotation: half amplitude `[mag]` and period `[d]`.
        amplitude: f64,
        period_d: f64,
    },
}

/// Colour of a star in each band relative to r, in units of its g-r.
const STAR_COLOR: [f64; 6] = [2.3, 1.0, 0.0, -0.4, -0.55, -0.6];
/// Amplitude of a pulsating star in each band relative to r.
const PULSATION: [f64; 6] = [1.5, 1.35, 1.0, 0.8, 0.72, 0.68];

impl Light {
    /// Brightness beyond the template image `[nJy]`: negative when fainter than there.
    pub(crate) fn difference_njy(&self, mjd_tai: f64, band: Band) -> f64 {
        match self {
            Self::Transient { .. } | Self::Steady { .. } => self.total_njy(mjd_tai, band),
            Self::Periodic { .. } | Self::Agn { .. } => {
                self.total_njy(mjd_tai, band) - self.template_njy(band)
            }
        }
    }

    /// Brightness on the template image `[nJy]`, without a host galaxy.
    pub(crate) fn template_njy(&self, band: Band) -> f64 {
        let at = usize::from(band.index());
        match self {
            Self::Transient { .. } | Self::Steady { .. } => 0.0,
            Self::Periodic {
                mean_mag, color, ..
            } => flux_njy(mean_mag + color * STAR_COLOR[at]),
            Self::Agn { mean_mag, .. } => flux_njy(mean_mag + 0.25 * STAR_COLOR[at]),
        }
    }

    fn total_njy(&self, mjd_tai: f64, band: Band) -> f64 {
        let at = usize::from(band.index());
        match self {
            Self::Transient {
                class,
                peak_mjd,
                peak_mag,
                redshift,
            } => {
                let days = (mjd_tai - peak_mjd) / (1.0 + redshift);
                transient_njy(*class, days, at, *peak_mag, *redshift)
            }
            Self::Periodic {
                class,
                period_d,
                epoch_mjd,
                mean_mag,
                amplitude,
                color,
            } => {
                let phase = (mjd_tai - epoch_mjd) / period_d;
                let offset = periodic_mag(*class, phase - phase.floor(), at) * amplitude;
                flux_njy(mean_mag + color * STAR_COLOR[at] + offset)
            }
            Self::Agn {
                walk,
                start_mjd,
                mean_mag,
            } => flux_njy(
                mean_mag
                    + 0.25 * STAR_COLOR[at]
                    + walk_at(walk, mjd_tai - start_mjd) * PULSATION[at],
            ),
            Self::Steady {
                mag,
                amplitude,
                period_d,
            } => {
                let wave = libm::sin(mjd_tai / period_d * std::f64::consts::TAU);
                flux_njy(mag + 0.5 * STAR_COLOR[at] + amplitude * wave)
            }
        }
    }
}

fn transient_njy(class: Class, days: f64, band: usize, peak_mag: f64, redshift: f64) -> f64 {
    let (shapes, rise_d) = match class {
        Class::Kilonova => (&KILONOVA, 0.6),
        Class::CoreCollapse => (&CORE_COLLAPSE, 8.0),
        _ => (&IA, 18.0),
    };
    let Shape {
        color,
        decline,
        bend,
        tail,
    } = shapes[band];
    // Blue bands redden as the rest-frame ultraviolet moves into them.
    let reddening = redshift * [6.0, 3.0, 0.8, 0.2, 0.0, 0.0][band];
    let peak = flux_njy(peak_mag + color + reddening);
    if days <= -rise_d {
        0.0
    } else if days < 0.0 {
        let fraction = (days + rise_d) / rise_d;
        peak * fraction * (2.0 - fraction) * fraction.min(1.0)
    } else {
        // The curve is flat at the peak and reaches the full rate of decline after a few days.
        let soft = days * days / (days + rise_d * 0.3);
        let faded = decline * soft.min(bend) + tail * (soft - bend).max(0.0);
        peak * libm::exp(-faded * (std::f64::consts::LN_10 / 2.5))
    }
}

/// Magnitude offset from the mean for an amplitude of 1, at a phase in `[0, 1)`.
fn periodic_mag(class: Class, phase: f64, band: usize) -> f64 {
    match class {
        // Saw-tooth: maximum at phase 0, slow fade to 0.85, then the jump.
        Class::RrLyrae => {
            let saw = if phase < 0.85 {
                phase / 0.85
            } else {
                (1.0 - phase) / 0.15
            };
            (saw - 0.5) * PULSATION[band]
        }
        Class::EclipsingBinary => {
            let dip = |center: f64| {
                let away = phase - center;
                libm::exp(-away * away / (2.0 * 0.045 * 0.045))
            };
            dip(0.0) + dip(1.0) + 0.45 * dip(0.5)
        }
        _ => -0.5 * libm::cos(phase * std::f64::consts::TAU) * PULSATION[band],
    }
}

/// The random walk between its daily values; constant beyond its ends.
fn walk_at(walk: &[f32], days: f64) -> f64 {
    let last = walk.len().saturating_sub(1);
    let before = (days.max(0.0) as usize).min(last);
    let after = (before + 1).min(last);
    let value = |at: usize| walk.get(at).copied().map_or(0.0, f64::from);
    let fraction = (days - before as f64).clamp(0.0, 1.0);
    value(before) + (value(after) - value(before)) * fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supernova_rises_and_falls_faster_in_the_blue() {
        let light = Light::Transient {
            class: Class::SupernovaIa,
            peak_mjd: 61_100.0,
            peak_mag: 18.0,
            redshift: 0.05,
        };
        let at = |days: f64, band| light.difference_njy(61_100.0 + days, band);
        assert_eq!(at(-20.0, Band::R), 0.0);
        assert!(at(-10.0, Band::R) < at(-3.0, Band::R));
        assert!(at(-3.0, Band::R) <= at(0.0, Band::R));
        assert!(at(20.0, Band::R) < at(5.0, Band::R));
        assert!(at(20.0, Band::G) / at(0.0, Band::G) < at(20.0, Band::R) / at(0.0, Band::R));
    }

    #[test]
    fn a_kilonova_fades_in_days_and_reddens() {
        let light = Light::Transient {
            class: Class::Kilonova,
            peak_mjd: 61_100.0,
            peak_mag: 19.0,
            redshift: 0.02,
        };
        let fading =
            |band| light.difference_njy(61_102.0, band) / light.difference_njy(61_100.0, band);
        assert!(fading(Band::G) < 0.1 && fading(Band::Z) > 2.0 * fading(Band::G));
    }

    #[test]
    fn periodic_stars_repeat() {
        for class in [Class::RrLyrae, Class::EclipsingBinary, Class::Mira] {
            let light = Light::Periodic {
                class,
                period_d: 0.55,
                epoch_mjd: 61_000.0,
                mean_mag: 17.0,
                amplitude: 0.8,
                color: 0.3,
            };
            let once = light.difference_njy(61_010.123, Band::R);
            let again = light.difference_njy(61_010.123 + 55.0, Band::R);
            assert!(
                (once - again).abs() < 1e-4 * once.abs().max(1.0),
                "{class:?} {once} {again}"
            );
        }
    }
}
