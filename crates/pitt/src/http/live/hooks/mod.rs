//! Webhooks over HTTP: made, listed, tried, paused, removed; their dead letters.
//!
//! All of it takes a token with scope `write`, looking too: an address may hold a secret. Whoever made a webhook, or has scope `admin`, sees its whole
//! address and may change it; others with scope `write` see that it is there and where to, by host.

pub mod dead;
mod told;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::filters::known;
use super::place::Places;
use crate::http::api::Api;
use crate::http::api::answer::{Answer, json};
use crate::http::api::params::{Nothing, Params};
use crate::http::api::pool::Lane;
use crate::http::api::problem::{Problem, shown};
use crate::http::auth::Caller;
use crate::push::address::Reach;
use crate::push::courier::{Courier, Outcome};
use crate::push::desk::DeskError;
use crate::push::{Hook, HookDesk, Patience};
use crate::source::now_us;

/// Longest note `[characters]`.
const LONGEST_NOTE: usize = 500;

/// The handlers under `/api/v1`.
pub(super) fn handlers() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(all))
        .routes(routes!(remove))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(test))
        .routes(routes!(dead::list, dead::drop_all))
        .routes(routes!(dead::retry))
}

/// Webhooks of a filter.
pub(super) fn number_of(api: &Api, filter: &str) -> usize {
    let hooks = api.hooks.hooks();
    hooks.map_or(0, |hooks| {
        hooks.iter().filter(|hook| hook.filter == filter).count()
    })
}

/// A new webhook.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Where matches are sent: `https://..`, or `http://..`.
    #[param(example = "https://example.org/alerts")]
    pub url: String,
    /// What it is for.
    #[param(example = json!(null))]
    pub note: Option<String>,
    /// Begin after this place, the `cursor` of a match; `0` begins with the first match there ever was. What matches from now on, when left out.
    #[param(example = json!(null))]
    pub after: Option<String>,
}

/// The webhooks of a filter
#[utoipa::path(get, path = "/filters/{name}/webhooks", tag = "webhooks", operation_id = "filter_webhooks",
    params(("name" = String, Path, description = "Name of the filter.", example = "hostless")),
    responses((status = 200, description = "The webhooks, without their secrets.", body = Value)))]
pub async fn list(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Answer {
    tell(api, caller, move |hook| hook.filter == name).await
}

/// All webhooks
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", operation_id = "webhooks",
    responses((status = 200, description = "The webhooks of all filters, without their secrets.", body = Value)))]
pub async fn all(State(api): State<Api>, caller: Caller) -> Answer {
    tell(api, caller, |_| true).await
}

async fn tell(api: Api, caller: Caller, wanted: impl Fn(&Hook) -> bool + Send + 'static) -> Answer {
    let told = api.ask(Lane::Long, move |api| {
        let hooks = api.hooks.hooks().map_err(problem)?;
        let told = hooks.iter().filter(|hook| wanted(hook));
        let told: Result<Vec<Value>, Problem> = told
            .map(|hook| told::document(api, &caller, hook))
            .collect();
        Ok(json!({"webhooks": told?}))
    });
    json(&told.await?)
}

/// Sends a filter's matches to an address from now on; the secret is in this answer alone
#[utoipa::path(post, path = "/filters/{name}/webhooks", tag = "webhooks", operation_id = "add_webhook",
    params(("name" = String, Path, description = "Name of the filter."), Wanted),
    responses((status = 201, description = "The webhook, with `secret`: what its requests are signed with.", body = Value)))]
pub async fn add(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Params(wanted): Params<Wanted>,
) -> Answer {
    let made = api.ask(Lane::Long, move |api| {
        known(api, &name)?;
        let hook = new(api, &caller, &name, wanted)?;
        api.hooks.add(hook.clone()).map_err(problem)?;
        let mut document = told::document(api, &caller, &hook)?;
        document["secret"] = hook.secret.into();
        Ok(document)
    });
    let answer = json(&made.await?)?;
    Ok((StatusCode::CREATED, answer).into_response())
}

fn new(api: &Api, caller: &Caller, filter: &str, wanted: Wanted) -> Result<Hook, Problem> {
    let checked = api.hooks.reach().check(&wanted.url);
    checked.map_err(|error| Problem::bad_parameter("url", error.to_string()))?;
    if wanted
        .note
        .as_ref()
        .is_some_and(|note| note.chars().count() > LONGEST_NOTE)
    {
        let detail = format!("`note` has more than {LONGEST_NOTE} characters");
        return Err(Problem::bad_parameter("note", detail));
    }
    let after: Places = match wanted.after.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => text
            .parse()
            .map_err(|error| Problem::bad_parameter("after", format!("{error}")))?,
        None => told::now(api)?,
    };
    let owner = caller.name().unwrap_or("nobody");
    let hook = Hook::new(filter, &wanted.url, owner);
    let hook = hook.map_err(|_| {
        Problem::fault(
            "the webhook cannot be made",
            &"the system gives no random numbers",
        )
    })?;
    Ok(Hook {
        note: wanted.note,
        after: after.to_string(),
        created_us: now_us(),
        ..hook
    })
}

