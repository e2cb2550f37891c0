//! The feed of matches: the newest from memory, older ones from the archive, by places that mean the same for ever.
//!
//! ```text
//! archive stage ──matches, claimed──▶ memory, a lane each ──▶ readers that keep up
//! archive ──older ones, those of other processes, committed──▶ readers that come back, or are slow
//! ```
//!
//! A match is in the feed once the archive has claimed its number. Pushing takes a lock for as long as it takes to append; no reader holds
//! it longer than to copy pointers, so that none slows the archive. What has left the memory is read from the archive, where it is once
//! it is committed. Numbers in a lane ascend by one: a reader that knows the last number it has read misses nothing and sees nothing twice.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use pitt_alert::message::Annotation;
use pitt_alert::{Decoded, Packet};
use pitt_archive::{Archive, Match, NumberedMatch};
use tokio::sync::watch;

use super::history::History;
use super::place::Places;
use super::row::MatchEntry;
use crate::publish::MatchListener;
use crate::telemetry::Telemetry;

/// Most matches in memory, of each lane: some 500 bytes each.
const MOST: usize = 20_000;
/// Matches that a reader takes at once.
pub(super) const PAGE: usize = 500;
/// After the archive had nothing, it is not asked again by the same reader for so long.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// The feed of a run, through all its passes.
pub struct MatchFeed {
    telemetry: Arc<Telemetry>,
    state: Mutex<State>,
    told: watch::Sender<u64>,
    history: Mutex<History>,
    followers: Mutex<HashMap<String, usize>>,
}

#[derive(Default)]
struct State {
    lanes: BTreeMap<u32, Lane>,
    /// The lane whose matches come from the pipeline of this process.
    own: Option<u32>,
    closed: bool,
}

/// The newest matches of a lane.
#[derive(Default)]
struct Lane {
    entries: VecDeque<Arc<MatchEntry>>,
    /// The last number known: in memory, committed, or claimed before a crash.
    newest: u64,
    /// The last number that is committed.
    committed: u64,
}

impl Lane {
    fn push(&mut self, entry: Arc<MatchEntry>) {
        if entry.seq <= self.entries.back().map_or(0, |last| last.seq) {
            return;
        }
        self.newest = self.newest.max(entry.seq);
        self.entries.push_back(entry);
        if self.entries.len() > MOST {
            self.entries.pop_front();
        }
    }

