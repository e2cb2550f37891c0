//! Stamps: a source on a noisy background, with its host galaxy or star, rendered once and used again.
//!
//! Compressing three ZTF stamps takes milliseconds, a packet may take 0.2 ms. So there is a pool, filled as needed: a
//! stamp is chosen by what is in it ([`Scene`]), which of sixteen geometries (place of the host, centroid), how bright
//! the source is (six steps of signal-to-noise ratio) and which noise. An object keeps its geometry, so its host galaxy
//! stays where it is and agrees with the catalog fields; only the pixels' noise is shared with other alerts.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::config::SimSurvey;
use crate::fits::{self, LSST_PSF_SIDE, LSST_SIDE};
use crate::light::Class;
use crate::random::Draw;
use crate::sky::{GEOMETRIES, Source};

/// Side of a ZTF stamp `[px]`.
const ZTF_SIDE: usize = 63;

/// Upper ends of the steps of signal-to-noise ratio, and the ratio that is rendered in each.
const STEPS: [(f64, f64); 6] = [
    (8.0, 6.3),
    (15.0, 11.0),
    (30.0, 21.0),
    (60.0, 42.0),
    (150.0, 95.0),
    (f64::INFINITY, 250.0),
];

/// What is on a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scene {
    /// A point source in, or near, a galaxy; or alone when the geometry is hostless.
    Hosted,
    /// A point source on a galaxy's nucleus.
    Nucleus,
    /// A star that changes.
    Star,
    /// A short trail, nothing on the template.
    Trail,
    /// A star that was badly aligned: bright and dark lobes.
    Dipole,
    /// A cosmic ray: sharper than a star.
    CosmicRay,
}

/// Noise of a template's pixel, a deep stack, relative to that of a science image.
const TEMPLATE_NOISE: f64 = 0.35;

/// Flux of a star, and of a galaxy's nucleus, on the template, in units of the noise of a science pixel.
const STAR: f64 = 1500.0;
const NUCLEUS: f64 = 700.0;

/// Which of the three images.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Image {
    Science,
    Template,
    Difference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    scene: Scene,
    geometry: u32,
    step: u8,
    negative: bool,
    variant: u32,
}

/// The images of one alert, encoded.
#[derive(Clone, Debug)]
pub(crate) struct Stamps {
    /// The new image, as the survey packs it: FITS, compressed for ZTF.
    pub(crate) science: Bytes,
    /// The reference image, likewise.
    pub(crate) template: Bytes,
    /// The one without the other, likewise.
    pub(crate) difference: Bytes,
}

/// All stamps rendered so far.
#[derive(Debug)]
pub(crate) struct Pool {
    survey: SimSurvey,
    seed: u64,
    variants: u32,
    rendered: BTreeMap<Key, Stamps>,
    templates: BTreeMap<(Scene, u32), (Vec<f32>, Bytes)>,
}

impl Pool {
    pub(crate) fn new(survey: SimSurvey, seed: u64, variants: u32) -> Self {
        Self {
            survey,
            seed: Draw::at(&[seed, 0x7374_616d]).bits(),
            variants: variants.max(1),
            rendered: BTreeMap::new(),
            templates: BTreeMap::new(),
        }
    }

    /// The stamps of a source detected with that signal-to-noise ratio, negative when it faded.
    pub(crate) fn stamps(&mut self, source: &Source, snr: f64, draw: &mut Draw) -> &Stamps {
        let scene = match source.class {
            Class::Asteroid => Scene::Trail,
            Class::Agn => Scene::Nucleus,
            Class::Bogus if source.geometry.is_multiple_of(3) => Scene::CosmicRay,
            Class::Bogus => Scene::Dipole,
            class if class.is_star() => Scene::Star,
            _ => Scene::Hosted,
        };
        let step = STEPS
            .iter()
            .position(|(end, _)| snr.abs() < *end)
            .unwrap_or(STEPS.len() - 1) as u8;
        let variant = draw.below(u64::from(self.variants)) as u32;
        let key = Key {
            scene,
            geometry: source.geometry % GEOMETRIES,
            step,
            negative: snr < 0.0,
            variant,
        };
        if !self.rendered.contains_key(&key) {
            let stamps = self.render(key);
            self.rendered.insert(key, stamps);
        }
        &self.rendered[&key]
    }