/// Takes a webhook away, with its dead letters
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks", operation_id = "remove_webhook",
    params(("id" = String, Path, description = "The webhook.")),
    responses((status = 204, description = "It is gone.")))]
pub async fn remove(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Answer {
    api.ask(Lane::Long, move |api| {
        own(api, &caller, &id)?;
        api.hooks.remove(&id).map_err(problem)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Lets a webhook rest; what matches meanwhile waits
#[utoipa::path(post, path = "/webhooks/{id}/pause", tag = "webhooks", operation_id = "pause_webhook",
    params(("id" = String, Path, description = "The webhook.")),
    responses((status = 200, description = "The webhook.", body = Value)))]
pub async fn pause(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Answer {
    change(api, caller, id, |desk, id| desk.pause(id, None)).await
}

/// Lets a webhook go on where it was
#[utoipa::path(post, path = "/webhooks/{id}/resume", tag = "webhooks", operation_id = "resume_webhook",
    params(("id" = String, Path, description = "The webhook.")),
    responses((status = 200, description = "The webhook.", body = Value)))]
pub async fn resume(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Answer {
    change(api, caller, id, HookDesk::resume).await
}

async fn change(
    api: Api,
    caller: Caller,
    id: String,
    change: impl FnOnce(&HookDesk, &str) -> anyhow::Result<()> + Send + 'static,
) -> Answer {
    let changed = api.ask(Lane::Long, move |api| {
        own(api, &caller, &id)?;
        change(&api.hooks, &id).map_err(problem)?;
        let hook = api.hooks.hook(&id).map_err(problem)?;
        told::document(api, &caller, &hook)
    });
    json(&changed.await?)
}

/// Sends a signed request without matches, and says what came of it
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "webhooks", operation_id = "test_webhook",
    params(("id" = String, Path, description = "The webhook.")),
    responses((status = 200, description = "`ok`, or `error`. The body sent is `{\"matches\":[],\"test\":true}`.", body = Value)))]
pub async fn test(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Answer {
    let reach = api.hooks.reach();
    let hook = api.ask(Lane::Quick, move |api| own(api, &caller, &id));
    let hook = hook.await?;
    let (answer, answered) = oneshot::channel();
    // A thread of its own: whoever asks the archive need not wait for a receiver.
    let started = std::thread::Builder::new()
        .name("pitt-hook-test".into())
        .spawn(move || answer.send(try_out(&hook, reach)));
    started.map_err(|error| Problem::fault("the test cannot be sent", &error))?;
    let error = answered.await;
    let error = error.map_err(|error| Problem::fault("the test was not sent", &error))?;
    json(&json!({"ok": error.is_none(), "error": error}))
}

/// Sends a request without matches; gives what went wrong.
fn try_out(hook: &Hook, reach: Reach) -> Option<String> {
    let courier = Courier::new(reach, &Patience::for_a_test());
    let id = format!("{}-test-{}", hook.id, now_us());
    match courier.post(hook, &id, "{\"matches\":[],\"test\":true}") {
        Outcome::Taken => None,
        Outcome::Later { reason, .. } | Outcome::Never(reason) => Some(reason),
        Outcome::Gone => Some("the receiver answers 410: it wants no more".to_owned()),
    }
}

/// A webhook that the caller may change.
fn own(api: &Api, caller: &Caller, id: &str) -> Result<std::sync::Arc<Hook>, Problem> {
    let hook = api.hooks.hook(id).map_err(problem)?;
    if caller.may_change(&hook.owner) {
        return Ok(hook);
    }
    let detail = format!("webhook `{}` was made with another token", shown(id));
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
        .hint("use a token of that name, or one with scope `admin`"))
}

/// What cannot be, for a client.
fn problem(error: anyhow::Error) -> Problem {
    match error.downcast_ref() {
        Some(DeskError::Unknown(_)) => Problem::not_found("unknown_webhook", error.to_string()),
        Some(DeskError::Full) => {
            Problem::new(StatusCode::CONFLICT, "too_many_webhooks", error.to_string())
        }
        None => Problem::fault(
            "the webhooks cannot be read or changed",
            &format!("{error:#}"),
        ),
    }
}
