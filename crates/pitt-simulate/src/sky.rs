//! What is in the sky: every field has slots, every slot a source, every source is a pure function of its number.
//!
//! A slot of a variable star or an active galaxy holds the same source for ever. A slot of a transient holds one after
//! the other (generations of [`GENERATION_D`] days), so that in any night some rise and some fade. Nothing is stored.

use crate::brightness::flux_njy;
use crate::config::{SimSurvey, SimulationConfig};
use crate::light::{Class, Light};
use crate::random::Draw;
use crate::schedule::{Exposure, Schedule};

/// Days from one transient of a slot to the next.
const GENERATION_D: f64 = 100.0;
/// Kilonovae fade in days: a slot has one every three weeks, so that a short simulation shows some.
const GENERATION_KILONOVA_D: f64 = 21.0;
/// Days for which an asteroid stays in its field.
const GENERATION_ASTEROID_D: f64 = 12.0;

/// Generations of a slot that have numbers of their own.
const GENERATIONS: u64 = 64;

/// Share of each class among the slots, cumulative.
const SHARES: [(f64, Class); 8] = [
    (0.16, Class::SupernovaIa),
    (0.26, Class::CoreCollapse),
    (0.28, Class::Kilonova),
    (0.45, Class::RrLyrae),
    (0.52, Class::EclipsingBinary),
    (0.62, Class::Mira),
    (0.84, Class::Agn),
    (1.01, Class::Asteroid),
];

/// The galaxy a source is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Host {
    /// r magnitude.
    pub(crate) mag: f64,
    /// Source from the galaxy's centre `[arcsec]` along right ascension and declination.
    pub(crate) offset: (f64, f64),
}

/// Motion of an asteroid.
#[derive(Clone, Debug)]
pub(crate) struct Motion {
    /// Along right ascension (with cos(dec)) and declination `[deg/d]`.
    pub(crate) rate: (f64, f64),
    /// Time at which it is at the source's position, MJD (TAI).
    pub(crate) epoch_mjd: f64,
    /// Semi-major axis of its orbit `[au]`.
    pub(crate) semi_major_au: f64,
    /// Its designation and id come of this number.
    pub(crate) number: u64,
}

/// A source in the sky.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// What it is.
    pub(crate) class: Class,
    /// Place in its field, unique within a visit.
    pub(crate) slot: u32,
    /// Number among all sources of the survey.
    pub(crate) number: u64,
    /// Address of this source's draws.
    pub(crate) key: u64,
    /// Right ascension `[deg]`, ICRS; of an asteroid at its epoch.
    pub(crate) ra: f64,
    /// Declination `[deg]`, ICRS; likewise.
    pub(crate) dec: f64,
    /// How its brightness changes.
    pub(crate) light: Light,
    /// The galaxy it is in: of active nuclei, and of seven in eight transients.
    pub(crate) host: Option<Host>,
    /// `None` for what stands still.
    pub(crate) motion: Option<Motion>,
    /// Which of the pool's geometries its stamps have.
    pub(crate) geometry: u32,
    /// Brightness of the host galaxy under the source and of the source itself on the template, u to y `[nJy]`.
    pub(crate) template_njy: [f64; 6],
}

/// Geometries of stamps: places of host galaxies and centroids. A power of two.
pub(crate) const GEOMETRIES: u32 = 16;

/// The whole sky of one survey.
#[derive(Clone, Debug)]
pub(crate) struct Sky {
    survey: SimSurvey,
    seed: u64,
    slots: u32,
    fields: u32,
    visits_per_night: u32,
    alerts_per_visit: u32,
    start_mjd: f64,
    days: u32,
    /// Right ascension opposite to the Sun on the first night `[deg]`.
    opposition_ra: f64,
    /// What ZTF's names count from, of 48 bits: another sky has other names, so that an archive of both takes no two objects for one.
    first_name: u64,
}

impl Sky {
    /// The sky over a schedule: positions lie around the point opposite to the Sun.
    pub(crate) fn new(schedule: &Schedule, survey: SimSurvey, config: &SimulationConfig) -> Self {
        // Mean longitude of the Sun, good to two degrees: 2000-03-20 at 0 deg.
        let sun = (schedule.first_mjd() - 51_623.3) * (360.0 / 365.242_2);
        Self {
            survey,
            seed: schedule.seed(),
            slots: (f64::from(config.alerts_per_visit) * 0.92) as u32,
            fields: schedule.fields(),
            visits_per_night: config.visits_per_night,
            alerts_per_visit: config.alerts_per_visit,
            start_mjd: schedule.start_mjd(),
            days: schedule.total_nights() + 2,
            opposition_ra: wrap(sun + 180.0),
            first_name: Draw::at(&[
                schedule.seed(),
                0x6e61_6d65,
                schedule.first_mjd().to_bits(),
                u64::from(config.alerts_per_visit),
            ])
            .bits()
                >> 16,
        }
    }

