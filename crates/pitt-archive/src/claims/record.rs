//! One record of the claim log, and its bytes.

use std::collections::HashMap;
use std::sync::Arc;

/// Stands for the alert of a match whose claim was let go, while its number is not yet recorded as empty.
pub(crate) const LET_GO: u32 = u32::MAX;
/// ... and when it is.
pub(crate) const VOID: u32 = u32::MAX - 1;

/// Beginning of the place of an alert whose claim was let go after matches of it had been published: no partition of
/// a source has such a name. Whoever brings the alert again stores it with these matches.
const RELEASED: &str = "released:";

/// What one append claims.
///
/// Numbers are little-endian; texts stand once each in a list, and are named by their place in it.
///
/// | field | bytes |
/// |---|---|
/// | writer | 16 |
/// | lane, number of the first match, time of the numbers | 4, 8, 8 |
/// | texts: how many; length and UTF-8 of each | 4; 4, .. |
/// | spans: how many; partition, from, next of each | 4; 4, 8, 8 |
/// | alerts: how many; survey, id, partition, offset, record, size and XXH3-128 of the packet of each | 4; 4, 8, 4, 8, 4, 8, 16 |
/// | matches: how many; alert, filter, version of each, in order of number | 4; 4, 4, 4 |
///
/// The upper half of `writer` is the session of its process ([`crate::turns::Lane`]). A claim that was let go has left a record
/// without it: matches of no alert, and alerts at places where nothing is read (`released:..`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Identity of the writer, drawn when it was opened.
    pub(crate) writer: u128,
    /// Lane of its matches.
    pub(crate) lane: u32,
    /// Number of the first of its matches.
    pub(crate) first_seq: u64,
    /// When they were numbered, microseconds since 1970, UTC.
    pub(crate) matched_us: i64,
    /// Positions.
    pub(crate) spans: Vec<ClaimedSpan>,
    /// The alerts that this append is the first to bring.
    pub(crate) alerts: Vec<ClaimedAlert>,
    /// Their matches, in order of number.
    pub(crate) matches: Vec<ClaimedMatch>,
}

/// Positions of a partition: from one offset to another, which comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimedSpan {
    pub(crate) partition: Arc<str>,
    pub(crate) from: i64,
    pub(crate) next: i64,
}

/// Where a record was received.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) partition: Arc<str>,
    pub(crate) offset: i64,
    pub(crate) record: u32,
}

impl Place {
    /// The place of an alert whose claim is let go.
    pub(crate) fn released(&self) -> Self {
        Self {
            partition: format!("{RELEASED}{}", self.partition).into(),
            ..*self
        }
    }

    /// Whether it is such a place.
    pub(crate) fn is_released(&self) -> bool {
        self.partition.starts_with(RELEASED)
    }
}

/// An alert that is stored from one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimedAlert {
    pub(crate) survey: Arc<str>,
    pub(crate) alert_id: i64,
    pub(crate) place: Place,
    /// Size and XXH3-128 of the packet.
    pub(crate) size: u64,
    pub(crate) hash: u128,
}

/// A match of one of the record's alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimedMatch {
    /// Which of the alerts; [`LET_GO`] or [`VOID`] for none any more.
    pub(crate) alert: u32,
    pub(crate) filter: Arc<str>,
    pub(crate) version: Arc<str>,
}

/// Texts on their way out, each once.
#[derive(Default)]
struct Texts {
    all: Vec<Arc<str>>,
    places: HashMap<Arc<str>, u32>,
}

impl Texts {
    fn place(&mut self, text: &Arc<str>) -> [u8; 4] {
        let next = self.all.len() as u32;
        let place = *self.places.entry(text.clone()).or_insert_with(|| {
            self.all.push(text.clone());
            next
        });
        place.to_le_bytes()
    }
}

fn count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend((count as u32).to_le_bytes());
}

