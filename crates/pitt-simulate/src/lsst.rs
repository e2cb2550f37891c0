//! LSST packets: Confluent wire format (a zero byte, the schema id in four big-endian bytes, the datum), schema 11.0.
//!
//! As on Rubin's wire a missing float is NaN in the value branch, not null; `ssObjectId` and `parentDiaSourceId` are 0
//! when there is none. Solar System bodies come with `ssSource` and `mpc_orbits` and without `diaObject` and history.

use crate::alert::Alert;
use crate::avro::Datum;
use crate::config::SimSurvey;
use crate::fits;
use crate::light::Class;
use crate::measure::{Observation, pixel};
use crate::random::Draw;
use crate::scene::Stamps;
use crate::schedule::Exposure;
use crate::sky::Source;

/// Days of history in a packet.
const HISTORY_D: f64 = 365.0;
/// Pixels in a point-source fit.
const PSF_PIXELS: i64 = 1681;
const MISSING: f32 = f32::NAN;

/// Identifier of the detection in a slot: serial number of the exposure, slot, and ten bits that say what it is.
pub(crate) fn dia_source_id(exposure: &Exposure, slot: u32) -> i64 {
    (exposure.serial() << 30 | u64::from(slot) << 10 | 1) as i64
}

fn dia_forced_source_id(exposure: &Exposure, slot: u32) -> i64 {
    dia_source_id(exposure, slot) + 2
}

/// Identity of a source in the survey's tables.
pub(crate) struct Identity {
    /// Identifier of the object's first detection, as Rubin does it; `None` for Solar System bodies.
    pub(crate) dia_object_id: Option<i64>,
    /// Zero outside the Solar System.
    pub(crate) ss_object_id: i64,
}

impl Identity {
    pub(crate) fn of(alert: &Alert<'_>) -> Self {
        let source = alert.source;
        if let Some(motion) = &source.motion {
            return Self {
                dia_object_id: None,
                ss_object_id: crate::solar::ss_object_id(motion.number),
            };
        }
        let first = alert
            .detections()
            .next()
            .map_or(alert.now(), |(exposure, _)| exposure);
        Self {
            dia_object_id: Some(dia_source_id(first, source.slot)),
            ss_object_id: 0,
        }
    }
}

/// The wire message of one alert.
pub(crate) fn message(alert: &Alert<'_>, identity: &Identity, stamps: &Stamps) -> Vec<u8> {
    let images = [&stamps.difference, &stamps.science, &stamps.template];
    let history = 700 * alert.detections().count() + 120 * alert.past.len();
    let mut out = Datum::with_capacity(
        4000 + history + images.map(|image| image.len()).iter().sum::<usize>(),
    );
    let (now, seen) = (alert.now(), alert.seen_now());
    out.0.push(0);
    out.0
        .extend_from_slice(&crate::schema::LSST_SCHEMA_ID.to_be_bytes());
    out.long(dia_source_id(now, alert.source.slot));
    out.some_text("simulated");
    out.some_text("simulated, wide fast deep");
    dia_source(&mut out, alert.source, now, seen, identity);
    match identity.dia_object_id {
        Some(object) => {
            previous(&mut out, alert, identity);
            forced(&mut out, alert, object);
            crate::dia_object::write(&mut out, alert, object);
            out.nulls(2);
        }
        None => {
            out.nulls(3);
            crate::solar::write(&mut out, alert, identity.ss_object_id);
        }
    }
    let position = seen.position(alert.source, now);
    for image in images {
        out.some().long(image.len() as i64);
        let begin = out.0.len();
        out.0.extend_from_slice(image);
        fits::set_center(&mut out.0[begin..], position.ra, position.dec);
    }
    out.0
}

fn previous(out: &mut Datum, alert: &Alert<'_>, identity: &Identity) {
    let mut items = Datum::with_capacity(700 * alert.detections().count());
    let mut count = 0;
    let since = alert.now().jd_utc - HISTORY_D;
    for (exposure, seen) in alert
        .detections()
        .filter(|(exposure, _)| exposure.jd_utc >= since)
    {
        dia_source(&mut items, alert.source, exposure, seen, identity);
        count += 1;
    }
    out.some_array(count, &items.0);
}

