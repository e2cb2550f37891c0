//! What a request needs, by its method and the path it matched. The only place where that is said.
//!
//! A method that can write needs a token with scope `write`, unless the path is listed here as one that only asks: an
//! endpoint that nobody thought of here is closed, not open.

use axum::http::Method;

use super::token::Scope;

/// Paths that need no token even where reading does: whether the program lives, who one is, and the pages, which are the
/// same for all and hold no data.
const OPEN: &[&str] = &[
    "/",
    "/healthz",
    "/favicon.ico",
    "/assets/{}",
    "/api/v1/me",
    "/object/{}",
    "/alert/{}",
    "/filters",
    "/filters/{}",
    "/live/{}",
    "/search",
    "/sql",
    "/status",
    "/docs",
    "/docs/{}",
];

/// Paths that only ask, also by POST.
const ASKING: &[&str] = &[
    "/api/v1",
    "/api/v1/",
    "/api/v1/me",
    "/api/v1/openapi.json",
    "/api/v1/alerts",
    "/api/v1/alerts/{}",
    "/api/v1/alerts/{}/packet",
    "/api/v1/alerts/{}/cutouts/{}",
    "/api/v1/cutouts",
    "/api/v1/objects",
    "/api/v1/objects/{}",
    "/api/v1/objects/{}/lightcurve",
    "/api/v1/objects/{}/alerts",
    "/api/v1/objects/{}/matches",
    "/api/v1/objects/{}/neighbours",
    "/api/v1/conesearch",
    "/api/v1/sql",
    "/api/v1/tables",
    "/api/v1/resolve",
    "/api/v1/nights",
    "/api/v1/nights/{}",
    "/api/v1/nights/{}/sky",
    "/api/v1/ledger",
    "/api/v1/schemas",
    "/api/v1/schemas/{}",
    "/api/v1/catalogs",
    "/api/v1/statistics",
    "/api/v1/status",
    "/api/v1/quarantine",
    "/api/v1/quarantine/reasons",
    "/api/v1/sources",
    "/api/v1/schema",
    "/api/v1/tags",
    "/api/v1/skymap",
    "/api/v1/matches",
    "/api/v1/filters",
    "/api/v1/filters/{}",
    "/api/v1/filters/{}/versions/{}",
    "/api/v1/filters/check",
    "/api/v1/filters/test",
    "/api/v1/filters/vocabulary",
    "/lasair/api/cone",
    "/lasair/api/query",
    "/lasair/api/object",
    "/lasair/api/objects",
    "/lasair/api/cone/",
    "/lasair/api/query/",
    "/lasair/api/object/",
    "/lasair/api/objects/",
    "/skyportal/alerts",
    "/skyportal/alerts/{}",
    "/vo/conesearch",
    // The registry, to which nobody can write: it says so itself, in the words of its clients.
    "/subjects",
    "/subjects/{}",
    "/subjects/{}/versions",
    "/subjects/{}/versions/{}",
    "/subjects/{}/versions/{}/schema",
    "/schemas",
    "/schemas/types",
    "/schemas/ids/{}",
    "/schemas/ids/{}/schema",
    "/schemas/ids/{}/subjects",
    "/schemas/ids/{}/versions",
    "/config",
    "/config/{}",
    "/mode",
    "/mode/{}",
];

/// Paths that change nothing but what belongs to the caller: there must be a token, and any will do.
const OWN: &[&str] = &[
    "/api/v1/replays",
    "/api/v1/replays/{}",
    "/api/v1/replays/{}/ack",
];

/// Paths that need scope `write` also to look: where matches are sent is not for everybody who may read them.
const CONFIDENTIAL: &[&str] = &[
    "/api/v1/webhooks",
    "/api/v1/webhooks/{}/dead",
    "/api/v1/filters/{}/webhooks",
];

/// Questions that take long.
const COSTLY: &[&str] = &[
    "/api/v1/sql",
    "/api/v1/filters/test",
    "/api/v1/webhooks/{}/test",
    "/api/v1/nights/{}/sky",
    "/api/v1/skymap",
    "/api/v1/replays",
    "/api/v1/replays/{}/next",
    "/api/v1/replays/{}/chunks/{}",
    "/lasair/api/query",
    "/lasair/api/query/",
];

/// Answers without an end.
const STREAMS: &[&str] = &["/api/v1/events", "/api/v1/filters/{}/events"];

/// Where no requests are counted: a monitor asks at its own pace.
const UNCOUNTED: &str = "/healthz";

