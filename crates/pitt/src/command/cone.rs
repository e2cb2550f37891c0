//! `pitt cone`

use std::process::ExitCode;

use anyhow::{Result, bail};
use pitt_sky::coords::Icrs;
use pitt_sky::time::MjdTai;
use serde_json::json;

use super::{Misused, settings};
use crate::broker::open_archive;
use crate::cli::{Cone, Global};
use crate::screen::{self, Align, Table, count, counted};

/// Largest cone; beyond it the table of alerts is the better tool.
const MOST_ARCSEC: f64 = 36_000.0;

pub(super) fn run(global: &Global, args: &Cone) -> Result<ExitCode> {
    let center: Icrs = format!("{} {}", args.ra, args.dec)
        .parse()
        .map_err(|error: pitt_sky::coords::PositionError| Misused(error.to_string()))?;
    if !(args.radius > 0.0 && args.radius <= MOST_ARCSEC) {
        bail!(Misused(format!(
            "radius is {}, expected more than 0 and at most {MOST_ARCSEC} arcsec",
            args.radius
        )));
    }
    let config = settings(global, vec![])?;
    let archive = open_archive(&config.settings, false)?;
    let hits = archive.cone(center.ra_deg, center.dec_deg, args.radius)?;
    if args.json {
        let hit = |hit: &pitt_archive::ConeHit| {
            json!({
                "object_id": hit.object_id,
                "survey": hit.survey,
                "ra": hit.ra,
                "dec": hit.dec,
                "separation_arcsec": hit.separation_arcsec,
                "n_detections": hit.n_detections,
                "last_mjd_tai": hit.last_mjd_tai,
            })
        };
        screen::print_json(&hits.iter().map(hit).collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new([
        ("object", Align::Left),
        ("survey", Align::Left),
        ("arcsec", Align::Right),
        ("ra", Align::Right),
        ("dec", Align::Right),
        ("detections", Align::Right),
        ("last (UTC)", Align::Left),
    ]);
    for hit in &hits {
        table.row([
            hit.object_id.clone(),
            hit.survey.clone(),
            format!("{:.2}", hit.separation_arcsec),
            format!("{:.6}", hit.ra),
            format!("{:+.6}", hit.dec),
            count(u64::from(hit.n_detections)),
            MjdTai(hit.last_mjd_tai).iso_utc()[..16].replace('T', " "),
        ]);
    }
    let found = counted(hits.len() as u64, "object");
    let title = format!(
        "{found} within {} arcsec of {}\n",
        args.radius,
        center.format_sexagesimal()
    );
    screen::print(&if hits.is_empty() {
        title
    } else {
        title + &table.render()
    })?;
    Ok(ExitCode::SUCCESS)
}
