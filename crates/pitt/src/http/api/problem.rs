//! What went wrong, as RFC 9457 has it, with a code that programs can rely on.

use std::io::ErrorKind;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pitt_archive::ArchiveError;
use pitt_query::QueryError;
use serde::Serialize;
use utoipa::ToSchema;

use super::codes;

/// The content type of every error.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Longest text of others that is repeated in an error `[characters]`.
const MOST_SHOWN: usize = 200;

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Status of the answer.
    pub status: StatusCode,
    /// What it is, for programs: stable, snake_case.
    pub code: &'static str,
    /// What it is, for people: what, where, what to do.
    pub detail: String,
    /// The parameter, column or place that is meant.
    pub place: Option<String>,
    /// A way out.
    pub hint: Option<String>,
    /// Seconds after which to try again.
    pub retry_after_s: Option<u32>,
}

/// The body of an error answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Where the code is explained.
    #[schema(example = "/docs/errors#unknown_alert")]
    r#type: String,
    /// The status in words.
    #[schema(example = "Not Found")]
    title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// What, where, and what to do, for people.
    detail: String,
    /// What it is, for programs: it never changes.
    #[schema(example = "unknown_alert")]
    code: String,
    /// The parameter, column or place that is meant.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// A way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Problem {
    /// A problem without a place and a hint.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        debug_assert!(
            codes::find(code).is_some_and(|code| code.statuses.contains(&status.as_u16())),
            "`{code}` with status {status} is no code of ours"
        );
        Self {
            status,
            code,
            detail: detail.into(),
            place: None,
            hint: None,
            retry_after_s: None,
        }
    }

    /// 400: a parameter has a value that it cannot have.
    pub fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", detail).at(name)
    }

    /// 404: there is no such thing.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 503: not now.
    pub fn unavailable(code: &'static str, detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
        }
    }

    /// 500: a fault of ours. The cause goes to the log, not to the client.
    pub fn fault(what: &str, cause: &dyn std::fmt::Display) -> Self {
        tracing::error!("{what}: {cause}");
        let detail = format!("{what} (the log of the broker says more)");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "fault", detail)
    }

    /// The same, with the parameter or place it is about.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// The same, with a way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The body of the answer.
    pub fn body(&self) -> ProblemBody {
        let usual = || codes::find(self.code)?.hint.map(str::to_owned);
        ProblemBody {
            r#type: format!("/docs/errors#{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.to_owned(),
            place: self.place.clone(),
            hint: self.hint.clone().or_else(usual),
        }
    }
}

/// What a client sent, cut to a length that can be repeated to it.
pub fn shown(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_string(&self.body()).unwrap_or_default();
        let kind = [(header::CONTENT_TYPE, CONTENT_TYPE)];
        let mut response = (self.status, kind, body).into_response();
        if let Some(seconds) = self.retry_after_s {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ArchiveError> for Problem {
    fn from(error: ArchiveError) -> Self {
        Self::fault("the archive cannot be read", &error)
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self::fault("the archive cannot be read", &format!("{error:#}"))
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let text = error.to_string();
        let detail = text.strip_prefix("query: ").unwrap_or(&text).to_owned();
        match error {
            QueryError::Timeout { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "time_limit", detail)
            }
            QueryError::ReadOnly { .. } => Self::new(StatusCode::FORBIDDEN, "read_only", detail),
            // What cannot be spilled is said in either way.
            QueryError::Sql(_)
                if detail.contains("Resources exhausted") || detail.contains("to spill") =>
            {
                let detail = "the query needs more memory than `query.memory_mb` allows";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "memory_limit", detail).hint(
                    "group or sort fewer rows: narrow it by `night`, or ask for fewer columns",
                )
            }
            QueryError::Sql(_) => Self::new(StatusCode::BAD_REQUEST, "bad_sql", detail).at("query"),
            // Nobody hears this, and it is no fault of ours.
            QueryError::File { source, .. } if source.kind() == ErrorKind::BrokenPipe => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, "fault", "the client has gone")
            }
            _ => Self::fault("the query failed", &detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_where_and_what_to_do() {
        let problem = Problem::bad_parameter("limit", "`limit` is `x`, expected a whole number")
            .hint("leave it out for 100");
        let body = serde_json::to_string(&problem.body()).unwrap();
        insta::assert_snapshot!(body, @r##"{"type":"/docs/errors#bad_parameter","title":"Bad Request","status":400,"detail":"`limit` is `x`, expected a whole number","code":"bad_parameter","where":"limit","hint":"leave it out for 100"}"##);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shown("ä"), "ä");
        assert_eq!(shown(&"ä".repeat(300)).chars().count(), MOST_SHOWN + 1);
    }
}
