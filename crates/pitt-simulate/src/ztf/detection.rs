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
    pub(super) pixel: [f32; 2],
    pub(super) ra: f64,
    pub(super) dec: f64,
    pub(super) magnitude: [f32; 2],
    /// chipsf to elong, in the order of the schema.
    pub(super) shape: [f32; 20],
    pub(super) nneg: i64,
    pub(super) nbad: i64,
    pub(super) rb: f32,
    /// sumrat, magapbig, sigmagapbig.
    pub(super) aperture: [f32; 3],
    pub(super) nearest: Nearest,
    pub(super) scorr: f64,
}

/// The nearest source of the reference image.
pub(super) struct Nearest {
    pub(super) distance_arcsec: f64,
    pub(super) ra: f64,
    pub(super) dec: f64,
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
    pub(super) fn new(source: &Source, exposure: &Exposure, seen: &Observation) -> Self {
        let mut draw = seen.draw(0x6465_7465);
        let position = seen.position(source, exposure);
        let (_, x, y) = pixel(source, exposure);
        let magpsf = mag(seen.flux.abs());
        let sigma = mag_err(seen.flux.abs(), seen.err);
        let magap = magpsf + 0.35 * sigma * draw.normal();
        let magapbig = magpsf + 0.5 * sigma * draw.normal();
        let fwhm = exposure.seeing / PIXEL_ARCSEC * draw.between(0.9, 1.15);
        let (aimage, bimage) = (
            fwhm * draw.between(0.27, 0.4),
            fwhm * draw.between(0.24, 0.3),
        );
        let nearest = nearest(source, exposure.band);
        let edge = x.min(y).min(3072.0 - x).min(3080.0 - y).max(0.0);
        let bogus = source.class == Class::Bogus;
        let shape = [
            if bogus {
                draw.between(2.0, 30.0)
            } else {
                draw.between(0.8, 4.0)
            },
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
            if bogus {
                draw.between(0.0, 0.8)
            } else {
                draw.between(0.9, 1.0)
            },
            edge,
            exposure.depth - magap,
            draw.between(0.6, 1.1),
            aimage,
            bimage,
            aimage / fwhm,
            bimage / fwhm,
            aimage / bimage,
        ]
        .map(|value| value as f32);
        let score = seen.score(source);
        Self {
            pixel: [x as f32, y as f32],
            ra: position.ra,
            dec: position.dec,
            magnitude: [magpsf as f32, sigma as f32],
            shape,
            nneg: if bogus {
                6 + draw.below(8) as i64
            } else {
                draw.below(5) as i64
            },
            nbad: if bogus { draw.below(3) as i64 } else { 0 },
            rb: (score * draw.between(0.75, 1.0)) as f32,
            aperture: [
                if bogus {
                    draw.between(0.1, 0.8) as f32
                } else {
                    1.0
                },
                magapbig as f32,
                (1.5 * sigma) as f32,
            ],
            nearest,
            scorr: seen.snr() * draw.between(0.95, 1.1),
        }
    }
}
