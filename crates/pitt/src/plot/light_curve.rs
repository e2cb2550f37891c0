//! A light curve as a figure: bands in their colours, error bars, limits, two time axes.

use pitt_sky::band::Band;
use pitt_sky::photometry;

use super::PlotError;
use super::axis::{Axis, label};
use super::canvas::{Anchor, Canvas, FAINT, Frame, INK, PAPER, Text};
use super::dates::utc_ticks;

/// Forced photometry counts as measured from this signal to noise on; below it a limit of [`LIMIT_SIGMA`] is drawn.
///
/// Source: ZTF forced photometry guide, SNT = 3 and SNU = 5 (<https://irsa.ipac.caltech.edu/data/ZTF/docs/ztf_zfps_userguide.pdf>).
const MEASURED_SIGMA: f64 = 3.0;
const LIMIT_SIGMA: f64 = 5.0;

/// What kind of measurement a point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A 5 sigma limit where nothing was found.
    Limit,
    /// Flux measured at the object's place whether or not it was seen.
    Forced,
    /// A detection.
    Detection,
}

/// One point.
#[derive(Clone, Copy, Debug)]
pub struct PlotPoint {
    /// Middle of the exposure \[d, TAI\].
    pub mjd_tai: f64,
    /// Band, if known.
    pub band: Option<Band>,
    /// Difference flux \[nJy\]; for a limit, the limiting flux.
    pub flux_njy: f64,
    /// Its uncertainty \[nJy\]; NaN when not given.
    pub flux_err_njy: f64,
    /// What it is.
    pub kind: Kind,
}

/// What the vertical axis shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// AB magnitude of the absolute difference flux, bright at the top.
    Magnitude,
    /// Difference flux, nJy or µJy.
    Flux,
}

/// A light curve and how to show it.
#[derive(Clone, Debug)]
pub struct LightCurvePlot {
    /// First line, large.
    pub title: String,
    /// Second line: position and so on.
    pub subtitle: String,
    /// Points in any order.
    pub points: Vec<PlotPoint>,
    /// Vertical axis.
    pub quantity: Quantity,
}

/// Where a mark stands, in units of the vertical axis.
#[derive(Clone, Copy)]
struct Mark {
    mjd_tai: f64,
    value: f64,
    error: f64,
    kind: Kind,
    negative: bool,
    color: u32,
}

const WIDTH: f32 = 800.0;
const HEIGHT: f32 = 500.0;
const PLOT: Frame = Frame {
    left: 72.0,
    top: 92.0,
    right: 690.0,
    bottom: 446.0,
};

