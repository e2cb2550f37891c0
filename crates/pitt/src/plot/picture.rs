//! One stamp as a bare picture: its pixels, and nothing around them.

use super::PlotError;
use super::stamps::{NO_VALUE, StampPanel, Stretch};

/// How values become shades between white and black.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Linear near the sky, logarithmic above it.
    #[default]
    Asinh,
    /// As they are.
    Linear,
    /// The logarithm, over three decades.
    Log,
    /// The square root.
    Sqrt,
}

/// Share of the range at which the logarithm begins.
const LOG_FROM: f64 = 1e-3;

impl StampPanel {
    /// The stamp as the bytes of a PNG file; `size` is the longer side `[px]`, one a pixel of the stamp when left out.
    ///
    /// # Errors
    /// The stamp has no pixels.
    pub fn picture(&self, way: Way, size: Option<u32>) -> Result<Vec<u8>, PlotError> {
        let empty = || PlotError::Empty {
            what: format!("stamp `{}` has no pixels", self.name),
        };
        let (wide, tall) = (self.width, self.height);
        if wide == 0 || tall == 0 || self.pixels.len() < wide * tall {
            return Err(empty());
        }
        let stretch = Stretch::of(&self.pixels, self.both_signs);
        let longer = wide.max(tall);
        let size = size.map_or(longer, |size| size as usize);
        let side = |pixels: usize| (pixels * size / longer).max(1);
        let (width, height) = (side(wide), side(tall));
        let mut bytes = Vec::with_capacity(width * height * 3);
        for row in 0..height {
            // The first row of a picture is the top one, that of a stamp the bottom one.
            let from = tall - 1 - row * tall / height;
            for column in 0..width {
                let value = f64::from(self.pixels[from * wide + column * wide / width]);
                let ink = stretch.map_or(NO_VALUE, |stretch| way.level(stretch, value));
                bytes.extend(&ink.to_be_bytes()[1..]);
            }
        }
        encode(&bytes, width, height)
    }
}

impl Way {
    /// Colour of a value: bright is dark, as in print.
    fn level(self, stretch: Stretch, value: f64) -> u32 {
        if self == Self::Asinh || !value.is_finite() {
            return stretch.level(value);
        }
        let share = (value - stretch.low) / (stretch.high - stretch.low);
        let share = match self {
            Self::Sqrt => share.clamp(0.0, 1.0).sqrt(),
            Self::Log => 1.0 - share.clamp(LOG_FROM, 1.0).ln() / LOG_FROM.ln(),
            _ => share.clamp(0.0, 1.0),
        };
        let grey = (255.0 * (1.0 - share)).round() as u32;
        grey << 16 | grey << 8 | grey
    }
}

fn encode(rgb: &[u8], width: usize, height: usize) -> Result<Vec<u8>, PlotError> {
    let mut png = vec![];
    let mut encoder = png::Encoder::new(&mut png, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_row_of_a_stamp_is_the_last_of_the_picture_and_pixels_are_repeated() {
        let mut pixels: Vec<f32> = (0..64 * 64u16).map(|at| f32::from(at % 7)).collect();
        pixels[0] = 1e6;
        let panel = StampPanel {
            name: "Science".into(),
            width: 64,
            height: 64,
            pixels,
            scale_arcsec: None,
            both_signs: false,
        };
        for way in [Way::Asinh, Way::Linear, Way::Log, Way::Sqrt] {
            let bytes = panel.picture(way, Some(128)).unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
                .read_info()
                .unwrap();
            let mut shades = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut shades).unwrap();
            assert_eq!((reader.info().width, reader.info().height), (128, 128));
            let row = 128 * 3;
            let (bottom, above) = (&shades[127 * row..], &shades[126 * row..127 * row]);
            assert_eq!(bottom, above);
            assert_eq!(
                (bottom[0], bottom[3]),
                (0, 0),
                "the brightest is black, {way:?}"
            );
            assert!(shades[0] > 40, "the sky is lighter, {way:?}");
        }
    }
}
