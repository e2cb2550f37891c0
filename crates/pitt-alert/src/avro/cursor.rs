//! Reads Avro's primitive values from a slice, and keeps the limits that no hostile length may pass.

/// Most items of zero encoded size (nulls, empty records) that one packet may hold.
const MAX_ZERO_SIZE_ITEMS: usize = 65_536;
/// Filler cells a packet may cost (absent records put a filler into each of their columns): this many, and
/// [`FILLER_CELLS_PER_BYTE`] more a byte.
const FILLER_CELLS: usize = 50_000;
const FILLER_CELLS_PER_BYTE: usize = 1;

/// Why a datum cannot be read. Small, so that the happy path stays in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes end inside a value.
    Truncated,
    /// A varint is longer than its type allows.
    Varint,
    /// A union index names no branch.
    Union,
    /// A boolean is neither 0 nor 1.
    Boolean,
    /// An enum index names no symbol.
    Enum,
    /// A string is not UTF-8.
    Utf8,
    /// A length or item count is negative, or cannot fit in the bytes that are left.
    Length,
    /// The packet would need more memory than its size allows.
    TooLarge,
    /// Bytes are left over after the last value.
    Trailing,
}

impl Fault {
    /// What is wrong, as a lowercase fragment.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Fault::Truncated => "the bytes end inside a value",
            Fault::Varint => "a number has too many bytes for its type",
            Fault::Union => "a union index names no branch",
            Fault::Boolean => "a boolean is neither 0 nor 1",
            Fault::Enum => "an enum index names no symbol",
            Fault::Utf8 => "a string is not UTF-8",
            Fault::Length => "a length does not fit in the bytes that are left",
            Fault::TooLarge => "it would need far more memory than its size justifies",
            Fault::Trailing => "bytes are left over after the last value",
        }
    }
}

/// The unread rest of a datum, or of a block of them.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    end: usize,
    /// Number of the Arrow buffer that byte strings point into.
    pub(crate) buffer: u32,
    filler: usize,
    zero_size_items: usize,
}

impl<'a> Cursor<'a> {
    /// Reads `bytes[start..]`; byte strings are recorded as offsets into `bytes`, Arrow buffer number `buffer`.
    pub(crate) fn new(bytes: &'a [u8], start: usize, buffer: u32) -> Self {
        let rest = bytes.get(start..).unwrap_or_default();
        Cursor {
            rest,
            end: bytes.len(),
            buffer,
            filler: FILLER_CELLS + FILLER_CELLS_PER_BYTE * rest.len(),
            zero_size_items: MAX_ZERO_SIZE_ITEMS,
        }
    }

    /// Offset of the next byte from the start of the buffer.
    pub(crate) fn position(&self) -> usize {
        self.end - self.rest.len()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline(always)]
    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        let (&first, rest) = self.rest.split_first().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline(always)]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline(always)]
    pub(crate) fn float(&mut self) -> Result<f32, Fault> {
        Ok(f32::from_le_bytes(self.fixed()?))
    }

    #[inline(always)]
    pub(crate) fn double(&mut self) -> Result<f64, Fault> {
        Ok(f64::from_le_bytes(self.fixed()?))
    }

    #[inline(always)]
    pub(crate) fn boolean(&mut self) -> Result<bool, Fault> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::Boolean),
        }
    }

    #[inline(always)]
    pub(crate) fn long(&mut self) -> Result<i64, Fault> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(unzigzag(u64::from(first)));
        }
        self.long_after(first)
    }

    /// The rest of a varint whose first byte says that there is more.
    pub(crate) fn long_after(&mut self, first: u8) -> Result<i64, Fault> {
        let mut value = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(Fault::Varint);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(unzigzag(value));
            }
            shift += 7;
        }
    }

    #[inline(always)]
    pub(crate) fn int(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.long()?).map_err(|_| Fault::Varint)
    }

    /// A length that the rest can hold.
    #[inline(always)]
    pub(crate) fn length(&mut self) -> Result<usize, Fault> {
        let length = usize::try_from(self.long()?).map_err(|_| Fault::Length)?;
        if length > self.rest.len() {
            return Err(Fault::Truncated);
        }
        Ok(length)
    }

    /// The start of an array's or map's next block: item count and, where the writer gives it, size in bytes.
    /// `None` at the end. Items of at least `item_min` bytes that cannot fit in the rest are refused.
    pub(crate) fn block(
        &mut self,
        item_min: usize,
    ) -> Result<Option<(usize, Option<usize>)>, Fault> {
        let count = self.long()?;
        if count == 0 {
            return Ok(None);
        }
        let size = if count < 0 {
            Some(self.length()?)
        } else {
            None
        };
        let count = usize::try_from(count.unsigned_abs()).map_err(|_| Fault::Length)?;
        if item_min == 0 {
            self.zero_size_items = self
                .zero_size_items
                .checked_sub(count)
                .ok_or(Fault::TooLarge)?;
        } else if count > self.rest.len() / item_min {
            return Err(Fault::Truncated);
        }
        Ok(Some((count, size)))
    }

    /// Pays for `cells` filler values.
    #[inline]
    pub(crate) fn spend(&mut self, cells: usize) -> Result<(), Fault> {
        self.filler = self.filler.checked_sub(cells).ok_or(Fault::TooLarge)?;
        Ok(())
    }
}

#[inline(always)]
fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_varints_of_every_length() {
        for (bytes, value) in [
            (&[0x00][..], 0),
            (&[0x01], -1),
            (&[0x80, 0x01], 64),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                i64::MIN,
            ),
        ] {
            assert_eq!(Cursor::new(bytes, 0, 0).long(), Ok(value));
        }
        assert_eq!(Cursor::new(&[0xff; 11], 0, 0).long(), Err(Fault::Varint));
        assert_eq!(Cursor::new(&[0x80], 0, 0).long(), Err(Fault::Truncated));
    }

    #[test]
    fn refuses_counts_that_cannot_fit() {
        let mut billion = Cursor::new(&[0x80, 0xa8, 0xd6, 0xb9, 0x07, 0, 0], 0, 0);
        assert_eq!(billion.block(1), Err(Fault::Truncated));
        let mut zero_size = Cursor::new(&[0x80, 0xa8, 0xd6, 0xb9, 0x07, 0, 0], 0, 0);
        assert_eq!(zero_size.block(0), Err(Fault::TooLarge));
    }
}
