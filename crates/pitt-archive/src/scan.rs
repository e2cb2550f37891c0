//! Look-ups without the index: scans of the tables, pruned by the statistics of their files.
//!
//! What a second process uses while another has the index open. The answers are the same, only slower:
//! the files that may hold the id are read, newest first.

use std::collections::HashMap;
use std::ops::ControlFlow;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use pitt_sky::coords::Icrs;
use pitt_sky::healpix;

use crate::answer::{ConeHit, Point};
use crate::archive::Archive;
use crate::delta::TableFile;
use crate::error::ArchiveError;
use crate::pick::each_stored_in;
use crate::place::RecordPlace;
use crate::read;
use crate::tables::{self, PACKETS};

fn files(archive: &Archive, table: &str) -> Result<Vec<TableFile>, ArchiveError> {
    Ok(archive
        .snapshot(table)?
        .map(|s| s.files)
        .unwrap_or_default())
}

/// Finds the packet of a stored alert.
pub(crate) fn locate(
    archive: &Archive,
    survey: &str,
    alert_id: i64,
) -> Result<Option<RecordPlace>, ArchiveError> {
    for file in files(archive, PACKETS)?.iter().rev() {
        let within = file
            .range_i64("alert_id")
            .is_none_or(|(low, high)| (low..=high).contains(&alert_id));
        if within && let Some(at) = locate_in(file, survey, alert_id)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn locate_in(
    file: &TableFile,
    survey: &str,
    alert_id: i64,
) -> Result<Option<RecordPlace>, ArchiveError> {
    let mut found = None;
    let _ = each_stored_in(file, &mut |stored| {
        if stored.alert_id != alert_id || stored.survey != survey {
            return ControlFlow::Continue(());
        }
        found = Some(RecordPlace {
            packet: stored.place,
            record: stored.record,
        });
        ControlFlow::Break(())
    })?;
    Ok(found)
}

const ALERT_COLUMNS: [&str; 9] = [
    "survey",
    "alert_id",
    "object_id",
    "mjd_tai",
    "ra",
    "dec",
    "band",
    "psf_flux",
    "psf_flux_err",
];

/// Calls `take` with every batch of alerts in files that `wanted` does not rule out.
fn each_alert_batch(
    archive: &Archive,
    wanted: impl Fn(&TableFile) -> bool,
    mut take: impl FnMut(&RecordBatch),
) -> Result<(), ArchiveError> {
    for survey in archive.surveys() {
        for file in files(archive, &tables::alerts(&survey))? {
            if wanted(&file) {
                for batch in read::columns(&file.path, &ALERT_COLUMNS)? {
                    take(&batch?);
                }
            }
        }
    }
    Ok(())
}

/// Collects an object's detections.
pub(crate) fn light_curve(archive: &Archive, object_id: &str) -> Result<Vec<Point>, ArchiveError> {
    let mut points = Vec::new();
    let may_hold = |file: &TableFile| {
        let range = file.range_text("object_id");
        range.is_none_or(|(low, high)| low.as_str() <= object_id && object_id <= high.as_str())
    };
    each_alert_batch(archive, may_hold, |batch| {
        let objects = batch.column(2).as_string::<i32>();
        for i in 0..batch.num_rows() {
            if objects.is_valid(i) && objects.value(i) == object_id && batch.column(3).is_valid(i) {
                points.push(point(batch, i));
            }
        }
    })?;
    points.sort_by(|a, b| {
        a.mjd_tai
            .total_cmp(&b.mjd_tai)
            .then(a.alert_id.cmp(&b.alert_id))
    });
    Ok(points)
}

fn point(batch: &RecordBatch, i: usize) -> Point {
    let number = |column: usize| {
        let array = batch.column(column).as_primitive::<Float32Type>();
        if array.is_valid(i) {
            array.value(i)
        } else {
            f32::NAN
        }
    };
    let band = batch.column(6).as_string::<i32>();
    Point {
        survey: batch.column(0).as_string::<i32>().value(i).to_owned(),
        alert_id: batch.column(1).as_primitive::<Int64Type>().value(i),
        mjd_tai: batch.column(3).as_primitive::<Float64Type>().value(i),
        band: band.is_valid(i).then(|| band.value(i).to_owned()),
        psf_flux: number(7),
        psf_flux_err: number(8),
    }
}

/// Finds the objects with an alert in a cone.
pub(crate) fn cone(
    archive: &Archive,
    ra: f64,
    dec: f64,
    radius_arcsec: f64,
) -> Result<Vec<ConeHit>, ArchiveError> {
    let center = Icrs {
        ra_deg: ra,
        dec_deg: dec,
    };
    let cells = healpix::cone_ranges29(ra, dec, radius_arcsec);
    let may_hold = |file: &TableFile| {
        let range = file.range_i64("_healpix_29");
        range.is_none_or(|(low, high)| cells.iter().any(|c| c.start <= high && low < c.end))
    };
    let mut found: HashMap<(String, String), ConeHit> = HashMap::new();
    each_alert_batch(archive, may_hold, |batch| {
        for i in 0..batch.num_rows() {
            near(batch, i, center, radius_arcsec, &mut found);
        }
    })?;
    let mut hits = Vec::with_capacity(found.len());
    for ((object_id, survey), mut hit) in found {
        let points = light_curve(archive, &object_id)?;
        let own = points.iter().filter(|p| p.survey == survey);
        hit.n_detections = own.clone().count() as u32;
        hit.last_mjd_tai = own.map(|p| p.mjd_tai).fold(f64::NEG_INFINITY, f64::max);
        hits.push(hit);
    }
    ConeHit::sort(&mut hits);
    Ok(hits)
}

fn near(
    batch: &RecordBatch,
    i: usize,
    center: Icrs,
    radius_arcsec: f64,
    found: &mut HashMap<(String, String), ConeHit>,
) {
    let objects = batch.column(2).as_string::<i32>();
    if !objects.is_valid(i) || !batch.column(4).is_valid(i) || !batch.column(5).is_valid(i) {
        return;
    }
    let ra = batch.column(4).as_primitive::<Float64Type>().value(i);
    let dec = batch.column(5).as_primitive::<Float64Type>().value(i);
    let separation_arcsec = center.separation_arcsec(Icrs {
        ra_deg: ra,
        dec_deg: dec,
    });
    if separation_arcsec > radius_arcsec {
        return;
    }
    let object_id = objects.value(i).to_owned();
    let survey = batch.column(0).as_string::<i32>().value(i).to_owned();
    let hit = ConeHit {
        object_id: object_id.clone(),
        survey: survey.clone(),
        ra,
        dec,
        separation_arcsec,
        n_detections: 0,
        last_mjd_tai: 0.0,
    };
    found.entry((object_id, survey)).or_insert(hit);
}
