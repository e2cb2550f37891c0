//! What is asked for besides schemas.

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::api::problem::{Problem, shown};
use super::compressed::compressed;
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
        .merge(compressed(api::router(site.api)))
        .layer(from_fn(in_our_words))
}

/// Longest refusal of the router's own that is repeated `[bytes]`.
const LONGEST_REFUSAL: usize = 1024;

/// What the router refuses by itself, in the shape of all our errors: a method that a path does not have, a path that cannot be
/// read. `OPTIONS` is answered.
async fn in_our_words(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), shown(request.uri().path()));
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_plain = kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED if is_plain => not_allowed(&method, &path, &response),
        StatusCode::BAD_REQUEST if is_plain => {
            let body = to_bytes(response.into_body(), LONGEST_REFUSAL).await;
            let text = body.unwrap_or_default();
            let detail = format!("`{path}`: {}", String::from_utf8_lossy(&text));
            Problem::new(StatusCode::BAD_REQUEST, "bad_path", detail)
                .hint("what stands between the slashes is UTF-8, percent-encoded")
                .into_response()
        }
        _ => response,
    }
}

/// The answer to a method that a path does not have; it says which there are.
fn not_allowed(method: &Method, path: &str, refusal: &Response) -> Response {
    let allow = refusal.headers().get(header::ALLOW);
    let names = allow
        .and_then(|allow| allow.to_str().ok())
        .unwrap_or_default();
    let mut response = if *method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let detail = format!("`{path}` does not take {}", shown(method.as_str()));
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let problem = Problem::new(status, "method_not_allowed", detail);
        problem.hint(format!("it takes {names}")).into_response()
    };
    if let Some(allow) = allow {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

/// What no route knows: a page, or nothing.
async fn page_or_nothing(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    pages::page(&method, &uri, &headers).unwrap_or_else(|| {
        let detail = format!("there is nothing at `{}`", shown(uri.path()));
        let problem = Problem::not_found("unknown_path", detail);
        problem
            .hint("`/api/v1/` and `/` list what there is")
            .into_response()
    })
}

/// The pages for a browser, a list of places for everybody else.
async fn index(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return page_or_nothing(method, uri, headers).await;
    }
    let title = format!("Pitt Broker {}", env!("CARGO_PKG_VERSION"));
    let lines = PLACES.map(|(path, what)| format!("{path:<38}{what}\n"));
    format!("{title}\n\n{}", lines.concat()).into_response()
}

/// Takes a look at the run where waiting for its parts does no harm.
async fn look(
    telemetry: Arc<Telemetry>,
    look: impl FnOnce(&Telemetry) -> Response + Send + 'static,
) -> Response {
    let looked = tokio::task::spawn_blocking(move || look(&telemetry));
    looked.await.unwrap_or_else(|_| {
        let what = "the broker could not say how it is";
        Problem::fault(what, &"a panic, or the program ends").into_response()
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
