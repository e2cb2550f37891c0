//! Publishing what the filters took, and the whole stream.
//!
//! ```text
//! archive stage ──matches, claimed──▶ ring ──┐
//!                                            ├─▶ publisher thread ──one transaction a batch──▶ output
//! archive ──older matches, committed─────────┘                     messages and cursor
//! ```
//!
//! A match is published once the archive has claimed its number: from then on it is the same match after any crash. The
//! newest come from memory, so that they leave within the second; what does not fit there, and what an earlier process left,
//! is read from the archive. Nothing here holds up the archive: if the output is away, it is waited for.
//!
//! Each process publishes the matches of its own lane, and those of lanes whose process is gone. The whole stream is passed on by
//! one process, whichever has the lock, in the order of the journal.

mod beginning;
mod course;
mod health;
mod message;
mod noted;
mod orphans;
mod relay;
mod restored;
mod ring;
mod routes;
mod stock;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use pitt_alert::{Decoded, Packet, SchemaStore};
use pitt_archive::{Archive, Match, NumberedMatch};
use pitt_kafka::Access;
use pitt_kafka::publish::{Cursor, Output, Transport};

pub use health::Health;
pub use noted::{Delivery, Noted, deliveries, noted};
pub use routes::{Form, Route, Routes};

use crate::config::{OutputSettings, Settings, kafka};
use crate::filters::FilterDesk;
use crate::pipeline::Counters;
use course::Course;
use message::Messages;
use ring::{Due, Ring};
use stock::Stock;

/// Hears of matches once they are claimed.
pub trait MatchListener: Send {
    /// Matches of one batch: what was given to the archive, and which of it is new, with its number.
    fn matched(
        &mut self,
        packets: &[Packet],
        decoded: &Decoded,
        given: &[Match],
        fresh: &[NumberedMatch],
    );

    /// Everything heard of so far is committed.
    fn committed(&mut self) {}
}

/// What all threads of one output share.
pub(crate) struct Desk {
    pub(crate) archive: Archive,
    pub(crate) settings: OutputSettings,
    pub(crate) routes: Arc<Routes>,
    pub(crate) schemas: SchemaStore,
    pub(crate) counters: Arc<Counters>,
    /// Set when nothing more will come: what is there is published, then the threads end.
    pub(crate) ending: AtomicBool,
    access: Access,
    archive_id: String,
}

/// The output as the publisher of this name sees it: a lane's number, or `relay`.
fn output(settings: &OutputSettings, access: Access, archive_id: &str, name: &str) -> Output {
    Output {
        access,
        id: format!("pitt-{archive_id}-{name}"),
        cursors: format!("{}cursor", settings.prefix),
        shape: settings.shape(),
        topics: vec![],
        max_message_bytes: settings.max_message_bytes(),
        transport: if settings.transactions {
            Transport::Transactions
        } else {
            Transport::Plain
        },
    }
}

/// How the output is reached, with the password.
fn access(settings: &OutputSettings) -> Result<Access> {
    let mut access = settings.access().context("`[output]`")?;
    if access.sign_in != pitt_kafka::SignIn::None {
        let environment = |name: &str| std::env::var(name).ok();
        access.password =
            kafka::password("OUTPUT", "output", &settings.password_file, environment)?;
    }
    Ok(access)
}

/// How far the output says that a lane of an archive is published; `Err` inside when it does not say.
///
/// # Errors
/// The settings are wrong, or there is no password.
pub fn cursor_of(
    settings: &OutputSettings,
    archive_id: &str,
    lane: u32,
) -> Result<Result<Option<Cursor>, String>> {
    let output = output(settings, access(settings)?, archive_id, &lane.to_string());
    Ok(output.cursor())
}

impl Desk {
    /// The output as the publisher of this name sees it: a lane's number, or `relay`.
    pub(crate) fn output(&self, name: &str) -> Output {
        Output {
            topics: self.routes.topics(),
            ..output(&self.settings, self.access.clone(), &self.archive_id, name)
        }
    }

    pub(crate) fn messages(&self) -> Messages<'_> {
        Messages::new(&self.routes, self.schemas.clone())
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }
}

