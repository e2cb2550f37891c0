//! ZTF packets: one Avro container file an alert, schema 4.02.
//!
//! Sentinels are where real packets have them: -999 for a neighbour that is not there, the text `null` for no Solar
//! System body, -99999 for forced photometry that failed. History entries carry null where the survey leaves it out.

use pitt_sky::band::Band;

use crate::alert::Alert;
use crate::avro::Datum;
use crate::brightness::{mag, mag_err};
use crate::light::Class;
use crate::measure::{Observation, fid, pixel};
use crate::random::Draw;
use crate::scene::Stamps;
use crate::schedule::Exposure;
use crate::sky::Source;

/// Days of history in a packet.
const HISTORY_D: f64 = 30.0;
/// Pixel of the camera `[arcsec]`.
const PIXEL_ARCSEC: f64 = 1.01;
/// "Nothing there" in neighbour fields.
const ABSENT: f32 = -999.0;
const ABSENT_FLUX: f32 = -99_999.0;
const RB_VERSION: &str = "t17_f5_c3";
const INVESTIGATOR: &str = "Simulated";

/// Processing number of an exposure on a readout channel: night, fraction of the day, channel.
fn pid(exposure: &Exposure, rcid: u32) -> i64 {
    let days = exposure.jd_utc - 2_457_754.5;
    (days * 1e5) as i64 * 10_000 + i64::from(rcid) * 100 + 15
}

fn nid(exposure: &Exposure) -> i64 {
    (exposure.jd_utc - 2_457_754.5) as i64
}

/// Identifier of the detection in a slot: processing number, then row of the extraction table.
pub(crate) fn candid(exposure: &Exposure, slot: u32) -> i64 {
    pid(exposure, slot % 64) * 1_000_000 + 15_000 + tblid(slot)
}

fn tblid(slot: u32) -> i64 {
    i64::from(slot / 64) + 1
}

/// The survey's name for an object: year of discovery and seven letters.
pub(crate) fn object_id(number: u64, year: i32) -> String {
    const NAMES: u64 = 26u64.pow(7);
    // The factor shares no divisor with 26: distinct numbers give distinct letters that look unordered.
    let mut rest = (u128::from(number) * 5_124_095_579 % u128::from(NAMES)) as u64;
    let mut letters = [b'a'; 7];
    for letter in letters.iter_mut().rev() {
        *letter = b'a' + (rest % 26) as u8;
        rest /= 26;
    }
    format!(
        "ZTF{:02}{}",
        year.rem_euclid(100),
        String::from_utf8_lossy(&letters)
    )
}

/// The datum of one alert.
pub(crate) fn datum(alert: &Alert<'_>, stamps: &Stamps) -> Datum {
    let images = [&stamps.science, &stamps.template, &stamps.difference];
    let mut out =
        Datum::with_capacity(40_000 + images.map(|image| image.len()).iter().sum::<usize>());
    let id = candid(alert.now(), alert.source.slot);
    out.text(crate::schema::ZTF_SCHEMA_VERSION);
    out.text("ZTF (simulated by Pitt Broker)");
    out.text(&alert.object_id);
    out.long(id);
    candidate(&mut out, alert, id);
    history(&mut out, alert);
    forced(&mut out, alert);
    let pid = pid(alert.now(), alert.source.slot % 64);
    let names = [
        format!("candid{id}_pid{pid}_targ_sci.fits.gz"),
        format!("candid{id}_ref.fits.gz"),
        format!("candid{id}_pid{pid}_targ_scimref.fits.gz"),
    ];
    for (name, image) in names.iter().zip(images) {
        out.some().text(name);
        out.bytes(image);
    }
    out
}

/// Everything about a detection that is in the candidate and in later histories.
struct Detection {
    pixel: [f32; 2],
    ra: f64,
    dec: f64,
    magnitude: [f32; 2],
    /// chipsf to elong, in the order of the schema.
    shape: [f32; 20],
    nneg: i64,
    nbad: i64,
    rb: f32,
    /// sumrat, magapbig, sigmagapbig.
    aperture: [f32; 3],
    nearest: Nearest,
    scorr: f64,
}

/// The nearest source of the reference image.
struct Nearest {
    distance_arcsec: f64,
    ra: f64,
    dec: f64,
    mag: f64,
}

