//! The answers to what is not let in, as RFC 9457 has them.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::token::{Scope, Standing};

/// What the API refuses: status, a stable code, and what to do about it.
pub(crate) fn refuse(status: StatusCode, code: &str, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("error");
    let body = json!({
        "type": format!("/docs/errors#{code}"),
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
    });
    let kind = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, kind, body.to_string()).into_response()
}

fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

fn unauthorized(detail: &str) -> Response {
    let refusal = refuse(StatusCode::UNAUTHORIZED, "needs_token", detail);
    with(refusal, header::WWW_AUTHENTICATE, "Bearer realm=\"pitt\"")
}

/// There is no token.
pub(crate) fn needs_token(scope: Scope) -> Response {
    unauthorized(&format!(
        "this needs a token with scope `{scope}` (`pitt token create NAME --scope {scope}` makes one; \
         send it as `Authorization: Bearer TOKEN`)"
    ))
}

/// The token does not allow it.
pub(crate) fn needs_scope(scope: Scope) -> Response {
    let detail = format!(
        "this token does not have scope `{scope}` (`pitt token create NAME --scope {scope}` makes one that has)"
    );
    refuse(StatusCode::FORBIDDEN, "forbidden", &detail)
}

/// The token is none, or none any more.
pub(super) fn bad_token(standing: Option<Standing>) -> Response {
    match standing {
        Some(over) => unauthorized(&format!(
            "this token is {} (`pitt token create` makes another)",
            over.as_str()
        )),
        None => unauthorized(
            "this token is unknown here (`pitt token list` shows those that are known)",
        ),
    }
}

/// Too many, of whatever it was; `wait` until more is listened to.
pub(super) fn wait(wait: Duration, what: &str) -> Response {
    let refusal = refuse(StatusCode::TOO_MANY_REQUESTS, "rate_limited", what);
    retry_after(refusal, wait)
}

/// The broker has too much to do.
pub(super) fn busy(what: &str) -> Response {
    let refusal = refuse(StatusCode::SERVICE_UNAVAILABLE, "busy", what);
    retry_after(refusal, Duration::from_secs(5))
}

/// Tells when to come again: whole seconds, one at least.
fn retry_after(response: Response, wait: Duration) -> Response {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    with(response, header::RETRY_AFTER, &format!("{seconds:.0}"))
}

/// Ends the connection with the answer, so that what the client goes on sending is not waited for.
pub(crate) fn and_close(response: Response) -> Response {
    with(response, header::CONNECTION, "close")
}