impl LightCurvePlot {
    /// Draws the figure, as the bytes of a PNG file.
    ///
    /// # Errors
    /// There is no point that can be drawn.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        let (micro, unit) = self.flux_unit();
        let mut marks: Vec<Mark> = self
            .points
            .iter()
            .filter_map(|point| self.mark(point, micro))
            .collect();
        if marks.is_empty() {
            let what = format!("`{}` has no measured point", self.title);
            return Err(PlotError::Empty { what });
        }
        marks.sort_by(|a, b| a.kind.cmp(&b.kind).then(a.mjd_tai.total_cmp(&b.mjd_tai)));
        let (time, value) = self.axes(&marks);
        let mut canvas = Canvas::new(WIDTH, HEIGHT)?;
        self.draw_titles(&mut canvas);
        if self.quantity == Quantity::Flux && value.holds(0.0) {
            let zero = value.at(0.0);
            canvas.line((PLOT.left, zero), (PLOT.right, zero), 0.6, 0xb0_b0b0);
        }
        for mark in &marks {
            draw_mark(&mut canvas, mark, &time, &value, self.quantity);
        }
        canvas.outline(PLOT, 1.0, INK);
        draw_value_axis(&mut canvas, &value, unit);
        draw_time_axes(&mut canvas, &time);
        self.draw_legend(&mut canvas, &marks);
        canvas.png()
    }

    /// Factor and name of the flux unit: µJy when the numbers would be long.
    fn flux_unit(&self) -> (f64, &'static str) {
        let largest = self
            .points
            .iter()
            .map(|point| point.flux_njy.abs())
            .fold(0.0, f64::max);
        match self.quantity {
            Quantity::Magnitude => (1.0, "AB magnitude of the difference"),
            Quantity::Flux if largest >= 10_000.0 => (1e-3, "Difference flux [µJy]"),
            Quantity::Flux => (1.0, "Difference flux [nJy]"),
        }
    }

    fn mark(&self, point: &PlotPoint, micro: f64) -> Option<Mark> {
        let (flux, error) = (point.flux_njy, point.flux_err_njy);
        let strong = flux.abs() >= MEASURED_SIGMA * error;
        let weak = point.kind == Kind::Forced && !strong;
        let color = point.band.map_or(FAINT, band_color);
        let mark = Mark {
            mjd_tai: point.mjd_tai,
            value: flux * micro,
            error: error * micro,
            kind: point.kind,
            negative: point.kind != Kind::Limit && flux < 0.0,
            color,
        };
        let mark = match self.quantity {
            Quantity::Flux if point.kind == Kind::Limit => Mark {
                error: f64::NAN,
                ..mark
            },
            Quantity::Flux => mark,
            Quantity::Magnitude if weak => Mark {
                value: photometry::mag_ab(LIMIT_SIGMA * error),
                error: f64::NAN,
                kind: Kind::Limit,
                negative: false,
                ..mark
            },
            Quantity::Magnitude => Mark {
                value: photometry::mag_ab(flux.abs()),
                error: photometry::mag_err(flux.abs(), error),
                ..mark
            },
        };
        (mark.value.is_finite() && mark.mjd_tai.is_finite()).then_some(mark)
    }

    fn axes(&self, marks: &[Mark]) -> (Axis, Axis) {
        let (mut start, mut end) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for mark in marks {
            // A bar longer than a magnitude, or than the flux itself, must not squeeze all the others.
            let most = if self.quantity == Quantity::Magnitude {
                1.0
            } else {
                mark.value.abs()
            };
            let error = if mark.error.is_finite() {
                mark.error.min(most)
            } else {
                0.0
            };
            (start, end) = (start.min(mark.mjd_tai), end.max(mark.mjd_tai));
            (low, high) = (low.min(mark.value - error), high.max(mark.value + error));
        }
        let wide = ((end - start) * 0.04).max(0.02);
        let tall = ((high - low) * 0.07).max(if self.quantity == Quantity::Magnitude {
            0.1
        } else {
            high.abs() * 0.05 + 1e-6
        });
        let (low, high) = (low - tall, high + tall);
        let (first, last) = if self.quantity == Quantity::Magnitude {
            (high, low)
        } else {
            (low, high)
        };
        (
            Axis {
                first: start - wide,
                last: end + wide,
                from: PLOT.left,
                to: PLOT.right,
            },
            Axis {
                first,
                last,
                from: PLOT.bottom,
                to: PLOT.top,
            },
        )
    }

    fn draw_titles(&self, canvas: &mut Canvas) {
        canvas.text(
            (PLOT.left, 28.0),
            &self.title,
            Text::new(19.0, Anchor::Start),
        );
        let faint = Text {
            color: FAINT,
            ..Text::new(12.5, Anchor::Start)
        };
        canvas.text((PLOT.left, 46.0), &self.subtitle, faint);
    }

    fn draw_legend(&self, canvas: &mut Canvas, marks: &[Mark]) {
        let (x, mut y) = (PLOT.right + 18.0, PLOT.top + 12.0);
        let words = Text::new(12.5, Anchor::Start);
        let bands = Band::ALL.into_iter().map(Some).chain([None]);
        for band in bands.filter(|band| self.points.iter().any(|point| point.band == *band)) {
            let color = band.map_or(FAINT, band_color);
            canvas.disc((x, y - 4.0), 3.8, color, color, 1.0);
            canvas.text((x + 12.0, y), band.map_or("no band", Band::as_str), words);
            y += 19.0;
        }
        y += 8.0;
        let has = |kind: Kind, negative: bool| {
            marks
                .iter()
                .any(|mark| mark.kind == kind && mark.negative == negative)
        };
        let small = Text::new(11.5, Anchor::Start);
        let mut entry = |present: bool, name: &str, draw: &dyn Fn(&mut Canvas, (f32, f32))| {
            if present {
                draw(canvas, (x, y - 4.0));
                canvas.text((x + 12.0, y), name, small);
                y += 18.0;
            }
        };
        entry(has(Kind::Detection, false), "detection", &|canvas, at| {
            canvas.disc(at, 3.8, INK, INK, 1.0);
        });
        let signed = self.quantity == Quantity::Magnitude;
        let negative = |kind: Kind| signed && has(kind, true);
        entry(negative(Kind::Detection), "negative", &|canvas, at| {
            canvas.square(at, 3.2, PAPER, INK, 1.0)
        });
        let plain = has(Kind::Forced, false) || (!signed && has(Kind::Forced, true));
        entry(plain, "forced", &|canvas, at| {
            canvas.disc(at, 2.6, PAPER, INK, 1.0);
        });
        entry(negative(Kind::Forced), "forced, neg.", &|canvas, at| {
            canvas.square(at, 2.2, PAPER, INK, 1.0)
        });
        entry(has(Kind::Limit, false), "5σ limit", &|canvas, at| {
            canvas.limit((at.0, at.1 - 2.5), 3.4, INK, 1.0);
        });
    }
}

