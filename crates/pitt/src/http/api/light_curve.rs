//! All that is known of an object's brightness: its alerts, and what its newest packet tells of the time between.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int64Type};
use arrow_array::{Array, BooleanArray, Float32Array, StructArray};
use pitt_archive::Point;
use pitt_sky::photometry::{mag_ab, mag_err};
use pitt_sky::time::MjdTai;

use super::columns;
use super::problem::Problem;
use super::table::Table;
use crate::stored::{StoredAlert, value};

/// What a point is; where two tell of the same exposure, the later one here stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing was seen, down to a limit.
    Limit,
    /// Measured where the object is known to be.
    Forced,
    /// Detected.
    Detection,
}

impl Kind {
    /// Kind and list of a packet that has such points.
    const LISTS: [(Self, &str); 3] = [
        (Self::Detection, "detections"),
        (Self::Forced, "forced"),
        (Self::Limit, "nondetections"),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Forced => "forced",
            Self::Detection => "detection",
        }
    }
}

/// A point of a light curve.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePoint {
    /// What it is.
    pub kind: Kind,
    /// The alert, if there is or was one.
    pub alert_id: Option<i64>,
    /// Middle of the exposure, d (TAI).
    pub mjd_tai: f64,
    /// Band.
    pub band: Option<String>,
    /// Difference flux `[nJy]`; of a limit the limiting flux; `NaN` when not measured.
    pub flux: f32,
    /// Its standard error `[nJy]`; `NaN` when not known.
    pub flux_err: f32,
    /// Whether the newest packet has it.
    pub in_packet: bool,
}

/// Time in tenths of a second, and band: what makes two points the same exposure.
type Exposure = (i64, Option<String>);

/// The points of alerts and of the newest packet's history, each exposure once, in order of time.
///
/// Where both have a point, the packet's values stand: a later packet may have measured anew.
pub fn merge(alerts: &[Point], newest: Option<&StoredAlert>) -> Vec<CurvePoint> {
    let mut points: BTreeMap<(Exposure, Kind), CurvePoint> = BTreeMap::new();
    for point in alerts {
        add(
            &mut points,
            CurvePoint {
                kind: Kind::Detection,
                alert_id: Some(point.alert_id),
                mjd_tai: point.mjd_tai,
                band: point.band.clone(),
                flux: point.psf_flux,
                flux_err: point.psf_flux_err,
                in_packet: false,
            },
        );
    }
    for (kind, list) in Kind::LISTS {
        let column = newest.and_then(|alert| value(&alert.row, list));
        let items = column
            .as_ref()
            .and_then(|column| column.as_list_opt::<i32>());
        let items = items.map(|list| list.value(0));
        if let Some(items) = items.as_ref().and_then(|items| items.as_struct_opt()) {
            history(items, kind).for_each(|point| add(&mut points, point));
        }
    }
    drop_doubles(&mut points);
    let mut points: Vec<CurvePoint> = points.into_values().collect();
    points.sort_by(|a, b| a.mjd_tai.total_cmp(&b.mjd_tai));
    points
}

fn exposure(point: &CurvePoint) -> Exposure {
    (
        (point.mjd_tai * 864_000.0).round() as i64,
        point.band.clone(),
    )
}

fn add(points: &mut BTreeMap<(Exposure, Kind), CurvePoint>, mut point: CurvePoint) {
    let key = (exposure(&point), point.kind);
    if let Some(before) = points.get(&key) {
        point.alert_id = point.alert_id.or(before.alert_id);
    }
    points.insert(key, point);
}

/// A limit says nothing where there is a flux of the same exposure, and a forced flux little where there is a detection.
fn drop_doubles(points: &mut BTreeMap<(Exposure, Kind), CurvePoint>) {
    let keys: Vec<(Exposure, Kind)> = points.keys().cloned().collect();
    for ((time, band), kind) in keys {
        let better = [Kind::Forced, Kind::Detection]
            .into_iter()
            .filter(|better| *better > kind);
        let near = |better: Kind| {
            (-5..=5).any(|shift| points.contains_key(&((time + shift, band.clone()), better)))
        };
        if better.into_iter().any(near) {
            points.remove(&((time, band), kind));
        }
    }
}

