//! The filters at work, and changing them between two batches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use pitt_alert::Packet;
use pitt_query::{Catalogs, Disabled, Filter, FilterError, FilterSet, Surveys};

use super::version;

/// One version of a filter at work. It outlives the set it was compiled into: as long as its text stays the same, every later set
/// has the same member.
#[derive(Debug)]
pub struct Member {
    /// Name of the filter.
    pub name: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// What it costs.
    pub cost: Cost,
    off: OnceLock<Disabled>,
}

/// Time that alerts take a filter, summed over the batches on which it was measured.
///
/// What several filters ask is computed once in a batch and counts for the first of them, by name: the sum of all costs is
/// what the filters take together. A trial says what a filter takes by itself.
#[derive(Debug, Default)]
pub struct Cost {
    ns: AtomicU64,
    alerts: AtomicU64,
}

impl Cost {
    /// Adds a batch.
    pub fn add(&self, took: Duration, alerts: usize) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.ns.fetch_add(ns, Ordering::Relaxed);
        self.alerts.fetch_add(alerts as u64, Ordering::Relaxed);
    }

    /// Time of one alert `[us]`; `None` before any was measured.
    pub fn us(&self) -> Option<f64> {
        let alerts = self.alerts.load(Ordering::Relaxed);
        let ns = self.ns.load(Ordering::Relaxed);
        (alerts > 0).then(|| ns as f64 / 1e3 / alerts as f64)
    }
}

impl Member {
    /// A filter that has not failed.
    pub fn new(filter: &Filter) -> Self {
        Self {
            name: filter.name().into(),
            version: version(filter),
            cost: Cost::default(),
            off: OnceLock::new(),
        }
    }

    /// Why it was switched off, if it was.
    pub fn off(&self) -> Option<&Disabled> {
        self.off.get()
    }

    /// Notes that it is off since before this run: nothing is said.
    pub(crate) fn keep_off(&self, why: Disabled) {
        let _ = self.off.set(why);
    }
}

/// Compiled filters, and who they are. A batch is judged by one roster, from its decoding to the archive.
pub struct Roster {
    set: FilterSet,
    members: Vec<Arc<Member>>,
}

impl Roster {
    /// Compiles filters; those that `known` has in the same version go on as they are, and stay off if they are.
    ///
    /// # Errors
    /// The first filter that does not fit.
    pub fn compile(
        filters: Vec<Filter>,
        known: &[Arc<Member>],
        surveys: &Surveys,
        catalogs: &Catalogs,
    ) -> Result<Self, FilterError> {
        let member = |filter: &Filter| {
            let version = version(filter);
            let same = |m: &&Arc<Member>| *m.name == *filter.name() && m.version == version;
            let old = known.iter().find(same);
            old.cloned()
                .unwrap_or_else(|| Arc::new(Member::new(filter)))
        };
        let members = filters.iter().map(member).collect();
        let roster = Self {
            set: FilterSet::compile(filters, surveys, catalogs)?,
            members,
        };
        roster.follow_members();
        Ok(roster)
    }

    /// A set by itself, for one pass.
    pub fn of(set: FilterSet) -> Self {
        let members = set.filters().iter().map(|f| Arc::new(Member::new(f)));
        Self {
            members: members.collect(),
            set,
        }
    }

    /// The compiled filters.
    pub fn set(&self) -> &FilterSet {
        &self.set
    }

    /// Who they are, by their places in the set.
    pub fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// Those switched off, by their places.
    pub fn disabled(&self) -> impl Iterator<Item = (usize, &Disabled)> {
        let off = self.members.iter().enumerate();
        off.filter_map(|(at, member)| Some((at, member.off()?)))
    }

    /// Switches a filter off, for every set that it is in.
    pub fn switch_off(&self, filter: usize, why: Disabled) {
        self.members[filter].keep_off(why.clone());
        self.set.switch_off(filter, why);
    }

    /// What is off as a member is off in the set too: members may have failed in a set before.
    fn follow_members(&self) {
        for (filter, why) in self.disabled() {
            self.set.keep_off(filter, why.clone());
        }
    }
}

/// The roster that new batches are judged by. Whoever deals out batches asks for it once for each, in the order of the source, so that a
/// change takes place between two batches and never back.
pub struct AtWork {
    roster: RwLock<Arc<Roster>>,
    /// The newest packet of each schema met, to try a new set on before it goes to work.
    samples: Mutex<BTreeMap<u128, Packet>>,
}

/// Schemas of which a packet is kept.
const MOST_SAMPLES: usize = 16;

impl AtWork {
    /// Begins with a roster.
    pub fn new(roster: Roster) -> Self {
        Self {
            roster: RwLock::new(Arc::new(roster)),
            samples: Mutex::default(),
        }
    }

    /// The roster for the next batch.
    pub fn now(&self) -> Arc<Roster> {
        let roster = self.roster.read().unwrap_or_else(PoisonError::into_inner);
        roster.clone()
    }

    /// Sets another roster to work, from the next batch on.
    pub fn put(&self, roster: Arc<Roster>) {
        *self.roster.write().unwrap_or_else(PoisonError::into_inner) = roster;
        self.follow();
    }

    /// Lets the roster at work know of members that failed in an earlier one.
    pub fn follow(&self) {
        self.now().follow_members();
    }

    /// Keeps a packet of a schema that has not been met before.
    pub(crate) fn met(&self, fingerprint: u128, packet: &Packet) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() < MOST_SAMPLES {
            samples.entry(fingerprint).or_insert_with(|| packet.clone());
        }
    }

    /// A packet of each schema met.
    pub(crate) fn samples(&self) -> Vec<Packet> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.values().cloned().collect()
    }
}
