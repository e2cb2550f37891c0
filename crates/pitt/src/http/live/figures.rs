//! Counts for people: what each filter took, ever and tonight, and how the night goes.
//!
//! What is committed is counted file by file from the archive's tables, each file once; what is not committed yet comes from the pipeline,
//! as it goes. A match is in one or the other: numbers in a lane ascend, and the tables say how far they go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use pitt_alert::{AlertBatch, Decoded, Packet};
use pitt_archive::{ArchiveError, Match, NumberedMatch, TableSnapshot, Tally, tables};
use serde::Serialize;

use crate::publish::MatchListener;
use crate::telemetry::Telemetry;

/// Tables that are counted.
const TABLES: [&str; 2] = [tables::PACKETS, tables::MATCHES];
/// A count during which there were several commits is made again, so often at the most.
const TRIES: usize = 4;

/// The counts of a run, through all its passes.
pub struct Figures {
    telemetry: Arc<Telemetry>,
    tally: Mutex<Tally>,
    /// Versions of the tables that were counted last.
    versions: Mutex<[Option<u64>; 2]>,
    pending: Mutex<Pending>,
    /// Whether the first count, which may take long, was begun, and whether there was one.
    begun: AtomicBool,
    counted: AtomicBool,
}

/// What every filter took, and how the night goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The night.
    pub tonight: Option<Tonight>,
    filters: BTreeMap<String, FilterFigures>,
}

/// What a filter took, through all its versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterFigures {
    /// Its matches, ever.
    pub matches: u64,
    /// Of them those of the night.
    pub tonight: u64,
    /// When it took the last, microseconds since 1970, UTC.
    pub last_us: Option<i64>,
}

/// The night that comes in or, when nothing does, the newest of the archive: its lines of the ledger, and more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tonight {
    /// YYYYMMDD.
    pub night: i32,
    /// Records received.
    pub received: u64,
    /// Alerts stored.
    pub stored: u64,
    /// Alerts that had been stored before.
    pub duplicates: u64,
    /// Records that could not be read.
    pub quarantined: u64,
    /// Matches, also those that are not committed yet.
    pub matches: u64,
    /// Records of any night that are received and not in the ledger before the next commit.
    pub waiting: u64,
}

/// What came since the last commits.
#[derive(Default)]
struct Pending {
    matches: VecDeque<PendingMatch>,
    /// Commits so far.
    commits: u64,
    /// Records since the last one.
    records: u64,
    /// Night of the newest alert of the batch that came last.
    night: Option<i32>,
}

struct PendingMatch {
    lane: u32,
    seq: u64,
    filter: Arc<str>,
    night: Option<i32>,
    matched_us: i64,
    /// Commits before it.
    commits: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Taken {
    /// What a filter took.
    pub fn of(&self, filter: &str) -> FilterFigures {
        self.filters.get(filter).copied().unwrap_or_default()
    }

    fn put_together(tally: &Tally, pending: &Pending) -> Self {
        let newest = || tally.nights.keys().rev().flatten().next().copied();
        let night = pending.night.or_else(newest);
        let of_night = |nights: &BTreeMap<Option<i32>, u64>| {
            let matches = night.and_then(|night| nights.get(&Some(night)));
            matches.copied().unwrap_or(0)
        };
        let mut filters = BTreeMap::new();
        for (name, counts) in &tally.filters {
            let figures = FilterFigures {
                matches: counts.matches,
                tonight: of_night(&counts.nights),
                last_us: counts.last_us,
            };
            filters.insert(name.clone(), figures);
        }
        for new in pending.beyond(&tally.lanes) {
            let figures: &mut FilterFigures = filters.entry(new.filter.to_string()).or_default();
            figures.matches += 1;
            figures.tonight += u64::from(night.is_some() && new.night == night);
            figures.last_us = figures.last_us.max(Some(new.matched_us));
        }
        let matches = filters.values().map(|figures| figures.tonight).sum();
        let tonight = night.map(|night| {
            let counts = tally.nights.get(&Some(night)).cloned().unwrap_or_default();
            Tonight {
                night,
                received: counts.received,
                stored: counts.stored,
                duplicates: counts.duplicates,
                quarantined: counts.quarantined,
                matches,
                waiting: pending.records,
            }
        });
        Self { tonight, filters }
    }
}

impl Pending {
    /// Matches whose numbers are not among those counted, of which these are the last in each lane.
    fn beyond(&self, counted: &BTreeMap<u32, u64>) -> impl Iterator<Item = &PendingMatch> {
        let last = |lane: u32| counted.get(&lane).copied().unwrap_or(0);
        self.matches.iter().filter(move |m| m.seq > last(m.lane))
    }

    fn add(&mut self, decoded: &Decoded, given: &[Match], fresh: &[NumberedMatch]) {
        self.records += (decoded.rows() + decoded.rejected.len()) as u64;
        let newest = decoded.batches.iter().filter_map(newest_night).max();
        self.night = newest.or(self.night);
        for numbered in fresh {
            let (Some(taken), Some(batch)) = (
                given.get(numbered.filter),
                decoded.batches.get(numbered.batch),
            ) else {
                continue;
            };
            self.matches.push_back(PendingMatch {
                lane: numbered.lane,
                seq: numbered.seq,
                filter: taken.filter.clone(),
                night: night_of(batch, numbered.row),
                matched_us: numbered.matched_us,
                commits: self.commits,
            });
        }
    }

