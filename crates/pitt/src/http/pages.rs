//! The pages: files built from `web/`, held compressed in the program.
//!
//! | path | answer |
//! |---|---|
//! | `/assets/NAME-HASH.ENDING` | a file; its name changes with its contents, so browsers keep it |
//! | `/`, `/filters`, `/object/..`, .. | the shell, which shows the page of that path; looked at anew each time |
//! | `/sky` | the document in which survey images are shown, in a frame of a page ([`Framed`]) |
//! | any other path that has no dot | the same with status 404: the shell says that there is nothing |
//!
//! They hold no data and are the same for all. What they show they ask of the API, with the token that the person has.

use std::borrow::Cow;
use std::io::Read;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;

use super::auth::Framed;

/// Path and gzipped contents of every file; none when the program was built without pages.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// The file that shows every page.
const SHELL: &str = "index.html";

/// What `/` says to a browser when the program was built without pages.
const NO_PAGES: &str = "This program was built without its pages: run `npm ci && npm run build` in the folder `web`, then build it again.\n";

/// The viewer of survey images: its place, its document, and what its files are called.
const VIEWER: &str = "/sky";
const VIEWER_DOCUMENT: &str = "sky.html";
const VIEWER_FILES: &str = "assets/sky-frame-";

/// Paths of other parts of the program: what is not there is an error, not a page.
const NOT_PAGES: [&str; 8] = [
    "/api/",
    "/assets/",
    "/config/",
    "/lasair/",
    "/schemas/",
    "/skyportal/",
    "/subjects/",
    "/vo/",
];

/// Pages, as `web/src/lib/pages.ts` has them.
const PLACES: [&str; 6] = ["/", "/docs", "/filters", "/search", "/sql", "/status"];

/// Pages of something that has a name, which may hold a dot.
const NAMED: [&str; 4] = ["/object/", "/alert/", "/filters/", "/live/"];

/// Kinds of files, by the ending of the name.
const KINDS: [(&str, &str); 5] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("json", "application/json"),
];

/// A file with what tells one build of it from another.
struct Page {
    path: &'static str,
    compressed: &'static [u8],
    tag: String,
}

static PAGES: LazyLock<Vec<Page>> = LazyLock::new(|| {
    let page = |(path, compressed): &(&'static str, &'static [u8])| Page {
        path,
        compressed,
        tag: format!("\"{:016x}\"", xxhash_rust::xxh3::xxh3_64(compressed)),
    };
    FILES.iter().map(page).collect()
});

/// The file or page at a path, if there is one.
pub(super) fn page(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let path = match uri.path() {
        VIEWER => VIEWER_DOCUMENT,
        path => path,
    };
    if let Some(file) = find(path.trim_start_matches('/')) {
        return Some(file.answer(headers));
    }
    let is_below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    let has_dot = path.contains('.') || path.to_ascii_lowercase().contains("%2e");
    if is_below(&NOT_PAGES) || (has_dot && !is_below(&NAMED)) {
        return None;
    }
    let without = || {
        (
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            NO_PAGES,
        )
            .into_response()
    };
    let shown = |shell: &Page| match is_page(path) {
        true => shell.answer(headers),
        false => shell.answer_missing(headers),
    };
    Some(find(SHELL).map_or_else(without, shown))
}

/// Whether the shell has a page for this path.
fn is_page(path: &str) -> bool {
    let names = |before: &&str| {
        let name = path.strip_prefix(before);
        name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
    };
    PLACES.contains(&path) || path.starts_with("/docs/") || NAMED.iter().any(names)
}

fn find(path: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.path == path)
}

impl Page {
    fn answer(&self, headers: &HeaderMap) -> Response {
        let mut response = if self.is_known(headers) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            self.body(takes_gzip(headers))
        };
        let kept = if self.path.starts_with("assets/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        let to = response.headers_mut();
        to.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
        to.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        // Also where nothing is sent: the policy of an answer goes by its kind, and a browser takes that of a 304 for the page's.
        to.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind()));
        if let Ok(tag) = HeaderValue::from_str(&self.tag) {
            to.insert(header::ETAG, tag);
        }
        if let Some(framed) = self.framed() {
            response.extensions_mut().insert(framed);
        }
        response
    }

    /// The same where there is nothing: always whole, as there is nothing to be kept.
    fn answer_missing(&self, headers: &HeaderMap) -> Response {
        let mut response = self.body(takes_gzip(headers));
        *response.status_mut() = StatusCode::NOT_FOUND;
        let to = response.headers_mut();
        to.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        to.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        response
    }

    fn body(&self, compressed: bool) -> Response {
        let kind = [(header::CONTENT_TYPE, self.kind())];
        if compressed {
            let encoding = [(header::CONTENT_ENCODING, "gzip")];
            return (kind, encoding, self.compressed).into_response();
        }
        (kind, self.plain().into_owned()).into_response()
    }

    /// The contents for a client that does not take gzip: no browser, so they need not come fast.
    fn plain(&self) -> Cow<'static, [u8]> {
        let mut plain = vec![];
        match GzDecoder::new(self.compressed).read_to_end(&mut plain) {
            Ok(_) => plain.into(),
            // Made by our own build: cannot be.
            Err(_) => Cow::Borrowed(b""),
        }
    }

    fn kind(&self) -> &'static str {
        let ending = self.path.rsplit('.').next().unwrap_or_default();
        let known = KINDS.iter().find(|(of, _)| *of == ending);
        known.map_or("application/octet-stream", |(_, kind)| kind)
    }

    fn framed(&self) -> Option<Framed> {
        match self.path {
            VIEWER_DOCUMENT => Some(Framed::Document),
            path => path.starts_with(VIEWER_FILES).then_some(Framed::File),
        }
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        let has = headers.get(header::IF_NONE_MATCH);
        let has = has.and_then(|value| value.to_str().ok());
        has.is_some_and(|tags| {
            tags == "*"
                || tags
                    .split(',')
                    .any(|tag| tag.trim().trim_start_matches("W/") == self.tag)
        })
    }
}

