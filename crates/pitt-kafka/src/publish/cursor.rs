//! How far a feed is published.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How far a feed is published, as it stands in the topic of cursors.
///
/// The record's key is the producer's id; its value is this as JSON:
/// `{"place":"1234","mark":"..","published":1230,"refused":{"bright":4}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The feed's own place: everything up to it is published or refused.
    pub place: String,
    /// What is at that place, in the feed's own words: the same place of another history has something else. Cursors of older
    /// versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// Messages published so far.
    pub published: u64,
    /// What was not to be published.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kept_back: u64,
    /// Messages that could not be, by label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Cursor {
    /// The record's value.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// The cursor of a record's value; `None` for what is none.
    pub fn from_json(value: &[u8]) -> Option<Cursor> {
        serde_json::from_slice(value).ok()
    }

    /// The cursor after a batch that follows on this one.
    pub(super) fn followed_by<'a>(
        &self,
        (place, mark): (String, Option<String>),
        (published, kept_back): (usize, u64),
        refused: impl Iterator<Item = &'a str>,
    ) -> Cursor {
        let mut next = Cursor {
            place,
            mark,
            published: self.published + published as u64,
            kept_back: self.kept_back + kept_back,
            refused: self.refused.clone(),
        };
        for label in refused {
            *next.refused.entry(label.to_owned()).or_default() += 1;
        }
        next
    }
}