    fn render(&mut self, key: Key) -> Stamps {
        let canvas = Canvas::new(self.survey, key.geometry);
        let (template, template_bytes) = self.template(key.scene, key.geometry, &canvas);
        let mut draw = Draw::at(&[
            self.seed,
            key.scene as u64,
            u64::from(key.geometry),
            u64::from(key.step),
            u64::from(key.negative),
            u64::from(key.variant),
        ]);
        let noise = canvas.noise(1.0, &mut draw);
        let change = canvas.change(key);
        let science: Vec<f32> = template
            .iter()
            .zip(noise.iter().zip(&change))
            .map(|(sky, (noise, change))| sky + noise + change)
            .collect();
        let difference: Vec<f32> = science
            .iter()
            .zip(&template)
            .map(|(science, template)| science - template)
            .collect();
        Stamps {
            science: canvas.encode(&science, Image::Science),
            template: template_bytes,
            difference: canvas.encode(&difference, Image::Difference),
        }
    }

    /// The template of a scene: the same for every alert of an object.
    fn template(&mut self, scene: Scene, geometry: u32, canvas: &Canvas) -> (Vec<f32>, Bytes) {
        let seed = self.seed;
        let made = self.templates.entry((scene, geometry)).or_insert_with(|| {
            let mut draw = Draw::at(&[seed, 0x7465_6d70, scene as u64, u64::from(geometry)]);
            let mut pixels = canvas.noise(TEMPLATE_NOISE, &mut draw);
            canvas.background(scene, geometry, &mut pixels, &mut draw);
            let bytes = canvas.encode(&pixels, Image::Template);
            (pixels, bytes)
        });
        made.clone()
    }
}

/// Pixels to paint on. Brightness is in units of the noise of one science pixel until it is encoded.
struct Canvas {
    survey: SimSurvey,
    side: usize,
    /// Width of a star, one sigma `[px]`.
    width: f64,
    /// Place of the source `[px]`, near the middle.
    at: (f64, f64),
}

impl Canvas {
    fn new(survey: SimSurvey, geometry: u32) -> Self {
        let mut draw = Draw::at(&[0x6365_6e74, u64::from(geometry)]);
        let (side, width) = match survey {
            SimSurvey::Ztf => (ZTF_SIDE, 0.95),
            SimSurvey::Lsst => (LSST_SIDE, 1.9),
        };
        let middle = (side as f64 - 1.0) / 2.0;
        let at = (
            middle + draw.between(-0.5, 0.5),
            middle + draw.between(-0.5, 0.5),
        );
        Self {
            survey,
            side,
            width,
            at,
        }
    }

    fn noise(&self, sigma: f64, draw: &mut Draw) -> Vec<f32> {
        (0..self.side * self.side)
            .map(|_| (sigma * draw.normal()) as f32)
            .collect()
    }

    /// Adds a Moffat profile (beta 3) of this total flux, in units of pixel noise.
    fn star(&self, pixels: &mut [f32], at: (f64, f64), width: f64, flux: f64) {
        let alpha2 = 5.0 * width * width;
        let peak = flux * 2.0 / (std::f64::consts::PI * alpha2);
        self.paint(pixels, |x, y| {
            let r2 = (x - at.0) * (x - at.0) + (y - at.1) * (y - at.1);
            let base = 1.0 + r2 / alpha2;
            peak / (base * base * base)
        });
    }

    /// Adds an exponential disk, inclined along a position angle.
    fn galaxy(&self, pixels: &mut [f32], at: (f64, f64), draw: &mut Draw) {
        let (angle, ratio) = (draw.between(0.0, 3.1), draw.between(0.4, 0.95));
        let (scale, peak) = (
            self.width * draw.between(1.3, 2.6),
            draw.between(12.0, 45.0),
        );
        let (sin, cos) = (libm::sin(angle), libm::cos(angle));
        self.paint(pixels, |x, y| {
            let (dx, dy) = (x - at.0, y - at.1);
            let (along, across) = (dx * cos + dy * sin, (dy * cos - dx * sin) / ratio);
            peak * libm::exp(-(along * along + across * across).sqrt() / scale)
        });
    }

    fn paint(&self, pixels: &mut [f32], brightness: impl Fn(f64, f64) -> f64) {
        for (at, pixel) in pixels.iter_mut().enumerate() {
            *pixel += brightness((at % self.side) as f64, (at / self.side) as f64) as f32;
        }
    }

    /// What is on the template besides noise: host or star, and a field star or two.
    fn background(&self, scene: Scene, geometry: u32, pixels: &mut [f32], draw: &mut Draw) {
        match scene {
            Scene::Hosted => {
                if let Some((east, north)) = host_offset(geometry, self.survey) {
                    let pixel = self.pixel_arcsec();
                    // East is left; the host is on the other side of the source's offset from it.
                    self.galaxy(
                        pixels,
                        (self.at.0 + east / pixel, self.at.1 - north / pixel),
                        draw,
                    );
                }
            }
            Scene::Nucleus => {
                self.galaxy(pixels, self.at, draw);
                self.star(pixels, self.at, self.width, NUCLEUS);
            }
            Scene::Star | Scene::Dipole => self.star(pixels, self.at, self.width, STAR),
            Scene::Trail | Scene::CosmicRay => {}
        }
        for _ in 0..draw.below(3) {
            let side = self.side as f64;
            let at = (draw.between(0.0, side), draw.between(0.0, side));
            self.star(pixels, at, self.width, draw.between(60.0, 600.0));
        }
    }

