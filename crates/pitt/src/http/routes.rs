//! What is asked for besides schemas.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::{Site, api, registry};
use crate::telemetry::{Telemetry, metrics};

/// What there is, for people.
const PLACES: [(&str, &str); 5] = [
    ("/healthz", "whether the broker runs, and what is wrong"),
    (
        "/status",
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
        .route("/status", get(status))
        .route("/metrics", get(show_metrics))
        .fallback(nothing_here)
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

async fn nothing_here(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!("there is nothing at `{path}` (`/` lists what there is)");
    problem(StatusCode::NOT_FOUND, &detail).into_response()
}

async fn index(State(telemetry): State<Arc<Telemetry>>, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let title = format!("Pitt Broker {}", env!("CARGO_PKG_VERSION"));
    let archive = telemetry.archive().display().to_string();
    if !accept.is_some_and(|accept| accept.contains("text/html")) {
        let lines = PLACES.map(|(path, what)| format!("{path:<38}{what}\n"));
        return format!("{title}\n\narchive: {archive}\n\n{}", lines.concat()).into_response();
    }
    let rows =
        PLACES.map(|(path, what)| format!("<tr><td><a href=\"{path}\">{path}</a><td>{what}\n"));
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <style>:root{{color-scheme:light dark}}body{{font:16px/1.5 sans-serif;max-width:48em;margin:3em auto;padding:0 1em}}\
         td{{padding:.2em 1.5em .2em 0;vertical-align:top}}</style>\
         <h1>{title}</h1><p>It runs, into the archive <code>{}</code>.</p><table>{}</table></html>",
        escaped(&archive),
        rows.concat()
    );
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
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

async fn show_metrics(State(telemetry): State<Arc<Telemetry>>) -> Response {
    look(telemetry, |telemetry| {
        let kind = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
        (kind, metrics::text(telemetry)).into_response()
    })
    .await
}
