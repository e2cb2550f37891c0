//! Solar System parts of an LSST packet: `ssSource` and `mpc_orbits`.
//!
//! Asteroids move in straight lines at the rate that a circular orbit of their size has at opposition. Positions, rates
//! and distances agree with that; the orbital elements are of the right kind, but are not fit to the motion.

use crate::alert::Alert;
use crate::avro::Datum;
use crate::light::Light;
use crate::lsst::dia_source_id;
use crate::random::Draw;
use crate::sky::{Motion, wrap};

/// Obliquity of the ecliptic at J2000 `[deg]`.
const OBLIQUITY: f64 = 23.439_279_4;

/// The packed provisional designation of number `number`, as `K24A12B`: year (1900 to 2025), half month, letter
/// and cycle.
fn packed(number: u64) -> [u8; 7] {
    const LETTERS: &[u8] = b"ABCDEFGHJKLMNOPQRSTUVWXYZ";
    const CYCLES: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // Coprime to the number of names, so that distinct numbers below it have distinct names.
    let mut rest = number.wrapping_mul(104_729) % (126 * 24 * 620 * 25);
    let mut take = |n: u64| {
        let part = rest % n;
        rest /= n;
        part as usize
    };
    let (second, cycle, half, year) = (take(25), take(620), take(24), take(126));
    [
        b'J' + (year / 100) as u8,
        b'0' + (year / 10 % 10) as u8,
        b'0' + (year % 10) as u8,
        LETTERS[half],
        CYCLES[cycle / 10],
        b'0' + (cycle % 10) as u8,
        LETTERS[second],
    ]
}

/// The provisional designation in words, as `2024 AB12`.
pub(crate) fn designation(number: u64) -> String {
    let [century, tens, ones, half, cycle_tens, cycle_ones, second] =
        packed(number).map(char::from);
    let cycle_tens = match cycle_tens {
        digit @ '0'..='9' => digit as u32 - '0' as u32,
        upper @ 'A'..='Z' => upper as u32 - 'A' as u32 + 10,
        lower => lower as u32 - 'a' as u32 + 36,
    };
    let cycle = cycle_tens * 10 + cycle_ones.to_digit(10).unwrap_or(0);
    let cycle = if cycle == 0 {
        String::new()
    } else {
        cycle.to_string()
    };
    format!(
        "{}{tens}{ones} {half}{second}{cycle}",
        if century == 'J' { 19 } else { 20 }
    )
}

/// Identifier of a body: the bytes of its packed designation, as Rubin makes it.
pub(crate) fn ss_object_id(number: u64) -> i64 {
    packed(number)
        .iter()
        .fold(0, |id, byte| id << 8 | i64::from(*byte))
}

/// Where a body is, seen from the Sun and the Earth.
struct Geometry {
    topo_range: f64,
    helio_range: f64,
    phase_deg: f64,
    elongation_deg: f64,
    /// Unit vector to the body.
    direction: [f64; 3],
}

fn geometry(motion: &Motion, days: f64, ra: f64, dec: f64) -> Geometry {
    let elongation_deg = 180.0 - (2.0 + 0.8 * days.abs());
    let helio_range = motion.semi_major_au;
    let cos = libm::cos(elongation_deg.to_radians());
    // The triangle Sun, Earth (1 au), body.
    let topo_range = cos + (helio_range * helio_range - 1.0 + cos * cos).sqrt();
    let sine = libm::sin(elongation_deg.to_radians()) / helio_range;
    let (ra, dec) = (ra.to_radians(), dec.to_radians());
    Geometry {
        topo_range,
        helio_range,
        phase_deg: libm::asin(sine.clamp(-1.0, 1.0)).to_degrees(),
        elongation_deg,
        direction: [
            libm::cos(dec) * libm::cos(ra),
            libm::cos(dec) * libm::sin(ra),
            libm::sin(dec),
        ],
    }
}

/// Writes the nullable `ssSource` and `mpc_orbits`; two nulls for a source that does not move.
pub(crate) fn write(out: &mut Datum, alert: &Alert<'_>, ss_object_id: i64) {
    let Some(motion) = &alert.source.motion else {
        return out.nulls(2);
    };
    let (ra, dec) = alert.source.position(alert.now().mjd_tai);
    let seen = geometry(motion, alert.now().mjd_tai - motion.epoch_mjd, ra, dec);
    ss_source(out, alert, motion, &seen, ss_object_id);
    orbit(out, alert, motion);
}