impl Record {
    /// The numbers of its matches: which of them, and number.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (&ClaimedMatch, u64)> {
        self.matches.iter().zip(self.first_seq..)
    }

    /// Whether it speaks of alerts whose claims were let go.
    pub(crate) fn is_released(&self) -> bool {
        self.alerts.iter().any(|alert| alert.place.is_released())
    }

    /// Whether it has numbers that are still to be recorded as empty.
    pub(crate) fn lets_go(&self) -> bool {
        self.matches.iter().any(|found| found.alert == LET_GO)
    }

    /// The record as bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut texts = Texts::default();
        let mut lists = Vec::with_capacity(64 + 52 * self.alerts.len() + 12 * self.matches.len());
        count(&mut lists, self.spans.len());
        for span in &self.spans {
            lists.extend(texts.place(&span.partition));
            lists.extend(span.from.to_le_bytes());
            lists.extend(span.next.to_le_bytes());
        }
        count(&mut lists, self.alerts.len());
        for alert in &self.alerts {
            lists.extend(texts.place(&alert.survey));
            lists.extend(alert.alert_id.to_le_bytes());
            lists.extend(texts.place(&alert.place.partition));
            lists.extend(alert.place.offset.to_le_bytes());
            lists.extend(alert.place.record.to_le_bytes());
            lists.extend(alert.size.to_le_bytes());
            lists.extend(alert.hash.to_le_bytes());
        }
        count(&mut lists, self.matches.len());
        for found in &self.matches {
            lists.extend(found.alert.to_le_bytes());
            lists.extend(texts.place(&found.filter));
            lists.extend(texts.place(&found.version));
        }
        let mut bytes = self.writer.to_le_bytes().to_vec();
        bytes.extend(self.lane.to_le_bytes());
        bytes.extend(self.first_seq.to_le_bytes());
        bytes.extend(self.matched_us.to_le_bytes());
        count(&mut bytes, texts.all.len());
        for text in &texts.all {
            count(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(lists);
        bytes
    }

    /// Reads [`Record::to_bytes`] back; `None` when the bytes are no record.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let mut record = Self {
            writer: u128::from_le_bytes(bytes.take()?),
            lane: bytes.u32()?,
            first_seq: u64::from_le_bytes(bytes.take()?),
            matched_us: bytes.i64()?,
            ..Self::default()
        };
        let mut texts: Vec<Arc<str>> = Vec::new();
        for _ in 0..bytes.u32()? {
            let length = bytes.u32()? as usize;
            texts.push(std::str::from_utf8(bytes.slice(length)?).ok()?.into());
        }
        let text = |place: u32| texts.get(place as usize).cloned();
        for _ in 0..bytes.u32()? {
            record.spans.push(ClaimedSpan {
                partition: text(bytes.u32()?)?,
                from: bytes.i64()?,
                next: bytes.i64()?,
            });
        }
        for _ in 0..bytes.u32()? {
            record.alerts.push(ClaimedAlert {
                survey: text(bytes.u32()?)?,
                alert_id: bytes.i64()?,
                place: Place {
                    partition: text(bytes.u32()?)?,
                    offset: bytes.i64()?,
                    record: bytes.u32()?,
                },
                size: u64::from_le_bytes(bytes.take()?),
                hash: u128::from_le_bytes(bytes.take()?),
            });
        }
        for _ in 0..bytes.u32()? {
            record.matches.push(ClaimedMatch {
                alert: bytes.u32()?,
                filter: text(bytes.u32()?)?,
                version: text(bytes.u32()?)?,
            });
        }
        let known = |m: &ClaimedMatch| m.alert >= VOID || (m.alert as usize) < record.alerts.len();
        let whole = bytes.0.is_empty() && record.matches.iter().all(known);
        whole.then_some(record)
    }
}

/// Bytes being read. No count read from them is trusted with an allocation.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.slice(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record with some of everything.
    pub(in crate::claims) fn some(writer: u128, from: i64) -> Record {
        let partition: Arc<str> = "kafka:sim/alerts/0".into();
        let alert = |offset: i64| ClaimedAlert {
            survey: "ztf".into(),
            alert_id: 1000 + offset,
            place: Place {
                partition: partition.clone(),
                offset,
                record: 0,
            },
            size: 7,
            hash: 1 << 100 | offset as u128,
        };
        Record {
            writer,
            lane: 3,
            first_seq: 10 * from as u64 + 1,
            matched_us: -5,
            spans: vec![ClaimedSpan {
                partition: partition.clone(),
                from,
                next: from + 5,
            }],
            alerts: (from..from + 5).map(alert).collect(),
            matches: vec![
                ClaimedMatch {
                    alert: 4,
                    filter: "bright".into(),
                    version: "1".into(),
                },
                ClaimedMatch {
                    alert: 0,
                    filter: "1".into(),
                    version: "ztf".into(),
                },
            ],
        }
    }

    #[test]
    fn records_come_back_and_nothing_else_is_one() {
        let record = some(u128::MAX, 5);
        let bytes = record.to_bytes();
        assert_eq!(Record::from_bytes(&bytes), Some(record));
        for end in 0..bytes.len() {
            assert_eq!(Record::from_bytes(&bytes[..end]), None, "{end}");
        }
        // Claims that were let go leave matches of no alert.
        let mut let_go = some(1, 5);
        (let_go.matches[0].alert, let_go.matches[1].alert) = (LET_GO, VOID);
        assert_eq!(Record::from_bytes(&let_go.to_bytes()), Some(let_go));
        let empty = Record::default();
        assert_eq!(Record::from_bytes(&empty.to_bytes()), Some(empty));
    }
}
