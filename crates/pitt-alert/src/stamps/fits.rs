//! A reader of FITS images: every HDU, every `BITPIX`, in memory.
//!
//! Source: FITS Standard 4.0, <https://fits.gsfc.nasa.gov/fits_standard.html>. Values are read in free format, since
//! ZTF does not write the fixed one. Tables and compressed images are passed over.

use super::{Card, Plane, StampError};

const BLOCK: usize = 2880;
const CARD: usize = 80;
/// More axes than this make no sense in a stamp.
const MAX_AXES: usize = 9;

struct Header {
    cards: Vec<Card>,
    /// Offset of the data.
    data: usize,
}

/// What a header says of the data.
struct Layout {
    bitpix: i32,
    width: usize,
    height: usize,
    slices: usize,
    /// Bytes of data, without padding.
    size: usize,
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Plane>, StampError> {
    let mut planes = Vec::new();
    let mut at = 0;
    let mut hdu = 0;
    while at < bytes.len() && (hdu == 0 || bytes[at..].starts_with(b"XTENSION")) {
        let fault = |what: String| StampError::Fits { hdu, what };
        let header = read_header(bytes, at).map_err(fault)?;
        let layout = layout(&header).map_err(fault)?;
        let available = bytes.len() - header.data;
        if layout.size > available {
            return Err(fault(format!(
                "the header claims {} bytes of data, there are {available}",
                layout.size
            )));
        }
        let data = &bytes[header.data..header.data + layout.size];
        let kind = value(&header.cards, "XTENSION");
        if kind.is_none_or(|kind| kind == "IMAGE") {
            push_planes(&header, &layout, data, hdu, &mut planes);
        }
        at = header.data + layout.size.next_multiple_of(BLOCK);
        hdu += 1;
    }
    Ok(planes)
}

fn read_header(bytes: &[u8], start: usize) -> Result<Header, String> {
    let mut cards = Vec::new();
    for (index, card) in bytes[start..].chunks_exact(CARD).enumerate() {
        if card.starts_with(b"END ") || card == b"END" {
            let length = ((index + 1) * CARD).next_multiple_of(BLOCK);
            return Ok(Header {
                cards,
                data: (start + length).min(bytes.len()),
            });
        }
        if !card.is_ascii() {
            return Err(format!("card {index} of the header is not ASCII"));
        }
        cards.push(parse_card(&String::from_utf8_lossy(card)));
    }
    Err("the header has no END".into())
}

fn parse_card(card: &str) -> Card {
    let (keyword, rest) = card.split_at(8);
    let keyword = keyword.trim().to_owned();
    let Some(rest) = rest.strip_prefix('=') else {
        return Card {
            keyword,
            value: String::new(),
        };
    };
    let rest = rest.trim_start();
    let value = match rest.strip_prefix('\'') {
        Some(text) => quoted(text),
        None => rest.split('/').next().unwrap_or_default().trim().to_owned(),
    };
    Card { keyword, value }
}

/// A text up to its closing quote; two quotes stand for one.
fn quoted(text: &str) -> String {
    let mut value = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '\'' && letters.next_if_eq(&'\'').is_none() {
            break;
        }
        value.push(letter);
    }
    value.truncate(value.trim_end().len());
    value
}

fn value<'a>(cards: &'a [Card], keyword: &str) -> Option<&'a str> {
    cards
        .iter()
        .find(|card| card.keyword == keyword)
        .map(|card| card.value.as_str())
}

fn number<T: std::str::FromStr>(cards: &[Card], keyword: &str) -> Option<T> {
    // FORTRAN writes 1.5D3.
    value(cards, keyword)?.replace(['D', 'd'], "E").parse().ok()
}

fn layout(header: &Header) -> Result<Layout, String> {
    let cards = &header.cards;
    let bitpix: i32 = number(cards, "BITPIX").ok_or("no BITPIX")?;
    if ![8, 16, 32, -32, -64].contains(&bitpix) {
        return Err(format!(
            "BITPIX is {bitpix} (8, 16, 32, -32 and -64 are read)"
        ));
    }
    let axes: usize = number(cards, "NAXIS").ok_or("no NAXIS")?;
    if axes > MAX_AXES {
        return Err(format!("NAXIS is {axes}"));
    }
    let lengths: Option<Vec<usize>> = (1..=axes)
        .map(|axis| number(cards, &format!("NAXIS{axis}")))
        .collect();
    let lengths = lengths.ok_or("a length of an axis is missing")?;
    let groups = number::<usize>(cards, "GCOUNT").unwrap_or(1).max(1);
    let extra = number::<usize>(cards, "PCOUNT").unwrap_or(0);
    let product = |lengths: &[usize]| {
        lengths
            .iter()
            .try_fold(1_usize, |product, &n| product.checked_mul(n))
    };
    let pixels = if axes == 0 {
        Some(0)
    } else {
        product(&lengths)
    };
    let bytes = |pixels: usize| {
        let items = pixels.checked_add(extra)?.checked_mul(groups)?;
        items.checked_mul(bitpix.unsigned_abs() as usize / 8)
    };
    let size = pixels.and_then(bytes).ok_or("the axes are too long")?;
    let width = lengths.first().copied().unwrap_or(0);
    let height = lengths.get(1).copied().unwrap_or(usize::from(axes > 0));
    let slices = lengths.get(2..).and_then(product).unwrap_or(1);
    Ok(Layout {
        bitpix,
        width,
        height,
        slices,
        size,
    })
}