/// Whether an answer may come gzipped (RFC 9110, section 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| {
        accepted.split(',').any(|one| {
            let (name, weight) = one.split_once(';').unwrap_or((one, "q=1"));
            let refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
            name.trim().eq_ignore_ascii_case("gzip") && !refused
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &'static str, headers: &[(header::HeaderName, &str)]) -> Option<Response> {
        let of =
            |(name, value): &(header::HeaderName, &str)| (name.clone(), value.parse().unwrap());
        let headers = headers.iter().map(of).collect();
        page(&Method::GET, &Uri::from_static(path), &headers)
    }

    #[test]
    fn pages_are_where_the_shell_has_them_and_no_place_of_the_api_is_one() {
        for path in [
            "/",
            "/object/ZTF18abudxnw",
            "/filters/new",
            "/live/a%20b.c",
            "/docs/errors",
        ] {
            assert_eq!(asked(path, &[]).unwrap().status(), StatusCode::OK, "{path}");
        }
        for path in [
            "/api/v1/nothing",
            "/assets/gone",
            "/logo.png",
            "/%2e%2E/passwd",
            "/subjects/x/y/z",
        ] {
            assert!(asked(path, &[]).is_none(), "{path}");
        }
        let to_write = page(
            &Method::POST,
            &Uri::from_static("/filters"),
            &HeaderMap::new(),
        );
        assert!(to_write.is_none());
    }

    #[test]
    fn where_there_is_nothing_the_shell_says_so_with_status_404() {
        let Some(shell) = find(SHELL) else {
            eprintln!("skipped: built without pages");
            return;
        };
        for path in ["/anything", "/object/", "/object/a/b", "/filters/"] {
            let known = [(header::IF_NONE_MATCH, &*shell.tag)];
            let answer = asked(path, &known).unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(answer.headers()[header::CONTENT_TYPE], shell.kind());
        }
    }

    #[test]
    fn gzip_is_taken_only_from_who_offers_it() {
        let takes = |text: &str| {
            takes_gzip(
                &[(header::ACCEPT_ENCODING, text.parse().unwrap())]
                    .into_iter()
                    .collect(),
            )
        };
        assert!(takes("gzip, deflate, br") && takes("br;q=1, GZIP;q=0.5"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_browser_that_has_a_file_is_not_sent_it_again() {
        let Some(shell) = find(SHELL) else {
            eprintln!("skipped: built without pages");
            return;
        };
        let known = asked("/", &[(header::IF_NONE_MATCH, &shell.tag)]).unwrap();
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(
            known.headers()[header::CONTENT_TYPE],
            "text/html; charset=utf-8"
        );
        let other = asked("/", &[(header::IF_NONE_MATCH, "\"0\"")]).unwrap();
        assert_eq!(other.headers()[header::CACHE_CONTROL], "no-cache");
        let plain = shell.plain();
        assert!(plain.starts_with(b"<!doctype html>"));
        let text = String::from_utf8_lossy(&plain);
        let script = text
            .split("src=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let script = find(script.unwrap().trim_start_matches('/')).unwrap();
        let kept = script.answer(&HeaderMap::new()).headers()[header::CACHE_CONTROL].clone();
        assert_eq!(kept, "public, max-age=31536000, immutable");
    }

    #[test]
    fn neither_document_holds_a_script_or_style_of_its_own() {
        for document in [SHELL, VIEWER_DOCUMENT] {
            let text = find(document)
                .map(|page| page.plain().into_owned())
                .unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(
                !text.contains("<style") && !text.contains(" style=") && !text.contains("<script>"),
                "{document}"
            );
        }
    }

    #[test]
    fn the_viewers_document_and_all_its_files_are_known_as_such() {
        let Some(viewer) = find(VIEWER_DOCUMENT) else {
            eprintln!("skipped: built without pages");
            return;
        };
        for path in [VIEWER, "/sky.html"] {
            let answer = asked(path, &[]).unwrap();
            let framed = answer.extensions().get::<Framed>();
            assert_eq!(framed, Some(&Framed::Document), "{path}");
        }
        let text = String::from_utf8_lossy(&viewer.plain()).into_owned();
        let files: Vec<_> = text.split("\"/assets/").skip(1).collect();
        assert!(!files.is_empty());
        for file in files {
            let name = file.split('"').next().unwrap_or_default();
            let page = find(&format!("assets/{name}")).unwrap();
            assert_eq!(page.framed(), Some(Framed::File), "{name}");
        }
        assert_eq!(find(SHELL).unwrap().framed(), None);
    }
}