fn history(items: &StructArray, kind: Kind) -> impl Iterator<Item = CurvePoint> {
    let flux = if kind == Kind::Limit {
        "psf_flux_limit"
    } else {
        "psf_flux"
    };
    let point = move |row: usize| {
        let times = items
            .column_by_name("mjd_tai")?
            .as_primitive_opt::<Float64Type>()?;
        let ids = items
            .column_by_name("alert_id")
            .and_then(|ids| ids.as_primitive_opt::<Int64Type>());
        let point = CurvePoint {
            kind,
            alert_id: ids
                .filter(|ids| ids.is_valid(row))
                .map(|ids| ids.value(row)),
            mjd_tai: times.is_valid(row).then(|| times.value(row))?,
            band: band(items, row),
            flux: short(items, flux, row),
            flux_err: short(items, "psf_flux_err", row),
            in_packet: true,
        };
        Some(point).filter(|point| point.flux.is_finite())
    };
    (0..items.len()).filter_map(point)
}

fn short(items: &StructArray, name: &str, row: usize) -> f32 {
    let column = items
        .column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<Float32Type>());
    column
        .filter(|column| column.is_valid(row))
        .map_or(f32::NAN, |column| column.value(row))
}

fn band(items: &StructArray, row: usize) -> Option<String> {
    let bands = items
        .column_by_name("band")?
        .as_dictionary_opt::<Int8Type>()?;
    let key = bands.key(row)?;
    Some(bands.values().as_string_opt::<i32>()?.value(key).to_owned())
}

/// The magnitude of a positive flux `[nJy]`.
pub fn mag(flux: f32) -> Option<f64> {
    Some(mag_ab(flux.into())).filter(|_| flux > 0.0)
}

/// The points as a table.
///
/// # Errors
/// A fault of ours.
pub fn table(points: &[CurvePoint]) -> Result<Table, Problem> {
    let schema = columns::schema(&[
        "kind",
        "alert_id",
        "mjd_tai",
        "utc",
        "band",
        "psf_flux",
        "psf_flux_err",
        "mag",
        "mag_err",
        "limit_mag",
        "in_packet",
    ])?;
    let limit = |point: &CurvePoint| point.kind == Kind::Limit;
    let flux =
        |point: &CurvePoint| Some(point.flux).filter(|flux| flux.is_finite() && !limit(point));
    let error = |point: &CurvePoint| Some(point.flux_err).filter(|error| error.is_finite());
    let mag_error = |point: &CurvePoint| {
        let (flux, error) = (flux(point).filter(|flux| *flux > 0.0)?, error(point)?);
        Some(mag_err(flux.into(), error.into())).filter(|error| error.is_finite())
    };
    let utc = |point: &CurvePoint| Some(MjdTai(point.mjd_tai).iso_utc());
    let rows = columns::Rows(points);
    let arrays = vec![
        rows.text(|p| Some(p.kind.as_str())),
        rows.whole(|p| p.alert_id),
        rows.real(|p| Some(p.mjd_tai)),
        rows.text(utc),
        rows.text(|p| p.band.as_deref()),
        rows.column::<Float32Array, f32>(flux),
        rows.column::<Float32Array, f32>(error),
        rows.real(|p| mag(flux(p)?)),
        rows.real(mag_error),
        rows.real(|p| mag(p.flux).filter(|_| limit(p))),
        rows.column::<BooleanArray, bool>(|p| Some(p.in_packet)),
    ];
    let batch = columns::batch(&schema, arrays)?;
    Ok(Table::new(schema, vec![batch]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exposure_is_there_once_and_the_packet_has_the_last_word() {
        let point = |kind, mjd_tai, flux, in_packet| CurvePoint {
            kind,
            alert_id: None,
            mjd_tai,
            band: Some("g".into()),
            flux,
            flux_err: 1.0,
            in_packet,
        };
        let mut points = BTreeMap::new();
        let alert = CurvePoint {
            alert_id: Some(7),
            ..point(Kind::Detection, 61_000.0, 5.0, false)
        };
        for one in [
            alert,
            point(Kind::Detection, 61_000.0, 6.0, true),
            point(Kind::Forced, 61_000.000_001, 5.5, true),
            point(Kind::Limit, 61_001.0, 9.0, true),
            point(Kind::Forced, 61_001.0, 0.5, true),
        ] {
            add(&mut points, one);
        }
        drop_doubles(&mut points);
        let told: Vec<_> = points
            .values()
            .map(|p| (p.kind, p.alert_id, p.flux))
            .collect();
        assert_eq!(
            told,
            [(Kind::Detection, Some(7), 6.0), (Kind::Forced, None, 0.5)]
        );
    }
}