    /// Entries that follow on a number without a gap; `None` when memory does not have the next one, though there is one.
    fn after(&self, seq: u64) -> Option<impl Iterator<Item = &Arc<MatchEntry>>> {
        let at = self.entries.partition_point(|entry| entry.seq <= seq);
        let next = self.entries.get(at).map(|entry| entry.seq);
        if next != Some(seq + 1) && self.newest.max(self.committed) > seq {
            return None;
        }
        let following = self.entries.range(at..).zip(seq + 1..);
        Some(
            following
                .take_while(|(entry, due)| entry.seq == *due)
                .map(|(entry, _)| entry),
        )
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MatchFeed {
    /// An empty feed. The archive is the one that the telemetry has open.
    pub fn new(telemetry: Arc<Telemetry>) -> Self {
        Self {
            telemetry,
            state: Mutex::default(),
            told: watch::Sender::new(0),
            history: Mutex::default(),
            followers: Mutex::default(),
        }
    }

    /// Learns of an archive that is opened: which lane is written here, and where all lanes stand.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn attach(&self, archive: &Archive) -> Result<()> {
        let mut stands = vec![];
        for lane in archive.lanes() {
            let committed = archive.last_match(lane)?;
            stands.push((lane, committed, archive.last_claimed(lane).max(committed)));
        }
        let mut state = lock(&self.state);
        state.own = archive.lane();
        for (number, committed, newest) in stands {
            let lane = state.lanes.entry(number).or_default();
            lane.committed = lane.committed.max(committed);
            lane.newest = lane.newest.max(newest);
        }
        Ok(())
    }

    /// Who is to hear of this process's matches.
    pub fn listener(self: &Arc<Self>) -> Box<dyn MatchListener> {
        Box::new(Pusher(self.clone()))
    }

    fn push(&self, entries: impl Iterator<Item = Arc<MatchEntry>>) {
        let mut state = lock(&self.state);
        for entry in entries {
            state.lanes.entry(entry.lane).or_default().push(entry);
        }
        drop(state);
        self.tell();
    }

    fn tell(&self) {
        self.told.send_modify(|version| *version += 1);
    }

    /// Looks where the archive stands, and brings what other processes have committed. To be called once a second.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn follow(&self) -> Result<()> {
        let Some(archive) = self.telemetry.open_archive() else {
            return Ok(());
        };
        let mut news = false;
        for number in archive.lanes() {
            let committed = archive.last_match(number)?;
            let (own, known, before) = {
                let mut state = lock(&self.state);
                let own = state.own == Some(number);
                // The history of a lane is not brought: a reader that wants it reads the archive.
                let fresh = !state.lanes.contains_key(&number);
                let lane = state.lanes.entry(number).or_default();
                let before = std::mem::replace(&mut lane.committed, committed);
                if fresh {
                    lane.newest = committed;
                }
                (own, lane.newest, before)
            };
            news |= before != committed;
            if own || known >= committed {
                continue;
            }
            let page = lock(&self.history).after(&archive, number, known, PAGE, |_| true)?;
            self.push(page.entries.into_iter());
        }
        if news {
            self.tell();
        }
        Ok(())
    }

    /// A reader after these places.
    pub fn reader(self: &Arc<Self>, places: Places, filters: Vec<String>) -> Reader {
        let mut followers = lock(&self.followers);
        for filter in &filters {
            *followers.entry(filter.clone()).or_default() += 1;
        }
        drop(followers);
        let mut reader = self.quiet_reader(places, filters);
        reader.counted = true;
        reader
    }

    /// A reader that is not counted among the followers.
    pub fn quiet_reader(self: &Arc<Self>, places: Places, filters: Vec<String>) -> Reader {
        Reader {
            feed: self.clone(),
            told: places.clone(),
            places,
            filters,
            counted: false,
            empty_since: None,
        }
    }

    /// Where a reader begins that wants what comes from now on.
    pub fn now(&self) -> Places {
        let state = lock(&self.state);
        let mut places = Places::default();
        for (number, lane) in &state.lanes {
            places.reach(*number, lane.newest.max(lane.committed));
        }
        places
    }

    /// Readers of each filter's matches.
    pub fn followers(&self, filter: &str) -> usize {
        lock(&self.followers).get(filter).copied().unwrap_or(0)
    }

    /// Matches in memory that are not committed yet.
    pub fn uncommitted(&self) -> Vec<Arc<MatchEntry>> {
        let state = lock(&self.state);
        let mut found = vec![];
        for lane in state.lanes.values() {
            let at = lane
                .entries
                .partition_point(|entry| entry.seq <= lane.committed);
            found.extend(lane.entries.range(at..).cloned());
        }
        found
    }

    /// The common columns of a stored alert.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn alert(&self, archive: &Archive, survey: &str, alert_id: i64) -> Result<Annotation> {
        lock(&self.history).alert(archive, survey, alert_id)
    }

    /// Ends all readers.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.tell();
    }

    /// Told after every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    /// Whether it is over.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }
}

struct Pusher(Arc<MatchFeed>);