    /// Slots of sources in each field: never more than alerts in a visit.
    pub(crate) fn slots(&self) -> u32 {
        self.slots
    }

    /// Centre of a field `[deg]`: a patch of the sky opposite to the Sun, fields side by side.
    pub(crate) fn center(&self, field: u32) -> (f64, f64) {
        let (spacing, middle) = match self.survey {
            SimSurvey::Ztf => (6.5, 18.0),
            SimSurvey::Lsst => (3.2, -22.0),
        };
        let columns = f64::from(self.fields).sqrt().ceil().max(1.0);
        let (row, column) = (
            (f64::from(field) / columns).floor(),
            f64::from(field) % columns,
        );
        let dec: f64 = middle + (row - columns / 2.0) * spacing;
        let dec = dec.clamp(-85.0, 85.0);
        let step = (column - columns / 2.0) * spacing / libm::cos(dec.to_radians());
        (wrap(self.opposition_ra + step), dec)
    }

    /// The source that slot `slot` shows to this exposure.
    pub(crate) fn source(&self, slot: u32, exposure: &Exposure) -> Source {
        let field = exposure.field;
        let class = self.class(field, slot);
        let period = match class {
            Class::Kilonova => GENERATION_KILONOVA_D,
            Class::Asteroid => GENERATION_ASTEROID_D,
            class if class.is_transient() => GENERATION_D,
            _ => f64::INFINITY,
        };
        let begin = self.start_mjd - 400.0
            + Draw::at(&[self.seed, 0x736c_6f74, u64::from(field), u64::from(slot)]).unit()
                * period.min(GENERATION_D);
        let generation = ((exposure.mjd_tai - begin) / period).floor().max(0.0);
        let began_mjd = if period.is_finite() {
            begin + generation * period
        } else {
            begin
        };
        let place = u64::from(field) * u64::from(self.slots) + u64::from(slot);
        let number = place * GENERATIONS + generation as u64 % GENERATIONS;
        let key = Draw::at(&[self.seed, 0x736f_7572, number]).bits();
        self.build(class, slot, number, key, field, began_mjd)
    }

    fn class(&self, field: u32, slot: u32) -> Class {
        // Golden-ratio steps: even a handful of slots has a bit of everything.
        let place = f64::from(slot) * 0.618_033_988_749_895 + f64::from(field) * 0.381_966 + 0.3;
        let fraction = place - place.floor();
        SHARES
            .iter()
            .find(|(share, _)| fraction < *share)
            .map_or(Class::Asteroid, |(_, class)| *class)
    }

    fn build(
        &self,
        class: Class,
        slot: u32,
        number: u64,
        key: u64,
        field: u32,
        began_mjd: f64,
    ) -> Source {
        let mut draw = Draw::at(&[key]);
        let (ra, dec) = self.place(field, &mut draw);
        let light = match class {
            class if class.is_transient() => self.transient(class, began_mjd, &mut draw),
            class if class.is_star() => self.star(class, &mut draw),
            Class::Agn => self.agn(key, &mut draw),
            _ => Light::Steady {
                mag: self.depth() - draw.between(0.3, 3.8),
                amplitude: draw.between(0.02, 0.2),
                period_d: draw.between(0.12, 0.6),
            },
        };
        let geometry = (draw.bits() as u32) & (GEOMETRIES - 1);
        let host = host(class, &light, geometry, self.survey, &mut draw);
        let motion = (class == Class::Asteroid).then(|| motion(began_mjd, number, &mut draw));
        let template_njy = templates(&light, host);
        Source {
            class,
            slot,
            number,
            key,
            ra,
            dec,
            light,
            host,
            motion,
            geometry,
            template_njy,
        }
    }

    /// Number of an object that is seen in one exposure only; beyond the numbers of lasting sources.
    pub(crate) fn one_off(&self, exposure: &Exposure, slot: u32) -> u64 {
        let lasting = u64::from(self.fields) * u64::from(self.slots) * GENERATIONS;
        let visit =
            u64::from(exposure.night) * u64::from(self.visits_per_night) + u64::from(exposure.seq);
        // A visit goes through all slots of its field, then through as many fillers as alerts are still missing.
        let slots = u64::from(self.slots) + u64::from(self.alerts_per_visit);
        lasting + visit * slots + u64::from(slot)
    }

