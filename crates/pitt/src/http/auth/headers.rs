//! Headers that tell a browser what an answer may do there.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};

/// What an answer of the API may do: nothing. Also when a browser takes it for a page.
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// What our pages may do: what is built in, pictures they draw themselves, and frames as said.
macro_rules! page_policy {
    ($frames:literal) => {
        concat!(
            "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; frame-src ",
            $frames,
            "; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
    };
}
const PAGE_POLICY: &str = page_policy!("'none'");
/// The same where pages offer survey images: they may show the viewer's document.
const PAGE_POLICY_WITH_SKY: &str = page_policy!("'self'");

/// Where the viewer comes from: the version that `web/src/lib/aladin.ts` asks for.
macro_rules! viewer_script {
    () => {
        "https://aladin.cds.unistra.fr/AladinLite/api/v3/3.8.2/aladin.js"
    };
}
/// Hosts of survey images, by both names that they have.
macro_rules! image_hosts {
    () => {
        "https://alasky.cds.unistra.fr https://alaskybis.cds.unistra.fr https://alasky.unistra.fr https://alaskybis.unistra.fr"
    };
}
/// What the viewer's document may do. `sandbox` gives it an origin of its own, also where it is opened without the frame, so
/// that a script from elsewhere never runs where a token is kept; `'self'` is still the address that it came from. The viewer's
/// compiled code is in its script, as a `data:` address that it fetches, and so are its workers.
const VIEWER_POLICY: &str = concat!(
    "default-src 'none'; sandbox allow-scripts; script-src 'self' 'wasm-unsafe-eval' ",
    viewer_script!(),
    "; connect-src data: blob: ",
    image_hosts!(),
    "; img-src data: blob: ",
    image_hosts!(),
    "; worker-src blob:; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
);
const PERMISSIONS: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";
/// A year, as long as names are asked for by https.
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// What the viewer of survey images is made of; an answer that is of it says so among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framed {
    /// Its document.
    Document,
    /// A script or style of it.
    File,
}

/// What the settings say of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dress {
    /// Whether TLS is served.
    pub(crate) tls: bool,
    /// Whether pages offer survey images.
    pub(crate) sky_images: bool,
    /// Whether pages elsewhere may show what is here.
    pub(crate) shared: bool,
}

impl Dress {
    /// Adds the headers that every answer has. `named`: the request asked for a name, not for an address or `localhost`.
    pub(crate) fn put_on<B>(self, response: &mut Response<B>, named: bool) {
        let frame = response.extensions().get::<Framed>().copied();
        let frame = frame.filter(|_| self.sky_images);
        let headers = response.headers_mut();
        let policy = self.policy(headers, frame);
        let framing = match frame {
            Some(Framed::Document) => "SAMEORIGIN",
            _ => "DENY",
        };
        let shared = if self.shared {
            "cross-origin"
        } else {
            "same-origin"
        };
        let always = [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::X_FRAME_OPTIONS, framing),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("permissions-policy"), PERMISSIONS),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                shared,
            ),
        ];
        for (name, value) in always {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if frame == Some(Framed::File) {
            // Its origin is its own: for the browser the viewer's document is a page from elsewhere. These files hold no data.
            let any = HeaderValue::from_static("*");
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        }
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        // For `localhost` it would shut out whatever else this machine serves there.
        if self.tls && named {
            let strict = HeaderValue::from_static(STRICT_TRANSPORT);
            headers.insert(header::STRICT_TRANSPORT_SECURITY, strict);
        }
    }

    fn policy(self, headers: &HeaderMap, frame: Option<Framed>) -> &'static str {
        let kind = headers.get(header::CONTENT_TYPE);
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        match (is_page, frame) {
            (false, _) => API_POLICY,
            (true, Some(_)) => VIEWER_POLICY,
            (true, None) if self.sky_images => PAGE_POLICY_WITH_SKY,
            (true, None) => PAGE_POLICY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dressed(sky_images: bool, kind: &'static str, frame: Option<Framed>) -> HeaderMap {
        let dress = Dress {
            tls: false,
            sky_images,
            shared: false,
        };
        let mut response = Response::new(());
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        frame.map(|frame| response.extensions_mut().insert(frame));
        dress.put_on(&mut response, false);
        response.headers().clone()
    }

    fn policy(headers: &HeaderMap, directive: &str) -> Option<String> {
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        let mut parts = policy.split("; ").filter_map(|part| part.split_once(' '));
        let found = parts.find(|(name, _)| *name == directive);
        found.map(|(_, value)| value.to_owned())
    }

    const HTML: &str = "text/html; charset=utf-8";
    const SCRIPT: &str = "text/javascript; charset=utf-8";

    #[test]
    fn our_pages_take_nothing_from_elsewhere_whether_or_not_they_offer_survey_images() {
        for (sky_images, frames) in [(true, "'self'"), (false, "'none'")] {
            let page = dressed(sky_images, HTML, None);
            assert_eq!(policy(&page, "frame-src").as_deref(), Some(frames));
            assert_eq!(policy(&page, "default-src").as_deref(), Some("'self'"));
            assert_eq!(policy(&page, "frame-ancestors").as_deref(), Some("'none'"));
            assert_eq!(policy(&page, "script-src"), None);
            assert_eq!(page[header::X_FRAME_OPTIONS], "DENY");
            let text = page[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(!text.contains("https:") && !text.contains("wasm"), "{text}");
        }
    }

    #[test]
    fn the_viewers_document_has_an_origin_of_its_own_and_is_framed_by_us_alone() {
        let viewer = dressed(true, HTML, Some(Framed::Document));
        let is = |directive: &str| policy(&viewer, directive).unwrap_or_default();
        assert_eq!(is("sandbox"), "allow-scripts");
        assert_eq!(is("default-src"), "'none'");
        assert_eq!(is("frame-ancestors"), "'self'");
        assert_eq!(viewer[header::X_FRAME_OPTIONS], "SAMEORIGIN");
        assert_eq!(viewer[header::REFERRER_POLICY], "no-referrer");
        assert!(is("script-src").ends_with("/v3/3.8.2/aladin.js"));
        assert!(
            !is("script-src").contains("unsafe-inline") && !is("connect-src").contains("'self'")
        );
        assert!(!viewer.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[test]
    fn only_the_viewers_own_files_are_for_documents_of_other_origins() {
        let told = |sky, frame| {
            let headers = dressed(sky, SCRIPT, frame);
            let any = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).cloned();
            any.map(|any| any.to_str().unwrap().to_owned())
        };
        assert_eq!(told(true, Some(Framed::File)).as_deref(), Some("*"));
        assert_eq!(told(true, None), None);
        assert_eq!(told(false, Some(Framed::File)), None);
    }

    #[test]
    fn without_survey_images_the_viewers_document_is_an_ordinary_page_that_nobody_frames() {
        let document = dressed(false, HTML, Some(Framed::Document));
        assert_eq!(document, dressed(false, HTML, None));
    }
}
