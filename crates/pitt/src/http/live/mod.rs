//! Everything live: filters that change while the broker runs, and the feed of their matches.
//!
//! | module | what |
//! |---|---|
//! | [`filters`] | filters: kept, checked, tried, set to work and paused |
//! | [`feed`], [`place`], [`row`] | the feed of matches, by places that mean the same for ever |
//! | [`events`] | the feed as server-sent events |
//! | [`hooks`] | the feed sent to webhooks: made, listed, paused, their dead letters |
//! | [`mod@matches`] | the list of matches |
//! | [`figures`] | what filters took, and how the night goes |
//! | [`recent`] | what is received and not committed yet |

pub mod events;
pub mod feed;
pub mod figures;
pub mod filters;
mod history;
pub mod hooks;
pub mod matches;
pub mod place;
pub mod recent;
pub mod row;
mod status;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::Api;
use crate::broker::Broker;
use crate::telemetry::Telemetry;
use feed::MatchFeed;
use figures::Figures;
use recent::Recent;

/// How often others' commits are looked for, and the status is told.
const BEAT: Duration = Duration::from_secs(1);

/// What is live of a run, through all its passes.
pub struct Live {
    /// The feed of matches.
    pub feed: Arc<MatchFeed>,
    /// What is not committed yet.
    pub recent: Arc<Recent>,
    /// What filters took, and how the night goes.
    pub figures: Arc<Figures>,
    /// How the broker is: a text once a second, the same for all readers.
    status: watch::Sender<Bytes>,
}

impl Live {
    /// Nothing yet. `recent_bytes` is what packets that are not committed may take.
    pub fn new(telemetry: Arc<Telemetry>, recent_bytes: usize) -> Self {
        Self {
            figures: Arc::new(Figures::new(telemetry.clone())),
            feed: Arc::new(MatchFeed::new(telemetry)),
            recent: Arc::new(Recent::new(recent_bytes)),
            status: watch::Sender::new(Bytes::new()),
        }
    }

    /// Lets a broker tell of its matches, before it runs.
    ///
    /// # Errors
    /// Its archive cannot be read.
    pub fn join(&self, broker: &mut Broker) -> Result<()> {
        self.feed.attach(broker.archive())?;
        // Whoever is told of a match finds its alert, and counts that have it.
        broker.hear(self.figures.listener());
        broker.hear(self.recent.listener());
        broker.hear(self.feed.listener());
        Ok(())
    }

    pub(super) fn status(&self) -> watch::Receiver<Bytes> {
        self.status.subscribe()
    }
}

/// The thread that looks for others' commits and tells the status; dropped, it ends, and with it all readers.
pub struct Beating {
    live: Arc<Live>,
    thread: Option<JoinHandle<()>>,
}

impl Beating {
    /// Starts.
    ///
    /// # Errors
    /// There can be no more threads.
    pub fn start(live: &Arc<Live>, telemetry: &Arc<Telemetry>) -> io::Result<Self> {
        let (own, telemetry) = (live.clone(), telemetry.clone());
        let beat = move || {
            let mut told = status::Told::default();
            let mut said = false;
            while !own.feed.is_closed() {
                let followed = own.feed.follow();
                if let Err(error) = &followed
                    && !said
                {
                    tracing::warn!("the feed of matches does not see the archive: {error:#}");
                }
                said = followed.is_err();
                if own.status.receiver_count() > 0 {
                    let tonight = own.figures.tonight();
                    let text = told.text(&telemetry, tonight.as_ref());
                    own.status.send_replace(text.into());
                }
                std::thread::park_timeout(BEAT);
            }
        };
        let thread = std::thread::Builder::new()
            .name("pitt-feed".into())
            .spawn(beat)?;
        Ok(Self {
            live: live.clone(),
            thread: Some(thread),
        })
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.live.feed.close();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// The handlers under `/api/v1`.
pub(super) fn handlers() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(filters::list))
        .routes(routes!(filters::one, filters::put, filters::remove))
        .routes(routes!(filters::text_of))
        .routes(routes!(filters::check))
        .routes(routes!(filters::test))
        .routes(routes!(filters::vocabulary))
        .routes(routes!(filters::activate))
        .routes(routes!(filters::pause))
        .routes(routes!(events::of_filter))
        .routes(routes!(events::all))
        .routes(routes!(matches::matches))
        .merge(hooks::handlers())
}
