//! A canvas measured in points, drawn with anti-aliasing at two pixels a point and more.

use ab_glyph::{Font, FontRef, OutlineCurve};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform,
};

use super::PlotError;

/// Pixels a point: 8 inches of 100 points come out at 250 dots an inch.
const SCALE: f32 = 2.5;

/// Colours of everything that is not data.
pub(super) const INK: u32 = 0x1a_1a1a;
pub(super) const FAINT: u32 = 0x70_7070;
pub(super) const PAPER: u32 = 0xff_ffff;

/// Which part of a text stands at the position given.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text is drawn.
#[derive(Clone, Copy)]
pub(super) struct Text {
    /// Points from the baseline of one line to the next, about.
    pub(super) size: f32,
    pub(super) anchor: Anchor,
    pub(super) color: u32,
    /// Read from bottom to top.
    pub(super) upright: bool,
}

impl Text {
    pub(super) const fn new(size: f32, anchor: Anchor) -> Self {
        Self {
            size,
            anchor,
            color: INK,
            upright: false,
        }
    }
}

/// A rectangle in points: left, top, right, bottom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) right: f32,
    pub(super) bottom: f32,
}

impl Frame {
    pub(super) fn width(&self) -> f32 {
        self.right - self.left
    }

    pub(super) fn height(&self) -> f32 {
        self.bottom - self.top
    }
}

/// The canvas.
pub(super) struct Canvas {
    map: Pixmap,
    font: FontRef<'static>,
}