fn forced(out: &mut Datum, alert: &Alert<'_>, object: i64) {
    let mut items = Datum::with_capacity(120 * alert.past.len());
    let mut count = 0;
    let since = alert.now().jd_utc - HISTORY_D;
    for (exposure, seen) in alert
        .since_first_detection()
        .filter(|(exposure, _)| exposure.jd_utc >= since)
    {
        forced_source(&mut items, alert.source, exposure, seen, object);
        count += 1;
    }
    out.some_array(count, &items.0);
}

/// Measured on the object's position rather than the detection's: a little fainter.
fn forced_source(
    out: &mut Datum,
    source: &Source,
    exposure: &Exposure,
    seen: &Observation,
    object: i64,
) {
    let (detector, _, _) = pixel(source, exposure);
    let flux = seen.flux - 0.02 * seen.err;
    out.long(dia_forced_source_id(exposure, source.slot));
    out.long(object);
    out.double(source.ra);
    out.double(source.dec);
    out.long(exposure.visit());
    out.long(i64::from(detector));
    out.some_floats(&[flux as f32, seen.err as f32]);
    out.double(exposure.mjd_tai);
    out.some_floats(&[(flux + seen.template) as f32, seen.err as f32]);
    out.some_text(exposure.band.as_str());
    out.double(processed_mjd(exposure));
    out.nulls(1);
}

/// Two minutes after the exposure.
pub(crate) fn processed_mjd(exposure: &Exposure) -> f64 {
    exposure.mjd_tai + 120.0 / 86_400.0
}

fn dia_source(
    out: &mut Datum,
    source: &Source,
    exposure: &Exposure,
    seen: &Observation,
    identity: &Identity,
) {
    debug_assert_eq!(exposure.survey, SimSurvey::Lsst);
    let mut draw = seen.draw(0x6469_6173);
    out.long(dia_source_id(exposure, source.slot));
    out.long(exposure.visit());
    let (detector, x, y) = pixel(source, exposure);
    out.long(i64::from(detector));
    match identity.dia_object_id {
        Some(object) => out.some_long(object),
        None => out.nulls(1),
    }
    out.some_long(identity.ss_object_id);
    out.some_long(0);
    out.double(exposure.mjd_tai);
    centroid(out, source, exposure, seen, (x, y));
    fluxes(out, seen, &mut draw);
    trail(out, source, exposure, seen, &mut draw);
    dipole(out, source, seen, &mut draw);
    let template_err = 0.15 * seen.err;
    out.some_floats(&[(seen.template + seen.flux) as f32, (1.01 * seen.err) as f32]);
    out.some_falses(3);
    out.some_floats(&[seen.template as f32, template_err as f32]);
    moments(out, source, exposure, &mut draw);
    out.some_float(seen.score(source) as f32);
    out.some_text(exposure.band.as_str());
    flags(out, source, exposure, &mut draw);
}

/// ra to centroid_flag.
fn centroid(
    out: &mut Datum,
    source: &Source,
    exposure: &Exposure,
    seen: &Observation,
    (x, y): (f64, f64),
) {
    let position = seen.position(source, exposure);
    let err_deg = (position.err_arcsec / 3600.0) as f32;
    let err_px = (position.err_arcsec / 0.2) as f32;
    out.double(position.ra);
    out.some_float(err_deg);
    out.double(position.dec);
    out.some_float(err_deg);
    out.some_float(0.05 * err_deg * err_deg);
    out.float(x as f32);
    out.some_float(err_px);
    out.float(y as f32);
    out.some_float(err_px);
    out.some_bool(false);
}