    /// A detection of nothing: filler `slot` of an exposure.
    pub(crate) fn bogus(&self, slot: u32, exposure: &Exposure) -> Source {
        let key = Draw::at(&[exposure.key, 0x626f_6775, u64::from(slot)]).bits();
        let mut draw = Draw::at(&[key]);
        let (ra, dec) = self.place(exposure.field, &mut draw);
        let snr = 5.2 + draw.unit() * draw.unit() * 20.0;
        let mag = crate::brightness::mag(exposure.sigma_njy * snr);
        Source {
            class: Class::Bogus,
            slot,
            number: self.one_off(exposure, slot),
            key,
            ra,
            dec,
            light: Light::Steady {
                mag,
                amplitude: 0.0,
                period_d: 1.0,
            },
            host: None,
            motion: None,
            geometry: (draw.bits() as u32) & (GEOMETRIES - 1),
            template_njy: [0.0; 6],
        }
    }

    /// The name ZTF gives a source: its year is that of its discovery.
    pub(crate) fn ztf_object_id(&self, source: &Source, exposure: &Exposure) -> String {
        let this_year = exposure.date / 10_000;
        let (number, year) = match source.class {
            // Each detection of a moving object is a new object.
            Class::Asteroid => (self.one_off(exposure, source.slot), this_year),
            Class::Bogus => (source.number, this_year),
            class if class.is_transient() => {
                (source.number, source.peak_mjd().map_or(this_year, year_of))
            }
            _ => (source.number, 2018 + (source.key % 5) as i32),
        };
        crate::ztf::object_id(self.first_name + number, year)
    }

    /// A position in a field.
    fn place(&self, field: u32, draw: &mut Draw) -> (f64, f64) {
        let (ra, dec) = self.center(field);
        let half = match self.survey {
            SimSurvey::Ztf => 3.0,
            SimSurvey::Lsst => 1.5,
        };
        let dec = dec + draw.between(-half, half);
        (
            wrap(ra + draw.between(-half, half) / libm::cos(dec.to_radians())),
            dec,
        )
    }

    /// Typical depth `[mag]`, on which brightnesses are scaled.
    fn depth(&self) -> f64 {
        match self.survey {
            SimSurvey::Ztf => 20.6,
            SimSurvey::Lsst => 24.2,
        }
    }

    fn transient(&self, class: Class, began_mjd: f64, draw: &mut Draw) -> Light {
        let (absolute, rise_d) = match class {
            Class::Kilonova => (-16.0 + 0.4 * draw.normal(), 1.0),
            Class::CoreCollapse => (-17.2 + 0.6 * draw.normal(), 12.0),
            _ => (-19.3 + 0.15 * draw.normal(), 30.0),
        };
        // Volume-weighted between a tenth of, and the whole, distance at which the peak is 1.2 mag above the limit.
        let farthest = redshift_at(self.depth() - 1.2 - absolute);
        let redshift = farthest * libm::cbrt(draw.between(0.001, 1.0));
        Light::Transient {
            class,
            peak_mjd: began_mjd + rise_d,
            peak_mag: absolute + distance_modulus(redshift),
            redshift,
        }
    }

    fn star(&self, class: Class, draw: &mut Draw) -> Light {
        let (period_d, amplitude, color) = match class {
            Class::RrLyrae => (
                draw.between(0.44, 0.72),
                draw.between(0.5, 1.0),
                draw.between(0.1, 0.3),
            ),
            Class::EclipsingBinary => (
                draw.between(0.35, 4.5),
                draw.between(0.25, 0.9),
                draw.between(0.2, 1.0),
            ),
            _ => (
                draw.between(150.0, 450.0),
                draw.between(2.5, 5.5),
                draw.between(1.4, 2.2),
            ),
        };
        Light::Periodic {
            class,
            period_d,
            epoch_mjd: self.start_mjd - draw.unit() * period_d,
            mean_mag: self.depth() - draw.between(2.0, 6.0),
            amplitude,
            color,
        }
    }

    /// A damped random walk (Kelly, Bechtold & Siemiginowska 2009, doi:10.1088/0004-637X/698/1/895).
    fn agn(&self, key: u64, draw: &mut Draw) -> Light {
        let (sigma, tau_d) = (draw.between(0.15, 0.45), draw.between(60.0, 400.0));
        let keep = libm::exp(-1.0 / tau_d);
        let kick = sigma * (1.0 - keep * keep).sqrt();
        let mut steps = Draw::at(&[key, 0x7761_6c6b]);
        let mut value = sigma * steps.normal();
        let walk = (0..self.days)
            .map(|_| {
                value = value * keep + kick * steps.normal();
                value as f32
            })
            .collect();
        Light::Agn {
            walk,
            start_mjd: self.start_mjd,
            mean_mag: self.depth() - draw.between(2.0, 5.5),
        }
    }
}

