//! The Legacy Survey of Space and Time (Rubin Observatory): schemas 3 to 11.1, on the wire and as others write them again.
//!
//! Fluxes are nJy and times TAI already. On the wire a missing number is `NaN`. Names before schema 5 differ
//! (`psFlux`, `midPointTai`, `filterName`, `decl`) and are read too.
//!
//! Source: <https://github.com/lsst/alert_packet>, DMTN-093.

use pitt_sky::band::Band;
use pitt_sky::time::{MjdTai, MjdUtc};

use super::points::{ListKind, Point, PointLists};
use super::read::{Members, Number, Rows, Text};
use super::{Common, Survey};
use crate::avro::plan::Wanted;
use crate::avro::schema::Record;

const MJD: [&str; 2] = ["midpointMjdTai", "midPointTai"];
const FLUX: [&str; 2] = ["psfFlux", "psFlux"];
const FLUX_ERR: [&str; 2] = ["psfFluxErr", "psFluxErr"];
const BAND: [&str; 2] = ["band", "filterName"];
const DEC: [&str; 2] = ["dec", "decl"];

/// A limit is five times the noise.
const LIMIT_SIGMA: f64 = 5.0;

/// The mapping.
pub(super) struct Lsst;

impl Survey for Lsst {
    fn name(&self) -> &'static str {
        "lsst"
    }

    /// Others use the shape with other units (ELAsTiCC: zero point 27.5) under a name of their own, so a name that is
    /// neither LSST's nor that of a general writer (Spark) is not LSST.
    fn recognises(&self, alert: &Record) -> bool {
        let Some(source) = alert.field("diaSource").and_then(|f| f.ty.as_record()) else {
            return false;
        };
        let has = |names: &[&str]| names.iter().any(|name| source.field(name).is_some());
        let namespace = alert.name.split('.').next().unwrap_or_default();
        let named =
            ["lsst", "alert", "toplevelrecord"].contains(&namespace.to_lowercase().as_str());
        named
            && has(&["diaSourceId"])
            && has(&MJD)
            && has(&FLUX)
            && alert.field("prvDiaSources").is_some()
    }

    /// From a namespace such as `lsst.v10_0`.
    fn version(&self, alert: &Record, declared: Option<&str>) -> Option<String> {
        let word = alert
            .name
            .split('.')
            .find_map(|word| word.strip_prefix('v'));
        let version = word
            .map(|word| word.replace('_', "."))
            .filter(|v| v.starts_with(|c: char| c.is_ascii_digit()));
        version.or_else(|| declared.map(str::to_owned))
    }

    fn want(&self, lists: &[ListKind], wanted: &mut Wanted) {
        let point = [&["diaSourceId"][..], &MJD, &FLUX, &FLUX_ERR, &BAND].concat();
        wanted.add(&["diaSourceId"]);
        wanted.add(&["ssSource", "ssObjectId"]);
        let own = [
            &["diaObjectId", "ssObjectId", "ra", "reliability"][..],
            &DEC,
        ]
        .concat();
        point
            .iter()
            .chain(&own)
            .for_each(|field| wanted.add(&["diaSource", field]));
        if lists.contains(&ListKind::Detections) {
            point
                .iter()
                .for_each(|field| wanted.add(&["prvDiaSources", field]));
        }
        if lists.contains(&ListKind::Forced) {
            point[1..]
                .iter()
                .for_each(|field| wanted.add(&["prvDiaForcedSources", field]));
        }
        if lists.contains(&ListKind::Nondetections) {
            let limit = [&["diaNoise"][..], &MJD, &BAND].concat();
            limit
                .iter()
                .for_each(|field| wanted.add(&["prvDiaNondetectionLimits", field]));
        }
    }

    fn fill(&self, rows: &Rows, common: &mut Common) {
        let source = rows.record("diaSource");
        let measured = Measured::of(&source);
        let ids = ObjectIds::of(rows);
        let top_id = rows.number("diaSourceId");
        let (ra, dec) = (source.number(&["ra"]), source.number(&DEC));
        let reliability = source.number(&["reliability"]);
        for row in 0..rows.len {
            let own = measured.point(row);
            common
                .alert_id
                .push(own.alert_id.or_else(|| top_id.integer(row)));
            common.object_id.push(ids.get(row).map(|id| id.to_string()));
            common.mjd_tai.push(own.mjd_tai);
            common
                .night
                .push(own.mjd_tai.is_finite().then(|| day_obs(own.mjd_tai)));
            common.ra.push(ra.get(row));
            common.dec.push(dec.get(row));
            common.band.push(own.band);
            common.psf_flux.push(own.flux);
            common.psf_flux_err.push(own.flux_err);
            common.reliability.push(reliability.get(row) as f32);
        }
        fill_detections(rows, &measured, common);
        if let Some(forced) = &mut common.forced {
            fill_list(rows, "prvDiaForcedSources", forced);
        }
        if let Some(limits) = &mut common.nondetections {
            fill_limits(rows, limits);
        }
    }
}

