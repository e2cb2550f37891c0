//! Reading quarantined packets again, in the background.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use pitt_alert::Reason;
use pitt_query::Filter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::{Answer, json};
use super::params::Params;
use super::pool::Lane;
use super::problem::{Problem, shown};
use crate::command::told;
use crate::config::Settings;
use crate::filters::FilterOrigin;
use crate::http::auth::Caller;
use crate::pipeline::{Counters, Stop};
use crate::retry::Again;
use crate::source::{SourceReport, now_us};
use crate::suggest;

/// Where to look how it goes.
const PLACE: &str = "/api/v1/quarantine/retry";
/// Longest wait for it when the program ends.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// Which packets.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WhatToRetry {
    /// Only those with this reason.
    #[param(example = "unknown_schema")]
    pub reason: Option<String>,
}

/// How reading again goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RetryState {
    /// Nobody has asked for it since the program began.
    #[default]
    Never,
    /// It goes on.
    Running,
    /// It is over.
    Done,
    /// It broke off; what it had committed stays.
    Failed,
}

/// What came of reading again, the last time.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({"state": "done", "reason": "unknown_schema", "by": "anna", "started_us": 1_795_723_200_000_000_i64, "ended_us": 1_795_723_201_000_000_i64,
    "read": 120, "stored": 118, "duplicates": 2, "matches": 4, "read_before": 0, "still_unread": {"bad_data": 3}}))]
pub struct RetryBody {
    /// How it is.
    state: RetryState,
    /// The reason that was asked for; null for all.
    reason: Option<String>,
    /// Name of the token that asked.
    by: Option<String>,
    /// When it began, microseconds since 1970, UTC.
    started_us: Option<i64>,
    /// When it was over.
    ended_us: Option<i64>,
    /// Packets that could be read.
    read: u64,
    /// Alerts stored from them.
    stored: u64,
    /// Alerts that the archive had from elsewhere.
    duplicates: u64,
    /// Matches of filters.
    matches: u64,
    /// Packets that an earlier try had read.
    read_before: u64,
    /// Packets that still cannot be read, by reason; known when it is over.
    still_unread: BTreeMap<String, u64>,
    /// Why it broke off.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The last try, and the thread that is at it.
#[derive(Default)]
pub struct Retries {
    last: Arc<Mutex<(RetryBody, Arc<Counters>)>>,
    stop: Stop,
    thread: Mutex<Option<JoinHandle<()>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RetryBody {
    fn count(&mut self, counters: &Counters) {
        self.read = counters.received.get();
        self.stored = counters.stored.get();
        self.duplicates = counters.duplicates.get();
        let filters = counters.filters().into_iter();
        self.matches = filters.map(|(_, counts)| counts.matches.get()).sum();
    }

    fn end(&mut self, outcome: Result<(SourceReport, BTreeMap<String, u64>)>) {
        self.ended_us = Some(now_us());
        match outcome {
            Ok((report, unread)) => {
                self.state = RetryState::Done;
                self.read_before = report.passed_over;
                self.still_unread = unread;
            }
            Err(error) => {
                let error = told(&error);
                tracing::error!("quarantined packets could not be read again: {error}");
                self.state = RetryState::Failed;
                self.error = Some(error);
            }
        }
    }
}

impl Retries {
    fn now(&self) -> RetryBody {
        let last = lock(&self.last);
        let (mut body, counters) = (last.0.clone(), last.1.clone());
        drop(last);
        body.count(&counters);
        body
    }

    /// Begins, on a thread of its own.
    fn begin(
        &self,
        again: Again,
        filters: Vec<Filter>,
        settings: Settings,
        body: RetryBody,
    ) -> Result<RetryBody, Problem> {
        let mut thread = lock(&self.thread);
        let mut last = lock(&self.last);
        if last.0.state == RetryState::Running {
            let detail = "quarantined packets are being read again already";
            let hint = format!("GET {PLACE} says how it goes");
            return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail).hint(hint));
        }
        let (counters, stop, place) = (
            Arc::<Counters>::default(),
            self.stop.clone(),
            self.last.clone(),
        );
        *last = (body.clone(), counters.clone());
        drop(last);
        let work = move || {
            let run = || again.into_archive(&settings, filters, &counters, &stop);
            let outcome = catch_unwind(AssertUnwindSafe(run));
            let outcome =
                outcome.unwrap_or_else(|_| Err(anyhow!("a panic (please report this as a bug)")));
            lock(&place).0.end(outcome);
        };
        let started = std::thread::Builder::new()
            .name("pitt-retry".into())
            .spawn(work);
        match started {
            Ok(started) => *thread = Some(started),
            Err(error) => {
                lock(&self.last).0.end(Err(error.into()));
                return Err(Problem::unavailable(
                    "busy",
                    "the system gives no more threads",
                    5,
                ));
            }
        }
        Ok(body)
    }
}

impl Drop for Retries {
    /// Ends in order what goes on: what was handed out is committed. One that is still opening its index is not waited for; what it has
    /// not committed is read by the next try.
    fn drop(&mut self) {
        self.stop.ask();
        let Some(thread) = lock(&self.thread).take() else {
            return;
        };
        let end = Instant::now() + LAST_WAIT;
        while !thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Reads quarantined packets again, with the schemas that are there by now
///
/// What can be read is stored and judged like any packet; the rest stays. It goes on in the background, beside what comes in:
/// `GET /api/v1/quarantine/retry` says how far it is.
#[utoipa::path(post, path = "/quarantine/retry", tag = "archive", operation_id = "retry_quarantine", params(WhatToRetry),
    responses((status = 202, description = "It has begun.", body = RetryBody)))]
pub async fn retry(
    State(api): State<Api>,
    caller: Caller,
    Params(what): Params<WhatToRetry>,
) -> Answer {
    let by = caller.name().map(str::to_owned);
    let begun = api.ask(Lane::Long, move |api| {
        what.reason.as_deref().map_or(Ok(()), known)?;
        let again = Again::look(api.engine()?, what.reason.as_deref())?;
        let desk = api.telemetry.filter_desk().known()?.into_iter();
        let files = desk.filter(|known| known.origin == FilterOrigin::File);
        let settings = Settings {
            archive: api.telemetry.archive().to_string_lossy().into_owned(),
            ..api.settings.clone()
        };
        let body = RetryBody {
            state: RetryState::Running,
            reason: what.reason,
            by,
            started_us: Some(now_us()),
            ..RetryBody::default()
        };
        let filters = files.filter_map(|known| known.filter).collect();
        api.retries.begin(again, filters, settings, body)
    });
    let place = [(header::LOCATION, PLACE)];
    Ok((StatusCode::ACCEPTED, place, json(&begun.await?)?).into_response())
}

fn known(reason: &str) -> Result<(), Problem> {
    let reasons = || Reason::ALL.iter().map(|known| known.as_str());
    if reasons().any(|known| known == reason) {
        return Ok(());
    }
    let hint = suggest::hint(reason, reasons());
    let detail = format!("there is no reason `{}`{hint}", shown(reason));
    Err(Problem::bad_parameter("reason", detail))
}

/// What came of reading quarantined packets again, the last time since the program began
#[utoipa::path(get, path = "/quarantine/retry", tag = "archive", operation_id = "quarantine_retry",
    responses((status = 200, description = "How it goes, or how it went.", body = RetryBody)))]
pub async fn state(State(api): State<Api>) -> Answer {
    json(&api.retries.now())
}
