//! Columns of many values a row: arrays, maps, and unions of several types.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field as ArrowField};

use super::column::{Column, not_of_type};
use super::cursor::{Cursor, Fault};
use super::values::{Nulls, Strings};

/// An array.
pub(crate) struct ListColumn {
    pub(crate) item: Box<Column>,
    item_min: usize,
    ends: Vec<i32>,
    items: usize,
    nulls: Nulls,
}

impl ListColumn {
    pub(crate) fn new(item: Column, item_min: usize) -> Self {
        ListColumn {
            item: Box::new(item),
            item_min,
            ends: vec![0],
            items: 0,
            nulls: Nulls::default(),
        }
    }

    pub(super) fn read(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        while let Some((count, size)) = cursor.block(self.item_min)? {
            let before = cursor.remaining();
            self.items += count;
            match self.item.as_mut() {
                Column::Record(record) => {
                    for _ in 0..count {
                        record.read(cursor)?;
                    }
                }
                item => {
                    for _ in 0..count {
                        item.read(cursor)?;
                    }
                }
            }
            if size.is_some_and(|size| size != before - cursor.remaining()) {
                return Err(Fault::Length);
            }
        }
        self.ends
            .push(i32::try_from(self.items).map_err(|_| Fault::TooLarge)?);
        Ok(())
    }

    pub(super) fn null(&mut self) {
        self.nulls.push(self.ends.len() - 1);
        self.pad();
    }

    pub(super) fn pad(&mut self) {
        self.ends.push(self.items as i32);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        self.items = self.ends.last().map_or(0, |&end| end as usize);
        self.nulls.truncate(rows);
        self.item.truncate(self.items);
    }

    pub(super) fn finish(
        &mut self,
        field: &ArrowField,
        buffers: &[Buffer],
    ) -> Result<ArrayRef, ArrowError> {
        let DataType::List(item_field) = field.data_type() else {
            return Err(not_of_type(field));
        };
        let (ends, nulls) = take_offsets(&mut self.ends, &mut self.nulls);
        self.items = 0;
        let items = self.item.finish(item_field, buffers)?;
        Ok(Arc::new(ListArray::try_new(
            item_field.clone(),
            ends,
            items,
            nulls,
        )?))
    }
}

/// A map with text keys.
pub(crate) struct MapColumn {
    keys: Strings,
    pub(crate) value: Box<Column>,
    item_min: usize,
    ends: Vec<i32>,
    nulls: Nulls,
}

impl MapColumn {
    pub(crate) fn new(value: Column, value_min: usize) -> Self {
        let (keys, nulls) = (Strings::default(), Nulls::default());
        MapColumn {
            keys,
            value: Box::new(value),
            item_min: 1 + value_min,
            ends: vec![0],
            nulls,
        }
    }

    pub(super) fn read(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        while let Some((count, size)) = cursor.block(self.item_min)? {
            let before = cursor.remaining();
            for _ in 0..count {
                self.keys.read(cursor)?;
                self.value.read(cursor)?;
            }
            if size.is_some_and(|size| size != before - cursor.remaining()) {
                return Err(Fault::Length);
            }
        }
        self.pad();
        Ok(())
    }

    pub(super) fn null(&mut self) {
        self.nulls.push(self.ends.len() - 1);
        self.pad();
    }

    pub(super) fn pad(&mut self) {
        self.ends.push(self.keys.len() as i32);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        let items = self.ends.last().map_or(0, |&end| end as usize);
        self.nulls.truncate(rows);
        self.keys.truncate(items);
        self.value.truncate(items);
    }

    pub(super) fn finish(
        &mut self,
        field: &ArrowField,
        buffers: &[Buffer],
    ) -> Result<ArrayRef, ArrowError> {
        let DataType::Map(entries, _) = field.data_type() else {
            return Err(not_of_type(field));
        };
        let DataType::Struct(fields) = entries.data_type() else {
            return Err(not_of_type(entries));
        };
        let (ends, nulls) = take_offsets(&mut self.ends, &mut self.nulls);
        let columns = vec![self.keys.finish()?, self.value.finish(&fields[1], buffers)?];
        let items = StructArray::try_new(fields.clone(), columns, None)?;
        Ok(Arc::new(MapArray::try_new(
            entries.clone(),
            ends,
            items,
            nulls,
            false,
        )?))
    }
}

/// A union of several types, as a struct with one nullable field a branch. Null where the null branch was written.
pub(crate) struct UnionColumn {
    /// In the writer's order; a null branch is a [`Column::Skip`].
    pub(crate) branches: Vec<Column>,
    pub(crate) cells: usize,
    rows: usize,
    nulls: Nulls,
}

impl UnionColumn {
    pub(crate) fn new(branches: Vec<Column>, cells: usize) -> Self {
        UnionColumn {
            branches,
            cells,
            rows: 0,
            nulls: Nulls::default(),
        }
    }

    pub(super) fn read(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        let chosen = usize::try_from(cursor.long()?).map_err(|_| Fault::Union)?;
        match self.branches.get(chosen) {
            None => return Err(Fault::Union),
            Some(Column::Skip(_)) => return self.null(cursor),
            Some(_) => {}
        }
        cursor.spend(self.cells)?;
        for (index, branch) in self.branches.iter_mut().enumerate() {
            if index == chosen {
                branch.read(cursor)?;
            } else {
                branch.null(cursor)?;
            }
        }
        self.rows += 1;
        Ok(())
    }

    pub(super) fn null(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        cursor.spend(self.cells)?;
        self.nulls.push(self.rows);
        for branch in &mut self.branches {
            branch.null(cursor)?;
        }
        self.rows += 1;
        Ok(())
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        self.nulls.truncate(rows);
        self.branches
            .iter_mut()
            .for_each(|branch| branch.truncate(rows));
    }

    pub(super) fn finish(
        &mut self,
        field: &ArrowField,
        buffers: &[Buffer],
    ) -> Result<ArrayRef, ArrowError> {
        let DataType::Struct(fields) = field.data_type() else {
            return Err(not_of_type(field));
        };
        let rows = std::mem::take(&mut self.rows);
        let nulls = self.nulls.finish(rows);
        let columns = self
            .branches
            .iter_mut()
            .filter(|branch| !matches!(branch, Column::Skip(_)));
        let arrays: Result<Vec<_>, _> = columns
            .zip(fields)
            .map(|(c, f)| c.finish(f, buffers))
            .collect();
        Ok(Arc::new(StructArray::try_new_with_length(
            fields.clone(),
            arrays?,
            nulls,
            rows,
        )?))
    }
}

fn take_offsets(
    ends: &mut Vec<i32>,
    nulls: &mut Nulls,
) -> (OffsetBuffer<i32>, Option<arrow_buffer::NullBuffer>) {
    let nulls = nulls.finish(ends.len() - 1);
    let ends = std::mem::replace(ends, vec![0]);
    (OffsetBuffer::new(ScalarBuffer::from(ends)), nulls)
}