/// Rubin's `day_obs`: the date of UTC minus twelve hours.
fn day_obs(mjd_tai: f64) -> i32 {
    MjdUtc(MjdTai(mjd_tai).to_utc().0 - 0.5).yyyymmdd()
}

/// Where an object's id may stand. Zero means none.
struct ObjectIds<'a> {
    dia: Number<'a>,
    solar_system: [Number<'a>; 2],
}

impl<'a> ObjectIds<'a> {
    fn of(rows: &Rows<'a>) -> ObjectIds<'a> {
        let source = rows.record("diaSource");
        ObjectIds {
            dia: source.number(&["diaObjectId"]),
            solar_system: [
                source.number(&["ssObjectId"]),
                rows.record("ssSource").number(&["ssObjectId"]),
            ],
        }
    }

    fn get(&self, row: usize) -> Option<i64> {
        let known = |id: &Number| id.integer(row).filter(|&id| id != 0);
        known(&self.dia).or_else(|| self.solar_system.iter().find_map(known))
    }
}

/// The columns that make a point, in sources and forced sources alike.
struct Measured<'a> {
    id: Number<'a>,
    mjd_tai: Number<'a>,
    band: Text<'a>,
    flux: Number<'a>,
    flux_err: Number<'a>,
}

impl<'a> Measured<'a> {
    fn of(record: &Members<'a>) -> Measured<'a> {
        Measured {
            id: record.number(&["diaSourceId"]),
            mjd_tai: record.number(&MJD),
            band: record.text(&BAND),
            flux: record.number(&FLUX),
            flux_err: record.number(&FLUX_ERR),
        }
    }

    fn point(&self, at: usize) -> Point {
        Point {
            alert_id: self.id.integer(at),
            mjd_tai: self.mjd_tai.get(at),
            band: self.band.get(at).and_then(Band::from_name),
            flux: self.flux.get(at) as f32,
            flux_err: self.flux_err.get(at) as f32,
        }
    }
}

fn fill_detections(rows: &Rows, own: &Measured, common: &mut Common) {
    let Some(detections) = &mut common.detections else {
        return;
    };
    let list = rows.list("prvDiaSources");
    let past = Measured::of(&list.items);
    for row in 0..rows.len {
        for point in list.range(row).map(|at| past.point(at)) {
            if point.alert_id.is_none() || point.alert_id != common.alert_id[row] {
                detections.push(point);
            }
        }
        detections.push(Point {
            alert_id: common.alert_id[row],
            ..own.point(row)
        });
        detections.end_row();
    }
}

/// Points without a flux (`NaN` on the wire) say nothing and are dropped.
fn fill_list(rows: &Rows, name: &str, points: &mut PointLists) {
    let list = rows.list(name);
    let measured = Measured::of(&list.items);
    for row in 0..rows.len {
        list.range(row)
            .map(|at| measured.point(at))
            .filter(|p| !p.flux.is_nan())
            .for_each(|p| points.push(p));
        points.end_row();
    }
}

/// Before schema 8: the noise of images without a detection. Later schemas have forced photometry instead.
fn fill_limits(rows: &Rows, limits: &mut PointLists) {
    let list = rows.list("prvDiaNondetectionLimits");
    let (measured, noise) = (Measured::of(&list.items), list.items.number(&["diaNoise"]));
    for row in 0..rows.len {
        for at in list.range(row) {
            let flux = (LIMIT_SIGMA * noise.get(at)) as f32;
            if !flux.is_nan() {
                limits.push(Point {
                    flux,
                    flux_err: f32::NAN,
                    ..measured.point(at)
                });
            }
        }
        limits.end_row();
    }
}
