//! Connections, and what one client, or a thousand, can take.
//!
//! | limit | | what happens |
//! |---|---|---|
//! | connections | `http.connections` | the one that has been silent longest goes; if all are being served, 503 |
//! | time for a request's head | 10 s, also between two requests | closed |
//! | size of the head | 32 kB, 64 headers | 431 |
//! | body | 64 kB | 413; nothing here reads one |
//! | time for an answer | 30 s | 503 |
//! | time without taking a byte of the answer | 20 s | closed |
//!
//! A client whose `Host` is neither this machine nor an address is sent away (421), unless other machines may come anyway: a web
//! page can let its own name point to 127.0.0.1 and read what stands there.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, TcpListener};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::routes::problem;
use super::stall::Stalling;

const HEAD_TIME: Duration = Duration::from_secs(10);
const HEAD_BYTES: usize = 32 << 10;
const HEADERS: usize = 64;
const BODY_BYTES: u64 = 64 << 10;
const ANSWER_TIME: Duration = Duration::from_secs(30);
const STALL_TIME: Duration = Duration::from_secs(20);
/// How long answers under way may take when the program ends.
const GRACE: Duration = Duration::from_secs(2);
/// Pause after a connection could not be taken, because there are no file descriptors, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 5\r\nconnection: close\r\n\r\n";

/// What the settings say of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Most connections at once.
    pub(super) connections: usize,
    /// Whether a request may name any host.
    pub(super) any_host: bool,
}

/// Serves until it is told to stop, then lets what is under way end.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("the HTTP port is closed: {error}");
            return;
        }
    };
    let crowd = Arc::new(Crowd::default());
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
            // Ended ones are let go of as they end.
            Some(_) = tasks.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        match crowd.enter(limits.connections) {
            Some(place) => {
                let router = router.clone();
                tasks.spawn(connection(stream, router, place, limits, stop.clone()));
            }
            None => refuse(&stream),
        }
    }
    drop(listener);
    let _ = timeout(GRACE, async { while tasks.join_next().await.is_some() {} }).await;
}

/// Says once that there is no room; whether that arrives is the client's matter.
fn refuse(stream: &TcpStream) {
    let _ = stream.try_write(REFUSAL);
}

async fn connection(
    stream: TcpStream,
    router: Router,
    place: Place,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    // An answer is small: waiting for more to send would only cost time.
    let _ = stream.set_nodelay(true);
    let asked = service_fn(|request: Request<Incoming>| {
        let busy = place.busy();
        let router = router.clone();
        async move {
            let response = answer(request, router, limits).await;
            drop(busy);
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(Stalling::new(stream, STALL_TIME));
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_headers(HEADERS)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(io, asked)
    );
    let mut ending = false;
    loop {
        tokio::select! {
            // How a client ends its connection is not our business.
            _ = served.as_mut() => return,
            () = place.go.notified() => return,
            _ = stop.changed(), if !ending => {
                ending = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(request: Request<Incoming>, router: Router, limits: Limits) -> Response<Body> {
    let refused = refused(request.headers(), limits);
    let mut response = match refused {
        Some(refusal) => refusal,
        None => {
            use hyper::service::Service;
            let answer = TowerToHyperService::new(router).call(request);
            match timeout(ANSWER_TIME, answer).await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => problem(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the answer took longer than 30 s",
                )
                .into_response(),
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer to what is not even looked at.
fn refused(headers: &HeaderMap, limits: Limits) -> Option<Response<Body>> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length: Option<u64> = length.and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length| length > BODY_BYTES) {
        let mut response = problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 64 kB",
        )
        .into_response();
        // The rest of it is not waited for.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        return Some(response);
    }
    if !limits.any_host && !headers.get(header::HOST).is_none_or(is_here) {
        let what = "this port answers to addresses and `localhost` only (set `http.allow_remote` to let other names in)";
        return Some(problem(StatusCode::MISDIRECTED_REQUEST, what).into_response());
    }
    None
}

/// Whether a `Host` is an address or `localhost`, with or without a port.
fn is_here(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// Everybody who is connected.
#[derive(Default)]
struct Crowd(Mutex<Guests>);

#[derive(Default)]
struct Guests {
    next: u64,
    here: HashMap<u64, Guest>,
}

struct Guest {
    /// Since when it has asked for nothing; `None` while it is being answered.
    silent: Option<Instant>,
    go: Arc<Notify>,
}

impl Crowd {
    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more; sends away whoever has been silent longest if it is full. `None` when nobody is silent.
    fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let mut guests = self.guests();
        if guests.here.len() >= most {
            let silent = guests.here.iter();
            let silent = silent.filter_map(|(number, guest)| Some((guest.silent?, *number)));
            let (_, longest) = silent.min()?;
            if let Some(guest) = guests.here.remove(&longest) {
                guest.go.notify_one();
            }
        }
        let (number, go) = (guests.next, Arc::new(Notify::new()));
        guests.next += 1;
        guests.here.insert(
            number,
            Guest {
                silent: Some(Instant::now()),
                go: go.clone(),
            },
        );
        drop(guests);
        Some(Place {
            crowd: self.clone(),
            number,
            go,
        })
    }

    fn set_silent(&self, number: u64, silent: Option<Instant>) {
        if let Some(guest) = self.guests().here.get_mut(&number) {
            guest.silent = silent;
        }
    }
}

/// One client's place; free again when it is dropped.
struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    go: Arc<Notify>,
}

impl Place {
    fn busy(&self) -> Busy {
        self.crowd.set_silent(self.number, None);
        Busy {
            crowd: self.crowd.clone(),
            number: self.number,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.guests().here.remove(&self.number);
    }
}

/// While this lives, the client is being answered.
struct Busy {
    crowd: Arc<Crowd>,
    number: u64,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.crowd.set_silent(self.number, Some(Instant::now()));
    }
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
    }

    #[test]
    fn the_one_silent_longest_makes_room() {
        let crowd = Arc::new(Crowd::default());
        let first = crowd.enter(2).unwrap();
        let busy = first.busy();
        let second = crowd.enter(2).unwrap();
        let third = crowd.enter(2).unwrap();
        assert_eq!(crowd.guests().here.len(), 2);
        assert!(!crowd.guests().here.contains_key(&second.number));
        let _third = third.busy();
        assert!(crowd.enter(2).is_none(), "both are being answered");
        drop(busy);
        assert!(crowd.enter(2).is_some());
    }
}
