//! Light-curve functions: one number per alert from the history inside its packet.

use std::sync::Arc;

use pitt_sky::photometry;

use super::number::Bits;
use super::points::{Point, Points};

/// What to compute from a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum CurveOp {
    Detections,
    FirstDetection,
    Age,
    Duration,
    RiseRate,
    DeclineRate,
    PeakMag,
    DaysSincePeak,
    LastMag,
    MeanMag,
    Amplitude,
    Color,
    Nondetections,
    LastNondetectionAge,
    NondetectionGap,
    ForcedMaxFlux,
    ForcedSnr,
    ForcedDetections,
}

/// A light-curve function with its constant arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Curve {
    pub(crate) op: CurveOp,
    /// Only this band (place in `Band::ALL`), or all.
    pub(crate) band: Option<i8>,
    /// The second band of a colour.
    pub(crate) other_band: Option<i8>,
    /// Only the last so many days before the alert; for a colour the longest gap of a pair `[d]`.
    pub(crate) days: Option<Bits>,
}

/// Signal to noise from which a forced measurement counts as a detection.
const FORCED_SNR: f64 = 5.0;
/// Shortest span over which a slope is taken `[d]`: an hour, so that noise between exposures of one visit is no slope.
const SHORTEST_SPAN: f64 = 1.0 / 24.0;
/// Longest gap between the two points of a colour unless the call says otherwise `[d]`.
const COLOR_GAP: f64 = 1.0;

/// Number and time of a measured magnitude.
#[derive(Clone, Copy)]
struct Magnitude {
    mjd: f64,
    mag: f64,
    err: f64,
}

impl Curve {
    /// The columns it reads, in the order of its arguments, before `mjd_tai`.
    pub(crate) fn lists(&self) -> &'static [&'static str] {
        match self.op {
            CurveOp::Nondetections | CurveOp::LastNondetectionAge => &["nondetections"],
            CurveOp::NondetectionGap => &["nondetections", "detections"],
            CurveOp::ForcedMaxFlux | CurveOp::ForcedSnr | CurveOp::ForcedDetections => &["forced"],
            _ => &["detections"],
        }
    }

    /// The value for alert `row`, observed at `now` `[d, TAI]`.
    pub(crate) fn value(&self, lists: &[Arc<Points>], row: usize, now: Option<f64>) -> Option<f64> {
        let points = lists.first()?;
        let since = match self.days {
            Some(days) if self.op != CurveOp::Color => now? - days.get(),
            _ => f64::NEG_INFINITY,
        };
        let chosen = || {
            points
                .of(row)
                .filter(move |p| self.band.is_none_or(|band| band == p.band) && p.mjd >= since)
        };
        let detected = || chosen().filter(|p| !p.flux.is_nan());
        match self.op {
            CurveOp::Detections => Some(detected().count() as f64),
            CurveOp::FirstDetection => detected().next().map(|p| p.mjd),
            CurveOp::Age => Some(now? - detected().next()?.mjd),
            CurveOp::Duration => Some(detected().next_back()?.mjd - detected().next()?.mjd),
            CurveOp::RiseRate => rise_rate(magnitudes(chosen())),
            CurveOp::DeclineRate => decline_rate(magnitudes(chosen())),
            CurveOp::PeakMag => peak(magnitudes(chosen())).map(|p| p.mag),
            CurveOp::DaysSincePeak => Some(now? - peak(magnitudes(chosen()))?.mjd),
            CurveOp::LastMag => magnitudes(chosen()).last().map(|p| p.mag),
            CurveOp::MeanMag => mean_mag(magnitudes(chosen())),
            CurveOp::Amplitude => amplitude(magnitudes(chosen())),
            CurveOp::Color => self.color(points.of(row)),
            CurveOp::Nondetections => Some(detected().count() as f64),
            CurveOp::LastNondetectionAge => Some(now? - detected().next_back()?.mjd),
            CurveOp::NondetectionGap => {
                let found = lists.get(1)?.of(row);
                gap(
                    detected(),
                    found.filter(|p| self.band.is_none_or(|band| band == p.band)),
                )
            }
            CurveOp::ForcedMaxFlux => largest(detected().map(|p| p.flux)),
            CurveOp::ForcedSnr => largest(detected().map(|p| p.flux / p.flux_err)),
            CurveOp::ForcedDetections => Some(
                detected()
                    .filter(|p| p.flux / p.flux_err >= FORCED_SNR)
                    .count() as f64,
            ),
        }
    }

    /// Colour from the latest pair of detections in the two bands that are near enough in time.
    fn color(&self, points: impl Iterator<Item = Point>) -> Option<f64> {
        let gap = self.days.map_or(COLOR_GAP, Bits::get);
        let (mut last_blue, mut last_red) = (None::<Magnitude>, None::<Magnitude>);
        let mut color = None;
        for point in points {
            let is_blue = Some(point.band) == self.band;
            if !is_blue && Some(point.band) != self.other_band {
                continue;
            }
            let Some(magnitude) = magnitude(point) else {
                continue;
            };
            *(if is_blue {
                &mut last_blue
            } else {
                &mut last_red
            }) = Some(magnitude);
            if let (Some(blue), Some(red)) = (last_blue, last_red)
                && (blue.mjd - red.mjd).abs() <= gap
            {
                color = Some(blue.mag - red.mag);
            }
        }
        color
    }
}

