//! The stamps of one alert side by side, stretched so that both sky and core can be seen.

use super::PlotError;
use super::canvas::{Anchor, Canvas, FAINT, Frame, INK, Text};

/// White is this far below the sky, in standard deviations of the noise.
const BELOW_SKY: f64 = 2.0;
/// Black is at this share of the pixels, but at least so many standard deviations above the sky.
const HIGH_SHARE: f64 = 0.999;
const ABOVE_SKY: f64 = 10.0;
/// A difference reaches black and white at the same distance from the sky: that of this share of the pixels.
const FAR_SHARE: f64 = 0.999;
/// The asinh stretch is linear up to about so many standard deviations above white.
///
/// Source: Lupton et al. 2004, doi:10.1086/382245, who soften at the noise of the sky.
const SOFTENING: f64 = 5.0;
/// Standard deviation of a normal distribution over its median absolute deviation.
const SIGMA_OF_MAD: f64 = 1.4826;

/// Colour of pixels without a value.
pub(super) const NO_VALUE: u32 = 0xf2_c9a1;

/// One stamp.
#[derive(Clone, Debug)]
pub struct StampPanel {
    /// Name over it.
    pub name: String,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Values, row by row from the bottom as in FITS; NaN where there is none.
    pub pixels: Vec<f32>,
    /// Arcsec a pixel, if known.
    pub scale_arcsec: Option<f64>,
    /// Whether sources may be below the sky as well as above it: then the sky is grey, and they are white or black.
    pub both_signs: bool,
}

/// The stamps and the words around them.
#[derive(Clone, Debug)]
pub struct StampsPlot {
    /// First line, large.
    pub title: String,
    /// Second line.
    pub subtitle: String,
    /// The stamps, from left to right.
    pub panels: Vec<StampPanel>,
}

const PANEL: f32 = 236.0;
const GAP: f32 = 14.0;
const MARGIN: f32 = 20.0;
const TOP: f32 = 82.0;

impl StampsPlot {
    /// Draws the figure, as the bytes of a PNG file.
    ///
    /// # Errors
    /// There is no stamp with a pixel.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        let empty = |panel: &StampPanel| panel.width == 0 || panel.pixels.is_empty();
        if self.panels.iter().all(empty) {
            return Err(PlotError::Empty {
                what: format!("`{}` has no stamps", self.title),
            });
        }
        let count = self.panels.len() as f32;
        let width = 2.0 * MARGIN + count * PANEL + (count - 1.0) * GAP;
        let mut canvas = Canvas::new(width, TOP + PANEL + 50.0)?;
        canvas.text((MARGIN, 28.0), &self.title, Text::new(19.0, Anchor::Start));
        let faint = Text {
            color: FAINT,
            ..Text::new(12.5, Anchor::Start)
        };
        canvas.text((MARGIN, 47.0), &self.subtitle, faint);
        for (index, panel) in self.panels.iter().enumerate() {
            let left = MARGIN + index as f32 * (PANEL + GAP);
            let frame = Frame {
                left,
                top: TOP,
                right: left + PANEL,
                bottom: TOP + PANEL,
            };
            panel.draw(&mut canvas, frame);
        }
        canvas.png()
    }
}

impl StampPanel {
    fn draw(&self, canvas: &mut Canvas, frame: Frame) {
        let middle = (frame.left + frame.right) / 2.0;
        canvas.text(
            (middle, frame.top - 8.0),
            &self.name,
            Text::new(13.5, Anchor::Middle),
        );
        canvas.outline(frame, 0.8, 0xc8_c8c8);
        let Some(stretch) = Stretch::of(&self.pixels, self.both_signs) else {
            let at = (middle, (frame.top + frame.bottom) / 2.0);
            canvas.text(
                at,
                "no pixels",
                Text {
                    color: FAINT,
                    ..Text::new(12.5, Anchor::Middle)
                },
            );
            return;
        };
        let image = self.inside(frame);
        canvas.raster(image, self.width, &self.levels(stretch));
        canvas.outline(image, 0.8, INK);
        draw_pointer(canvas, image);
        self.draw_scale(canvas, image);
        self.draw_caption(canvas, frame, stretch);
    }

    /// The largest frame of the image's shape inside the panel.
    fn inside(&self, frame: Frame) -> Frame {
        let unit = PANEL / self.width.max(self.height) as f32;
        let (wide, tall) = (unit * self.width as f32, unit * self.height as f32);
        let left = (frame.left + frame.right - wide) / 2.0;
        let top = (frame.top + frame.bottom - tall) / 2.0;
        Frame {
            left,
            top,
            right: left + wide,
            bottom: top + tall,
        }
    }