impl MatchListener for Pusher {
    fn matched(
        &mut self,
        packets: &[Packet],
        decoded: &Decoded,
        given: &[Match],
        fresh: &[NumberedMatch],
    ) {
        if fresh.is_empty() {
            return;
        }
        let entries = fresh.iter().filter_map(|numbered| {
            let taken = given.get(numbered.filter)?;
            let batch = decoded.batches.get(numbered.batch)?;
            let received_us = packets.get(numbered.packet)?.received_us;
            let alert = Annotation::of(batch, numbered.row, received_us)?;
            let filter = (taken.filter.clone(), taken.version.clone());
            let place = (numbered.lane, numbered.seq);
            Some(Arc::new(MatchEntry::new(
                place,
                filter,
                numbered.matched_us,
                alert,
            )))
        });
        self.0.push(entries);
    }
}

/// What a reader finds.
#[derive(Debug)]
pub enum Found {
    /// Matches; perhaps none that the reader wants, though it has come further.
    Matches(Vec<Arc<MatchEntry>>),
    /// Nothing in memory: the archive has what comes next, or will have it ([`Reader::read_archive`]).
    Older,
    /// Nothing new.
    Nothing,
}

/// Somebody who reads the feed.
pub struct Reader {
    feed: Arc<MatchFeed>,
    places: Places,
    /// The same without what was found and not handed on yet.
    told: Places,
    filters: Vec<String>,
    counted: bool,
    empty_since: Option<Instant>,
}

impl Reader {
    /// Notes that a match, the next of those found, is handed on; gives the place of whoever has seen it.
    pub fn told(&mut self, entry: &MatchEntry) -> &Places {
        self.told.reach(entry.lane, entry.seq);
        &self.told
    }

    /// Whether the archive will have something that it does not have yet.
    pub fn waits(&self) -> bool {
        self.empty_since.is_some()
    }

    /// How far it has come.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// What comes next, from memory.
    pub fn take(&mut self) -> Found {
        let feed = self.feed.clone();
        let state = lock(&feed.state);
        let (mut found, mut moved, mut older) = (vec![], false, false);
        for (number, lane) in &state.lanes {
            let Some(following) = lane.after(self.places.of(*number)) else {
                older = true;
                continue;
            };
            for entry in following {
                if found.len() == PAGE {
                    return Found::Matches(found);
                }
                moved = true;
                self.places.reach(*number, entry.seq);
                if wants(&self.filters, &entry.filter) {
                    found.push(entry.clone());
                }
            }
        }
        let patient = self
            .empty_since
            .is_some_and(|since| since.elapsed() < ASK_AGAIN);
        match (moved, older && !patient) {
            (true, _) => Found::Matches(found),
            (false, true) => Found::Older,
            (false, false) => Found::Nothing,
        }
    }

    /// What comes next, from the archive. Blocks.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn read_archive(&mut self) -> Result<Vec<Arc<MatchEntry>>> {
        let mut found = vec![];
        let Some(archive) = self.feed.telemetry.open_archive() else {
            self.empty_since = Some(Instant::now());
            return Ok(found);
        };
        let behind: Vec<u32> = {
            let state = lock(&self.feed.state);
            let lanes = state.lanes.iter();
            let behind =
                lanes.filter(|(number, lane)| lane.after(self.places.of(**number)).is_none());
            behind.map(|(number, _)| *number).collect()
        };
        let mut moved = false;
        for lane in behind {
            let after = self.places.of(lane);
            let wanted = |filter: &str| wants(&self.filters, filter);
            let page = lock(&self.feed.history).after(&archive, lane, after, PAGE, wanted)?;
            moved |= page.reached > after;
            self.places.reach(lane, page.reached);
            found.extend(page.entries);
        }
        self.empty_since = (!moved).then(Instant::now);
        Ok(found)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut followers = lock(&self.feed.followers);
        for filter in self.filters.iter().filter(|_| self.counted) {
            if let Some(number) = followers.get_mut(filter) {
                *number -= 1;
            }
        }
    }
}

/// Whether a reader of these filters wants a match of this one; of none, it wants all.
fn wants(filters: &[String], filter: &str) -> bool {
    filters.is_empty() || filters.iter().any(|wanted| wanted == filter)
}
