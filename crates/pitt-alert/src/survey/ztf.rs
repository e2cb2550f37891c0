//! The Zwicky Transient Facility: schemas 1.3 to 4.02, and what others make of them.
//!
//! Source: <https://zwickytransientfacility.github.io/ztf-avro-alert/schema.html>, the schemas themselves, and
//! Masci et al. 2019, doi:10.1088/1538-3873/aae8ac.

use pitt_sky::band::Band;
use pitt_sky::photometry::{flux_err_njy, flux_njy};
use pitt_sky::time::{DAY_S, JdUtc};

use super::points::{ListKind, Point, PointLists};
use super::read::{Members, Number, Rows, Text};
use super::{Common, Survey};
use crate::avro::plan::Wanted;
use crate::avro::schema::Record;

/// The survey's usual exposure, s, for packets and history points that do not tell theirs.
const EXPOSURE_S: f64 = 30.0;
/// Numbers at or below this stand for "no value": `-999` in candidates, `-99999` in forced photometry.
const SENTINEL: f64 = -900.0;
/// Forced photometry's own sentinel; real difference fluxes go below -900 DN, so only this one counts there.
const FORCED_SENTINEL: f64 = -99_999.0;

/// The mapping.
pub(super) struct Ztf;

impl Survey for Ztf {
    fn name(&self) -> &'static str {
        "ztf"
    }

    /// `rcid` and `nid` are ZTF's alone; other users of its packet format lack them.
    fn recognises(&self, alert: &Record) -> bool {
        let Some(candidate) = alert.field("candidate").and_then(|f| f.ty.as_record()) else {
            return false;
        };
        let needed = ["jd", "fid", "magpsf", "isdiffpos", "rcid", "nid", "candid"];
        alert.field("objectId").is_some()
            && needed.iter().all(|name| candidate.field(name).is_some())
    }

    fn version(&self, _alert: &Record, declared: Option<&str>) -> Option<String> {
        declared.map(str::to_owned)
    }

    fn want(&self, lists: &[ListKind], wanted: &mut Wanted) {
        for field in ["objectId", "candid"] {
            wanted.add(&[field]);
        }
        let candidate = [
            "candid",
            "jd",
            "exptime",
            "fid",
            "ra",
            "dec",
            "magpsf",
            "sigmapsf",
            "isdiffpos",
            "rb",
            "drb",
        ];
        candidate
            .iter()
            .for_each(|field| wanted.add(&["candidate", field]));
        if lists.contains(&ListKind::Detections) || lists.contains(&ListKind::Nondetections) {
            let history = [
                "candid",
                "jd",
                "exptime",
                "fid",
                "magpsf",
                "sigmapsf",
                "isdiffpos",
                "diffmaglim",
            ];
            history
                .iter()
                .for_each(|field| wanted.add(&["prv_candidates", field]));
        }
        if lists.contains(&ListKind::Forced) {
            let forced = [
                "jd",
                "exptime",
                "fid",
                "forcediffimflux",
                "forcediffimfluxunc",
                "magzpsci",
            ];
            forced
                .iter()
                .for_each(|field| wanted.add(&["fp_hists", field]));
        }
    }

    fn fill(&self, rows: &Rows, common: &mut Common) {
        let candidate = rows.record("candidate");
        let measured = Measured::of(&candidate);
        let (object_id, top_id) = (rows.text("objectId"), rows.number("candid"));
        let (ra, dec) = (candidate.number(&["ra"]), candidate.number(&["dec"]));
        let (rb, drb) = (candidate.number(&["rb"]), candidate.number(&["drb"]));
        for row in 0..rows.len {
            let own = measured.point(row);
            common
                .alert_id
                .push(own.alert_id.or_else(|| top_id.integer(row)));
            common.object_id.push(
                object_id
                    .get(row)
                    .filter(|id| !id.is_empty())
                    .map(str::to_owned),
            );
            common.mjd_tai.push(own.mjd_tai);
            let start = JdUtc(measured.jd.get(row)).to_mjd();
            common
                .night
                .push(start.0.is_finite().then(|| start.yyyymmdd()));
            common.ra.push(ra.get(row));
            common.dec.push(dec.get(row));
            common.band.push(own.band);
            common.psf_flux.push(own.flux);
            common.psf_flux_err.push(own.flux_err);
            let deep = present(drb.get(row));
            common.reliability.push(if deep.is_nan() {
                present(rb.get(row))
            } else {
                deep
            } as f32);
        }
        fill_history(rows, &measured, common);
        if let Some(forced) = &mut common.forced {
            fill_forced(rows, forced);
        }
    }
}

/// The columns that make a detection, in `candidate` and in `prv_candidates` alike.
struct Measured<'a> {
    candid: Number<'a>,
    jd: Number<'a>,
    exptime: Number<'a>,
    fid: Number<'a>,
    magpsf: Number<'a>,
    sigmapsf: Number<'a>,
    isdiffpos: Text<'a>,
}

