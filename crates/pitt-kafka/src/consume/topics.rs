//! Which topics an input reads: names, and patterns of topics that come and go with the nights.

use std::collections::BTreeSet;

use super::time;
use crate::error::KafkaError;

/// What stands for the date in a pattern.
const NIGHT: &str = "{night}";

/// The topics of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topics {
    names: BTreeSet<String>,
    /// What comes before and after the date.
    patterns: Vec<(String, String)>,
    nights: u32,
}

impl Topics {
    /// Reads names and patterns such as `ztf_{night}_programid1`.
    ///
    /// # Errors
    /// There is none, or one that no topic can have.
    pub(super) fn new(topics: &[String], nights: u32) -> Result<Self, KafkaError> {
        let mut read = Self {
            names: BTreeSet::new(),
            patterns: vec![],
            nights,
        };
        let wrong = |found: String| KafkaError::Setting {
            setting: "topics".into(),
            found,
            expected: "names of topics, or patterns such as `ztf_{night}_programid1`".into(),
        };
        if topics.is_empty() {
            return Err(wrong("empty".into()));
        }
        for topic in topics {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let letters = topic.replacen(NIGHT, "", 1);
            if topic.is_empty() || topic.len() > 249 || !letters.chars().all(plain) {
                return Err(wrong(format!("`{topic}`")));
            }
            match topic.split_once(NIGHT) {
                Some((before, after)) => read.patterns.push((before.into(), after.into())),
                None => drop(read.names.insert(topic.clone())),
            }
        }
        Ok(read)
    }

    /// Names that must be there.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether topics must be looked for among all that there are.
    pub(super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// Whether to read this topic, `today` being days since 1970.
    ///
    /// Of a pattern: tonight's, those of so many nights before, and those dated later, since a clock may be behind.
    pub(super) fn wants(&self, topic: &str, today: i64) -> bool {
        let oldest = today - i64::from(self.nights);
        self.names.contains(topic) || self.night(topic).is_some_and(|night| night >= oldest)
    }

    /// Whether this is a topic of a night, of whichever.
    pub(super) fn is_nightly(&self, topic: &str) -> bool {
        !self.names.contains(topic) && self.night(topic).is_some()
    }

    /// The night of a topic, days since 1970.
    fn night(&self, topic: &str) -> Option<i64> {
        self.patterns.iter().find_map(|(before, after)| {
            let date = topic.strip_prefix(before.as_str())?;
            night(date.strip_suffix(after.as_str())?)
        })
    }
}

/// `20261122` in days since 1970.
fn night(date: &str) -> Option<i64> {
    if date.len() != 8 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from, to| date[from..to].parse().ok();
    time::days(number(0, 4)?, number(4, 6)?, number(6, 8)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tonight_and_the_last_nights_are_wanted() {
        let topics = Topics::new(&["ztf_{night}_programid1".into(), "plain".into()], 2).unwrap();
        let today = night("20260301").unwrap();
        for wanted in [
            "ztf_20260301_programid1",
            "ztf_20260228_programid1",
            "ztf_20260227_programid1",
            "ztf_20260302_programid1",
            "plain",
        ] {
            assert!(topics.wants(wanted, today), "{wanted}");
        }
        for unwanted in [
            "ztf_20260226_programid1",
            "ztf_20260301_programid2",
            "ztf_20260231_programid1",
            "ztf_2026030_programid1",
            "ztf_programid1",
            "plainer",
        ] {
            assert!(!topics.wants(unwanted, today), "{unwanted}");
        }
        assert!(topics.is_nightly("ztf_20200101_programid1") && !topics.is_nightly("plain"));
    }

    #[test]
    fn topics_that_cannot_be_are_refused() {
        for wrong in ["", "a topic", "x/{night}", "{night}{night}", "ä"] {
            assert!(Topics::new(&[wrong.to_owned()], 1).is_err(), "{wrong}");
        }
        assert!(Topics::new(&[], 1).is_err());
    }
}