    /// Colours from the top row down: bright is dark, as in print.
    fn levels(&self, stretch: Stretch) -> Vec<u32> {
        let rows = self.pixels.chunks_exact(self.width).rev();
        rows.flatten()
            .map(|value| stretch.level(f64::from(*value)))
            .collect()
    }

    fn draw_scale(&self, canvas: &mut Canvas, image: Frame) {
        let Some(scale) = self.scale_arcsec.filter(|scale| *scale > 0.0) else {
            return;
        };
        let per_arcsec = image.width() / (self.width as f32 * scale as f32);
        let lengths = [60.0f32, 30.0, 20.0, 10.0, 5.0, 2.0, 1.0];
        let most = image.width() * 0.3;
        let Some(length) = lengths
            .into_iter()
            .find(|length| length * per_arcsec <= most)
        else {
            return;
        };
        let (left, y) = (image.left + 12.0, image.bottom - 14.0);
        let right = left + length * per_arcsec;
        let text = format!("{length:.0}\"");
        let wide = (right - left).max(canvas.text_width(&text, 12.5));
        let behind = Frame {
            left: left - 6.0,
            top: y - 20.0,
            right: left + wide + 6.0,
            bottom: y + 7.0,
        };
        canvas.fill(behind, 0xff_ffff, 0.75);
        canvas.line((left, y), (right, y), 2.2, INK);
        canvas.text(
            ((left + right) / 2.0, y - 6.0),
            &text,
            Text::new(12.5, Anchor::Middle),
        );
    }

    fn draw_caption(&self, canvas: &mut Canvas, frame: Frame, stretch: Stretch) {
        let faint = Text {
            color: FAINT,
            ..Text::new(11.0, Anchor::Middle)
        };
        let middle = (frame.left + frame.right) / 2.0;
        let missing = self.pixels.iter().filter(|value| value.is_nan()).count();
        let text = format!("{} to {}, asinh", short(stretch.low), short(stretch.high));
        canvas.text((middle, frame.bottom + 18.0), &text, faint);
        if missing > 0 {
            let share = 100.0 * missing as f64 / self.pixels.len() as f64;
            let text = format!(
                "{share:.1} % of {} x {} without value",
                self.width, self.height
            );
            let wide = canvas.text((middle, frame.bottom + 34.0), &text, faint);
            let left = middle - wide / 2.0 - 14.0;
            let (top, bottom) = (frame.bottom + 26.0, frame.bottom + 34.0);
            canvas.fill(
                Frame {
                    left,
                    top,
                    right: left + 8.0,
                    bottom,
                },
                NO_VALUE,
                1.0,
            );
        }
    }
}

/// Two strokes beside the middle, which leave the source free.
fn draw_pointer(canvas: &mut Canvas, image: Frame) {
    let at = (
        (image.left + image.right) / 2.0,
        (image.top + image.bottom) / 2.0,
    );
    let (near, far) = (PANEL * 0.06, PANEL * 0.12);
    for (width, ink) in [(3.4, 0xff_ffff), (1.4, 0xd6_2728)] {
        canvas.line((at.0 + near, at.1), (at.0 + far, at.1), width, ink);
        canvas.line((at.0, at.1 - near), (at.0, at.1 - far), width, ink);
    }
}

/// Which values go white and black, and how far from `center` the stretch turns from linear to logarithmic.
///
/// `center` is white for a stretch that begins there, grey for one that goes both ways.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    pub(super) low: f64,
    pub(super) high: f64,
    center: f64,
    soft: f64,
}

impl Stretch {
    /// From the sky and its noise, taken from the pixels; `None` when no pixel has a value.
    pub(super) fn of(pixels: &[f32], both_signs: bool) -> Option<Self> {
        let values: Vec<f64> = pixels
            .iter()
            .filter(|value| value.is_finite())
            .map(|value| f64::from(*value))
            .collect();
        let sky = quantile(&values, 0.5)?;
        let off: Vec<f64> = values.iter().map(|value| (value - sky).abs()).collect();
        let noise = SIGMA_OF_MAD * quantile(&off, 0.5)?;
        let noise = if noise > 0.0 { noise } else { 0.05 };
        let soft = SOFTENING * noise;
        if both_signs {
            let reach = quantile(&off, FAR_SHARE)?.max(ABOVE_SKY * noise);
            return Some(Self {
                low: sky - reach,
                high: sky + reach,
                center: sky,
                soft,
            });
        }
        let low = sky - BELOW_SKY * noise;
        Some(Self {
            low,
            high: quantile(&values, HIGH_SHARE)?.max(sky + ABOVE_SKY * noise),
            center: low,
            soft,
        })
    }

