//! Shapes of others, so that their clients work with a broker as they are: Lasair's, SkyPortal's, the IVOA's.

pub mod lasair;
pub mod skyportal;
pub mod vo;

use axum::Router;
use axum::routing::{get, post};

use super::Api;

/// The routes. They are others' and stand in no document of ours.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/lasair/api/cone/", post(lasair::cone).get(lasair::cone))
        .route("/lasair/api/query/", post(lasair::query).get(lasair::query))
        .route(
            "/lasair/api/object/",
            post(lasair::object).get(lasair::object),
        )
        .route(
            "/lasair/api/objects/",
            post(lasair::objects).get(lasair::objects),
        )
        .route(
            "/skyportal/alerts",
            get(skyportal::alerts).post(skyportal::alerts),
        )
        .route(
            "/skyportal/alerts/{id}",
            get(skyportal::alert).post(skyportal::alert),
        )
        .route("/vo/conesearch", get(vo::conesearch).post(vo::conesearch))
}
