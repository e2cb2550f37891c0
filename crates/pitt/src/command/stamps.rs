//! `pitt stamps`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use pitt_alert::Selection;
use pitt_alert::stamps::{self, Plane};
use pitt_sky::coords::Icrs;
use pitt_sky::time::MjdTai;

use super::settings;
use crate::broker::open_archive;
use crate::cli::{Global, Stamps};
use crate::http::api::cutouts::bytes_of;
use crate::plot::{StampPanel, StampsPlot, unmirrored, write_png};
use crate::screen;
use crate::stored::{Reader, StoredAlert, value};

/// Arcsec a pixel of stamps that come without a world coordinate system.
///
/// Source: ZTF's camera, Dekany et al. 2020, doi:10.1088/1538-3873/ab4ca2.
const PIXELS_ARCSEC: [(&str, f64); 1] = [("ztf", 1.01)];

pub(super) fn run(global: &Global, args: &Stamps) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let archive = open_archive(&config.settings, false)?;
    let alert = Reader::new(&archive, Selection::everything())?.alert(args.alert)?;
    let plot = StampsPlot {
        title: title(&alert),
        subtitle: subtitle(&alert),
        panels: panels(&alert)?,
    };
    let file = args
        .png
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("stamps_{}.png", args.alert)));
    write_png(&file, &plot.png()?)?;
    screen::print(&format!(
        "{} of {} in {}\n",
        screen::counted(plot.panels.len() as u64, "stamp"),
        plot.title,
        file.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn panels(alert: &StoredAlert) -> Result<Vec<StampPanel>> {
    let schema = alert.row.schema();
    let mut panels = vec![];
    for (field, column) in schema.fields().iter().zip(alert.row.columns()) {
        let is_stamp = field.name().to_lowercase().starts_with("cutout");
        let Some(bytes) = bytes_of(column).filter(|bytes| is_stamp && !bytes.is_empty()) else {
            continue;
        };
        let planes = match stamps::decode(&bytes) {
            Ok(planes) => planes,
            Err(error) => {
                tracing::warn!("{}: {error}", field.name());
                continue;
            }
        };
        if let Some(plane) = planes
            .into_iter()
            .find(|plane| plane.width > 0 && plane.height > 0)
        {
            let scale_arcsec = scale(&plane, &alert.packet.survey);
            let (width, height) = (plane.width, plane.height);
            let pixels = unmirrored(plane, &alert.packet.survey);
            let name = field.name()[6..].to_owned();
            panels.push(StampPanel {
                both_signs: name.eq_ignore_ascii_case("difference"),
                name,
                width,
                height,
                pixels,
                scale_arcsec,
            });
        }
    }
    if panels.is_empty() {
        bail!(
            "alert {} carries no stamps that can be read",
            alert.packet.alert_id
        );
    }
    let order = |name: &str| {
        ["science", "template", "difference"]
            .iter()
            .position(|known| name.eq_ignore_ascii_case(known))
    };
    panels.sort_by_key(|panel| order(&panel.name).unwrap_or(9));
    Ok(panels)
}

fn scale(plane: &Plane, survey: &str) -> Option<f64> {
    let number = |keyword: &str| plane.card(keyword)?.trim().parse::<f64>().ok();
    let matrix = number("CD1_1").map(|across| across.hypot(number("CD2_1").unwrap_or(0.0)));
    let rotation = number("PC1_1").map(|across| across.hypot(number("PC2_1").unwrap_or(0.0)));
    let step = number("CDELT1").map(|step| (step * rotation.unwrap_or(1.0)).abs());
    let degrees = matrix.or_else(|| step.filter(|step| *step != 1.0));
    let known = PIXELS_ARCSEC.into_iter().find(|(name, _)| *name == survey);
    degrees
        .map(|degrees| degrees * 3600.0)
        .filter(|arcsec| (0.01..100.0).contains(arcsec))
        .or(known.map(|(_, arcsec)| arcsec))
}

fn title(alert: &StoredAlert) -> String {
    let object = value(&alert.row, "object_id").map_or_else(
        || "no object".into(),
        |id| id.as_string::<i32>().value(0).to_owned(),
    );
    format!(
        "{object}  ({}, alert {})",
        alert.packet.survey.to_uppercase(),
        alert.packet.alert_id
    )
}

fn subtitle(alert: &StoredAlert) -> String {
    let number = |path: &str| {
        Some(
            value(&alert.row, path)?
                .as_primitive_opt::<Float64Type>()?
                .value(0),
        )
    };
    let mut words = vec![];
    if let (Some(ra_deg), Some(dec_deg)) = (number("ra"), number("dec")) {
        words.push(Icrs { ra_deg, dec_deg }.format_sexagesimal());
    }
    if let Some(mjd) = number("mjd_tai") {
        words.push(format!("{} UTC", MjdTai(mjd).iso_utc_seconds()));
    }
    if let Some(band) = value(&alert.row, "band") {
        words.push(format!("band {}", screen::cell::text(&band, 0)));
    }
    if let Some(score) = value(&alert.row, "reliability") {
        words.push(format!(
            "reliability {:.2}",
            score.as_primitive::<Float32Type>().value(0)
        ));
    }
    words.join("   ")
}