impl Source {
    /// True position at a time `[deg]`.
    pub(crate) fn position(&self, mjd_tai: f64) -> (f64, f64) {
        let Some(Motion {
            rate, epoch_mjd, ..
        }) = &self.motion
        else {
            return (self.ra, self.dec);
        };
        let days = mjd_tai - epoch_mjd;
        (
            wrap(self.ra + days * rate.0 / libm::cos(self.dec.to_radians())),
            self.dec + days * rate.1,
        )
    }

    /// Redshift of a transient; `None` for anything else.
    pub(crate) fn redshift(&self) -> Option<f64> {
        match self.light {
            Light::Transient { redshift, .. } => Some(redshift),
            _ => None,
        }
    }

    /// Period of a variable star `[d]`; `None` for anything else.
    pub(crate) fn period_d(&self) -> Option<f64> {
        match self.light {
            Light::Periodic { period_d, .. } => Some(period_d),
            _ => None,
        }
    }

    /// Time of a transient's peak, MJD (TAI); `None` for anything else.
    pub(crate) fn peak_mjd(&self) -> Option<f64> {
        match self.light {
            Light::Transient { peak_mjd, .. } => Some(peak_mjd),
            _ => None,
        }
    }
}

fn templates(light: &Light, host: Option<Host>) -> [f64; 6] {
    let host = host.map_or(0.0, |host| {
        let (x, y) = host.offset;
        // What lies under the point-spread function: the galaxy fades by a factor e every two arcsec.
        0.15 * flux_njy(host.mag) * libm::exp(-(x * x + y * y).sqrt() / 2.0)
    });
    pitt_sky::band::Band::ALL.map(|band| host + light.template_njy(band))
}

fn motion(began_mjd: f64, number: u64, draw: &mut Draw) -> Motion {
    let a = draw.between(2.1, 3.3);
    // Two circular orbits seen at opposition: the Earth overtakes, the asteroid moves west.
    let rate = 0.9856 * (1.0 - 1.0 / a.sqrt()) / (a - 1.0) * draw.between(0.85, 1.1);
    let angle = draw.between(-0.5, 0.5);
    Motion {
        rate: (-rate * libm::cos(angle), rate * libm::sin(angle)),
        epoch_mjd: began_mjd + GENERATION_ASTEROID_D / 2.0,
        semi_major_au: a,
        number,
    }
}

fn host(
    class: Class,
    light: &Light,
    geometry: u32,
    survey: SimSurvey,
    draw: &mut Draw,
) -> Option<Host> {
    let Light::Transient { redshift, .. } = light else {
        return (class == Class::Agn).then(|| Host {
            mag: 18.0 + draw.between(-1.5, 2.0),
            offset: (0.0, 0.0),
        });
    };
    // One geometry of eight is hostless.
    let offset = crate::scene::host_offset(geometry, survey)?;
    Some(Host {
        mag: -20.5 + distance_modulus(*redshift) + 0.8 * draw.normal(),
        offset,
    })
}

/// Distance modulus for H0 = 70 km/s/Mpc, q0 = -0.55, to second order in z (good to 0.05 mag below z = 0.5).
fn distance_modulus(redshift: f64) -> f64 {
    let distance_mpc = 4282.7 * redshift * (1.0 + 0.775 * redshift);
    25.0 + 5.0 * libm::log10(distance_mpc)
}

/// Redshift of a distance modulus, at most 0.7.
fn redshift_at(modulus: f64) -> f64 {
    let (mut low, mut high) = (1e-4, 0.7);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if distance_modulus(middle) < modulus {
            low = middle
        } else {
            high = middle
        }
    }
    low
}

fn year_of(mjd_tai: f64) -> i32 {
    pitt_sky::time::MjdTai(mjd_tai).to_utc().yyyymmdd() / 10_000
}

/// An angle in `[0, 360)`.
pub(crate) fn wrap(degrees: f64) -> f64 {
    let turned = degrees % 360.0;
    if turned < 0.0 { turned + 360.0 } else { turned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_source_is_the_same_in_every_exposure() {
        let schedule = Schedule::new(&SimulationConfig::default(), SimSurvey::Ztf);
        let sky = Sky::new(&schedule, SimSurvey::Ztf, &SimulationConfig::default());
        let exposures = schedule.exposures(0, 3);
        for slot in 0..sky.slots() {
            let (first, last) = (&exposures[0], &exposures[exposures.len() - 1]);
            let (early, late) = (sky.source(slot, first), sky.source(slot, last));
            assert_eq!(early.class, late.class);
            if early.number == late.number {
                assert_eq!((early.ra, early.key), (late.ra, late.key));
            } else {
                assert!(early.class.is_transient() || early.class == Class::Asteroid);
            }
        }
    }

    #[test]
    fn redshift_inverts_the_distance_modulus() {
        assert!((distance_modulus(redshift_at(39.0)) - 39.0).abs() < 1e-6);
    }
}
