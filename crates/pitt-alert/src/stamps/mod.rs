//! Image stamps: FITS (gzipped or not) and JPEG, as planes of pixels.
//!
//! A stamp is small and comes from a stranger: what it unpacks to is bounded by [`MAX_UNPACKED`], and a header cannot
//! claim more pixels than there are bytes.

mod fits;
mod jpeg;

use std::io::Read;

/// Most bytes that a gzipped stamp may unpack to, and that a JPEG's pixels may take.
pub const MAX_UNPACKED: usize = 64 << 20;

/// One image of a stamp.
///
/// LSST's stamps have three: the image, its uncertainty (`UNCERT`) and the point spread function (`PSFIMAGE`).
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// FITS `EXTNAME`; `PRIMARY` or `HDU<n>` (from 0) without one; `JPEG`.
    pub name: String,
    /// Pixels in a row, FITS `NAXIS1`.
    pub width: usize,
    /// Rows, FITS `NAXIS2`.
    pub height: usize,
    /// `height` rows of `width` pixels; the first row is the bottom one. `NaN` where there is no value. Doubles are
    /// rounded to the nearest float. The unit is `BUNIT`'s, if the header has one.
    pub pixels: Vec<f32>,
    /// FITS `BITPIX`: 8, 16 and 32 are integers, -32 and -64 floats. 8 for JPEG.
    pub bitpix: i32,
    /// The FITS header, empty for JPEG.
    pub cards: Vec<Card>,
}

/// One line of a FITS header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Keyword.
    pub keyword: String,
    /// Value: of texts what is in the quotes; empty for comments.
    pub value: String,
}

impl Plane {
    /// The header's value of `keyword`.
    pub fn card(&self, keyword: &str) -> Option<&str> {
        self.cards
            .iter()
            .find(|card| card.keyword == keyword)
            .map(|card| card.value.as_str())
    }
}

/// Why a stamp cannot be shown.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StampError {
    /// Neither gzip, FITS nor JPEG.
    #[error("the stamp is neither FITS nor JPEG: it starts with `{0}`")]
    Unknown(String),
    /// The gzip stream is damaged.
    #[error("the stamp does not unpack: {0}")]
    Gzip(String),
    /// Larger than [`MAX_UNPACKED`].
    #[error("the stamp needs more than {MAX_UNPACKED} bytes")]
    TooLarge,
    /// The FITS header or data are damaged.
    #[error("FITS, HDU {hdu}: {what}")]
    Fits {
        /// Number of the HDU, from 0.
        hdu: usize,
        /// What is wrong.
        what: String,
    },
    /// The JPEG is damaged.
    #[error("JPEG: {0}")]
    Jpeg(String),
}

/// Decodes a stamp to its planes.
pub fn decode(bytes: &[u8]) -> Result<Vec<Plane>, StampError> {
    match bytes {
        [0x1f, 0x8b, ..] => decode_unpacked(&gunzip(bytes)?),
        _ => decode_unpacked(bytes),
    }
}

fn decode_unpacked(bytes: &[u8]) -> Result<Vec<Plane>, StampError> {
    if bytes.starts_with(b"SIMPLE") {
        return fits::decode(bytes);
    }
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return Ok(vec![jpeg::decode(bytes)?]);
    }
    Err(StampError::Unknown(
        bytes[..bytes.len().min(16)].escape_ascii().to_string(),
    ))
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, StampError> {
    let mut unpacked = Vec::with_capacity(bytes.len().saturating_mul(2).min(MAX_UNPACKED));
    let limit = MAX_UNPACKED as u64 + 1;
    let read = flate2::bufread::MultiGzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut unpacked);
    read.map_err(|error| StampError::Gzip(error.to_string()))?;
    if unpacked.len() > MAX_UNPACKED {
        return Err(StampError::TooLarge);
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_no_stamp() {
        assert_eq!(decode(b"<html>"), Err(StampError::Unknown("<html>".into())));
        assert!(matches!(
            decode(&[0x1f, 0x8b, 0, 0]),
            Err(StampError::Gzip(_))
        ));
        assert!(matches!(
            decode(&[0xff, 0xd8, 0xff, 0xe0]),
            Err(StampError::Jpeg(_))
        ));
    }
}