fn ss_source(
    out: &mut Datum,
    alert: &Alert<'_>,
    motion: &Motion,
    seen: &Geometry,
    ss_object_id: i64,
) {
    let now = alert.now();
    let position = alert.seen_now().position(alert.source, now);
    let (ra, dec) = alert.source.position(now.mjd_tai);
    out.some().long(dia_source_id(now, alert.source.slot));
    out.long(ss_object_id);
    out.some_text(&designation(motion.number));
    let (longitude, latitude) = ecliptic(position.ra, position.dec);
    let (galactic_l, galactic_b) = galactic(position.ra, position.dec);
    [longitude, latitude, galactic_l, galactic_b]
        .iter()
        .for_each(|angle| out.double(*angle));
    let distances = [
        seen.elongation_deg,
        seen.phase_deg,
        seen.topo_range,
        0.0,
        seen.helio_range,
        0.0,
    ];
    out.some_floats(&distances.map(|value| value as f32));
    out.some_double(ra);
    out.some_double(dec);
    prediction(out, alert, motion, position.offset_arcsec);
    vectors(out, motion, seen);
    out.some_long(1);
}

/// ephVmag to ephOffsetCrossTrack.
fn prediction(out: &mut Datum, alert: &Alert<'_>, motion: &Motion, offset_arcsec: (f64, f64)) {
    let (east, north) = motion.rate;
    let rate = (east * east + north * north).sqrt();
    let mag = match alert.source.light {
        Light::Steady { mag, .. } => mag,
        _ => f64::NAN,
    };
    out.some_floats(&[mag + 0.2, rate, east, north].map(|value| value as f32));
    let (off_east, off_north) = offset_arcsec;
    out.some_float((off_east * off_east + off_north * off_north).sqrt() as f32);
    out.some_double(off_east);
    out.some_double(off_north);
    let along = (off_east * east + off_north * north) / rate;
    let across = (off_east * north - off_north * east) / rate;
    out.some_floats(&[along as f32, across as f32]);
}

/// helio_x to topo_vtot.
fn vectors(out: &mut Datum, motion: &Motion, seen: &Geometry) {
    // Near opposition the Sun, the Earth and the body are almost in line.
    let helio = seen.direction.map(|part| part * seen.helio_range);
    let topo = seen.direction.map(|part| part * seen.topo_range);
    // Circular speed at that distance, 29.78 km/s at 1 au, eastward in the ecliptic.
    let speed = 29.78 / motion.semi_major_au.sqrt();
    let [x, y, _] = seen.direction;
    let across = (x * x + y * y).sqrt().max(1e-6);
    let helio_v = [-speed * y / across, speed * x / across, 0.0];
    let earth_v = [-29.78 * y / across, 29.78 * x / across, 0.0];
    let topo_v = [helio_v[0] - earth_v[0], helio_v[1] - earth_v[1], 0.0];
    for (place, velocity) in [(helio, helio_v), (topo, topo_v)] {
        let total = velocity.iter().map(|part| part * part).sum::<f64>().sqrt();
        out.some_floats(&place.map(|part| part as f32));
        out.some_floats(&velocity.map(|part| part as f32));
        out.some_float(total as f32);
    }
}

fn orbit(out: &mut Datum, alert: &Alert<'_>, motion: &Motion) {
    let mut draw = Draw::at(&[alert.source.key, 0x6f72_6269]);
    let name = designation(motion.number);
    out.some().long((motion.number & 0x7fff_ffff) as i64);
    out.text(&name);
    out.text(&String::from_utf8_lossy(&packed(motion.number)));
    out.text(&name);
    out.nulls(1);
    let updated_us = 1_760_000_000_000_000 + draw.below(10_000_000_000) as i64 * 1000;
    out.some_long(updated_us - 86_400_000_000);
    out.some_long(updated_us);
    let arc = draw.between(400.0, 6000.0);
    let observations = 20 + draw.below(400) as i64;
    [10, draw.below(4) as i64, 2 + draw.below(8) as i64]
        .iter()
        .for_each(|value| out.some_long(*value));
    out.some_double(arc);
    out.some_double(arc);
    out.some_long(observations);
    out.some_long(observations);
    elements(out, motion, &mut draw);
    let absolute = draw.between(15.0, 19.5);
    [
        61_000.0,
        absolute,
        0.15,
        0.4,
        0.5,
        motion.semi_major_au * 0.9 - 1.0,
    ]
    .iter()
    .for_each(|v| out.some_double(*v));
    out.some_long(updated_us);
}

