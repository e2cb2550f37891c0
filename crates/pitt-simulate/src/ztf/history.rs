//! The past in a ZTF packet: earlier detections, upper limits and forced photometry.

use super::detection::{Detection, nearest};
use super::{
    ABSENT_FLUX, HISTORY_D, RB_VERSION, candid, color_term, direction, exposure_place,
    exposure_start, field, pid, rfid, tblid, zero_point,
};
use crate::alert::Alert;
use crate::avro::Datum;
use crate::measure::{Observation, fid};
use crate::random::Draw;
use crate::schedule::Exposure;
use crate::sky::Source;

/// Detections and upper limits of the days before, by time.
pub(super) fn history(out: &mut Datum, alert: &Alert<'_>) {
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
pub(super) fn forced(out: &mut Datum, alert: &Alert<'_>) {
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
