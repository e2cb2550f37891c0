//! Things that go wrong between a survey and a reader.

use bytes::Bytes;

use crate::config::SimSurvey;
use crate::random::Draw;

/// What was done to a packet on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The end is missing.
    Truncated,
    /// A bit has flipped where every reader must notice: in the first byte (LSST), or that of the schema's JSON (ZTF).
    BitFlip,
    /// LSST: a schema id that no registry knows. ZTF: no schema in the header.
    UnknownSchema,
    /// Whole and right, but sent before.
    Duplicate,
}

impl Fault {
    /// Name for tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::BitFlip => "bit_flip",
            Self::UnknownSchema => "unknown_schema",
            Self::Duplicate => "duplicate",
        }
    }

    /// Whether the packet cannot be decoded.
    #[must_use]
    pub const fn is_damage(self) -> bool {
        !matches!(self, Self::Duplicate)
    }

    /// One of the damages, by chance.
    pub(crate) fn draw(draw: &mut Draw) -> Self {
        match draw.below(3) {
            0 => Self::Truncated,
            1 => Self::BitFlip,
            _ => Self::UnknownSchema,
        }
    }

    /// The packet with this damage done.
    pub(crate) fn apply(self, survey: SimSurvey, bytes: &Bytes, draw: &mut Draw) -> Bytes {
        let mut damaged = bytes.to_vec();
        match self {
            Self::Truncated => {
                damaged.truncate(draw.between(0.05, 0.95 * bytes.len() as f64) as usize)
            }
            Self::BitFlip => {
                let schema = damaged
                    .windows(2)
                    .position(|pair| pair == b"{\"")
                    .unwrap_or(0);
                let at = if survey == SimSurvey::Ztf { schema } else { 0 };
                damaged[at] ^= 1 << draw.below(8);
            }
            Self::UnknownSchema if survey == SimSurvey::Lsst => {
                damaged[1..5].copy_from_slice(&999_999u32.to_be_bytes());
            }
            // The key "avro.schema" becomes one that nobody looks for.
            Self::UnknownSchema => {
                let key = b"avro.schema";
                if let Some(at) = damaged.windows(key.len()).position(|window| window == key) {
                    damaged[at + key.len() - 1] = b'@';
                }
            }
            Self::Duplicate => {}
        }
        Bytes::from(damaged)
    }
}