fn draw_mark(canvas: &mut Canvas, mark: &Mark, time: &Axis, value: &Axis, quantity: Quantity) {
    let at = (time.at(mark.mjd_tai), value.at(mark.value));
    let alpha = match mark.kind {
        Kind::Limit => 0.55,
        Kind::Forced => 0.8,
        Kind::Detection => 1.0,
    };
    if mark.error.is_finite() && mark.error > 0.0 {
        let clip = |y: f32| y.clamp(PLOT.top, PLOT.bottom);
        let ends = (
            clip(value.at(mark.value - mark.error)),
            clip(value.at(mark.value + mark.error)),
        );
        canvas.line((at.0, ends.0), (at.0, ends.1), 0.9, mark.color);
    }
    // A magnitude has no sign: it is that of the absolute flux, and a square says that the flux is negative.
    let squared = mark.negative && quantity == Quantity::Magnitude;
    match mark.kind {
        Kind::Limit => canvas.limit(at, 3.2, mark.color, alpha),
        Kind::Forced if squared => canvas.square(at, 2.1, PAPER, mark.color, alpha),
        Kind::Forced => canvas.disc(at, 2.4, PAPER, mark.color, alpha),
        Kind::Detection if squared => canvas.square(at, 3.1, PAPER, mark.color, alpha),
        Kind::Detection => canvas.disc(at, 3.6, mark.color, PAPER, alpha),
    }
}

fn draw_value_axis(canvas: &mut Canvas, value: &Axis, name: &str) {
    let step = value.step(7.0);
    let mut widest = 0f32;
    for tick in value.ticks(Axis::minor(step)) {
        let y = value.at(tick);
        canvas.line((PLOT.left, y), (PLOT.left + 3.0, y), 0.8, INK);
        canvas.line((PLOT.right, y), (PLOT.right - 3.0, y), 0.8, INK);
    }
    for tick in value.ticks(step) {
        let y = value.at(tick);
        canvas.line((PLOT.left, y), (PLOT.left + 6.0, y), 1.0, INK);
        canvas.line((PLOT.right, y), (PLOT.right - 6.0, y), 1.0, INK);
        let text = label(tick, step);
        let at = (PLOT.left - 7.0, y + 4.2);
        widest = widest.max(canvas.text(at, &text, Text::new(12.0, Anchor::End)));
    }
    let how = Text {
        upright: true,
        ..Text::new(13.5, Anchor::Middle)
    };
    let x = (PLOT.left - 7.0 - widest - 11.0).max(15.0);
    canvas.text((x, (PLOT.top + PLOT.bottom) / 2.0), name, how);
}

