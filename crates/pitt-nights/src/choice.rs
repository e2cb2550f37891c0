//! Which nights to fetch.

use crate::error::NightsError;
use crate::listing::{Listing, Release};

/// Which nights to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// So many with alerts, the newest first.
    Newest(usize),
    /// These nights and ranges, both ends included, YYYYMMDD.
    Ranges(Vec<(i32, i32)>),
}

impl Choice {
    /// Reads `20181129`, `2018-11-29` and `20181101..20181130`.
    ///
    /// # Errors
    /// A text that is none of them, or a range that ends before it begins.
    pub fn parse(texts: &[String]) -> Result<Self, NightsError> {
        let ranges = texts.iter().map(|text| {
            let (first, last) = text.split_once("..").unwrap_or((text, text));
            let (first, last) = (night(first), night(last));
            match (first, last) {
                (Some(first), Some(last)) if first <= last => Ok((first, last)),
                _ => Err(NightsError::NotANight { text: text.clone() }),
            }
        });
        Ok(Self::Ranges(ranges.collect::<Result<_, _>>()?))
    }

    /// The nights chosen, newest first. Nights without alerts are passed over, unless named one by one.
    ///
    /// # Errors
    /// A single night that the archive does not have.
    pub fn among(&self, listing: &Listing) -> Result<Vec<Release>, NightsError> {
        let newest = listing.releases.iter().rev();
        match self {
            Self::Newest(count) => Ok(newest
                .filter(|release| !release.is_empty())
                .take(*count)
                .cloned()
                .collect()),
            Self::Ranges(ranges) => {
                for (night, _) in ranges.iter().filter(|(first, last)| first == last) {
                    known(listing, *night)?;
                }
                let wanted = |release: &&Release| {
                    ranges.iter().any(|(first, last)| {
                        (*first..=*last).contains(&release.night)
                            && (first == last || !release.is_empty())
                    })
                };
                Ok(newest.filter(wanted).cloned().collect())
            }
        }
    }
}

fn night(text: &str) -> Option<i32> {
    let digits = text.trim().replace('-', "");
    let night: i32 = digits.parse().ok()?;
    let (month, day) = (night / 100 % 100, night % 100);
    let good = digits.len() == 8 && (1..=12).contains(&month) && (1..=31).contains(&day);
    good.then_some(night)
}

fn known(listing: &Listing, night: i32) -> Result<(), NightsError> {
    let nights: Vec<i32> = listing
        .releases
        .iter()
        .map(|release| release.night)
        .collect();
    let Err(place) = nights.binary_search(&night) else {
        return Ok(());
    };
    let before = place.checked_sub(1).map(|at| nights[at]);
    let near: Vec<String> = before
        .into_iter()
        .chain(nights.get(place).copied())
        .map(|night| night.to_string())
        .collect();
    Err(NightsError::NoSuchNight {
        url: listing.url.clone(),
        night,
        near: format!(" (nearest: {})", near.join(" and ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let release = |night: i32, size| Release {
            night,
            name: format!("ztf_public_{night}.tar.gz"),
            url: String::new(),
            size: Some(size),
            md5: None,
        };
        let releases = vec![
            release(20180101, 44),
            release(20180209, 300_000),
            release(20180601, 700_000),
            release(20180602, 29),
        ];
        let url = "http://here/".into();
        Listing { url, releases }
    }

    fn nights(choice: &Choice) -> Vec<i32> {
        let chosen = choice.among(&listing()).unwrap();
        chosen.iter().map(|release| release.night).collect()
    }

    #[test]
    fn newest_first_without_empty_nights() {
        assert_eq!(nights(&Choice::Newest(1)), [20180601]);
        assert_eq!(nights(&Choice::Newest(9)), [20180601, 20180209]);
    }

    #[test]
    fn nights_and_ranges() {
        let parse = |text: &str| Choice::parse(&[text.to_owned()]);
        assert_eq!(nights(&parse("2018-02-09").unwrap()), [20180209]);
        assert_eq!(nights(&parse("20180101").unwrap()), [20180101]);
        let range = parse("20180101..20180601").unwrap();
        assert_eq!(nights(&range), [20180601, 20180209]);
        for bad in ["20181301", "yesterday", "20180601..20180101", "201806"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let missing = parse("20180301").unwrap().among(&listing()).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "http://here/ has no night 20180301 (nearest: 20180209 and 20180601)"
        );
    }
}
