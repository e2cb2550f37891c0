//! A walk over a request by its fields, so that no length in it is trusted.

use bytes::Buf;

use super::FrameError;
use super::fields::Field;
use super::fields::Kind::{self, Data, Fixed, Items, List, Text};

/// A walk over a request's fields.
pub(super) struct Walk<'a> {
    pub(super) rest: &'a [u8],
    pub(super) version: i16,
    /// Whether lengths are compact and structures end in tags.
    pub(super) flexible: bool,
    /// Elements that may still come.
    pub(super) left: usize,
}

impl Walk<'_> {
    pub(super) fn fields(&mut self, fields: &[Field]) -> Result<(), FrameError> {
        for Field(min, max, kind) in fields {
            if (*min..=*max).contains(&self.version) {
                self.field(kind)?;
            }
        }
        self.tags()
    }

    fn field(&mut self, kind: &Kind) -> Result<(), FrameError> {
        match kind {
            Fixed(n) => self.skip(*n),
            Text => {
                let n = if self.flexible {
                    self.compact()?
                } else {
                    self.text_length()?
                };
                self.skip(n)
            }
            Data => {
                let n = self.length()?;
                self.skip(n)
            }
            List(fields) => self.each(|walk| walk.fields(fields)),
            Items(kind) => self.each(|walk| walk.field(kind)),
        }
    }

    fn each(
        &mut self,
        walk: impl Fn(&mut Self) -> Result<(), FrameError>,
    ) -> Result<(), FrameError> {
        let n = self.length()?;
        if n > self.rest.len() {
            return Err(FrameError::Short);
        }
        self.left = self.left.checked_sub(n).ok_or(FrameError::Elements)?;
        (0..n).try_for_each(|_| walk(self))
    }

    /// Fields unknown to most: a number, a length and that many bytes, each.
    pub(super) fn tags(&mut self) -> Result<(), FrameError> {
        if !self.flexible {
            return Ok(());
        }
        let n = self.varint()?;
        if n > self.rest.len() {
            return Err(FrameError::Short);
        }
        self.left = self.left.checked_sub(n).ok_or(FrameError::Elements)?;
        for _ in 0..n {
            self.varint()?;
            let length = self.varint()?;
            self.skip(length)?;
        }
        Ok(())
    }

    /// Length of an array or of bytes; null counts as empty.
    fn length(&mut self) -> Result<usize, FrameError> {
        if self.flexible {
            return self.compact();
        }
        Ok(usize::try_from(int32(&mut self.rest)?).unwrap_or(0))
    }

    fn text_length(&mut self) -> Result<usize, FrameError> {
        Ok(usize::try_from(int16(&mut self.rest)?).unwrap_or(0))
    }

    fn compact(&mut self) -> Result<usize, FrameError> {
        Ok(self.varint()?.saturating_sub(1))
    }

    fn varint(&mut self) -> Result<usize, FrameError> {
        let mut value = 0_usize;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.rest.try_get_u8().map_err(|_| FrameError::Short)?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(FrameError::Malformed)
    }

    pub(super) fn skip(&mut self, n: usize) -> Result<(), FrameError> {
        self.rest = self.rest.get(n..).ok_or(FrameError::Short)?;
        Ok(())
    }
}

pub(super) fn int16(bytes: &mut &[u8]) -> Result<i16, FrameError> {
    bytes.try_get_i16().map_err(|_| FrameError::Short)
}

pub(super) fn int32(bytes: &mut &[u8]) -> Result<i32, FrameError> {
    bytes.try_get_i32().map_err(|_| FrameError::Short)
}
