//! The API: everything that can be read from a broker, under `/api/v1`.
//!
//! | module | what |
//! |---|---|
//! | [`problem`] | errors |
//! | [`params`] | parameters, alike in a query, a form and JSON |
//! | [`table`], [`votable`], [`columns`] | tables in five formats, with units and UCDs |
//! | [`answer`] | answers in JSON, at once, and in pieces |
//! | [`stock`] | look-ups, also of what is not committed yet |
//! | [`pool`] | the threads on which the archive is asked |
//! | [`cursor`] | where a list goes on |
//! | [`document`] | the OpenAPI document, which comes from the handlers |
//!
//! A handler reads its parameters, asks on the [`pool`] and gives JSON or a table. None of them waits for the archive on the
//! port's own thread.

pub mod alert;
pub mod alert_rows;
pub mod alerts;
pub mod answer;
pub mod codes;
pub mod columns;
pub mod compat;
pub mod cones;
pub mod counted;
pub mod cursor;
pub mod cutouts;
pub mod document;
pub mod holdings;
pub mod index;
pub mod light_curve;
pub mod links;
pub mod matched;
pub mod me;
pub mod nights;
pub mod objects;
pub mod params;
pub mod pool;
pub mod position;
pub mod problem;
pub mod quarantine;
pub mod replays;
pub mod resolve;
pub mod retry;
pub mod shelf;
pub mod sift;
pub mod sql;
pub mod stock;
pub mod table;
mod typed;
pub mod votable;

use std::io;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::live::{self, Live};
use crate::config::Settings;
use crate::push::HookDesk;
use crate::telemetry::Telemetry;
use counted::Counted;
use pool::Pool;
use retry::Retries;
use shelf::Shelf;
use stock::Stock;

/// What every handler is given. Clones share it.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

/// What the API stands on.
pub struct Parts {
    /// Look-ups.
    pub stock: Stock,
    /// How the run is.
    pub telemetry: Arc<Telemetry>,
    /// Bounds of queries, and the rest.
    pub settings: Settings,
    /// The threads on which the archive is asked.
    pub pool: Pool,
    /// What the logs say of data files.
    pub shelf: Shelf,
    /// What takes long to find out.
    pub counted: Counted,
    /// Filters' matches as they come.
    pub live: Arc<Live>,
    /// Quarantined packets read again.
    pub retries: Retries,
    /// Where matches are sent.
    pub hooks: Arc<HookDesk>,
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    /// The API of a run.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn new(telemetry: Arc<Telemetry>, settings: &Settings) -> io::Result<Self> {
        let archive = telemetry.clone();
        let recent_bytes = settings.http.recent_packets_bytes();
        let live = Arc::new(Live::new(telemetry.clone(), recent_bytes));
        let stock = Stock::new(move || archive.open_archive());
        stock.set_fresh(live.recent.clone());
        let hooks = Arc::new(HookDesk::of(telemetry.archive(), &settings.push));
        telemetry.watch_webhooks(&hooks);
        let parts = Parts {
            stock,
            live,
            hooks,
            telemetry,
            settings: settings.clone(),
            pool: Pool::start()?,
            shelf: Shelf::default(),
            counted: Counted::new(settings.query.memory_mb << 20),
            retries: Retries::default(),
        };
        Ok(Self(Arc::new(parts)))
    }
}

/// The handlers under `/api/v1`.
fn v1() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(index::openapi))
        .routes(routes!(index::status))
        .routes(routes!(me::me))
        .routes(routes!(alerts::alerts))
        .routes(routes!(alert::alert))
        .routes(routes!(alert::packet))
        .routes(routes!(cutouts::of_alert))
        .routes(routes!(cones::conesearch))
        .routes(routes!(objects::object))
        .routes(routes!(objects::lightcurve))
        .routes(routes!(objects::object_alerts))
        .routes(routes!(objects::object_matches))
        .routes(routes!(cones::neighbours))
        .routes(routes!(resolve::resolve))
        .routes(routes!(sql::sql))
        .routes(routes!(sql::tables))
        .routes(routes!(nights::nights))
        .routes(routes!(nights::night))
        .routes(routes!(nights::sky))
        .routes(routes!(nights::ledger))
        .routes(routes!(holdings::statistics))
        .routes(routes!(holdings::schemas))
        .routes(routes!(holdings::schema))
        .routes(routes!(holdings::catalogs))
        .routes(routes!(quarantine::quarantine))
        .routes(routes!(quarantine::reasons))
        .routes(routes!(retry::retry, retry::state))
        .routes(routes!(alerts::sources))
        .routes(routes!(cutouts::cutouts))
        .routes(routes!(holdings::schema_alias))
        .routes(routes!(holdings::tags))
        .routes(routes!(nights::skymap))
}

/// All handlers, each with its part of the document. Other modules' handlers join here.
fn handlers() -> OpenApiRouter<Api> {
    let v1 = v1().merge(live::handlers()).merge(replays::handlers());
    OpenApiRouter::with_openapi(document::head())
        .routes(routes!(index::index))
        .nest("/api/v1", v1)
}

/// The OpenAPI document.
pub fn openapi() -> OpenApi {
    document::finish(handlers().into_openapi())
}

/// The routes.
pub fn router(api: Api) -> Router {
    let (ours, _) = handlers().split_for_parts();
    ours.merge(compat::routes()).with_state(api)
}
