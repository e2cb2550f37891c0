//! The feed as server-sent events.
//!
//! Each reader has a small task: it takes what is in memory, or asks the archive where it has come back from a pause. A row is written as text
//! once, whoever reads it. A reader that takes nothing holds one page; its connection is closed by the port after its stall time, and the
//! client comes back with the last `id` it has seen.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, interval_at};
use utoipa::IntoParams;

use super::Live;
use super::feed::{Found, Reader};
use super::place::Places;
use super::row::MatchEntry;
use crate::http::api::Api;
use crate::http::api::answer::Answer;
use crate::http::api::params::Params;
use crate::http::api::pool::Lane;
use crate::http::api::problem::Problem;

/// Longest silence: a client knows from the comment that we are there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A reader whose next matches are not committed yet looks again after so long.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Where to begin.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct After {
    /// Go on after this place, the `id` of an event; `0` begins at the beginning. The header `Last-Event-ID` says the same. Without either:
    /// what matches from now on.
    #[param(example = json!(null))]
    pub after: Option<String>,
}

/// Of which filters, and from where.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Names of filters, `a,b`; all, when left out.
    #[param(style = Form, explode = false, example = json!(null))]
    pub filters: Option<Vec<String>>,
    /// Events `status` too, once a second.
    #[param(example = json!(null))]
    pub status: Option<bool>,
    /// Go on after this place, the `id` of an event; `0` begins at the beginning.
    #[param(example = json!(null))]
    pub after: Option<String>,
}

/// Matches of one filter as they come: server-sent events
#[utoipa::path(get, path = "/filters/{name}/events", tag = "matches", operation_id = "filter_events",
    params(("name" = String, Path, description = "Name of the filter.", example = "hostless"), After),
    responses((status = 200, description = "Events `match`: `id` is the place to go on after, `data` a row of `/matches`.", body = String, content_type = "text/event-stream")))]
pub async fn of_filter(
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Params(begin): Params<After>,
) -> Answer {
    let filter = name.clone();
    api.ask(Lane::Quick, move |api| super::filters::known(api, &filter))
        .await?;
    open(&api, vec![name], begin.after.as_deref(), &headers, false)
}

/// Matches of all or some filters as they come, and how the broker is: server-sent events
#[utoipa::path(get, path = "/events", tag = "matches", operation_id = "events", params(Wanted),
    responses((status = 200, description = "Events `match` and, if wanted, `status`.", body = String, content_type = "text/event-stream")))]
pub async fn all(
    State(api): State<Api>,
    headers: HeaderMap,
    Params(wanted): Params<Wanted>,
) -> Answer {
    let filters = wanted.filters.unwrap_or_default();
    let status = wanted.status.unwrap_or(false);
    open(&api, filters, wanted.after.as_deref(), &headers, status)
}

fn open(
    api: &Api,
    filters: Vec<String>,
    after: Option<&str>,
    headers: &HeaderMap,
    status: bool,
) -> Answer {
    let live = &api.live;
    // What a client remembers by itself is newer than the address it began with.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let places: Places = match last.or(after).filter(|text| !text.is_empty()) {
        Some(text) => text
            .parse()
            .map_err(|error| Problem::bad_parameter("after", format!("{error}")))?,
        None => live.feed.now(),
    };
    let reader = live.feed.reader(places, filters);
    let (send, pieces) = mpsc::channel(1);
    tokio::spawn(tell(api.clone(), live.clone(), reader, send, status));
    let pieces = futures::stream::unfold(pieces, |mut pieces| async {
        Some((Ok::<_, Infallible>(pieces.recv().await?), pieces))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let response: Response = (headers, Body::from_stream(pieces)).into_response();
    Ok(response)
}

/// Tells one reader what it wants until it has gone or the broker ends.
async fn tell(
    api: Api,
    live: Arc<Live>,
    mut reader: Reader,
    send: mpsc::Sender<Bytes>,
    with_status: bool,
) {
    let mut changes = live.feed.changes();
    let mut status = live.status();
    let mut heart = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    // Headers leave at once, and the client knows that it is connected.
    if send.send(Bytes::from_static(b": here\n\n")).await.is_err() {
        return;
    }
    while !live.feed.is_closed() {
        changes.mark_unchanged();
        let found = match reader.take() {
            Found::Matches(found) => found,
            Found::Older => match older(&api, reader).await {
                Some((back, found)) => {
                    reader = back;
                    found
                }
                None => return,
            },
            Found::Nothing => {
                let piece = tokio::select! {
                    _ = changes.changed() => continue,
                    () = tokio::time::sleep(LOOK_AGAIN), if reader.waits() => continue,
                    () = send.closed() => return,
                    _ = heart.tick() => Bytes::from(format!(": here\nid: {}\n\n", reader.places())),
                    Ok(()) = status.changed(), if with_status => status_event(&status.borrow_and_update()),
                };
                if send.send(piece).await.is_err() {
                    return;
                }
                continue;
            }
        };
        if !found.is_empty() && send.send(match_events(&mut reader, &found)).await.is_err() {
            return;
        }
    }
}

/// Lets a reader look into the archive on the threads for that; it comes back with what it found. While too many others ask, as when
/// all readers of a broker that was restarted come back, it waits.
async fn older(api: &Api, reader: Reader) -> Option<(Reader, Vec<Arc<MatchEntry>>)> {
    let seat = Arc::new(Mutex::new(Some(reader)));
    let sitting = || seat.clone().lock_owned();
    loop {
        let mut reader = sitting().await;
        let asked = api.ask(Lane::Quick, move |_| {
            let found = reader.as_mut().map(Reader::read_archive);
            Ok(found.transpose()?.unwrap_or_default())
        });
        match asked.await {
            Ok(found) => return Some((sitting().await.take()?, found)),
            Err(problem) if problem.code == "busy" => tokio::time::sleep(LOOK_AGAIN).await,
            Err(_) => return None,
        }
    }
}

fn status_event(data: &Bytes) -> Bytes {
    let mut event = b"event: status\ndata: ".to_vec();
    event.extend_from_slice(data);
    event.extend_from_slice(b"\n\n");
    event.into()
}

/// One event each; each `id` is where the reader stands once it has seen that event.
fn match_events(reader: &mut Reader, found: &[Arc<MatchEntry>]) -> Bytes {
    let mut text = Vec::with_capacity(found.len() * 400);
    for entry in found {
        let mut head = String::new();
        // Writing to a string does not fail.
        let _ = write!(head, "event: match\nid: {}\ndata: ", reader.told(entry));
        text.extend_from_slice(head.as_bytes());
        text.extend_from_slice(entry.data());
        text.extend_from_slice(b"\n\n");
    }
    text.into()
}
