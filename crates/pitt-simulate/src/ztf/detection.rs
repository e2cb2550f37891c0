//! What ZTF's pipeline says of one detection, in the alert and in later histories alike.

use pitt_sky::band::Band;

use super::PIXEL_ARCSEC;
use crate::brightness::{mag, mag_err};
use crate::light::Class;
use crate::measure::{Observation, pixel};
use crate::random::Draw;
use crate::schedule::Exposure;
use crate::sky::Source;

/// Everything about a detection that is in the candidate and in later histories.
pub(super) struct Detection {
    /// Place on the detector, x and y `[pixel]`.
    pub(super) pixel: [f32; 2],
    /// Right ascension `[deg]`, J2000.
    pub(super) ra: f64,
    /// Declination `[deg]`, J2000.
    pub(super) dec: f64,
    /// magpsf and sigmapsf `[mag]`: of the flux without its sign.
    pub(super) magnitude: [f32; 2],
    /// chipsf to elong, in the order of the schema.
    pub(super) shape: [f32; 20],
    /// Negative pixels in a box of five by five.
    pub(super) nneg: i64,
    /// Bad pixels in that box.
    pub(super) nbad: i64,
    /// Real-bogus score, 0 bogus to 1 real.
    pub(super) rb: f32,
    /// sumrat, magapbig, sigmagapbig.
    pub(super) aperture: [f32; 3],
    /// distnr, ranr, decnr, magnr.
    pub(super) nearest: Nearest,
    /// Peak of the detection image over its noise.
    pub(super) scorr: f64,
}

/// The nearest source of the reference image.
pub(super) struct Nearest {
    /// From the detection `[arcsec]`.
    pub(super) distance_arcsec: f64,
    /// Right ascension `[deg]`, J2000.
    pub(super) ra: f64,
    /// Declination `[deg]`, J2000.
    pub(super) dec: f64,
    /// Magnitude on the reference image `[mag]`.
    pub(super) mag: f64,
}

/// The nearest reference source: the host galaxy, the star itself, or a neighbour.
pub(super) fn nearest(source: &Source, band: Band) -> Nearest {
    let mut draw = Draw::at(&[source.key, 0x6e65_6172]);
    let (east, north, brightness) = match (&source.host, source.class) {
        (Some(host), _) => (-host.offset.0, -host.offset.1, host.mag),
        (None, class) if class.is_star() => (
            0.1 * draw.normal(),
            0.1 * draw.normal(),
            mag(source.template_njy[usize::from(band.index())]),
        ),
        (None, Class::Bogus) if !source.geometry.is_multiple_of(3) => (
            0.3 * draw.normal(),
            0.3 * draw.normal(),
            draw.between(14.0, 17.0),
        ),
        _ => (
            draw.between(-18.0, 18.0),
            draw.between(3.0, 18.0),
            draw.between(18.0, 21.5),
        ),
    };
    Nearest {
        distance_arcsec: (east * east + north * north).sqrt(),
        ra: source.ra + east / 3600.0 / libm::cos(source.dec.to_radians()),
        dec: source.dec + north / 3600.0,
        mag: brightness,
    }
}

impl Detection {
    /// What the pipeline says of a source in an exposure: the same for the same two.
    pub(super) fn new(source: &Source, exposure: &Exposure, seen: &Observation) -> Self {
        let mut draw = seen.draw(0x6465_7465);
        let position = seen.position(source, exposure);
        let (_, x, y) = pixel(source, exposure);
        let magpsf = mag(seen.flux.abs());
        let sigma = mag_err(seen.flux.abs(), seen.err);
        let nearest = nearest(source, exposure.band);
        let magapbig = magpsf + 0.5 * sigma * draw.normal();
        let edge = x.min(y).min(3072.0 - x).min(3080.0 - y).max(0.0);
        let bogus = source.class == Class::Bogus;
        let (nneg, nbad, sumrat) = match bogus {
            true => (
                6 + draw.below(8) as i64,
                draw.below(3) as i64,
                draw.between(0.1, 0.8),
            ),
            false => (draw.below(5) as i64, 0, 1.0),
        };
        Self {
            pixel: [x as f32, y as f32],
            ra: position.ra,
            dec: position.dec,
            magnitude: [magpsf as f32, sigma as f32],
            nneg,
            nbad,
            rb: (seen.score(source) * draw.between(0.75, 1.0)) as f32,
            aperture: [sumrat, magapbig, 1.5 * sigma].map(|value| value as f32),
            scorr: seen.snr() * draw.between(0.95, 1.1),
            shape: shape(exposure, (magpsf, sigma), edge, bogus, &nearest, &mut draw),
            nearest,
        }
    }
}

/// chipsf to elong.
fn shape(
    exposure: &Exposure,
    (magpsf, sigma): (f64, f64),
    edge: f64,
    bogus: bool,
    nearest: &Nearest,
    draw: &mut Draw,
) -> [f32; 20] {
    let magap = magpsf + 0.35 * sigma * draw.normal();
    let fwhm = exposure.seeing / PIXEL_ARCSEC * draw.between(0.9, 1.15);
    let (aimage, bimage) = (
        fwhm * draw.between(0.27, 0.4),
        fwhm * draw.between(0.24, 0.3),
    );
    let (chipsf, classtar) = match bogus {
        true => (draw.between(2.0, 30.0), draw.between(0.0, 0.8)),
        false => (draw.between(0.8, 4.0), draw.between(0.9, 1.0)),
    };
    [
        chipsf,
        magap,
        1.25 * sigma,
        nearest.distance_arcsec / PIXEL_ARCSEC,
        nearest.mag,
        0.02 + 0.02 * draw.unit(),
        draw.between(0.4, 1.4),
        draw.between(-0.1, 0.15),
        0.3 * draw.normal(),
        magap - magpsf,
        fwhm,
        classtar,
        edge,
        exposure.depth - magap,
        draw.between(0.6, 1.1),
        aimage,
        bimage,
        aimage / fwhm,
        bimage / fwhm,
        aimage / bimage,
    ]
    .map(|value| value as f32)
}
