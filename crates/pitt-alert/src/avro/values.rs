//! The growing buffers of leaf columns: values, and the rows that are null.

use std::sync::Arc;

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{ArrayRef, BinaryViewArray, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{
    BooleanBuffer, BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer,
};
use arrow_schema::ArrowError;

use super::cursor::{Cursor, Fault};

/// Rows that are null, ascending. Nothing is written for a row that has a value.
#[derive(Default)]
pub(crate) struct Nulls(Vec<u32>);

impl Nulls {
    #[inline(always)]
    pub(crate) fn push(&mut self, row: usize) {
        self.0.push(row as u32);
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        while self.0.last().is_some_and(|&row| row as usize >= rows) {
            self.0.pop();
        }
    }

    /// The validity of `rows` rows, and none left.
    pub(crate) fn finish(&mut self, rows: usize) -> Option<NullBuffer> {
        let nulls = std::mem::take(&mut self.0);
        if nulls.is_empty() {
            return None;
        }
        let mut valid = BooleanBufferBuilder::new(rows);
        valid.append_n(rows, true);
        for row in nulls {
            valid.set_bit(row as usize, false);
        }
        Some(NullBuffer::new(valid.finish()))
    }
}

/// Numbers or booleans.
#[derive(Default)]
pub(crate) struct Values<T> {
    values: Vec<T>,
    nulls: Nulls,
    expected: usize,
}

impl<T: Copy + Default> Values<T> {
    #[inline(always)]
    pub(crate) fn push(&mut self, value: T) {
        self.values.push(value);
    }

    /// A row without meaning, under an absent parent.
    #[inline(always)]
    pub(crate) fn pad(&mut self) {
        self.values.push(T::default());
    }

    #[inline(always)]
    pub(crate) fn null(&mut self) {
        self.nulls.push(self.values.len());
        self.values.push(T::default());
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.nulls.truncate(rows);
    }

    /// Makes room for as many values as the last batch had, at most `limit`.
    pub(crate) fn reserve(&mut self, limit: usize) {
        self.values.reserve(self.expected.min(limit));
    }

    fn take(&mut self) -> (Vec<T>, Option<NullBuffer>) {
        let values = std::mem::take(&mut self.values);
        self.expected = values.len();
        let nulls = self.nulls.finish(values.len());
        (values, nulls)
    }
}

impl Values<bool> {
    pub(crate) fn finish_bool(&mut self) -> ArrayRef {
        let (values, nulls) = self.take();
        Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls))
    }
}

impl<T: arrow_buffer::ArrowNativeType> Values<T> {
    pub(crate) fn finish<A: ArrowPrimitiveType<Native = T>>(&mut self) -> ArrayRef {
        let (values, nulls) = self.take();
        Arc::new(PrimitiveArray::<A>::new(ScalarBuffer::from(values), nulls))
    }
}

/// Texts, one after the other.
pub(crate) struct Strings {
    ends: Vec<i32>,
    bytes: Vec<u8>,
    nulls: Nulls,
    expected: (usize, usize),
}

impl Default for Strings {
    fn default() -> Self {
        Strings {
            ends: vec![0],
            bytes: Vec::new(),
            nulls: Nulls::default(),
            expected: (0, 0),
        }
    }
}

impl Strings {
    #[inline]
    pub(crate) fn read(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        let length = cursor.length()?;
        let text = cursor.take(length)?;
        if !text.is_ascii() && std::str::from_utf8(text).is_err() {
            return Err(Fault::Utf8);
        }
        self.push(text)
    }

    #[inline]
    pub(crate) fn push(&mut self, text: &[u8]) -> Result<(), Fault> {
        let end = i32::try_from(self.bytes.len() + text.len()).map_err(|_| Fault::TooLarge)?;
        self.bytes.extend_from_slice(text);
        self.ends.push(end);
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    pub(crate) fn pad(&mut self) {
        self.ends.push(self.bytes.len() as i32);
    }

    pub(crate) fn null(&mut self) {
        self.nulls.push(self.len());
        self.pad();
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        if rows < self.len() {
            self.ends.truncate(rows + 1);
            self.bytes.truncate(self.ends[rows] as usize);
            self.nulls.truncate(rows);
        }
    }

    pub(crate) fn reserve(&mut self, limit: usize) {
        self.ends.reserve(self.expected.0.min(limit));
        self.bytes.reserve(self.expected.1.min(limit));
    }

    pub(crate) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.expected = (self.len(), self.bytes.len());
        let nulls = self.nulls.finish(self.len());
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let bytes = Buffer::from(std::mem::take(&mut self.bytes));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        Ok(Arc::new(StringArray::try_new(offsets, bytes, nulls)?))
    }
}

/// Byte strings as views into the packets: nothing is copied but strings of up to twelve bytes, which stand in the view.
#[derive(Default)]
pub(crate) struct Views {
    values: Values<u128>,
}

impl Views {
    #[inline]
    pub(crate) fn read(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        let length = cursor.length()?;
        self.read_fixed(length, cursor)
    }

    pub(crate) fn read_fixed(&mut self, length: usize, cursor: &mut Cursor) -> Result<(), Fault> {
        let offset = cursor.position();
        let bytes = cursor.take(length)?;
        if u32::try_from(offset + length).is_err() {
            return Err(Fault::TooLarge);
        }
        self.values.push(arrow_array::builder::make_view(
            bytes,
            cursor.buffer,
            offset as u32,
        ));
        Ok(())
    }

    pub(crate) fn pad(&mut self) {
        self.values.pad();
    }

    pub(crate) fn null(&mut self) {
        self.values.null();
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
    }

    pub(crate) fn reserve(&mut self, limit: usize) {
        self.values.reserve(limit);
    }

    pub(crate) fn finish(&mut self, buffers: &[Buffer]) -> Result<ArrayRef, ArrowError> {
        let (views, nulls) = self.values.take();
        let buffers = buffers.to_vec();
        Ok(Arc::new(BinaryViewArray::try_new(
            ScalarBuffer::from(views),
            buffers,
            nulls,
        )?))
    }
}
