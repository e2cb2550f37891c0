//! Delivery: a thread for each webhook, in one process of an archive at a time.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::watch;

use super::carrier::{Carrier, Order};
use super::courier::Patience;
use super::desk::HookDesk;
use super::hook::Hook;
use super::wait::Waiter;
use crate::http::live::feed::MatchFeed;
use crate::kept::Held;

/// How often it is looked whether another process changed the webhooks, or delivers no more.
const LOOK: Duration = Duration::from_secs(1);
/// How long what is there may take to be delivered when the program ends.
const GRACE: Duration = Duration::from_secs(3);
/// Time between two looks at whether it is.
const BREATH: Duration = Duration::from_millis(10);

/// Delivers an archive's webhooks, unless another process does; dropped, it ends.
///
/// Whoever holds `<archive>/webhooks/deliver.lock` delivers. The system lets go of the lock when its process dies, and another one of the archive
/// takes over within a second.
pub struct Delivery {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Delivery {
    /// Starts.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn start(
        desk: &Arc<HookDesk>,
        feed: &Arc<MatchFeed>,
        patience: Patience,
    ) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let office = Office {
            desk: desk.clone(),
            feed: feed.clone(),
            patience,
            lock: None,
            carriers: BTreeMap::new(),
            said: None,
        };
        let waiter = Waiter::new()?;
        let thread = std::thread::Builder::new()
            .name("pitt-hooks".into())
            .spawn(move || office.run(stopped, &waiter))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A thread and how to tell it something.
struct Hired {
    orders: watch::Sender<Order>,
    thread: JoinHandle<()>,
}

impl Hired {
    /// Tells it what has changed, if anything has.
    fn tell(&self, hook: &Arc<Hook>) {
        self.orders.send_if_modified(|order| {
            let same = matches!(order, Order::Carry(known) if known == hook);
            if !same {
                *order = Order::Carry(hook.clone());
            }
            !same
        });
    }
}

struct Office {
    desk: Arc<HookDesk>,
    feed: Arc<MatchFeed>,
    patience: Patience,
    lock: Option<Arc<Held>>,
    carriers: BTreeMap<String, Hired>,
    said: Option<String>,
}

impl Office {
    fn run(mut self, mut stopped: watch::Receiver<bool>, waiter: &Waiter) {
        let mut changes = self.desk.changes();
        while !*stopped.borrow() {
            changes.mark_unchanged();
            let looked = self.look();
            self.complain(looked);
            let news = async {
                tokio::select! {
                    _ = stopped.changed() => {}
                    _ = changes.changed() => {}
                }
            };
            waiter.until(news, LOOK);
        }
        self.finish();
    }

    /// Brings the threads in line with the webhooks there are.
    fn look(&mut self) -> Result<()> {
        let hooks = self.desk.hooks()?;
        let Some(lock) = self.lock(hooks.is_empty()) else {
            return Ok(());
        };
        let there = |id: &str| hooks.iter().any(|hook| hook.id == id);
        self.carriers.retain(|id, hired| {
            if !there(id) {
                hired.orders.send_replace(Order::Leave);
            }
            // One that ended by itself has panicked, and is hired anew.
            !hired.thread.is_finished()
        });
        let mut hired = Ok(());
        for hook in hooks.iter() {
            match self.carriers.get(&hook.id) {
                Some(hired) => hired.tell(hook),
                // One that is damaged holds up no other.
                None => hired = hired.and(self.hire(hook, &lock)),
            }
        }
        let left = self.desk.shelves().into_iter();
        for id in left.filter(|id| !there(id) && !self.carriers.contains_key(id)) {
            let cleared = self.desk.shelf(&id).clear();
            cleared.with_context(|| format!("cannot remove what is left of webhook {id}"))?;
        }
        hired
    }

    /// The lock, if no other process has it; not asked for as long as there is nothing to deliver.
    fn lock(&mut self, idle: bool) -> Option<Arc<Held>> {
        if self.lock.is_none() && !idle {
            self.lock = Held::now(&self.desk.lock_file()).map(Arc::new);
        }
        let delivering = &self.desk.tally.delivering;
        delivering.store(self.lock.is_some(), Ordering::Relaxed);
        self.lock.clone()
    }

    fn hire(&mut self, hook: &Arc<Hook>, lock: &Arc<Held>) -> Result<()> {
        let (orders, told) = watch::channel(Order::Carry(hook.clone()));
        let ground = (self.desk.clone(), self.feed.clone());
        let carrier = Carrier::new(ground, hook.clone(), told, self.patience, lock.clone())?;
        let thread = std::thread::Builder::new()
            .name("pitt-hook".into())
            .spawn(move || carrier.run())?;
        let hired = Hired { orders, thread };
        self.carriers.insert(hook.id.clone(), hired);
        Ok(())
    }

    /// Says what is wrong, once.
    fn complain(&mut self, looked: Result<()>) {
        let told = looked.err().map(|error| format!("{error:#}"));
        if let Some(told) = told
            .as_ref()
            .filter(|told| self.said.as_ref() != Some(told))
        {
            tracing::warn!("webhooks are not delivered: {told}");
        }
        self.said = told;
    }

    /// Lets what is there be delivered, but does not wait for receivers that are slow: the next process that delivers goes on.
    fn finish(self) {
        for hired in self.carriers.values() {
            hired.orders.send_modify(|order| {
                if let Order::Carry(hook) = order {
                    *order = Order::Finish(hook.clone());
                }
            });
        }
        let begin = Instant::now();
        let busy = |hired: &Hired| !hired.thread.is_finished();
        while self.carriers.values().any(busy) && begin.elapsed() < GRACE {
            std::thread::sleep(BREATH);
        }
        for hired in self.carriers.values() {
            hired.orders.send_replace(Order::Leave);
        }
        self.desk.tally.delivering.store(false, Ordering::Relaxed);
    }
}
