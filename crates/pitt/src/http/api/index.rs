//! What there is: the list of paths, the OpenAPI document, how the broker is.

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Answer, json};
use super::params::{Nothing, Params};

/// The list of paths, written once: making the document takes a while.
static INDEX: LazyLock<Index> = LazyLock::new(Index::of_document);

/// The document, written once.
static DOCUMENT: LazyLock<Result<String, String>> = LazyLock::new(|| {
    super::openapi()
        .to_pretty_json()
        .map_err(|error| error.to_string())
});

/// What there is.
#[derive(Serialize, ToSchema)]
pub struct Index {
    name: &'static str,
    version: &'static str,
    paths: Vec<Place>,
}

/// A path of the API.
#[derive(Serialize, ToSchema)]
pub struct Place {
    path: String,
    methods: Vec<&'static str>,
    summary: String,
}

/// What there is: every path, with a line on it
#[utoipa::path(method(get, post), path = "/api/v1/", tag = "about", operation_id = "index",
    responses((status = 200, description = "The paths.", body = Index)))]
pub async fn index(Params(Nothing {}): Params<Nothing>) -> Answer {
    json(&*INDEX)
}

impl Index {
    fn of_document() -> Self {
        let document = super::openapi();
        let places = document.paths.paths.into_iter().map(|(path, item)| {
            let operations = [
                ("GET", &item.get),
                ("POST", &item.post),
                ("PUT", &item.put),
                ("DELETE", &item.delete),
            ];
            let given: Vec<_> = operations
                .into_iter()
                .filter(|(_, one)| one.is_some())
                .collect();
            let summary = given
                .first()
                .and_then(|(_, one)| one.as_ref()?.summary.clone());
            Place {
                path,
                methods: given.iter().map(|(method, _)| *method).collect(),
                summary: summary.unwrap_or_default(),
            }
        });
        Self {
            name: "Pitt Broker",
            version: env!("CARGO_PKG_VERSION"),
            paths: places.collect(),
        }
    }
}

/// This document: OpenAPI 3.1
#[utoipa::path(method(get, post), path = "/openapi.json", tag = "about", operation_id = "openapi",
    responses((status = 200, description = "The document.", body = serde_json::Value, content_type = "application/json")))]
pub async fn openapi(Params(Nothing {}): Params<Nothing>) -> Answer {
    use super::problem::Problem;
    let text = DOCUMENT
        .as_ref()
        .map_err(|error| Problem::fault("the document cannot be written", error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response())
}

/// How the broker is: what `pitt status --json` says of it
#[utoipa::path(method(get, post), path = "/status", tag = "about", operation_id = "status",
    responses((status = 200, description = "Counts, rates, latencies, inputs, output, memory.", body = serde_json::Value)))]
pub async fn status(State(api): State<Api>, Params(Nothing {}): Params<Nothing>) -> Answer {
    api.look(|api| Ok(api.telemetry.status())).await
}
