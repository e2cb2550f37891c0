//! Answers of the API, gzipped for who asks for it from another machine.
//!
//! Rows with all columns shrink to a third (their figures are noise), documents to an eighth. Who asks from this machine has no line to save: browser, broker and whatever
//! stands in front of it share its processors with the alerts that come in. Streams of events are never held back for it.

use axum::Router;
use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::{Response, header};
use axum::middleware::{Next, from_fn};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};

use super::auth::Peer;

/// Answers below it take a packet or few in any case `[bytes]`.
const WORTH_BYTES: u16 = 4096;
/// What shrinks.
const KINDS: [&str; 3] = ["application/json", "text/csv", "application/x-votable+xml"];

/// The routes with their answers compressed.
pub(super) fn compressed(routes: Router) -> Router {
    let layer = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(WORTH_BYTES).and(Shrinks));
    routes.layer(layer).layer(from_fn(as_it_is_for_neighbours))
}

/// Whether an answer is of one of the kinds that shrink.
#[derive(Clone, Copy)]
struct Shrinks;

impl Predicate for Shrinks {
    fn should_compress<B: HttpBody>(&self, response: &Response<B>) -> bool {
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        KINDS.contains(&kind)
    }
}

async fn as_it_is_for_neighbours(mut request: Request, next: Next) -> axum::response::Response {
    let peer = request.extensions().get::<Peer>();
    // Of `::1` 64 bits are known.
    if peer.is_none_or(|Peer(address)| address.is_loopback() || address.is_unspecified()) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use std::io::{Error, Read};

    use axum::body::{Body, to_bytes};
    use axum::routing::get;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    async fn asked(from: &str, path: &str) -> (Option<String>, Vec<u8>) {
        let long = |kind: &'static str| {
            let body = "0123456789".repeat(1000);
            get(move || async move { ([(header::CONTENT_TYPE, kind)], body) })
        };
        let routes = Router::new()
            .route("/json", long("application/json"))
            .route("/csv", long("text/csv; charset=utf-8"))
            .route("/events", long("text/event-stream"))
            .route("/fits", long("image/fits"))
            .route(
                "/short",
                get(|| async { ([(header::CONTENT_TYPE, "application/json")], "{}") }),
            );
        let mut request = Request::get(path).header(header::ACCEPT_ENCODING, "gzip, deflate");
        request = request.extension(Peer(from.parse().unwrap()));
        let request = request.body(Body::empty()).unwrap();
        let service = TowerToHyperService::new(compressed(routes));
        let response = service.call(request).await.unwrap();
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        let encoding = encoding.map(|encoding| encoding.to_str().unwrap().to_owned());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (encoding, body.to_vec())
    }

    #[tokio::test]
    async fn what_is_long_and_shrinks_is_gzipped_for_other_machines() {
        for path in ["/json", "/csv"] {
            let (encoding, body) = asked("192.0.2.7", path).await;
            assert_eq!(encoding.as_deref(), Some("gzip"), "{path}");
            assert!(body.len() < 1000, "{path}: {} bytes", body.len());
            let mut text = String::new();
            let mut reader = flate2::read::GzDecoder::new(body.as_slice());
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, "0123456789".repeat(1000));
        }
    }

    #[tokio::test]
    async fn the_rest_comes_as_it_is() {
        for (from, path) in [
            ("192.0.2.7", "/events"),
            ("192.0.2.7", "/fits"),
            ("192.0.2.7", "/short"),
            ("127.0.0.1", "/json"),
            ("::", "/json"),
        ] {
            let (encoding, body) = asked(from, path).await;
            assert_eq!(encoding, None, "{path} from {from}");
            assert!(body.len() == 2 || body.len() == 10_000);
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_does_so_gzipped_too() {
        let broken = || async {
            let pieces = [
                Ok("0123456789".repeat(1000)),
                Err(Error::other("on purpose")),
            ];
            let body = Body::from_stream(futures::stream::iter(pieces));
            ([(header::CONTENT_TYPE, "application/json")], body)
        };
        let routes = Router::new().route("/", get(broken));
        let request = Request::get("/").header(header::ACCEPT_ENCODING, "gzip");
        let request = request.extension(Peer([192, 0, 2, 7].into()));
        let service = TowerToHyperService::new(compressed(routes));
        let response = service
            .call(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
    }
}
