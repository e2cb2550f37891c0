//! What a webhook reads of the feed of matches, in batches.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Result;

use crate::http::live::feed::{Found, MatchFeed, Reader};
use crate::http::live::place::Places;
use crate::http::live::row::MatchEntry;

use super::shelf::Letter;

/// Most matches in a batch.
const MOST_MATCHES: usize = 100;
/// Most bytes of its rows.
const MOST_BYTES: usize = 256 << 10;
/// Pages without a match of the filter that are read in one go.
const MOST_PAGES: usize = 20;

/// The matches of one filter after a place.
pub(super) struct Mail {
    reader: Reader,
    waiting: VecDeque<Arc<MatchEntry>>,
    /// The place of whoever has seen all that was handed out.
    place: Places,
    more: bool,
}

impl Mail {
    pub(super) fn open(feed: &Arc<MatchFeed>, place: Places, filter: &str) -> Self {
        Self {
            reader: feed.quiet_reader(place.clone(), vec![filter.to_owned()]),
            waiting: VecDeque::new(),
            place,
            more: false,
        }
    }

    /// Whether it stopped looking before it came to the end.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// Matches that were read and are not in a batch yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The place of whoever has seen all that was handed out.
    pub(super) fn place(&self) -> &Places {
        &self.place
    }

    /// Whether the archive will have something that it does not have yet.
    pub(super) fn waits(&self) -> bool {
        self.reader.waits()
    }

    /// The next batch, if there are matches.
    pub(super) fn next(&mut self, number: u64) -> Result<Option<Letter>> {
        self.fill()?;
        let Some(first) = self.waiting.front() else {
            return Ok(None);
        };
        let first_us = first.matched_us;
        let mut body = "{\"matches\":[".to_owned();
        let mut matches = 0;
        while let Some(entry) = self.waiting.front() {
            let row = String::from_utf8_lossy(entry.data());
            let full = matches == MOST_MATCHES || body.len() + row.len() > MOST_BYTES;
            if matches > 0 && full {
                break;
            }
            if matches > 0 {
                body.push(',');
            }
            body.push_str(&row);
            self.place.reach(entry.lane, entry.seq);
            matches += 1;
            self.waiting.pop_front();
        }
        body.push_str("]}");
        if self.waiting.is_empty() {
            self.place = self.reader.places().clone();
        }
        Ok(Some(Letter {
            number,
            matches: matches as u64,
            first_us,
            end: self.place.to_string(),
            body,
        }))
    }

    fn fill(&mut self) -> Result<()> {
        self.more = false;
        for _ in 0..MOST_PAGES {
            if !self.waiting.is_empty() {
                return Ok(());
            }
            let found = match self.reader.take() {
                Found::Matches(found) => found,
                Found::Older => {
                    let found = self.reader.read_archive()?;
                    if self.reader.waits() {
                        return Ok(());
                    }
                    found
                }
                Found::Nothing => return Ok(()),
            };
            self.waiting.extend(found);
            if self.waiting.is_empty() {
                self.place = self.reader.places().clone();
            }
        }
        self.more = self.waiting.is_empty();
        Ok(())
    }
}