fn nearest(source: &Source, band: Band) -> Nearest {
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
    fn new(source: &Source, exposure: &Exposure, seen: &Observation) -> Self {
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

/// Name of a difference image.
fn file_name(out: &mut Datum, exposure: &Exposure, rcid: u32) {
    let fraction = ((exposure.jd_utc + 0.5) % 1.0 * 1e6) as u64;
    let mut name = *b"ztf_20260224000000_000000_zg_c00_o_q0_scimrefdiffimg.fits";
    digits(&mut name[4..12], exposure.date as u64);
    digits(&mut name[12..18], fraction);
    digits(&mut name[19..25], u64::from(field(exposure)));
    name[27] = exposure.band.as_str().as_bytes()[0];
    digits(&mut name[30..32], u64::from(rcid / 4 + 1));
    digits(&mut name[36..37], u64::from(rcid % 4 + 1));
    out.some().bytes(&name);
}

/// Writes a number with leading zeros.
fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn field(exposure: &Exposure) -> u32 {
    246 + exposure.field
}

fn exposure_start(out: &mut Datum, exposure: &Exposure, rcid: u32) {
    out.double(exposure.jd_utc);
    out.long(fid(exposure.band));
    out.long(pid(exposure, rcid));
    out.some_float(exposure.depth as f32);
    file_name(out, exposure, rcid);
    out.some_text(INVESTIGATOR);
    out.long(1);
}

/// tblid, nid, rcid, field.
fn exposure_place(out: &mut Datum, exposure: &Exposure, rcid: u32, tblid: Option<i64>) {
    match tblid {
        Some(tblid) => out.some_long(tblid),
        None => out.nulls(1),
    }
    out.some_long(nid(exposure));
    out.some_long(i64::from(rcid));
    out.some_long(i64::from(field(exposure)));
}

/// magzpsci, magzpsciunc, magzpscirms.
fn zero_point(exposure: &Exposure) -> [f32; 3] {
    [exposure.zero_point as f32, 9.2e-6, 0.031]
}

fn color_term(exposure: &Exposure) -> [f32; 2] {
    match exposure.band {
        Band::G => [-0.052, 1.8e-5],
        Band::R => [0.103, 1.4e-5],
        _ => [0.004, 2.1e-5],
    }
}

fn direction(seen: &Observation) -> &'static str {
    if seen.flux < 0.0 { "f" } else { "t" }
}

fn candidate(out: &mut Datum, alert: &Alert<'_>, id: i64) {
    let (source, now, seen) = (alert.source, alert.now(), alert.seen_now());
    let rcid = source.slot % 64;
    let found = Detection::new(source, now, seen);
    exposure_start(out, now, rcid);
    out.long(id);
    out.text(direction(seen));
    exposure_place(out, now, rcid, Some(tblid(source.slot)));
    out.some_floats(&found.pixel);
    out.double(found.ra);
    out.double(found.dec);
    out.float(found.magnitude[0]);
    out.float(found.magnitude[1]);
    out.some_floats(&found.shape);
    out.some_long(found.nneg);
    out.some_long(found.nbad);
    out.some_float(found.rb);
    solar_system(out, alert, found.magnitude[0]);
    out.some_floats(&found.aperture);
    out.double(found.nearest.ra);
    out.double(found.nearest.dec);
    let mut draw = Draw::at(&[source.key, 0x7073_3161]);
    neighbour_magnitudes(out, &mut draw, Some(&found.nearest), source);
    statistics(out, alert, &found);
    let ids = [(); 2].map(|()| 170_000_000_000_000_000 + draw.below(9_000_000_000_000_000) as i64);
    out.some_long(ids[0]);
    out.some_long(ids[1]);
    neighbour_magnitudes(out, &mut draw, None, source);
    out.some_long(170_000_000_000_000_000 + draw.below(9_000_000_000_000_000) as i64);
    neighbour_magnitudes(out, &mut draw, None, source);
    out.long(3 + draw.below(9) as i64);
    reference(out, now, rcid);
    calibration(out, alert, &found, &mut draw);
}

/// ssdistnr, ssmagnr, ssnamenr.
fn solar_system(out: &mut Datum, alert: &Alert<'_>, magnitude: f32) {
    match &alert.designation {
        Some(name) => {
            let (east, north) = alert
                .seen_now()
                .position(alert.source, alert.now())
                .offset_arcsec;
            out.some_float((east * east + north * north).sqrt() as f32);
            out.some_float(magnitude + 0.1);
            out.some_text(name);
        }
        None => {
            out.some_floats(&[ABSENT, ABSENT]);
            out.some_text("null");
        }
    }
}

/// g, r, i, z magnitudes, star-galaxy score and distance of a PS1 neighbour; the nearest is the reference source.
fn neighbour_magnitudes(
    out: &mut Datum,
    draw: &mut Draw,
    nearest: Option<&Nearest>,
    source: &Source,
) {
    let (brightness, distance) = match nearest {
        Some(nearest) => (nearest.mag, nearest.distance_arcsec),
        None => (draw.between(17.0, 21.5), draw.between(5.0, 29.0)),
    };
    if distance > 28.0 {
        return out.some_floats(&[ABSENT; 6]);
    }
    let color = draw.between(0.1, 0.9);
    let star = if nearest.is_some() {
        source.host.is_none()
    } else {
        draw.unit() < 0.6
    };
    let score = if star {
        draw.between(0.7, 1.0)
    } else {
        draw.between(0.0, 0.3)
    };
    let g = if draw.unit() < 0.1 {
        f64::from(ABSENT)
    } else {
        brightness + color
    };
    let values = [
        g,
        brightness,
        brightness - 0.4 * color,
        brightness - 0.6 * color,
        score,
        distance,
    ];
    out.some_floats(&values.map(|value| value as f32));
}

/// ndethist to tooflag.
fn statistics(out: &mut Datum, alert: &Alert<'_>, found: &Detection) {
    out.long(alert.detections().count() as i64 + 1);
    out.long(alert.past.len() as i64 + 1);
    let first = alert
        .detections()
        .next()
        .map_or(alert.now(), |(exposure, _)| exposure);
    out.some_double(first.jd_utc);
    out.some_double(alert.now().jd_utc);
    out.some_double(found.scorr);
    out.some_long(0);
}

/// rfid to rbversion.
fn reference(out: &mut Datum, now: &Exposure, rcid: u32) {
    out.long(rfid(now, rcid));
    out.double(2_458_203.869_005);
    out.double(2_458_228.966_181);
    out.long(15);
    out.text(RB_VERSION);
}

fn rfid(exposure: &Exposure, rcid: u32) -> i64 {
    i64::from(field(exposure)) * 1_000_000 + 120_000 + fid(exposure.band) * 1000 + i64::from(rcid)
}

/// dsnrms to drbversion.
fn calibration(out: &mut Datum, alert: &Alert<'_>, found: &Detection, draw: &mut Draw) {
    let (source, now, seen) = (alert.source, alert.now(), alert.seen_now());
    let [dsnrms, ssnrms] = [seen.snr() * 0.6, found.scorr * 1.05].map(|value| value as f32);
    out.some_floats(&[dsnrms, ssnrms, dsnrms - ssnrms]);
    out.some_floats(&zero_point(now));
    out.long(200 + draw.below(900) as i64);
    out.some_floats(&color_term(now));
    out.some_floats(&[-1.2e-5, now.zero_point as f32 - 0.034, 0.646, 0.319]);
    let star = source.class.is_star();
    let gaia = if star {
        [found.nearest.distance_arcsec, found.nearest.mag]
    } else {
        [draw.between(3.0, 60.0), draw.between(15.0, 20.5)]
    };
    let bright = if draw.unit() < 0.3 {
        [-999.0, -999.0]
    } else {
        [draw.between(20.0, 89.0), draw.between(9.0, 14.0)]
    };
    out.some_floats(&[gaia[0], bright[0], gaia[1], bright[1]].map(|value| value as f32));
    out.some_float(30.0);
    out.some_float(seen.score(source) as f32);
    out.text("d6_m7");
}

fn history(out: &mut Datum, alert: &Alert<'_>) {
    let mut items = Datum::with_capacity(16_000);
    let mut count = 0;
    for (exposure, seen) in alert.within(HISTORY_D) {
        match seen {
            Some(seen) if seen.is_detection() => {
                earlier_detection(&mut items, alert.source, exposure, seen)
            }
            _ => upper_limit(&mut items, alert.source, exposure),
        }
        count += 1;
    }
    out.some_array(count, &items.0);
}

fn earlier_detection(out: &mut Datum, source: &Source, exposure: &Exposure, seen: &Observation) {
    let rcid = source.slot % 64;
    let found = Detection::new(source, exposure, seen);
    exposure_start(out, exposure, rcid);
    out.some_long(candid(exposure, source.slot));
    out.some_text(direction(seen));
    exposure_place(out, exposure, rcid, Some(tblid(source.slot)));
    out.some_floats(&found.pixel);
    out.some_double(found.ra);
    out.some_double(found.dec);
    out.some_floats(&found.magnitude);
    out.some_floats(&found.shape);
    out.some_long(found.nneg);
    out.some_long(found.nbad);
    out.some_float(found.rb);
    // The survey leaves the Solar System out of histories.
    out.nulls(3);
    out.some_floats(&found.aperture);
    out.some_double(found.nearest.ra);
    out.some_double(found.nearest.dec);
    out.some_double(found.scorr);
    exposure_end(out, exposure);
}

fn upper_limit(out: &mut Datum, source: &Source, exposure: &Exposure) {
    let rcid = source.slot % 64;
    exposure_start(out, exposure, rcid);
    // candid, isdiffpos.
    out.nulls(2);
    exposure_place(out, exposure, rcid, None);
    // xpos to scorr.
    out.nulls(38);
    exposure_end(out, exposure);
}

fn exposure_end(out: &mut Datum, exposure: &Exposure) {
    out.some_floats(&zero_point(exposure));
    out.some_floats(&color_term(exposure));
    out.text(RB_VERSION);
}

/// Forced photometry, the latest first.
fn forced(out: &mut Datum, alert: &Alert<'_>) {
    let mut items = Datum::with_capacity(10_000);
    let mut count = 0;
    for (exposure, seen) in alert.within(HISTORY_D).rev() {
        // One image in seven has no forced photometry.
        if exposure.key % 7 != 0 {
            forced_point(&mut items, alert.source, exposure, seen);
            count += 1;
        }
    }
    out.some_array(count, &items.0);
}

fn forced_point(out: &mut Datum, source: &Source, exposure: &Exposure, seen: Option<&Observation>) {
    let rcid = source.slot % 64;
    let mut draw = Draw::at(&[source.key, exposure.key, 0x666f_7263]);
    out.some_long(i64::from(field(exposure)));
    out.some_long(i64::from(rcid));
    out.long(fid(exposure.band));
    out.long(pid(exposure, rcid));
    out.long(rfid(exposure, rcid));
    // Counts of a flux f [nJy]: 10^((zp - mag) / 2.5).
    let counts_per_njy = libm::exp((exposure.zero_point - 31.4) * (std::f64::consts::LN_10 / 2.5));
    let failed = draw.unit() < 0.08;
    let sigma = exposure.sigma_njy * counts_per_njy;
    out.some_floats(&[
        exposure.seeing as f32,
        160.0 + (60.0 * draw.unit()) as f32,
        (sigma / 5.5) as f32,
    ]);
    out.some_floats(&zero_point(exposure));
    out.some_floats(&color_term(exposure));
    out.some_floats(&[30.0, 0.099, 0.104, exposure.depth as f32]);
    out.long(1);
    out.double(exposure.jd_utc);
    let (flux, err) = seen.map_or(
        (exposure.sigma_njy * draw.normal(), exposure.sigma_njy),
        |seen| (seen.flux, seen.err),
    );
    if failed {
        out.some_floats(&[ABSENT_FLUX, ABSENT_FLUX]);
        out.some_text("61");
    } else {
        out.some_floats(&[
            (flux * counts_per_njy) as f32,
            (err * counts_per_njy) as f32,
        ]);
        out.some_text("0");
    }
    let nearest = nearest(source, exposure.band);
    out.some_float(nearest.distance_arcsec as f32);
    out.double(nearest.ra);
    out.double(nearest.dec);
    out.some_floats(&[nearest.mag as f32, 0.03, 0.55, 0.02]);
}
