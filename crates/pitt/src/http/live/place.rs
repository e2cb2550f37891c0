//! How far a reader of matches has come, in every lane.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Longest text that is read as places `[bytes]`.
const LONGEST: usize = 16 << 10;

/// The number of the last match read in each lane; 0 where none is named. As text `0:123,1:7`, and `0` for the very beginning.
///
/// Numbers in a lane never change their match, so a place means the same after a restart, for another reader, and for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<u32, u64>);

impl Places {
    /// The last number read in a lane.
    pub fn of(&self, lane: u32) -> u64 {
        self.0.get(&lane).copied().unwrap_or(0)
    }

    /// Goes on to a number; never back.
    pub fn reach(&mut self, lane: u32, seq: u64) {
        let place = self.0.entry(lane).or_default();
        *place = seq.max(*place);
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut named = self.0.iter().filter(|(_, seq)| **seq > 0).peekable();
        if named.peek().is_none() {
            return f.write_str("0");
        }
        for (at, (lane, seq)) in named.enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{lane}:{seq}")?;
        }
        Ok(())
    }
}

/// A text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place in the feed of matches (take it from the `id` of an event as it is; `0` is the beginning)"
)]
pub struct NoPlace(String);

impl FromStr for Places {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let no = || NoPlace(text.chars().take(60).collect());
        let mut places = Self::default();
        if text.len() > LONGEST {
            return Err(no());
        }
        if text == "0" {
            return Ok(places);
        }
        for part in text.split(',') {
            let (lane, seq) = part.trim().split_once(':').ok_or_else(no)?;
            let read = (lane.parse::<u32>(), seq.parse::<u64>());
            let (Ok(lane), Ok(seq)) = read else {
                return Err(no());
            };
            places.reach(lane, seq);
        }
        Ok(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_from_their_text() {
        for text in ["0", "0:123", "0:123,1:7", "3:18446744073709551615"] {
            assert_eq!(text.parse::<Places>().unwrap().to_string(), text);
        }
        for bad in ["", "7", "0:", ":1", "0:-1", "0:1;1:2", "x:1"] {
            assert!(bad.parse::<Places>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nobody_goes_back() {
        let mut places: Places = "0:9".parse().unwrap();
        places.reach(0, 5);
        places.reach(1, 2);
        assert_eq!((places.of(0), places.of(1), places.of(2)), (9, 2, 0));
    }
}
