//! Walking past what nobody asked for.

use std::sync::Arc;

use super::cursor::{Cursor, Fault};
use super::schema::Type;

/// How to pass over a type without keeping anything.
pub(crate) enum Skip {
    /// A known number of bytes.
    Bytes(usize),
    /// A number.
    Varint,
    /// A length and as many bytes.
    Lengthy,
    Union(Box<[Skip]>),
    /// A union of null and a type of known size, by far the commonest: first byte of the present branch, and the size.
    Opt(u8, usize),
    Sequence(Box<[Skip]>),
    /// An array; a map's item is a sequence of key and value.
    Blocks(Arc<Skip>, usize),
}

impl Skip {
    pub(crate) fn of(ty: &Type) -> Skip {
        match ty {
            Type::Null => Skip::Bytes(0),
            Type::Boolean => Skip::Bytes(1),
            Type::Float => Skip::Bytes(4),
            Type::Double => Skip::Bytes(8),
            Type::Fixed(size) => Skip::Bytes(*size),
            Type::Int | Type::Long | Type::Enum(_) => Skip::Varint,
            Type::Bytes | Type::String => Skip::Lengthy,
            Type::Array(item) => Skip::Blocks(Arc::new(Skip::of(item)), item.extent().min_size),
            Type::Map(value) => {
                let item = Skip::sequence(vec![Skip::Lengthy, Skip::of(value)]);
                Skip::Blocks(Arc::new(item), 1 + value.extent().min_size)
            }
            Type::Union(branches) => Skip::union(branches.iter().map(Skip::of).collect()),
            Type::Record(record) => {
                Skip::sequence(record.fields.iter().map(|f| Skip::of(&f.ty)).collect())
            }
        }
    }

    fn union(branches: Vec<Skip>) -> Skip {
        match branches[..] {
            [Skip::Bytes(0), Skip::Bytes(size)] => Skip::Opt(2, size),
            [Skip::Bytes(size), Skip::Bytes(0)] => Skip::Opt(0, size),
            _ => Skip::Union(branches.into()),
        }
    }

    /// One after the other, runs of known size joined.
    pub(crate) fn sequence(parts: Vec<Skip>) -> Skip {
        let mut joined: Vec<Skip> = Vec::with_capacity(parts.len());
        let flat = parts.into_iter().flat_map(|part| match part {
            Skip::Sequence(inner) => inner.into_vec(),
            other => vec![other],
        });
        for part in flat {
            match (joined.last_mut(), part) {
                (_, Skip::Bytes(0)) => {}
                (Some(Skip::Bytes(before)), Skip::Bytes(size)) => {
                    *before = before.saturating_add(size)
                }
                (_, part) => joined.push(part),
            }
        }
        match joined.len() {
            0 => Skip::Bytes(0),
            1 => joined.remove(0),
            _ => Skip::Sequence(joined.into()),
        }
    }

    #[inline]
    pub(crate) fn run(&self, cursor: &mut Cursor) -> Result<(), Fault> {
        match self {
            Skip::Bytes(size) => {
                cursor.take(*size)?;
            }
            Skip::Varint => {
                cursor.long()?;
            }
            Skip::Lengthy => {
                let length = cursor.length()?;
                cursor.take(length)?;
            }
            Skip::Opt(present, size) => {
                let byte = cursor.byte()?;
                if byte == *present {
                    cursor.take(*size)?;
                } else if byte > 2 || byte == 1 {
                    Self::unusual(*present, *size, byte, cursor)?;
                }
            }
            Skip::Union(branches) => {
                let chosen = usize::try_from(cursor.long()?).map_err(|_| Fault::Union)?;
                branches.get(chosen).ok_or(Fault::Union)?.run(cursor)?;
            }
            Skip::Sequence(parts) => {
                for part in parts {
                    part.run(cursor)?;
                }
            }
            Skip::Blocks(item, item_min) => Self::run_blocks(item, *item_min, cursor)?,
        }
        Ok(())
    }

    /// A branch that is none, or is written as a number of more than one byte.
    #[cold]
    fn unusual(present: u8, size: usize, first: u8, cursor: &mut Cursor) -> Result<(), Fault> {
        let branch = if first < 0x80 {
            return Err(Fault::Union);
        } else {
            cursor.long_after(first)?
        };
        match branch {
            0 | 1 if branch * 2 == i64::from(present) => cursor.take(size).map(|_| ()),
            0 | 1 => Ok(()),
            _ => Err(Fault::Union),
        }
    }

    fn run_blocks(item: &Skip, item_min: usize, cursor: &mut Cursor) -> Result<(), Fault> {
        while let Some((count, size)) = cursor.block(item_min)? {
            match (size, item) {
                (Some(size), _) => {
                    cursor.take(size)?;
                }
                (None, Skip::Bytes(each)) => {
                    cursor.take(each.checked_mul(count).ok_or(Fault::Truncated)?)?;
                }
                (None, _) => {
                    for _ in 0..count {
                        item.run(cursor)?;
                    }
                }
            }
        }
        Ok(())
    }
}
