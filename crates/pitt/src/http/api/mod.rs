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
pub mod answer;
pub mod columns;
pub mod cursor;
pub mod document;
pub mod index;
pub mod me;
pub mod params;
pub mod pool;
pub mod problem;
pub mod stock;
pub mod table;
pub mod votable;

use std::io;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::Settings;
use crate::telemetry::Telemetry;
use pool::Pool;
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
        let parts = Parts {
            stock: Stock::new(move || archive.open_archive()),
            telemetry,
            settings: settings.clone(),
            pool: Pool::start()?,
        };
        Ok(Self(Arc::new(parts)))
    }
}

/// The handlers under `/api/v1`.
fn v1() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(index::index))
        .routes(routes!(index::openapi))
        .routes(routes!(index::status))
        .routes(routes!(me::me))
        .routes(routes!(alert::packet))
}

/// All handlers, each with its part of the document. Other modules' handlers join here.
fn handlers() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(document::head()).nest("/api/v1", v1())
}

/// The OpenAPI document.
pub fn openapi() -> OpenApi {
    document::finish(handlers().into_openapi())
}

/// The routes.
pub fn router(api: Api) -> Router {
    handlers().with_state(api).split_for_parts().0
}
