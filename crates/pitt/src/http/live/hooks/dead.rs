//! Dead letters: batches that a receiver did not take.

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::{own, problem};
use crate::http::api::Api;
use crate::http::api::answer::{Answer, json};
use crate::http::api::params::{Nothing, Params};
use crate::http::api::pool::Lane;
use crate::http::auth::Caller;
use crate::push::HookDesk;
use crate::push::shelf::DeadLetter;

/// What a webhook's receiver did not take, oldest first
#[utoipa::path(get, path = "/webhooks/{id}/dead", tag = "webhooks", operation_id = "dead_letters",
    params(("id" = String, Path, description = "The webhook.", example = "wh_9f86d081aa")),
    responses((status = 200, description = "The batches, each with its reason and its matches.", body = Value)))]
pub async fn list(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Answer {
    let found = api.ask(Lane::Long, move |api| {
        own(api, &caller, &id)?;
        let dead = api.hooks.shelf(&id).dead_letters().map_err(problem)?;
        let dead: Vec<Value> = dead.iter().map(|dead| document(&id, dead)).collect();
        Ok(json!({"dead": dead}))
    });
    json(&found.await?)
}

fn document(id: &str, dead: &DeadLetter) -> Value {
    let body: Value = serde_json::from_str(&dead.letter.body).unwrap_or_default();
    json!({
        "id": format!("{id}-{}", dead.letter.number),
        "number_of_matches": dead.letter.matches,
        "reason": dead.reason,
        "tries": dead.tries,
        "dead_us": dead.dead_us,
        "first_us": dead.letter.first_us,
        "matches": body["matches"],
    })
}

/// Sends the dead letters of a webhook once more, each under its old id
#[utoipa::path(post, path = "/webhooks/{id}/dead/retry", tag = "webhooks", operation_id = "retry_dead_letters",
    params(("id" = String, Path, description = "The webhook.")),
    responses((status = 200, description = "`batches` that are sent again; one that is not taken becomes a dead letter again.", body = Value)))]
pub async fn retry(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Answer {
    batches(api, caller, id, HookDesk::retry).await
}

/// Drops the dead letters of a webhook
#[utoipa::path(delete, path = "/webhooks/{id}/dead", tag = "webhooks", operation_id = "drop_dead_letters",
    params(("id" = String, Path, description = "The webhook.")),
    responses((status = 200, description = "`batches` that were dropped. Their matches stay in the archive.", body = Value)))]
pub async fn drop_all(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Answer {
    batches(api, caller, id, |desk, id| desk.shelf(id).drop_dead()).await
}

/// Does something with the dead letters of a webhook that the caller may change; answers how many batches that were.
async fn batches(
    api: Api,
    caller: Caller,
    id: String,
    act: impl FnOnce(&HookDesk, &str) -> anyhow::Result<usize> + Send + 'static,
) -> Answer {
    let batches = api.ask(Lane::Long, move |api| {
        own(api, &caller, &id)?;
        act(&api.hooks, &id).map_err(problem)
    });
    json(&json!({"batches": batches.await?}))
}
