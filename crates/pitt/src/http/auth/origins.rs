//! Web pages elsewhere: which may ask here, and what their browsers are told (CORS).
//!
//! There are no cookies, so a page elsewhere has nothing to ride on. It could still make a browser send what needs no token, so
//! that is refused as well when the browser says that it comes from elsewhere.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::http::api::problem::Problem;

const METHODS: &str = "GET, POST, PUT, DELETE";
const HEADERS: &str = "accept, authorization, content-type, last-event-id";
/// What a page may read of an answer, beside its body.
const EXPOSED: &str = "content-disposition, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, \
                       x-chunk, x-east-angle, x-height, x-next-cursor, x-north-angle, x-truncated, x-width";
/// How long a browser remembers what it was told `[s]`.
const MAX_AGE: &str = "600";

/// The origins that the settings name.
pub(super) struct Origins(Vec<String>);

/// Where a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// No other page: our own, a program, an address typed.
    Here,
    /// A page that may ask.
    Allowed(HeaderValue),
    /// Another page.
    Elsewhere,
}

impl Origins {
    pub(super) fn new(origins: &[String]) -> Self {
        let lower = origins.iter().map(|origin| origin.to_ascii_lowercase());
        Self(lower.collect())
    }

    /// Whether any page elsewhere may ask.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    fn allows(&self, origin: &str) -> bool {
        self.0
            .iter()
            .any(|known| known == "*" || known.eq_ignore_ascii_case(origin))
    }

    /// Where a request comes from, as far as its browser says so.
    pub(super) fn from(&self, headers: &HeaderMap) -> From {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        if let Some(origin) = headers.get(header::ORIGIN) {
            let name = origin.to_str().unwrap_or("?");
            let host = text(header::HOST).unwrap_or_default();
            return if self.allows(name) {
                From::Allowed(origin.clone())
            } else if is_same(name, host) {
                From::Here
            } else {
                From::Elsewhere
            };
        }
        match text(HeaderName::from_static("sec-fetch-site")) {
            None | Some("none" | "same-origin") => From::Here,
            Some(_) => From::Elsewhere,
        }
    }

    /// The answer to a browser that asks what it may, if this is one.
    pub(super) fn preflight(method: &Method, headers: &HeaderMap, from: &From) -> Option<Response> {
        let asks = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if *method != Method::OPTIONS || !asks || !headers.contains_key(header::ORIGIN) {
            return None;
        }
        if *from == From::Elsewhere {
            return Some(elsewhere().into_response());
        }
        let told = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
        ];
        Some((StatusCode::NO_CONTENT, told).into_response())
    }

    /// Tells the browser of an allowed page that it may read the answer.
    pub(super) fn tell(&self, from: &From, headers: &mut HeaderMap) {
        if self.any() {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let From::Allowed(origin) = from {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let exposed = HeaderValue::from_static(EXPOSED);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

/// The answer to a page elsewhere.
pub(super) fn elsewhere() -> Problem {
    let detail = "web pages from elsewhere may not ask this";
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
        .hint("name their origin in `http.cors_origins` to let them")
}

/// Whether a page's origin is the host that it asks. The usual ports of both schemes may be left out.
fn is_same(origin: &str, host: &str) -> bool {
    let (name, port) = match origin.split_once("://") {
        Some(("http", name)) => (name, ":80"),
        Some(("https", name)) => (name, ":443"),
        _ => return false,
    };
    let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    !host.is_empty() && bare(name) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origins: &[&str], headers: &[(&'static str, &'static str)]) -> From {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        Origins::new(&origins).from(&headers)
    }

    #[test]
    fn our_own_pages_and_programs_are_here() {
        let host = ("host", "localhost:8080");
        assert_eq!(from(&[], &[host]), From::Here);
        let own = [host, ("origin", "http://localhost:8080")];
        assert_eq!(from(&[], &own), From::Here);
        let typed = [host, ("sec-fetch-site", "none")];
        assert_eq!(from(&[], &typed), From::Here);
        let default = [("host", "Broker.org"), ("origin", "https://broker.org:443")];
        assert_eq!(from(&[], &default), From::Here);
    }

    #[test]
    fn others_are_elsewhere_unless_they_are_named() {
        let host = ("host", "localhost:8080");
        for origin in [
            "http://localhost:8081",
            "https://evil.org",
            "null",
            "",
            "localhost:8080",
        ] {
            let headers = [host, ("origin", origin)];
            assert_eq!(from(&[], &headers), From::Elsewhere, "{origin}");
            assert_eq!(from(&["https://good.org"], &headers), From::Elsewhere);
        }
        for site in ["cross-site", "same-site", "something"] {
            assert_eq!(
                from(&[], &[host, ("sec-fetch-site", site)]),
                From::Elsewhere
            );
        }
        let good = [host, ("origin", "https://good.org")];
        let allowed = From::Allowed(HeaderValue::from_static("https://good.org"));
        assert_eq!(from(&["https://Good.org"], &good), allowed);
        assert_eq!(from(&["*"], &good), allowed);
    }
}
