//! `pitt lightcurve`

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Result, bail};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type};
use arrow_array::{Array, ArrayRef, StructArray};
use pitt_alert::Selection;
use pitt_archive::{Archive, Point};
use pitt_sky::band::Band;
use pitt_sky::coords::Icrs;
use pitt_sky::photometry::{mag_ab, mag_err};
use pitt_sky::time::MjdTai;
use serde_json::json;

use super::settings;
use crate::broker::open_archive;
use crate::cli::{Global, Lightcurve};
use crate::plot::{Kind, LightCurvePlot, PlotPoint, Quantity, write_png};
use crate::screen::{self, Align, Table, counted};
use crate::stored::{Reader, value};

pub(super) fn run(global: &Global, args: &Lightcurve) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let archive = open_archive(&config.settings, false)?;
    let curve = Curve::read(&archive, &args.object)?;
    if let Some(file) = &args.png {
        let quantity = if args.flux {
            Quantity::Flux
        } else {
            Quantity::Magnitude
        };
        let points = curve.points.values().copied().collect();
        let plot = LightCurvePlot {
            title: curve.title(),
            subtitle: curve.subtitle(),
            points,
            quantity,
        };
        write_png(file, &plot.png()?)?;
        let told = format!(
            "{} of {} in {}\n",
            counted(curve.points.len() as u64, "point"),
            args.object,
            file.display()
        );
        if args.csv || args.json {
            eprint!("{told}")
        } else {
            screen::print(&told)?
        }
    }
    if args.csv {
        screen::print(&curve.csv())?;
    } else if args.json {
        screen::print_json(&curve.json())?;
    } else if args.png.is_none() {
        screen::print(&curve.text())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Time in tenths of a second, band: what makes two points the same measurement.
type Key = (i64, Option<u8>);

/// All that the archive knows of an object's brightness: its alerts, and what their packets told of the time between.
struct Curve {
    object: String,
    survey: String,
    position: Option<Icrs>,
    points: BTreeMap<(Key, Kind), PlotPoint>,
    alerts: usize,
    /// Alerts by the exposures that they were made of; where there are several, the last.
    ids: BTreeMap<Key, i64>,
}

impl Curve {
    fn read(archive: &Archive, object: &str) -> Result<Self> {
        let alerts = archive.light_curve(object)?;
        let Some(last) = alerts.last() else {
            bail!(
                "no object `{object}` in {} (`pitt query \"SELECT object_id, count(*) FROM alerts GROUP BY object_id ORDER BY 2 DESC LIMIT 5\"` lists some)",
                archive.folder().display()
            );
        };
        let mut curve = Self {
            object: object.to_owned(),
            survey: last.survey.clone(),
            position: None,
            points: BTreeMap::new(),
            alerts: alerts.len(),
            ids: BTreeMap::new(),
        };
        let mut reader = Reader::new(
            archive,
            Selection {
                detections: true,
                forced: true,
                nondetections: true,
                ..Selection::common_only()
            },
        )?;
        for point in &alerts {
            if let Some(alert) = reader.survey_alert(&point.survey, point.alert_id)? {
                let number = |path: &str| {
                    Some(
                        value(&alert.row, path)?
                            .as_primitive_opt::<Float64Type>()?
                            .value(0),
                    )
                };
                curve.position = number("ra")
                    .zip(number("dec"))
                    .map(|(ra_deg, dec_deg)| Icrs { ra_deg, dec_deg });
                for (list, kind) in [
                    ("detections", Kind::Detection),
                    ("forced", Kind::Forced),
                    ("nondetections", Kind::Limit),
                ] {
                    if let Some(column) = value(&alert.row, list) {
                        curve.add_list(&column, kind);
                    }
                }
            }
            let drawn = plot_point(point);
            curve.ids.insert(key(&drawn), point.alert_id);
            curve.add(drawn);
        }
        curve.drop_doubles();
        Ok(curve)
    }

    fn add(&mut self, point: PlotPoint) {
        self.points.insert((key(&point), point.kind), point);
    }

    /// The alert of a detection, if the archive has it.
    fn alert(&self, point: &PlotPoint) -> Option<i64> {
        let alert = self.ids.get(&key(point)).copied();
        alert.filter(|_| point.kind == Kind::Detection)
    }

    fn add_list(&mut self, column: &ArrayRef, kind: Kind) {
        let Some(list) = column.as_list_opt::<i32>() else {
            return;
        };
        let items = list.value(0);
        let Some(items) = items.as_struct_opt() else {
            return;
        };
        let flux = if kind == Kind::Limit {
            "psf_flux_limit"
        } else {
            "psf_flux"
        };
        for row in 0..items.len() {
            let mjd = items
                .column_by_name("mjd_tai")
                .and_then(|times| times.as_primitive_opt::<Float64Type>());
            let Some(mjd_tai) = mjd
                .filter(|times| times.is_valid(row))
                .map(|times| times.value(row))
            else {
                continue;
            };
            let flux_njy = float(items, flux, row);
            let flux_err_njy = float(items, "psf_flux_err", row);
            if flux_njy.is_finite() {
                self.add(PlotPoint {
                    mjd_tai,
                    band: band_of(items, row),
                    flux_njy,
                    flux_err_njy,
                    kind,
                });
            }
        }
    }

    /// A limit says nothing where there is a flux of the same exposure, and a forced flux little where there is a detection.
    fn drop_doubles(&mut self) {
        let keys: Vec<(Key, Kind)> = self.points.keys().copied().collect();
        for (key, kind) in keys {
            let better = [Kind::Forced, Kind::Detection]
                .into_iter()
                .filter(|better| *better > kind);
            if better.into_iter().any(|better| self.near(key, better)) {
                self.points.remove(&(key, kind));
            }
        }
    }

    /// Whether there is a point of this kind within half a second.
    fn near(&self, (time, band): Key, kind: Kind) -> bool {
        (-5..=5).any(|shift| self.points.contains_key(&((time + shift, band), kind)))
    }

    fn title(&self) -> String {
        format!("{}  ({})", self.object, self.survey.to_uppercase())
    }

    fn subtitle(&self) -> String {
        let place = self.position.map_or_else(String::new, |position| {
            position.format_sexagesimal() + "   "
        });
        format!(
            "{place}{}, {}",
            counted(self.alerts as u64, "alert"),
            counted(self.points.len() as u64, "point")
        )
    }

    fn text(&self) -> String {
        let right =
            ["MJD (TAI)", "flux [nJy]", "±", "mag (AB)", "±"].map(|name| (name, Align::Right));
        let columns = [
            ("time (UTC)", Align::Left),
            right[0],
            ("band", Align::Left),
            ("kind", Align::Left),
        ];
        let columns = columns.into_iter().chain(right[1..].iter().copied());
        let mut table = Table::new(columns.chain([("alert", Align::Left)]));
        for point in self.points.values() {
            let number = |value: f64, digits: usize| {
                if value.is_finite() {
                    format!("{value:.digits$}")
                } else {
                    "–".into()
                }
            };
            let measured =
                point.flux_njy.abs() / point.flux_err_njy >= 3.0 || point.kind != Kind::Forced;
            let mag = if measured {
                mag_ab(point.flux_njy.abs())
            } else {
                f64::NAN
            };
            let error = if measured {
                mag_err(point.flux_njy.abs(), point.flux_err_njy)
            } else {
                f64::NAN
            };
            let limit = if point.kind == Kind::Limit { ">" } else { "" };
            table.row([
                MjdTai(point.mjd_tai).iso_utc_seconds(),
                format!("{:.5}", point.mjd_tai),
                point.band.map_or("–", Band::as_str).to_owned(),
                kind_name(point.kind).to_owned(),
                number(point.flux_njy, 0),
                number(point.flux_err_njy, 0),
                format!("{limit}{}", number(mag, 3)),
                number(error, 3),
                self.alert(point)
                    .map_or_else(String::new, |id| id.to_string()),
            ]);
        }
        format!("{}   {}\n{}", self.title(), self.subtitle(), table.render())
    }

    fn csv(&self) -> String {
        let mut text = String::from("mjd_tai,band,kind,psf_flux_njy,psf_flux_err_njy,alert_id\n");
        for point in self.points.values() {
            let error = Some(point.flux_err_njy).filter(|error| error.is_finite());
            text.push_str(&format!(
                "{},{},{},{},{},{}\n",
                point.mjd_tai,
                point.band.map_or("", Band::as_str),
                kind_name(point.kind),
                point.flux_njy as f32,
                error.map_or_else(String::new, |error| (error as f32).to_string()),
                self.alert(point)
                    .map_or_else(String::new, |id| id.to_string()),
            ));
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let point = |point: &PlotPoint| {
            json!({
                "mjd_tai": point.mjd_tai,
                "band": point.band.map(Band::as_str),
                "kind": kind_name(point.kind),
                "psf_flux_njy": point.flux_njy,
                "psf_flux_err_njy": point.flux_err_njy,
                "alert_id": self.alert(point).map(|id| id.to_string()),
            })
        };
        json!({
            "object_id": self.object,
            "survey": self.survey,
            "ra": self.position.map(|position| position.ra_deg),
            "dec": self.position.map(|position| position.dec_deg),
            "points": self.points.values().map(point).collect::<Vec<_>>(),
        })
    }
}

fn key(point: &PlotPoint) -> Key {
    let time = (point.mjd_tai * 864_000.0).round() as i64;
    (time, point.band.map(Band::index))
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Detection => "detection",
        Kind::Forced => "forced",
        Kind::Limit => "limit",
    }
}

fn plot_point(point: &Point) -> PlotPoint {
    PlotPoint {
        mjd_tai: point.mjd_tai,
        band: point.band.as_deref().and_then(Band::from_name),
        flux_njy: f64::from(point.psf_flux),
        flux_err_njy: f64::from(point.psf_flux_err),
        kind: Kind::Detection,
    }
}

fn float(items: &StructArray, name: &str, row: usize) -> f64 {
    let column = items
        .column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<Float32Type>());
    column
        .filter(|column| column.is_valid(row))
        .map_or(f64::NAN, |column| f64::from(column.value(row)))
}

fn band_of(items: &StructArray, row: usize) -> Option<Band> {
    let bands = items
        .column_by_name("band")?
        .as_dictionary_opt::<Int8Type>()?;
    let key = bands.key(row)?;
    Band::from_name(bands.values().as_string_opt::<i32>()?.value(key))
}