    /// What the science image has beyond the template.
    fn change(&self, key: Key) -> Vec<f32> {
        let mut pixels = vec![0.0; self.side * self.side];
        let ratio = STEPS[usize::from(key.step)].1;
        // Flux at which a matched filter finds that signal-to-noise ratio in pixels of unit noise.
        let flux = ratio
            * self.width
            * (4.0 * std::f64::consts::PI).sqrt()
            * if key.negative { -1.0 } else { 1.0 };
        match key.scene {
            Scene::Trail => {
                for step in -2..=2 {
                    let at = (
                        self.at.0 - f64::from(step) * 0.4,
                        self.at.1 + f64::from(step) * 0.1,
                    );
                    self.star(&mut pixels, at, self.width, flux / 5.0);
                }
            }
            Scene::Dipole => {
                let half = 0.45 * self.width;
                self.star(
                    &mut pixels,
                    (self.at.0 - half, self.at.1),
                    self.width,
                    3.0 * flux,
                );
                self.star(
                    &mut pixels,
                    (self.at.0 + half, self.at.1),
                    self.width,
                    -2.7 * flux,
                );
            }
            Scene::CosmicRay => self.star(&mut pixels, self.at, 0.3 * self.width, 0.6 * flux),
            // What fades cannot lose more than it has.
            Scene::Star => self.star(&mut pixels, self.at, self.width, flux.max(-0.9 * STAR)),
            Scene::Nucleus => self.star(&mut pixels, self.at, self.width, flux.max(-0.9 * NUCLEUS)),
            Scene::Hosted => self.star(&mut pixels, self.at, self.width, flux),
        }
        pixels
    }

    const fn pixel_arcsec(&self) -> f64 {
        match self.survey {
            SimSurvey::Ztf => 1.01,
            SimSurvey::Lsst => 0.2,
        }
    }

    /// Pixels to FITS, in the survey's units.
    fn encode(&self, pixels: &[f32], image: Image) -> Bytes {
        match self.survey {
            // ZTF's images keep their sky, some 150 DN with a noise of 6; differences have none.
            SimSurvey::Ztf => {
                let sky = if image == Image::Difference {
                    0.0
                } else {
                    150.0
                };
                let counts: Vec<f32> = pixels.iter().map(|pixel| sky + 6.0 * pixel).collect();
                Bytes::from(fits::ztf_stamp(&counts, self.side))
            }
            SimSurvey::Lsst => {
                let sigma = 45.0;
                let noise = if image == Image::Template {
                    TEMPLATE_NOISE as f32
                } else {
                    1.0
                };
                let flux: Vec<f32> = pixels.iter().map(|pixel| sigma * pixel).collect();
                let variance: Vec<f32> = pixels
                    .iter()
                    .map(|p| sigma * sigma * (noise * noise + p.max(0.0) * 0.01))
                    .collect();
                Bytes::from(fits::lsst_stamp(&flux, &variance, &self.psf()))
            }
        }
    }

    /// The point-spread function, centred and of sum 1.
    fn psf(&self) -> Vec<f64> {
        let canvas = Self {
            side: LSST_PSF_SIDE,
            ..*self
        };
        let mut pixels = vec![0.0; LSST_PSF_SIDE * LSST_PSF_SIDE];
        let middle = (LSST_PSF_SIDE as f64 - 1.0) / 2.0;
        canvas.star(&mut pixels, (middle, middle), self.width, 1.0);
        let sum: f64 = pixels.iter().map(|pixel| f64::from(*pixel)).sum();
        pixels.iter().map(|pixel| f64::from(*pixel) / sum).collect()
    }
}

/// Where a transient of this geometry is from the centre of its galaxy, east and north `[arcsec]`; `None` when it has none.
pub(crate) fn host_offset(geometry: u32, survey: SimSurvey) -> Option<(f64, f64)> {
    let mut draw = Draw::at(&[0x686f_7374, u64::from(geometry)]);
    let scale = match survey {
        SimSurvey::Ztf => 4.0,
        SimSurvey::Lsst => 0.9,
    };
    let (distance, angle) = (
        scale * draw.unit(),
        draw.between(0.0, std::f64::consts::TAU),
    );
    (geometry % 8 != 7).then(|| (distance * libm::sin(angle), distance * libm::cos(angle)))
}