    pub(super) fn level(self, value: f64) -> u32 {
        if !value.is_finite() {
            return NO_VALUE;
        }
        let up = |value: f64| ((value - self.center) / self.soft).asinh();
        let (low, high) = (up(self.low), up(self.high));
        let share = (up(value.clamp(self.low, self.high)) - low) / (high - low);
        let grey = (255.0 * (1.0 - share)).round() as u32;
        grey << 16 | grey << 8 | grey
    }
}

fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
        .get((share * values.len().saturating_sub(1) as f64).round() as usize)
        .copied()
}

fn short(value: f64) -> String {
    let decimals = if value.abs() >= 100.0 { 0 } else { 1 };
    format!("{value:.decimals$}").replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_four_panels() {
        let panel = |name: &str, peak: f32, holes: bool| StampPanel {
            name: name.into(),
            width: 63,
            height: 63,
            pixels: (0..63 * 63)
                .map(|at| {
                    let (x, y) = ((at % 63) as f32 - 31.0, (at / 63) as f32 - 31.0);
                    let noise = ((at * 7919 % 1013) as f32 / 1013.0 - 0.5) * 40.0;
                    let value = 200.0 + noise + peak * (-(x * x + y * y) / 8.0).exp();
                    if holes && y > 22.0 { f32::NAN } else { value }
                })
                .collect(),
            scale_arcsec: Some(1.01),
            both_signs: name.starts_with("Difference"),
        };
        let plot = StampsPlot {
            title: "ZTF26aaaaaaa".into(),
            subtitle: "candid 1".into(),
            panels: vec![
                panel("Science", 3000.0, false),
                panel("Template", 500.0, false),
                panel("Difference", 2500.0, true),
                panel("Difference, fading", -2500.0, false),
            ],
        };
        let bytes = plot.png().unwrap();
        if let Ok(folder) = std::env::var("PITT_KEEP_PICTURES") {
            std::fs::write(format!("{folder}/stamps.png"), &bytes).unwrap();
        }
        let reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        assert_eq!((reader.info().width, reader.info().height), (2565, 920));
    }

    #[test]
    fn the_stretch_follows_sky_and_noise_and_ignores_pixels_without_value() {
        let mut pixels: Vec<f32> = (0..=1000u16)
            .map(|at| 100.0 + f32::from(at % 11) - 5.0)
            .collect();
        pixels.extend([f32::NAN; 50]);
        let stretch = Stretch::of(&pixels, false).unwrap();
        let noise = 3.0 * SIGMA_OF_MAD;
        assert!(
            (stretch.low - (100.0 - BELOW_SKY * noise)).abs() < 1e-9,
            "{stretch:?}"
        );
        assert!(
            (stretch.high - (100.0 + 10.0 * noise)).abs() < 1e-9,
            "{stretch:?}"
        );
        assert_eq!(Stretch::of(&[f32::NAN], false), None);
        assert!(Stretch::of(&[3.0, 3.0], false).unwrap().high > 3.0);
    }

    #[test]
    fn the_stretch_goes_from_white_to_black() {
        let stretch = Stretch {
            low: 0.0,
            high: 10.0,
            center: 0.0,
            soft: 1.0,
        };
        assert_eq!([stretch.level(-1.0), stretch.level(11.0)], [0xff_ffff, 0]);
        assert_eq!(stretch.level(f64::NAN), NO_VALUE);
    }

    #[test]
    fn a_source_below_the_sky_is_as_white_as_one_above_it_is_black() {
        let mut pixels: Vec<f32> = (0..1000u16).map(|at| f32::from(at % 11) - 5.0).collect();
        pixels.extend([-4000.0; 9]);
        let stretch = Stretch::of(&pixels, true).unwrap();
        assert_eq!(stretch.level(0.0), 0x80_8080);
        let [hole, star] = [-4000.0, 4000.0].map(|value| stretch.level(value));
        assert_eq!((hole, star), (0xff_ffff, 0));
        let [faint, deep] = [-20.0, -400.0].map(|value| stretch.level(value) & 0xff);
        assert!(
            0x80 < faint && faint < deep && deep < 0xff,
            "{faint} {deep}"
        );
    }
}
