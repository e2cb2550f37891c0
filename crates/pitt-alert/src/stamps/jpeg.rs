//! JPEG stamps, which ZTF sent before 2018.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{MAX_UNPACKED, Plane, StampError};

/// Longest side read, pixels.
const MAX_SIDE: usize = 4096;

/// Decodes a JPEG to grey values 0 to 255, its last row first, so that up is up as in FITS.
pub(super) fn decode(bytes: &[u8]) -> Result<Plane, StampError> {
    let options = DecoderOptions::default()
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let fault = |error| StampError::Jpeg(format!("{error:?}").chars().take(200).collect());
    decoder.decode_headers().map_err(fault)?;
    let (width, height) = decoder
        .dimensions()
        .ok_or_else(|| StampError::Jpeg("no dimensions".into()))?;
    if width.saturating_mul(height).saturating_mul(4) > MAX_UNPACKED {
        return Err(StampError::TooLarge);
    }
    let grey = decoder.decode().map_err(fault)?;
    if width == 0 || grey.len() != width * height {
        return Err(StampError::Jpeg(format!(
            "{} pixels, not {width} x {height}",
            grey.len()
        )));
    }
    let pixels = grey
        .chunks_exact(width)
        .rev()
        .flatten()
        .map(|&level| f32::from(level))
        .collect();
    Ok(Plane {
        name: "JPEG".into(),
        width,
        height,
        pixels,
        bitpix: 8,
        cards: Vec::new(),
    })
}