fn draw_time_axes(canvas: &mut Canvas, time: &Axis) {
    let step = time.step(6.0);
    for tick in time.ticks(Axis::minor(step)) {
        let x = time.at(tick);
        canvas.line((x, PLOT.bottom), (x, PLOT.bottom - 3.0), 0.8, INK);
    }
    for tick in time.ticks(step) {
        let x = time.at(tick);
        canvas.line((x, PLOT.bottom), (x, PLOT.bottom - 6.0), 1.0, INK);
        let text = label(tick, step);
        canvas.text(
            (x, PLOT.bottom + 17.0),
            &text,
            Text::new(12.0, Anchor::Middle),
        );
    }
    let middle = (PLOT.left + PLOT.right) / 2.0;
    canvas.text(
        (middle, PLOT.bottom + 37.0),
        "MJD [d, TAI]",
        Text::new(13.5, Anchor::Middle),
    );
    for (x, text) in utc_ticks(time) {
        canvas.line((x, PLOT.top), (x, PLOT.top + 6.0), 1.0, INK);
        canvas.text((x, PLOT.top - 8.0), &text, Text::new(12.0, Anchor::Middle));
    }
    canvas.text(
        (middle, PLOT.top - 27.0),
        "UTC",
        Text::new(13.5, Anchor::Middle),
    );
}

fn band_color(band: Band) -> u32 {
    u32::from_str_radix(band.color_hex().trim_start_matches('#'), 16).unwrap_or(INK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A supernova-like rise and fall in three bands, with forced points before it and limits between.
    fn supernova() -> Vec<PlotPoint> {
        let mut points = vec![];
        for night in 0..60 {
            let (mjd_tai, phase) = (
                61_000.0 + f64::from(night) * 1.5,
                f64::from(night) * 1.5 - 30.0,
            );
            for (index, band) in [Band::G, Band::R, Band::I].into_iter().enumerate() {
                let rise = if phase < 0.0 { 8.0 } else { 22.0 };
                let clean =
                    32_000.0 * (-(phase / rise).powi(2) / 2.0).exp() * (1.0 - 0.2 * index as f64);
                let wiggle = ((f64::from(night) * 7.3 + index as f64).sin()) * 900.0;
                let (flux_njy, flux_err_njy) = (clean + wiggle, 900.0);
                // Before and after, the reference image was brighter.
                let before = night < 8 && index == 1;
                let flux_njy = if before { -6000.0 - wiggle } else { flux_njy };
                let kind = if flux_njy.abs() > 4500.0 && !(before && night % 2 == 0) {
                    Kind::Detection
                } else {
                    Kind::Forced
                };
                let mjd_tai = mjd_tai + 0.02 * index as f64;
                points.push(PlotPoint {
                    mjd_tai,
                    band: Some(band),
                    flux_njy,
                    flux_err_njy,
                    kind,
                });
            }
        }
        points
    }

    #[test]
    fn draws_magnitudes_and_fluxes_of_the_stated_size() {
        for quantity in [Quantity::Magnitude, Quantity::Flux] {
            let plot = LightCurvePlot {
                title: "ZTF26aaaaaaa".into(),
                subtitle: "10:20:24.00 -04:06:00.0".into(),
                points: supernova(),
                quantity,
            };
            let bytes = plot.png().unwrap();
            if let Ok(folder) = std::env::var("PITT_KEEP_PICTURES") {
                std::fs::write(format!("{folder}/curve_{quantity:?}.png"), &bytes).unwrap();
            }
            let reader = png::Decoder::new(std::io::Cursor::new(bytes))
                .read_info()
                .unwrap();
            assert_eq!((reader.info().width, reader.info().height), (2000, 1250));
        }
    }

    #[test]
    fn a_light_curve_without_points_is_an_error() {
        let plot = LightCurvePlot {
            title: "ZTF26aaaaaaa".into(),
            subtitle: String::new(),
            points: vec![],
            quantity: Quantity::Magnitude,
        };
        assert_eq!(
            plot.png().unwrap_err().to_string(),
            "there is nothing to draw: `ZTF26aaaaaaa` has no measured point"
        );
    }
}
