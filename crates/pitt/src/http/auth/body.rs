//! Bodies of requests: whole, in time and not too large before anybody works on them.

use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::refusal::{busy, last};
use crate::http::api::problem::Problem;

/// Largest body `[bytes]`.
pub(crate) const LARGEST: u64 = 1 << 20;
/// Bodies up to this need no turn `[bytes]`.
const SMALL: u64 = 64 << 10;
/// Larger bodies at once.
const TURNS: usize = 16;
/// Longest time for a body, with the wait for its turn.
const PATIENCE: Duration = Duration::from_secs(20);

/// Room for large bodies, so that a thousand clients cannot fill the memory with them.
pub(super) struct Bodies(Semaphore);

impl Default for Bodies {
    fn default() -> Self {
        Self(Semaphore::new(TURNS))
    }
}

/// The answer to a body that is too large.
pub(crate) fn too_large() -> Response {
    let detail = "the body is larger than 1 MB";
    last(Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        detail,
    ))
}

/// The length that a request claims, if it says so.
pub(crate) fn claimed(headers: &axum::http::HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

impl Bodies {
    /// The request with its whole body.
    pub(super) async fn whole(&self, request: Request) -> Result<Request, Response> {
        if request.body().is_end_stream() {
            return Ok(request);
        }
        let (parts, body) = request.into_parts();
        let small = body.size_hint().upper().is_some_and(|most| most <= SMALL);
        let read = async {
            let _turn = if small {
                None
            } else {
                self.0.acquire().await.ok()
            };
            to_bytes(body, LARGEST as usize).await
        };
        match timeout(PATIENCE, read).await {
            Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
            // Too large, or the client is gone and nobody hears this.
            Ok(Err(_)) => Err(too_large()),
            Err(_) if self.0.available_permits() == 0 && !small => {
                Err(last(busy("too many large bodies are on their way at once")))
            }
            Err(_) => {
                let detail = "the body did not come within 20 s";
                let problem = Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", detail);
                Err(last(problem))
            }
        }
    }
}
