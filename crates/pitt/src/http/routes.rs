//! What is asked for besides schemas.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::{Site, api, pages, registry};
use crate::telemetry::{Telemetry, metrics};

/// What there is, for people.
const PLACES: [(&str, &str); 7] = [
    ("/", "the pages, in a browser"),
    ("/api/v1/", "everything that can be asked, for programs"),
    ("/healthz", "whether the broker runs, and what is wrong"),
    (
        "/status.json",
        "what it is doing, as JSON; `pitt status` prints it for people",
    ),
    ("/metrics", "the same for Prometheus"),
    (
        "/subjects",
        "schemas of what is published, as a Confluent registry",
    ),
    (
        "/subjects/ztf-value/versions/latest",
        "one of them, once ZTF alerts have come",
    ),
];

/// All routes.
pub(super) fn router(site: Site) -> Router {
    let own = Router::new()
        .route("/", get(index))
        .route("/healthz", get(healthz))
        .route("/status.json", get(status))
        .route("/metrics", get(show_metrics))
        .fallback(page_or_nothing)
        .with_state(site.telemetry);
    own.merge(registry::routes(site.schemas))
        .merge(api::router(site.api))
}

/// An error as RFC 9457 has it.
pub(super) fn problem(status: StatusCode, detail: &str) -> impl IntoResponse + use<> {
    let title = status.canonical_reason().unwrap_or("error");
    let body =
        json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, body.to_string())
}

/// What no route knows: a page, or nothing.
async fn page_or_nothing(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    pages::page(&method, &uri, &headers).unwrap_or_else(|| {
        let path: String = uri.path().chars().take(200).collect();
        let detail = format!("there is nothing at `{path}` (`/` lists what there is)");
        problem(StatusCode::NOT_FOUND, &detail).into_response()
    })
}

/// The pages for a browser, a list of places for everybody else.
async fn index(
    State(telemetry): State<Arc<Telemetry>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return page_or_nothing(method, uri, headers).await;
    }
    let title = format!("Pitt Broker {}", env!("CARGO_PKG_VERSION"));
    let archive = telemetry.archive().display();
    let lines = PLACES.map(|(path, what)| format!("{path:<38}{what}\n"));
    format!("{title}\n\narchive: {archive}\n\n{}", lines.concat()).into_response()
}

/// Takes a look at the run where waiting for its parts does no harm.
async fn look(
    telemetry: Arc<Telemetry>,
    look: impl FnOnce(&Telemetry) -> Response + Send + 'static,
) -> Response {
    let looked = tokio::task::spawn_blocking(move || look(&telemetry));
    looked.await.unwrap_or_else(|_| {
        let detail = "the broker could not say how it is (please report this as a bug)";
        problem(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
    })
}

fn json(body: &serde_json::Value) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

async fn healthz(State(telemetry): State<Arc<Telemetry>>) -> Response {
    look(telemetry, |telemetry| {
        let troubles = telemetry.status().troubles();
        let status = if troubles.is_empty() { "ok" } else { "trouble" };
        json(&json!({"status": status, "troubles": troubles}))
    })
    .await
}

async fn status(State(telemetry): State<Arc<Telemetry>>) -> Response {
    look(telemetry, |telemetry| json(&json!(telemetry.status()))).await
}

/// `?steps=8` has eight buckets to a factor of two in place of one: for measurements.
async fn show_metrics(State(telemetry): State<Arc<Telemetry>>, uri: Uri) -> Response {
    let steps = match uri.query() {
        Some("steps=8") => 8,
        _ => 1,
    };
    look(telemetry, move |telemetry| {
        let kind = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
        (kind, metrics::text(telemetry, steps)).into_response()
    })
    .await
}
