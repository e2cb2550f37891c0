//! How publishing goes, for those who look.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::source::now_us;
use crate::telemetry::{OutputStatus, TroubleStatus};

/// What each publisher of a run is doing: kept by their threads, read by anybody.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<String, Doing>>);

#[derive(Debug)]
struct Doing {
    state: &'static str,
    since_us: i64,
    trouble: Option<TroubleStatus>,
    last: Option<TroubleStatus>,
    behind: Option<u64>,
}

impl Health {
    /// All is well with a publisher, and so many matches are left for it to publish, if it knows.
    pub(super) fn well(&self, name: &str, behind: Option<u64>) {
        self.change(name, "publishing", None, |doing| doing.behind = behind);
    }

    /// The output does not take messages, and is tried again.
    pub(super) fn waiting(&self, name: &str, why: &str, behind: Option<u64>) {
        self.change(name, "waiting", Some(why), |doing| {
            doing.behind = behind.or(doing.behind);
        });
    }

    /// A publisher has stopped for good.
    pub(super) fn stopped(&self, name: &str, why: &str) {
        self.change(name, "stopped", Some(why), |_| {});
    }

    /// A publisher has ended in order.
    pub(super) fn ended(&self, name: &str) {
        self.publishers().remove(name);
    }

    fn change(
        &self,
        name: &str,
        state: &'static str,
        why: Option<&str>,
        more: impl FnOnce(&mut Doing),
    ) {
        let mut publishers = self.publishers();
        if !publishers.contains_key(name) {
            let doing = Doing {
                state: "starting",
                since_us: now_us(),
                trouble: None,
                last: None,
                behind: None,
            };
            publishers.insert(name.to_owned(), doing);
        }
        let Some(doing) = publishers.get_mut(name) else {
            return;
        };
        if doing.state != state {
            (doing.state, doing.since_us) = (state, now_us());
        }
        doing.trouble = why.map(|why| TroubleStatus {
            text: format!("publisher {name}: {why}"),
            since_us: doing.since_us,
        });
        if doing.trouble.is_some() {
            doing.last.clone_from(&doing.trouble);
        }
        more(doing);
    }

    fn publishers(&self) -> MutexGuard<'_, BTreeMap<String, Doing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it, the worst first, of an output at these addresses.
    pub fn status(&self, servers: &str) -> OutputStatus {
        let publishers = self.publishers();
        let rank = |doing: &&Doing| match doing.state {
            "stopped" => 0,
            "waiting" => 1,
            "starting" => 2,
            _ => 3,
        };
        let worst = publishers.values().min_by_key(rank);
        let last = publishers.values().filter_map(|doing| doing.last.as_ref());
        let behind = publishers.values().filter_map(|doing| doing.behind);
        OutputStatus {
            servers: servers.to_owned(),
            state: worst.map_or("starting", |doing| doing.state).to_owned(),
            since_us: worst.map_or(0, |doing| doing.since_us),
            troubles: publishers
                .values()
                .filter_map(|doing| doing.trouble.clone())
                .collect(),
            last_error: last.max_by_key(|trouble| trouble.since_us).cloned(),
            behind: behind.reduce(|a, b| a + b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_publisher_speaks_for_the_output() {
        let health = Health::default();
        assert_eq!(health.status("a:1").state, "starting");
        health.well("0", Some(7));
        health.waiting("relay", "nobody answers", None);
        let status = health.status("a:1");
        assert_eq!((status.state.as_str(), status.behind), ("waiting", Some(7)));
        assert_eq!(status.troubles[0].text, "publisher relay: nobody answers");
        health.well("relay", None);
        let status = health.status("a:1");
        assert_eq!(
            (status.state.as_str(), status.troubles.len()),
            ("publishing", 0)
        );
        assert!(status.last_error.is_some());
    }
}
