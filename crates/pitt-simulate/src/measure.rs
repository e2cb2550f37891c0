//! What a pipeline measures of a source in one exposure.

use pitt_sky::band::Band;

use crate::config::SimSurvey;
use crate::light::Class;
use crate::random::Draw;
use crate::schedule::Exposure;
use crate::sky::Source;

/// Signal-to-noise ratio from which a source counts as detected.
const THRESHOLD: f64 = 5.0;

/// A source as measured in one exposure: a pure function of both, so that a history repeats earlier alerts exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    /// True difference flux, without noise `[nJy]`.
    pub(crate) true_njy: f64,
    /// Measured difference flux `[nJy]`, signed.
    pub(crate) flux: f64,
    /// Its standard error `[nJy]`: sky, photons and calibration.
    pub(crate) err: f64,
    /// Flux on the template, host included `[nJy]`.
    pub(crate) template: f64,
    /// Address of the draws for everything derived.
    key: u64,
}

impl Observation {
    /// Measures a source: the same numbers for the same source and exposure.
    pub(crate) fn of(source: &Source, exposure: &Exposure) -> Self {
        let true_njy = source.light.difference_njy(exposure.mjd_tai, exposure.band);
        let template = source.template_njy[usize::from(exposure.band.index())];
        let key = source.key ^ exposure.key;
        let mut draw = Draw::at(&[key]);
        // Sky noise, photon noise of the source (as much as the sky's at 100 sigma), and 1.2 % of calibration.
        let sigma = exposure.sigma_njy;
        let science = (template + true_njy).max(0.0);
        let calibration = 0.012 * science.min(true_njy.abs() * 3.0 + 20.0 * sigma);
        let err = (sigma * sigma + sigma * science / 100.0 + calibration * calibration).sqrt();
        let mut flux = true_njy + err * draw.normal();
        if source.class == Class::Bogus {
            let sign = if draw.unit() < 0.3 { -1.0 } else { 1.0 };
            flux = sign * true_njy.max(THRESHOLD * err * 1.02);
        }
        Self {
            true_njy,
            flux,
            err,
            template,
            key,
        }
    }

    /// Flux over its error, without sign.
    pub(crate) fn snr(&self) -> f64 {
        self.flux.abs() / self.err
    }

    /// Whether it is bright, or faint, enough for an alert: 5 sigma.
    pub(crate) fn is_detection(&self) -> bool {
        self.flux.abs() >= THRESHOLD * self.err
    }

    /// Draws for one purpose.
    pub(crate) fn draw(&self, purpose: u64) -> Draw {
        Draw::at(&[self.key, purpose])
    }

    /// Measured position `[deg]` and its uncertainty `[arcsec]`: the width of a star over the signal-to-noise ratio,
    /// and the survey's floor.
    pub(crate) fn position(&self, source: &Source, exposure: &Exposure) -> Position {
        let mut draw = self.draw(0x706f_7369);
        let (ra, dec) = source.position(exposure.mjd_tai);
        let floor = match exposure.survey {
            SimSurvey::Ztf => 0.06,
            SimSurvey::Lsst => 0.01,
        };
        let spread = 0.5 * exposure.seeing / self.snr().max(1.0);
        let err_arcsec = (spread * spread + floor * floor).sqrt();
        let east = err_arcsec * draw.normal() / 3600.0;
        let north = err_arcsec * draw.normal() / 3600.0;
        Position {
            ra: crate::sky::wrap(ra + east / libm::cos(dec.to_radians())),
            dec: dec + north,
            err_arcsec,
            offset_arcsec: (east * 3600.0, north * 3600.0),
        }
    }

    /// Score of a detection, 0 bogus to 1 real: high for real sources and the better the brighter they are.
    pub(crate) fn score(&self, source: &Source) -> f64 {
        let mut draw = self.draw(0x7363_6f72);
        if source.class == Class::Bogus {
            return 0.45 * draw.unit() * draw.unit();
        }
        let doubt = draw.unit() * draw.unit();
        1.0 - 0.45 * doubt / (1.0 + 0.04 * (self.snr() - THRESHOLD) * (self.snr() - THRESHOLD))
    }
}

/// A measured position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// Right ascension `[deg]`, ICRS.
    pub(crate) ra: f64,
    /// Declination `[deg]`, ICRS.
    pub(crate) dec: f64,
    /// Standard error in each direction `[arcsec]`.
    pub(crate) err_arcsec: f64,
    /// Measured minus true `[arcsec]`, east and north.
    pub(crate) offset_arcsec: (f64, f64),
}

/// A position in a field to a place on the detectors: number of the detector and pixel.
pub(crate) fn pixel(source: &Source, exposure: &Exposure) -> (u32, f64, f64) {
    let mut draw = Draw::at(&[source.key, u64::from(exposure.night), 0x7069_7865]);
    match exposure.survey {
        // A source stays on its readout channel; the telescope returns to a field within some 20 px.
        SimSurvey::Ztf => {
            let mut home = Draw::at(&[source.key, 0x686f_6d65]);
            let (x, y) = (home.between(40.0, 3030.0), home.between(40.0, 3040.0));
            (
                source.slot % 64,
                x + 12.0 * draw.normal().clamp(-2.0, 2.0),
                y + 12.0 * draw.normal().clamp(-2.0, 2.0),
            )
        }
        // The camera is rotated and dithered: anywhere.
        SimSurvey::Lsst => (
            draw.below(189) as u32,
            draw.between(30.0, 4040.0),
            draw.between(30.0, 3970.0),
        ),
    }
}

/// ZTF's number of a filter.
pub(crate) const fn fid(band: Band) -> i64 {
    match band {
        Band::G => 1,
        Band::R => 2,
        _ => 3,
    }
}