/// The threads that publish, from [`Publishing::start`] to [`Publishing::finish`].
pub struct Publishing {
    desk: Arc<Desk>,
    ring: Arc<Ring>,
    threads: Vec<JoinHandle<()>>,
}

impl Publishing {
    /// Starts publishing, if the settings name an output. The archive must be open with claims.
    ///
    /// # Errors
    /// A topic's name or a setting that cannot be, or no password. The output itself need not be there.
    pub fn start(
        settings: &Settings,
        archive: &Archive,
        filters: &FilterDesk,
        schemas: &SchemaStore,
        counters: &Arc<Counters>,
    ) -> Result<Option<Publishing>> {
        if !settings.output.is_on() {
            return Ok(None);
        }
        let desk = Arc::new(desk(settings, archive, filters, schemas, counters)?);
        let lane = archive.lane().unwrap_or(0);
        desk.output(&lane.to_string())
            .check()
            .context("`[output]`")?;
        beginning::note(&desk, lane)?;
        let ring = Arc::new(Ring::new(settings.output.memory_mb << 20));
        let mut publishing = Publishing {
            desk,
            ring,
            threads: vec![],
        };
        publishing.thread(&format!("publish-{lane}"), move |desk, ring| {
            let stock = Stock::new(desk, lane, ring.clone());
            Course::new(desk, &lane.to_string(), stock, Some(ring)).run();
        })?;
        publishing.thread("publish-orphans", move |desk, _| orphans::run(desk, lane))?;
        if !settings.output.relay.is_empty() {
            publishing.thread("publish-relay", |desk, _| relay::run(desk))?;
        }
        Ok(Some(publishing))
    }

    fn thread(
        &mut self,
        name: &str,
        work: impl FnOnce(&Desk, &Arc<Ring>) + Send + 'static,
    ) -> Result<()> {
        let (desk, ring) = (self.desk.clone(), self.ring.clone());
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || work(&desk, &ring))
            .with_context(|| format!("cannot start the thread `{name}`"))?;
        self.threads.push(thread);
        Ok(())
    }

    /// Who is to hear of matches.
    pub fn listener(&self) -> Box<dyn MatchListener> {
        Box::new(Listener(self.ring.clone()))
    }

    /// Publishes what is committed by now, as far as the output answers, and ends.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.desk.ending.store(true, Ordering::Relaxed);
        self.ring.wake();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a publishing thread panicked (please report this as a bug)");
            }
        }
    }
}

impl Drop for Publishing {
    /// A run that failed still publishes what it has claimed or committed.
    fn drop(&mut self) {
        self.end();
    }
}

struct Listener(Arc<Ring>);

impl MatchListener for Listener {
    fn matched(
        &mut self,
        packets: &[Packet],
        decoded: &Decoded,
        given: &[Match],
        fresh: &[NumberedMatch],
    ) {
        let due = fresh.iter().filter_map(|numbered| {
            let taken = given.get(numbered.filter)?;
            let origin = decoded
                .batches
                .get(numbered.batch)?
                .origins
                .get(numbered.row)?;
            Some(Due {
                seq: numbered.seq,
                packet: packets.get(numbered.packet)?.clone(),
                record: origin.record,
                taken: taken.clone(),
                matched_us: numbered.matched_us,
            })
        });
        self.0.push(due);
    }
}

fn desk(
    settings: &Settings,
    archive: &Archive,
    filters: &FilterDesk,
    schemas: &SchemaStore,
    counters: &Arc<Counters>,
) -> Result<Desk> {
    let output = &settings.output;
    let routes = Arc::new(Routes::new(output));
    let set = filters.at_work().now();
    routes.learn(set.set().filters())?;
    let learning = Arc::downgrade(&routes);
    filters.tell(move |roster| {
        let Some(routes) = learning.upgrade() else {
            return;
        };
        if let Err(error) = routes.learn(roster.set().filters()) {
            tracing::error!("a filter's matches are not published: {error:#}");
        }
    });
    Ok(Desk {
        archive: archive.clone(),
        settings: output.clone(),
        routes,
        schemas: schemas.clone(),
        counters: counters.clone(),
        ending: AtomicBool::new(false),
        access: access(output)?,
        archive_id: archive.id()?,
    })
}