impl Canvas {
    /// A white canvas of `width` by `height` points.
    pub(super) fn new(width: f32, height: f32) -> Result<Self, PlotError> {
        let (across, down) = ((width * SCALE) as u32, (height * SCALE) as u32);
        let size = PlotError::Size {
            width: across,
            height: down,
        };
        let mut map = Pixmap::new(across, down).ok_or(size)?;
        map.fill(color(PAPER, 1.0));
        let font = FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT);
        Ok(Self {
            map,
            font: font.map_err(|_| PlotError::Font)?,
        })
    }

    /// The picture as a PNG file.
    pub(super) fn png(&self) -> Result<Vec<u8>, PlotError> {
        let mut bytes = vec![];
        let mut encoder = png::Encoder::new(&mut bytes, self.map.width(), self.map.height());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let per_metre = (100.0 * SCALE / 0.0254) as u32;
        encoder.set_pixel_dims(Some(png::PixelDimensions {
            xppu: per_metre,
            yppu: per_metre,
            unit: png::Unit::Meter,
        }));
        let mut writer = encoder.write_header()?;
        let rgb: Vec<u8> = self
            .map
            .data()
            .chunks_exact(4)
            .flat_map(|rgba| [rgba[0], rgba[1], rgba[2]])
            .collect();
        writer.write_image_data(&rgb)?;
        writer.finish()?;
        Ok(bytes)
    }

    pub(super) fn line(&mut self, from: (f32, f32), to: (f32, f32), width: f32, ink: u32) {
        let mut path = PathBuilder::new();
        path.move_to(from.0, from.1);
        path.line_to(to.0, to.1);
        self.stroke(path.finish(), width, ink, 1.0);
    }

    pub(super) fn outline(&mut self, frame: Frame, width: f32, ink: u32) {
        let path = rect(frame).map(PathBuilder::from_rect);
        self.stroke(path, width, ink, 1.0);
    }

    pub(super) fn fill(&mut self, frame: Frame, ink: u32, alpha: f32) {
        self.fill_path(rect(frame).map(PathBuilder::from_rect), ink, alpha);
    }

    /// A disc with a rim; `inside` is its colour.
    pub(super) fn disc(&mut self, at: (f32, f32), radius: f32, inside: u32, rim: u32, alpha: f32) {
        let path = PathBuilder::from_circle(at.0, at.1, radius);
        self.fill_path(path.clone(), inside, alpha);
        self.stroke(path, 0.8, rim, alpha);
    }

    /// A square with a rim; `inside` is its colour.
    pub(super) fn square(&mut self, at: (f32, f32), half: f32, inside: u32, rim: u32, alpha: f32) {
        let frame = Frame {
            left: at.0 - half,
            top: at.1 - half,
            right: at.0 + half,
            bottom: at.1 + half,
        };
        let path = rect(frame).map(PathBuilder::from_rect);
        self.fill_path(path.clone(), inside, alpha);
        self.stroke(path, 0.8, rim, alpha);
    }

    /// An open triangle pointing down, its upper edge at the position: an upper limit.
    pub(super) fn limit(&mut self, at: (f32, f32), half: f32, ink: u32, alpha: f32) {
        let mut path = PathBuilder::new();
        path.move_to(at.0 - half, at.1);
        path.line_to(at.0 + half, at.1);
        path.line_to(at.0, at.1 + 1.7 * half);
        path.close();
        self.stroke(path.finish(), 0.8, ink, alpha);
    }

    /// Draws a text, its baseline at the position, and gives back its width.
    pub(super) fn text(&mut self, at: (f32, f32), text: &str, how: Text) -> f32 {
        let width = self.text_width(text, how.size);
        let shift = match how.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -width / 2.0,
            Anchor::End => -width,
        };
        let mut turn = Transform::from_translate(at.0, at.1);
        if how.upright {
            turn = turn.pre_rotate(-90.0);
        }
        if let Some(path) = self.outlines(text, how.size, shift) {
            let path = path.transform(turn);
            // The font is a light one: a thin stroke of the same colour makes it a book weight.
            self.fill_path(path.clone(), how.color, 1.0);
            self.stroke(path, how.size * 0.022, how.color, 1.0);
        }
        width
    }

    /// Width of a text in points.
    pub(super) fn text_width(&self, text: &str, size: f32) -> f32 {
        self.glyphs(text)
            .last()
            .map_or(0.0, |(id, start)| start + self.font.h_advance_unscaled(*id))
            * self.em(size)
    }

    /// Draws `levels` (row by row from the top, `width` a row) into a frame, every pixel a sharp rectangle.
    pub(super) fn raster(&mut self, frame: Frame, width: usize, levels: &[u32]) {
        let height = levels.len().checked_div(width).unwrap_or(0);
        if height == 0 {
            return;
        }
        let across = (self.map.width(), self.map.height());
        let (left, top) = ((frame.left * SCALE).round(), (frame.top * SCALE).round());
        let (wide, tall) = (frame.width() * SCALE, frame.height() * SCALE);
        for y in 0..tall as u32 {
            for x in 0..wide as u32 {
                let column = (x as f32 / wide * width as f32) as usize;
                let row = (y as f32 / tall * height as f32) as usize;
                let level = levels[row.min(height - 1) * width + column.min(width - 1)];
                let (px, py) = (left as u32 + x, top as u32 + y);
                if px < across.0 && py < across.1 {
                    let at = 4 * (py * across.0 + px) as usize;
                    let [_, red, green, blue] = level.to_be_bytes();
                    self.map.data_mut()[at..at + 4].copy_from_slice(&[red, green, blue, 255]);
                }
            }
        }
    }

    fn em(&self, size: f32) -> f32 {
        size / self.font.units_per_em().unwrap_or(1000.0)
    }

    /// Glyph and start of each character, in font units.
    fn glyphs(&self, text: &str) -> Vec<(ab_glyph::GlyphId, f32)> {
        let mut placed: Vec<(ab_glyph::GlyphId, f32)> = Vec::with_capacity(text.len());
        for character in text.chars() {
            let id = self.font.glyph_id(character);
            let start = placed.last().map_or(0.0, |(before, start)| {
                start + self.font.h_advance_unscaled(*before) + self.font.kern_unscaled(*before, id)
            });
            placed.push((id, start));
        }
        placed
    }

    fn outlines(&self, text: &str, size: f32, shift: f32) -> Option<Path> {
        let em = self.em(size);
        let mut path = PathBuilder::new();
        for (id, start) in self.glyphs(text) {
            let Some(outline) = self.font.outline(id) else {
                continue;
            };
            let place = |point: ab_glyph::Point| (shift + (start + point.x) * em, -point.y * em);
            let mut last = None;
            for curve in outline.curves {
                let (from, to) = match curve {
                    OutlineCurve::Line(from, to)
                    | OutlineCurve::Quad(from, _, to)
                    | OutlineCurve::Cubic(from, _, _, to) => (from, to),
                };
                if last != Some(from) {
                    let (x, y) = place(from);
                    path.move_to(x, y);
                }
                let (x, y) = place(to);
                match curve {
                    OutlineCurve::Line(..) => path.line_to(x, y),
                    OutlineCurve::Quad(_, bend, _) => {
                        let bend = place(bend);
                        path.quad_to(bend.0, bend.1, x, y);
                    }
                    OutlineCurve::Cubic(_, first, second, _) => {
                        let (first, second) = (place(first), place(second));
                        path.cubic_to(first.0, first.1, second.0, second.1, x, y);
                    }
                }
                last = Some(to);
            }
        }
        path.finish()
    }

    fn fill_path(&mut self, path: Option<Path>, ink: u32, alpha: f32) {
        if let Some(path) = path {
            let scale = Transform::from_scale(SCALE, SCALE);
            self.map
                .fill_path(&path, &paint(ink, alpha), FillRule::Winding, scale, None);
        }
    }

    fn stroke(&mut self, path: Option<Path>, width: f32, ink: u32, alpha: f32) {
        if let Some(path) = path {
            let stroke = Stroke {
                width,
                line_cap: LineCap::Butt,
                line_join: LineJoin::Miter,
                ..Stroke::default()
            };
            let scale = Transform::from_scale(SCALE, SCALE);
            self.map
                .stroke_path(&path, &paint(ink, alpha), &stroke, scale, None);
        }
    }
}

fn rect(frame: Frame) -> Option<Rect> {
    Rect::from_ltrb(frame.left, frame.top, frame.right, frame.bottom)
}

fn color(ink: u32, alpha: f32) -> Color {
    let [_, red, green, blue] = ink.to_be_bytes();
    let mut color = Color::from_rgba8(red, green, blue, 255);
    color.set_alpha(alpha);
    color
}

fn paint(ink: u32, alpha: f32) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(color(ink, alpha));
    paint.anti_alias = true;
    paint
}