/// AB magnitude of a point with positive flux.
fn magnitude(point: Point) -> Option<Magnitude> {
    (point.flux > 0.0).then(|| Magnitude {
        mjd: point.mjd,
        mag: photometry::mag_ab(point.flux),
        err: photometry::mag_err(point.flux, point.flux_err),
    })
}

fn magnitudes(points: impl Iterator<Item = Point>) -> impl Iterator<Item = Magnitude> {
    points.filter_map(magnitude)
}

/// The brightest magnitude; the earliest of equals.
fn peak(points: impl Iterator<Item = Magnitude>) -> Option<Magnitude> {
    points.reduce(|best, point| if point.mag < best.mag { point } else { best })
}

/// Slope from the first detection to the brightest, in magnitudes of brightening per day.
fn rise_rate(points: impl Iterator<Item = Magnitude>) -> Option<f64> {
    let points: Vec<Magnitude> = points.collect();
    let peak = peak(points.iter().copied())?;
    let rising = points.iter().filter(|p| p.mjd <= peak.mjd);
    slope(rising).map(|slope| -slope)
}

/// Slope from the brightest detection to the last, in magnitudes of fading per day.
fn decline_rate(points: impl Iterator<Item = Magnitude>) -> Option<f64> {
    let points: Vec<Magnitude> = points.collect();
    let peak = peak(points.iter().copied())?;
    slope(points.iter().filter(|p| p.mjd >= peak.mjd))
}

/// Weighted least-squares slope of magnitude against time [mag/d].
///
/// Weights are 1 / err^2; a point without an error counts as if it had 0.1 mag. Null for fewer than two points, or a span below an hour.
fn slope<'a>(points: impl Iterator<Item = &'a Magnitude> + Clone) -> Option<f64> {
    let weight = |p: &Magnitude| {
        let err = if p.err.is_finite() && p.err > 0.0 {
            p.err.max(1e-3)
        } else {
            0.1
        };
        err.powi(-2)
    };
    let (first, last) = (points.clone().next()?, points.clone().last()?);
    if last.mjd - first.mjd < SHORTEST_SPAN {
        return None;
    }
    let (mut sum, mut sum_t, mut sum_m) = (0.0, 0.0, 0.0);
    for p in points.clone() {
        let w = weight(p);
        sum += w;
        sum_t += w * (p.mjd - first.mjd);
        sum_m += w * p.mag;
    }
    let (mean_t, mean_m) = (sum_t / sum, sum_m / sum);
    let (mut cov, mut var) = (0.0, 0.0);
    for p in points {
        let dt = p.mjd - first.mjd - mean_t;
        cov += weight(p) * dt * (p.mag - mean_m);
        var += weight(p) * dt * dt;
    }
    (var > 0.0).then_some(cov / var)
}

fn mean_mag(points: impl Iterator<Item = Magnitude>) -> Option<f64> {
    let (sum, count) = points.fold((0.0, 0_u32), |(sum, n), p| (sum + p.mag, n + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Half the range of the magnitudes, from at least two points.
fn amplitude(points: impl Iterator<Item = Magnitude>) -> Option<f64> {
    let (mut low, mut high, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0);
    for point in points {
        low = low.min(point.mag);
        high = high.max(point.mag);
        count += 1;
    }
    (count > 1).then_some(0.5 * (high - low))
}

/// Days from the last non-detection before the first detection to that detection.
fn gap(
    nondetections: impl DoubleEndedIterator<Item = Point>,
    mut detections: impl Iterator<Item = Point>,
) -> Option<f64> {
    let first = detections.find(|p| !p.flux.is_nan())?.mjd;
    let before = nondetections.rev().find(|p| p.mjd < first)?;
    Some(first - before.mjd)
}

fn largest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.filter(|v| v.is_finite()).reduce(f64::max)
}