/// apFlux to psfFlux_flag_noGoodPixels.
fn fluxes(out: &mut Datum, seen: &Observation, draw: &mut Draw) {
    let aperture = seen.flux + 0.6 * seen.err * draw.normal();
    out.some_floats(&[aperture as f32, (1.6 * seen.err) as f32]);
    out.some_falses(2);
    out.some_bool(seen.flux < 0.0);
    let chi2 = PSF_PIXELS as f64 + 58.0 * draw.normal();
    out.some_floats(&[
        seen.snr() as f32,
        seen.flux as f32,
        seen.err as f32,
        MISSING,
        chi2 as f32,
    ]);
    out.long(PSF_PIXELS);
    out.some_falses(3);
}

/// trailFlux to trail_flag_edge.
fn trail(
    out: &mut Datum,
    source: &Source,
    exposure: &Exposure,
    seen: &Observation,
    draw: &mut Draw,
) {
    let position = seen.position(source, exposure);
    let flux = seen.flux * draw.between(0.99, 1.05);
    // A body that moves for the 30 s of an exposure; otherwise the fit finds a stub.
    let (length, angle) = match &source.motion {
        Some(motion) => {
            let (east, north) = motion.rate;
            let moved = (east * east + north * north).sqrt() * 3600.0 * 30.0 / 86_400.0;
            (
                moved + 0.3 * draw.unit(),
                libm::atan2(east, north).to_degrees(),
            )
        }
        None => (draw.between(0.2, 1.2), draw.between(-180.0, 180.0)),
    };
    out.some_floats(&[flux as f32, (0.02 * seen.err) as f32]);
    out.some_double(position.ra);
    out.some_float(MISSING);
    out.some_double(position.dec);
    out.some_float(MISSING);
    out.some_floats(&[length as f32, MISSING, angle as f32, MISSING, MISSING]);
    out.long(0);
    out.some_bool(false);
}

/// dipoleMeanFlux to dipoleNdata.
fn dipole(out: &mut Datum, source: &Source, seen: &Observation, draw: &mut Draw) {
    if !is_dipole(source) {
        out.some_floats(&[MISSING; 7]);
        return out.long(0);
    }
    let mean = 20.0 * seen.flux.abs();
    let values = [
        mean,
        seen.err,
        seen.flux,
        1.4 * seen.err,
        draw.between(0.1, 0.5),
        draw.between(-180.0, 180.0),
        PSF_PIXELS as f64 + 58.0 * draw.normal(),
    ];
    out.some_floats(&values.map(|value| value as f32));
    out.long(PSF_PIXELS);
}

fn is_dipole(source: &Source) -> bool {
    source.class == Class::Bogus && !source.geometry.is_multiple_of(3)
}

/// ixx to extendedness.
fn moments(out: &mut Datum, source: &Source, exposure: &Exposure, draw: &mut Draw) {
    let psf = (exposure.seeing / 2.355) * (exposure.seeing / 2.355);
    let wide = if source.class == Class::Bogus {
        draw.between(0.2, 2.5)
    } else {
        draw.between(0.9, 1.15)
    };
    let tilt = 0.05 * psf * draw.normal();
    out.some_floats(
        &[
            psf * wide,
            psf * wide * 0.95,
            tilt,
            psf,
            psf * 0.98,
            0.02 * psf,
        ]
        .map(|value| value as f32),
    );
    out.some_falses(4);
    out.some_float(if source.class == Class::Bogus {
        draw.unit() as f32
    } else {
        (0.08 * draw.unit()) as f32
    });
}

/// isDipole to glint_trail.
fn flags(out: &mut Datum, source: &Source, exposure: &Exposure, draw: &mut Draw) {
    let bogus = source.class == Class::Bogus;
    out.some_bool(is_dipole(source));
    out.some_bool(is_dipole(source));
    out.double(processed_mjd(exposure));
    out.nulls(1);
    out.long(20 + draw.below(30) as i64);
    let cosmic_ray = bogus && !is_dipole(source);
    out.some_falses(2);
    out.some_bool(cosmic_ray);
    out.some_bool(cosmic_ray);
    out.some_falses(3);
    out.some_bool(cosmic_ray);
    out.some_bool(cosmic_ray);
    out.some_falses(12);
}