impl<'a> Measured<'a> {
    fn of(record: &Members<'a>) -> Measured<'a> {
        Measured {
            candid: record.number(&["candid"]),
            jd: record.number(&["jd"]),
            exptime: record.number(&["exptime"]),
            fid: record.number(&["fid"]),
            magpsf: record.number(&["magpsf"]),
            sigmapsf: record.number(&["sigmapsf"]),
            isdiffpos: record.text(&["isdiffpos"]),
        }
    }

    fn magnitude(&self, at: usize) -> f64 {
        present(self.magpsf.get(at))
    }

    fn point(&self, at: usize) -> Point {
        let flux = sign(self.isdiffpos.get(at)) * flux_njy(self.magnitude(at));
        Point {
            alert_id: self.candid.integer(at),
            mjd_tai: middle(self.jd.get(at), self.exptime.get(at)),
            band: band(self.fid.integer(at)),
            flux: flux as f32,
            flux_err: flux_err_njy(flux, present(self.sigmapsf.get(at))) as f32,
        }
    }
}

/// Detections and limits stand in one list; a point without a magnitude is a limit.
fn fill_history(rows: &Rows, own: &Measured, common: &mut Common) {
    if common.detections.is_none() && common.nondetections.is_none() {
        return;
    }
    let history = rows.list("prv_candidates");
    let past = Measured::of(&history.items);
    let limit = history.items.number(&["diffmaglim"]);
    for row in 0..rows.len {
        for at in history.range(row) {
            let detected = !past.magnitude(at).is_nan();
            if let (true, Some(detections)) = (detected, &mut common.detections) {
                let point = past.point(at);
                if point.alert_id.is_none() || point.alert_id != common.alert_id[row] {
                    detections.push(point);
                }
            }
            let magnitude = present(limit.get(at));
            if let (false, false, Some(limits)) =
                (detected, magnitude.is_nan(), &mut common.nondetections)
            {
                let mjd_tai = middle(past.jd.get(at), past.exptime.get(at));
                let (band, flux) = (band(past.fid.integer(at)), flux_njy(magnitude) as f32);
                limits.push(Point {
                    alert_id: None,
                    mjd_tai,
                    band,
                    flux,
                    flux_err: f32::NAN,
                });
            }
        }
        if let Some(detections) = &mut common.detections {
            detections.push(Point {
                alert_id: common.alert_id[row],
                ..own.point(row)
            });
            detections.end_row();
        }
        if let Some(limits) = &mut common.nondetections {
            limits.end_row();
        }
    }
}

/// Forced photometry: counts on the difference image, and the zero point of that image.
///
/// `m = magzpsci - 2.5 log10(forcediffimflux)` (ZTF Forced-photometry Service guide, section 6.4,
/// <https://irsa.ipac.caltech.edu/data/ZTF/docs/ztf_forced_photometry.pdf>) and `f[nJy] = 10^((31.4 - m) / 2.5)`
/// give `f[nJy] = forcediffimflux * 10^((31.4 - magzpsci) / 2.5)`, which holds for negative counts too.
fn fill_forced(rows: &Rows, forced: &mut PointLists) {
    let list = rows.list("fp_hists");
    let number = |name| list.items.number(&[name]);
    let (jd, exptime, fid) = (number("jd"), number("exptime"), number("fid"));
    let (counts, error, zero_point) = (
        number("forcediffimflux"),
        number("forcediffimfluxunc"),
        number("magzpsci"),
    );
    for row in 0..rows.len {
        for at in list.range(row) {
            let (value, zero_point) = (counts.get(at), present(zero_point.get(at)));
            if value <= FORCED_SENTINEL || value.is_nan() || zero_point.is_nan() {
                continue;
            }
            let njy = flux_njy(zero_point);
            let error = if error.get(at) > 0.0 {
                error.get(at) * njy
            } else {
                f64::NAN
            };
            forced.push(Point {
                alert_id: None,
                mjd_tai: middle(jd.get(at), exptime.get(at)),
                band: band(fid.integer(at)),
                flux: (value * njy) as f32,
                flux_err: error as f32,
            });
        }
        forced.end_row();
    }
}

/// The value, `NaN` where a sentinel stands for none.
fn present(value: f64) -> f64 {
    if value <= SENTINEL { f64::NAN } else { value }
}

/// Middle of the exposure from its start (JD, UTC) and length (s).
fn middle(jd: f64, exposure_s: f64) -> f64 {
    let exposure_s = if exposure_s > 0.0 {
        exposure_s
    } else {
        EXPOSURE_S
    };
    let start = JdUtc(jd).to_mjd().to_tai();
    start.0 + exposure_s / 2.0 / DAY_S
}

/// Sign of the difference: brighter than the reference, or fainter. Histories write 1 and 0, candidates t and f.
fn sign(isdiffpos: Option<&str>) -> f64 {
    match isdiffpos {
        Some("t" | "1" | "T" | "true") => 1.0,
        Some("f" | "0" | "F" | "false") => -1.0,
        _ => f64::NAN,
    }
}

fn band(fid: Option<i64>) -> Option<Band> {
    match fid? {
        1 => Some(Band::G),
        2 => Some(Band::R),
        3 => Some(Band::I),
        _ => None,
    }
}