/// a to mean_motion, and their uncertainties; the non-gravitational ones are missing.
fn elements(out: &mut Datum, motion: &Motion, draw: &mut Draw) {
    let (a, e) = (motion.semi_major_au, 0.2 * draw.unit());
    let angles = [18.0 * draw.unit(), 360.0 * draw.unit(), 360.0 * draw.unit()];
    let period_d = 365.256_36 * a * a.sqrt();
    let mean_anomaly = 360.0 * draw.unit();
    let passage = 61_000.0 - mean_anomaly / 360.0 * period_d;
    [a, a * (1.0 - e), e]
        .iter()
        .chain(&angles)
        .chain([&passage])
        .for_each(|value| out.some_double(*value));
    (0..6).for_each(|_| out.some_double(f64::NAN));
    [mean_anomaly, period_d, 360.0 / period_d]
        .iter()
        .for_each(|value| out.some_double(*value));
    [1e-8, 1e-7, 4e-8, 6e-6, 2e-5, 3e-5, 3e-4]
        .iter()
        .for_each(|value| out.some_double(*value));
    (0..6).for_each(|_| out.some_double(f64::NAN));
    [3e-5, 1e-5, 1e-9]
        .iter()
        .for_each(|value| out.some_double(*value));
}

/// Ecliptic longitude and latitude `[deg]`; on `libm`, unlike `pitt_sky::coords`, so that it is the same everywhere, and
/// without the frame bias between ICRS and J2000 (0.02 arcsec).
fn ecliptic(ra: f64, dec: f64) -> (f64, f64) {
    rotated(ra, dec, |[x, y, z]| {
        let (sin, cos) = (
            libm::sin(OBLIQUITY.to_radians()),
            libm::cos(OBLIQUITY.to_radians()),
        );
        [x, cos * y + sin * z, cos * z - sin * y]
    })
}

/// Galactic longitude and latitude `[deg]`. Rotation: Hipparcos and Tycho catalogues, ESA SP-1200, volume 1, eq. 1.5.11.
fn galactic(ra: f64, dec: f64) -> (f64, f64) {
    rotated(ra, dec, |[x, y, z]| {
        [
            -0.054_875_560_4 * x - 0.873_437_090_2 * y - 0.483_835_015_5 * z,
            0.494_109_427_9 * x - 0.444_829_630_0 * y + 0.746_982_244_5 * z,
            -0.867_666_149_0 * x - 0.198_076_373_4 * y + 0.455_983_776_2 * z,
        ]
    })
}

fn rotated(ra: f64, dec: f64, turn: impl Fn([f64; 3]) -> [f64; 3]) -> (f64, f64) {
    let (ra, dec) = (ra.to_radians(), dec.to_radians());
    let [x, y, z] = turn([
        libm::cos(dec) * libm::cos(ra),
        libm::cos(dec) * libm::sin(ra),
        libm::sin(dec),
    ]);
    (
        wrap(libm::atan2(y, x).to_degrees()),
        libm::asin(z.clamp(-1.0, 1.0)).to_degrees(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn designations_pack_as_the_minor_planet_center_does() {
        // 2004 JQ12 is K04J12Q, 21163624394469969 in LSST.
        let id = b"K04J12Q"
            .iter()
            .fold(0i64, |id, byte| id << 8 | i64::from(*byte));
        assert_eq!(id, 21_163_624_394_469_969);
        let names: std::collections::BTreeSet<_> = (0..5000).map(designation).collect();
        assert_eq!(names.len(), 5000);
        assert_eq!(packed(3).len(), 7);
    }

    #[test]
    fn rotations_agree_with_the_sky_crate() {
        let place = pitt_sky::coords::Icrs {
            ra_deg: 150.0,
            dec_deg: -20.0,
        };
        for (ours, theirs) in [
            (ecliptic(150.0, -20.0), place.to_ecliptic()),
            (galactic(150.0, -20.0), place.to_galactic()),
        ] {
            assert!(
                (ours.0 - theirs.0).abs() < 1e-5 && (ours.1 - theirs.1).abs() < 1e-5,
                "{ours:?} {theirs:?}"
            );
        }
    }
}