    /// Whoever counts the tables may have begun before this commit, but not before the one before: until then matches are kept.
    fn commit(&mut self) {
        self.commits += 1;
        self.records = 0;
        let commits = self.commits;
        while self
            .matches
            .front()
            .is_some_and(|m| m.commits + 2 <= commits)
        {
            self.matches.pop_front();
        }
    }
}

fn newest_night(batch: &AlertBatch) -> Option<i32> {
    let nights = batch.records.column_by_name("night")?;
    let nights = nights.as_primitive_opt::<Int32Type>()?;
    nights.iter().flatten().max()
}

fn night_of(batch: &AlertBatch, row: usize) -> Option<i32> {
    let nights = batch.records.column_by_name("night")?;
    let nights = nights.as_primitive_opt::<Int32Type>()?;
    nights.is_valid(row).then(|| nights.value(row))
}

impl Figures {
    /// Nothing yet. The archive is the one that the telemetry has open.
    pub fn new(telemetry: Arc<Telemetry>) -> Self {
        Self {
            telemetry,
            tally: Mutex::default(),
            versions: Mutex::default(),
            pending: Mutex::default(),
            begun: AtomicBool::new(false),
            counted: AtomicBool::new(false),
        }
    }

    /// Who is to hear of this process's matches, in a pass that begins.
    pub fn listener(self: &Arc<Self>) -> Box<dyn MatchListener> {
        // What an earlier pass did not commit comes again.
        let mut pending = lock(&self.pending);
        pending.matches.clear();
        pending.records = 0;
        Box::new(Hearer(self.clone()))
    }

    /// Looks at what the archive has.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn look<T>(&self, look: impl FnOnce(&Tally) -> T) -> Result<T, ArchiveError> {
        self.count().map(|tally| look(&tally))
    }

    /// What every filter took, and how the night goes.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn taken(&self) -> Result<Taken, ArchiveError> {
        let mut tries = 1..=TRIES;
        loop {
            let before = lock(&self.pending).commits;
            let tally = self.count()?;
            let pending = lock(&self.pending);
            // Matches that were dropped since are in files that this count may not have seen.
            if pending.commits <= before + 1 || tries.next().is_none() {
                return Ok(Taken::put_together(&tally, &pending));
            }
        }
    }

    /// How the night goes; `None` until everything was counted once, which happens beside. Never takes long.
    pub fn tonight(self: &Arc<Self>) -> Option<Tonight> {
        if !self.counted.load(Ordering::Relaxed) {
            self.begin();
            return None;
        }
        match self.taken() {
            Ok(taken) => taken.tonight,
            Err(error) => {
                tracing::debug!("the night cannot be counted: {error}");
                None
            }
        }
    }

    fn begin(self: &Arc<Self>) {
        if self.begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let own = self.clone();
        let counting = move || {
            if let Err(error) = own.count() {
                tracing::warn!("what the archive has cannot be counted: {error}");
            }
            // Another is begun if this was none.
            own.begun.store(false, Ordering::Relaxed);
        };
        let thread = std::thread::Builder::new().name("pitt-count".into());
        if thread.spawn(counting).is_err() {
            self.begun.store(false, Ordering::Relaxed);
        }
    }

    /// Counts the files that came since. While the archive is closed, what was counted stands.
    fn count(&self) -> Result<MutexGuard<'_, Tally>, ArchiveError> {
        let fresh = self.fresh_files()?;
        let mut tally = lock(&self.tally);
        if let Some((versions, snapshots)) = fresh {
            for snapshot in snapshots.iter().flatten() {
                tally.count(snapshot)?;
            }
            *lock(&self.versions) = versions;
            self.counted.store(true, Ordering::Relaxed);
        }
        Ok(tally)
    }

    /// The tables, if they have changed. The archive is let go of before they are counted: a run that ends need not wait.
    #[expect(
        clippy::type_complexity,
        reason = "two tables, as versions and as files"
    )]
    fn fresh_files(
        &self,
    ) -> Result<Option<([Option<u64>; 2], [Option<TableSnapshot>; 2])>, ArchiveError> {
        let Some(archive) = self.telemetry.open_archive() else {
            return Ok(None);
        };
        let versions = TABLES.map(|table| archive.version(table));
        if versions == *lock(&self.versions) {
            return Ok(None);
        }
        let [packets, matches] = TABLES.map(|table| archive.snapshot(table));
        Ok(Some((versions, [packets?, matches?])))
    }
}

struct Hearer(Arc<Figures>);

impl MatchListener for Hearer {
    fn matched(
        &mut self,
        _: &[Packet],
        decoded: &Decoded,
        given: &[Match],
        fresh: &[NumberedMatch],
    ) {
        lock(&self.0.pending).add(decoded, given, fresh);
    }

    fn committed(&mut self) {
        lock(&self.0.pending).commit();
    }
}
