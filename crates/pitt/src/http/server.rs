//! Connections, and what one client, or a thousand, can take.
//!
//! | limit | | what happens |
//! |---|---|---|
//! | connections | `http.connections` | somebody who makes us wait goes ([`crowd`](super::crowd)); if all are being served, 503 |
//! | time for the handshake of TLS | 10 s | closed |
//! | time for a request's head | 10 s, also between two requests | closed |
//! | size of the head | 32 kB, 64 headers | 431 |
//! | body | 1 MB, in 20 s | 413, 408 |
//! | time until an answer begins | 30 s; 10 min for costly ones | 503 |
//! | time without taking a byte of the answer | 20 s, streams too | closed |
//! | bytes of an answer that wait for a client | 256 kB in the system | the answer is made no faster |
//!
//! A client whose `Host` is neither this machine nor an address is sent away (421), unless that name is expected: a web
//! page can let its own name point to 127.0.0.1 and read what stands there.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::api::problem::Problem;
use super::auth::{Dress, Peer, claimed, too_large};
use super::crowd::{Crowd, Place};
use super::held::holding;
use super::stall::Stalling;
use super::tls::Certificates;

pub(super) use super::crowd::Seat;

const HEAD_TIME: Duration = Duration::from_secs(10);
const HEAD_BYTES: usize = 32 << 10;
const HEADERS: usize = 64;
const STALL_TIME: Duration = Duration::from_secs(20);
/// How long answers under way may take when the program ends.
const GRACE: Duration = Duration::from_secs(2);
/// Pause after a connection could not be taken, because there are no file descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 5\r\nconnection: close\r\n\r\n";

/// What the settings say of it.
pub(super) struct Limits {
    /// Most connections at once.
    pub(super) connections: usize,
    /// Names that a request may ask for, beside addresses and `localhost`; `None` for any.
    pub(super) names: Option<Vec<String>>,
    /// Headers of all answers.
    pub(super) dress: Dress,
}

/// What all connections share.
struct Served {
    router: Router,
    limits: Limits,
    certificates: Option<Arc<Certificates>>,
}

/// Serves until it is told to stop, then lets what is under way end.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    certificates: Option<Arc<Certificates>>,
    mut stop: watch::Receiver<bool>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("the HTTP port is closed: {error}");
            return;
        }
    };
    let served = Arc::new(Served {
        router,
        limits,
        certificates,
    });
    let crowd = Arc::new(Crowd::default());
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
            // Ended ones are let go of as they end.
            Some(_) = tasks.join_next() => continue,
        };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        match crowd.enter(served.limits.connections, peer.ip()) {
            Some(place) => {
                tasks.spawn(connection(
                    stream,
                    peer,
                    place,
                    served.clone(),
                    stop.clone(),
                ));
            }
            None if served.certificates.is_none() => refuse_all(&stream),
            None => {}
        }
    }
    drop(listener);
    let _ = timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await;
}

/// Says once that there is no room; whether that arrives is the client's matter.
fn refuse_all(stream: &TcpStream) {
    let _ = stream.try_write(REFUSAL);
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    served: Arc<Served>,
    stop: watch::Receiver<bool>,
) {
    // An answer is small: waiting for more to send would only cost time.
    let _ = stream.set_nodelay(true);
    let stream = Stalling::new(stream, STALL_TIME, place.seat().clone());
    let peer = Peer(peer.ip());
    let Some(certificates) = &served.certificates else {
        return converse(stream, peer, &place, &served, stop).await;
    };
    let handshake = timeout(HEAD_TIME, certificates.acceptor().accept(stream));
    tokio::select! {
        shaken = handshake => match shaken {
            Ok(Ok(stream)) => converse(stream, peer, &place, &served, stop).await,
            Ok(Err(error)) => tracing::debug!("{}: no TLS: {error}", peer.0),
            Err(_) => {}
        },
        () = place.gone() => {}
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    place: &Place,
    served: &Arc<Served>,
    mut stop: watch::Receiver<bool>,
) {
    let asked = service_fn(|mut request: Request<Incoming>| {
        let seat = place.seat();
        let serving = seat.serve();
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(seat.clone());
        let served = served.clone();
        async move {
            let response = served.answer(request).await;
            Ok::<_, Infallible>(holding(response, serving))
        }
    });
    let mut conversation = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), asked)
    );
    let mut ending = false;
    loop {
        tokio::select! {
            // How a client ends its connection is not our business.
            _ = conversation.as_mut() => return,
            () = place.gone() => return,
            _ = stop.changed(), if !ending => {
                ending = true;
                conversation.as_mut().graceful_shutdown();
            }
        }
    }
}

impl Served {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let host = request.headers().get(header::HOST);
        let named = host.is_some_and(|host| !is_here(host));
        let mut response = match self.refused(request.headers()) {
            Some(refusal) => refusal,
            None => match TowerToHyperService::new(self.router.clone())
                .call(request)
                .await
            {
                Ok(response) => response,
                Err(never) => match never {},
            },
        };
        self.limits.dress.put_on(&mut response, named);
        response
    }

    /// The answer to what is not even looked at.
    fn refused(&self, headers: &HeaderMap) -> Option<Response<Body>> {
        if claimed(headers).is_some_and(|length| length > super::auth::LARGEST_BODY) {
            return Some(too_large());
        }
        let expected = match (&self.limits.names, headers.get(header::HOST)) {
            (None, _) | (_, None) => true,
            (Some(names), Some(host)) => is_here(host) || is_one_of(host, names),
        };
        if expected {
            return None;
        }
        let what = "this port answers to addresses and `localhost` only";
        let problem = Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", what)
            .hint("name the host in `http.names` to let it in");
        Some(problem.into_response())
    }
}

/// The name in a `Host`, without its port.
fn name_of(host: &HeaderValue) -> &str {
    let host = host.to_str().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a `Host` is an address or `localhost`, with or without a port.
fn is_here(host: &HeaderValue) -> bool {
    let name = name_of(host);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

fn is_one_of(host: &HeaderValue, names: &[String]) -> bool {
    let name = name_of(host);
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_here() {
        let good = [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "[::1]:80",
            "10.1.2.3",
        ];
        let bad = [
            "example.org",
            "localhost.evil.org:8080",
            "127.0.0.1.nip.io",
            "",
            "a b",
        ];
        let here = |host: &&str| is_here(&HeaderValue::from_str(host).unwrap());
        assert!(good.iter().all(here));
        assert!(!bad.iter().any(here));
        let named = |host: &str| {
            let names = ["broker.example.org".to_owned()];
            is_one_of(&HeaderValue::from_str(host).unwrap(), &names)
        };
        assert!(named("Broker.example.org:443") && !named("example.org"));
    }
}