fn push_planes(header: &Header, layout: &Layout, data: &[u8], hdu: usize, planes: &mut Vec<Plane>) {
    let pixels = layout.width * layout.height;
    if pixels == 0 {
        return;
    }
    let unnamed = || {
        if hdu == 0 {
            "PRIMARY".to_owned()
        } else {
            format!("HDU{hdu}")
        }
    };
    let name = value(&header.cards, "EXTNAME")
        .filter(|n| !n.is_empty())
        .map_or_else(unnamed, str::to_owned);
    let slice_bytes = pixels * layout.bitpix.unsigned_abs() as usize / 8;
    for slice in data.chunks_exact(slice_bytes).take(layout.slices) {
        planes.push(Plane {
            name: name.clone(),
            width: layout.width,
            height: layout.height,
            pixels: convert(header, layout.bitpix, slice),
            bitpix: layout.bitpix,
            cards: header.cards.clone(),
        });
    }
}

/// Big-endian values to floats: `BZERO + BSCALE * value`, `NaN` where an integer is `BLANK`.
fn convert(header: &Header, bitpix: i32, data: &[u8]) -> Vec<f32> {
    let scale: f64 = number(&header.cards, "BSCALE").unwrap_or(1.0);
    let zero: f64 = number(&header.cards, "BZERO").unwrap_or(0.0);
    let blank: Option<i64> = number(&header.cards, "BLANK");
    let plain = scale == 1.0 && zero == 0.0;
    let integer = |value: i64| {
        if Some(value) == blank {
            f32::NAN
        } else {
            (zero + scale * value as f64) as f32
        }
    };
    // Not even `0 + 1 * value` of a plain float: it would turn -0 into 0.
    let float = |value: f64| {
        if plain {
            value as f32
        } else {
            (zero + scale * value) as f32
        }
    };
    match bitpix {
        8 => data.iter().map(|&byte| integer(i64::from(byte))).collect(),
        16 => items(data)
            .map(|item| integer(i64::from(i16::from_be_bytes(item))))
            .collect(),
        32 => items(data)
            .map(|item| integer(i64::from(i32::from_be_bytes(item))))
            .collect(),
        -32 => items(data)
            .map(|item| float(f64::from(f32::from_be_bytes(item))))
            .collect(),
        _ => items(data)
            .map(|item| float(f64::from_be_bytes(item)))
            .collect(),
    }
}

fn items<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> {
    data.as_chunks::<N>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(cards: &[&str], data: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = cards
            .iter()
            .flat_map(|card| format!("{card:<80}").into_bytes())
            .collect();
        bytes.extend(format!("{:<80}", "END").into_bytes());
        bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
        bytes.extend(data);
        bytes
    }

    #[test]
    fn scales_and_blanks_integers() {
        let cards = [
            "SIMPLE  =  T",
            "BITPIX  = 16",
            "NAXIS   = 2",
            "NAXIS1  = 3",
            "NAXIS2  = 1",
            "BZERO   = 10.0 / shift",
            "BSCALE  = 5D-1",
            "BLANK   = -7",
            "EXTNAME = 'it''s   '",
        ];
        let planes = decode(&file(&cards, &[0, 2, 0xff, 0xf9, 0xff, 0xfc])).unwrap();
        assert_eq!(
            (planes[0].name.as_str(), planes[0].width, planes[0].height),
            ("it's", 3, 1)
        );
        assert_eq!((planes[0].pixels[0], planes[0].pixels[2]), (11.0, 8.0));
        assert!(planes[0].pixels[1].is_nan());
    }

    #[test]
    fn refuses_more_pixels_than_there_are_bytes() {
        let cards = [
            "SIMPLE  = T",
            "BITPIX  = -64",
            "NAXIS   = 2",
            "NAXIS1  = 4000000000",
            "NAXIS2  = 4000000000",
        ];
        let error = decode(&file(&cards, &[0; 8])).unwrap_err();
        assert!(
            error.to_string().contains("too long") || error.to_string().contains("claims"),
            "{error}"
        );
    }
}
