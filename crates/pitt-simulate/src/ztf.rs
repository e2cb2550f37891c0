//! ZTF packets: one Avro container file an alert, schema 4.02.
//!
//! Sentinels are where real packets have them: -999 for a neighbour that is not there, the text `null` for no Solar
//! System body, -99999 for forced photometry that failed. History entries carry null where the survey leaves it out.

use pitt_sky::band::Band;

mod detection;
mod history;

use detection::Detection;
use history::{forced, history};

use crate::alert::Alert;
use crate::avro::Datum;
use crate::measure::{Observation, fid};
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
    let [first, second, third] = neighbours(source, &mut draw);
    neighbour(out, &mut draw, &first);
    statistics(out, alert, &found);
    let ids = [(); 2].map(|()| 170_000_000_000_000_000 + draw.below(9_000_000_000_000_000) as i64);
    out.some_long(ids[0]);
    out.some_long(ids[1]);
    neighbour(out, &mut draw, &second);
    out.some_long(170_000_000_000_000_000 + draw.below(9_000_000_000_000_000) as i64);
    neighbour(out, &mut draw, &third);
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

/// A source of the PS1 catalog near the detection.
struct Neighbour {
    r_mag: f64,
    distance_arcsec: f64,
    is_star: bool,
}

/// The three nearest sources of the PS1 catalog; the first is the reference source.
fn neighbours(source: &Source, draw: &mut Draw) -> [Neighbour; 3] {
    let first = detection::nearest(source, Band::R);
    let mut reach = first.distance_arcsec;
    let mut next = || {
        reach += draw.between(1.0, 12.0);
        Neighbour {
            r_mag: draw.between(17.0, 21.5),
            distance_arcsec: reach,
            is_star: draw.unit() < 0.6,
        }
    };
    let (second, third) = (next(), next());
    let is_star = source.host.is_none();
    [
        Neighbour {
            r_mag: first.mag,
            distance_arcsec: first.distance_arcsec,
            is_star,
        },
        second,
        third,
    ]
}

/// g, r, i, z magnitudes, star-galaxy score and distance of a PS1 source.
fn neighbour(out: &mut Datum, draw: &mut Draw, neighbour: &Neighbour) {
    if neighbour.distance_arcsec > 30.0 {
        return out.some_floats(&[ABSENT; 6]);
    }
    let (r_mag, color) = (neighbour.r_mag, draw.between(0.1, 0.9));
    let score = if neighbour.is_star {
        draw.between(0.7, 1.0)
    } else {
        draw.between(0.0, 0.3)
    };
    let g_mag = if draw.unit() < 0.1 {
        f64::from(ABSENT)
    } else {
        r_mag + color
    };
    let values = [
        g_mag,
        r_mag,
        r_mag - 0.4 * color,
        r_mag - 0.6 * color,
        score,
        neighbour.distance_arcsec,
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
