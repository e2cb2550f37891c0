//! Headers that tell a browser what an answer may do there.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// What an answer of the API may do: nothing. Also when a browser takes it for a page.
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// What our pages may do: what is built in, and pictures they draw themselves.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// The same with survey images of the sky, and the viewer's compiled code.
const SKY_POLICY: &str = "default-src 'self'; \
    img-src 'self' data: blob: https://alasky.cds.unistra.fr https://alaskybis.cds.unistra.fr https://skies.esac.esa.int https://www.legacysurvey.org; \
    connect-src 'self' https://alasky.cds.unistra.fr https://alaskybis.cds.unistra.fr https://skies.esac.esa.int https://www.legacysurvey.org; \
    script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; \
    object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const PERMISSIONS: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";
/// A year, as long as names are asked for by https.
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// What the settings say of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dress {
    /// Whether TLS is served.
    pub(crate) tls: bool,
    /// Whether pages may fetch survey images.
    pub(crate) sky_images: bool,
    /// Whether pages elsewhere may show what is here.
    pub(crate) shared: bool,
}

impl Dress {
    /// Adds the headers that every answer has. `named`: the request asked for a name, not for an address or `localhost`.
    pub(crate) fn put_on(self, headers: &mut HeaderMap, named: bool) {
        let kind = headers.get(header::CONTENT_TYPE);
        let is_page = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        let policy = match (is_page, self.sky_images) {
            (false, _) => API_POLICY,
            (true, false) => PAGE_POLICY,
            (true, true) => SKY_POLICY,
        };
        let shared = if self.shared {
            "cross-origin"
        } else {
            "same-origin"
        };
        let always = [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::X_FRAME_OPTIONS, "DENY"),
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
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        // For `localhost` it would shut out whatever else this machine serves there.
        if self.tls && named {
            let strict = HeaderValue::from_static(STRICT_TRANSPORT);
            headers.insert(header::STRICT_TRANSPORT_SECURITY, strict);
        }
    }
}