/// How long an answer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It comes at once.
    Quick,
    /// It takes work.
    Costly,
    /// It has no end.
    Stream,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// The scope; `None` for none at all.
    pub(super) scope: Option<Scope>,
    /// Whether there must be a token, also where the scope needs none.
    pub(super) named: bool,
    /// How long the answer takes.
    pub(super) kind: Kind,
    /// Whether it counts.
    pub(super) counted: bool,
    /// Whether its method could change something, were there something to change.
    pub(super) unsafe_method: bool,
}

/// The rule for a method and a path as the router knows it, `/api/v1/alerts/{id}`; `None` for one it does not know.
pub(super) fn of(method: &Method, matched: Option<&str>, path: &str) -> Rule {
    let shape = matched.map(shape);
    let is = |paths: &[&str]| shape.as_deref().is_some_and(|shape| paths.contains(&shape));
    let unsafe_method = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    // The pages' shell is what unknown paths get; the API has none.
    let page = matched.is_none() && !path.starts_with("/api/");
    let asks = *method == Method::POST && is(ASKING);
    let own = matches!(*method, Method::POST | Method::DELETE) && is(OWN);
    let scope = if (unsafe_method && !asks && !own) || is(CONFIDENTIAL) {
        Some(Scope::Write)
    } else if is(OPEN) || page {
        None
    } else {
        Some(Scope::Read)
    };
    let kind = if is(STREAMS) {
        Kind::Stream
    } else if is(COSTLY) {
        Kind::Costly
    } else {
        Kind::Quick
    };
    Rule {
        scope,
        named: own,
        kind,
        counted: !is(&[UNCOUNTED]),
        unsafe_method,
    }
}

/// A path of the router without the names of its parts: `/api/v1/alerts/{}`.
fn shape(matched: &str) -> String {
    let parts = matched.split('/').map(|part| {
        if part.starts_with('{') && part.ends_with('}') {
            "{}"
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(method: Method, matched: &str) -> Option<Scope> {
        of(&method, Some(matched), matched).scope
    }

    #[test]
    fn what_can_write_needs_write_unless_it_only_asks() {
        let write = Some(Scope::Write);
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            assert_eq!(scope(method, "/api/v1/not/thought/of"), write);
        }
        assert_eq!(scope(Method::PUT, "/api/v1/alerts"), write);
        assert_eq!(scope(Method::POST, "/api/v1/quarantine/retry"), write);
        assert_eq!(scope(Method::POST, "/api/v1/sql"), Some(Scope::Read));
        assert_eq!(
            scope(Method::POST, "/api/v1/alerts/{alert_id}"),
            Some(Scope::Read)
        );
        assert_eq!(scope(Method::from_bytes(b"BREW").unwrap(), "/"), write);
    }

    #[test]
    fn reading_needs_read_but_for_the_pages_and_health() {
        for path in [
            "/metrics",
            "/api/v1/alerts",
            "/subjects",
            "/status.json",
            "/new",
        ] {
            assert_eq!(scope(Method::GET, path), Some(Scope::Read), "{path}");
        }
        for path in [
            "/",
            "/healthz",
            "/assets/{*path}",
            "/object/{id}",
            "/api/v1/me",
        ] {
            assert_eq!(scope(Method::GET, path), None, "{path}");
        }
        let unknown = |path| of(&Method::GET, None, path).scope;
        assert_eq!(unknown("/tonight"), None);
        assert_eq!(unknown("/api/v2/alerts"), Some(Scope::Read));
    }

    #[test]
    fn what_belongs_to_the_caller_takes_a_token_of_any_scope() {
        let rule = |method, path| of(&method, Some(path), path);
        let made = rule(Method::POST, "/api/v1/replays");
        assert_eq!((made.scope, made.named), (Some(Scope::Read), true));
        assert!(!rule(Method::GET, "/api/v1/replays").named);
        let put = rule(Method::PUT, "/api/v1/replays/{id}");
        assert_eq!((put.scope, put.named), (Some(Scope::Write), false));
    }

    #[test]
    fn where_matches_are_sent_is_for_those_who_may_write() {
        for path in [
            "/api/v1/webhooks",
            "/api/v1/webhooks/{id}/dead",
            "/api/v1/filters/{name}/webhooks",
        ] {
            assert_eq!(scope(Method::GET, path), Some(Scope::Write), "{path}");
        }
    }

    #[test]
    fn streams_and_costly_questions_are_known() {
        let kind = |path| of(&Method::GET, Some(path), path).kind;
        assert_eq!(kind("/api/v1/filters/{name}/events"), Kind::Stream);
        assert_eq!(kind("/api/v1/sql"), Kind::Costly);
        assert_eq!(kind("/api/v1/alerts/{id}"), Kind::Quick);
    }
}
