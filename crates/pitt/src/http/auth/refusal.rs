//! What is not let in, and why.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::token::{Scope, Standing};
use crate::http::api::problem::Problem;

fn unauthorized(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "needs_token", detail)
}

/// There is no token.
pub(super) fn needs_token(scope: Scope) -> Problem {
    unauthorized(format!("this needs a token with scope `{scope}`")).hint(format!(
        "`pitt token create NAME --scope {scope}` makes one; send it as `Authorization: Bearer TOKEN`"
    ))
}

/// The token does not allow it.
pub(super) fn needs_scope(scope: Scope) -> Problem {
    let detail = format!("this token does not have scope `{scope}`");
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).hint(format!(
        "`pitt token create NAME --scope {scope}` makes one that has"
    ))
}

/// The token is none, or none any more.
pub(super) fn bad_token(standing: Option<Standing>) -> Problem {
    match standing {
        Some(over) => unauthorized(format!("this token is {}", over.as_str()))
            .hint("`pitt token create` makes another"),
        None => unauthorized("this token is unknown here")
            .hint("`pitt token list` shows those that are known"),
    }
}

/// Too many, of whatever it was; `wait` until more is listened to.
pub(super) fn wait(wait: Duration, what: impl Into<String>) -> Problem {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    Problem {
        retry_after_s: Some(seconds as u32),
        ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", what)
    }
}

/// The broker has too much to do.
pub(super) fn busy(what: impl Into<String>) -> Problem {
    Problem::unavailable("busy", what, 5)
}

/// The answer to a request that is not read to its end: the connection ends with it, so that what the client goes on sending is
/// not waited for.
pub(crate) fn last(problem: Problem) -> Response {
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
