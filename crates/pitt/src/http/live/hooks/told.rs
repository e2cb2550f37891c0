//! What is told of a webhook.

use serde_json::{Value, json};

use super::problem;
use crate::http::api::Api;
use crate::http::api::problem::Problem;
use crate::http::auth::Caller;
use crate::http::live::place::Places;
use crate::push::Hook;
use crate::push::address::hidden;
use crate::screen::cell;
use pitt_query::Limits;

/// A webhook as this caller may see it.
pub(super) fn document(api: &Api, caller: &Caller, hook: &Hook) -> Result<Value, Problem> {
    let shelf = api.hooks.shelf(&hook.id);
    let progress = shelf.progress().map_err(problem)?;
    let begun = progress.is_some();
    let progress = progress.unwrap_or_default();
    let cursor = if begun { &progress.cursor } else { &hook.after };
    let own = caller.may_change(&hook.owner);
    let (dead_letters, dead) = shelf.dead();
    let (_, again) = shelf.waiting_again();
    Ok(json!({
        "id": hook.id,
        "filter": hook.filter,
        "url": if own { hook.url.clone() } else { hidden(&hook.url) },
        "note": hook.note,
        "owner": hook.owner,
        "own": own,
        "created_us": hook.created_us,
        "state": if hook.is_paused() { "paused" } else { "active" },
        "reason": hook.reason,
        "delivered": progress.delivered,
        "failed": dead,
        "dead_letters": dead_letters,
        "pending": pending(api, &hook.filter, cursor)? + again,
        "last_error": progress.last_error,
        "last_delivered_us": progress.last_delivered_us,
        "failing_since_us": progress.failing_since_us,
        "tries": progress.tries,
        "next_try_us": progress.next_try_us.filter(|_| !hook.is_paused()),
        "cursor": cursor,
    }))
}

/// The place of whoever has seen everything that there is.
pub(super) fn now(api: &Api) -> Result<Places, Problem> {
    let archive = api.stock.archive()?;
    let mut places = api.live.feed.now();
    for lane in archive.lanes() {
        let committed = archive.last_match(lane)?;
        places.reach(lane, committed.max(archive.last_claimed(lane)));
    }
    Ok(places)
}

/// Matches of a filter after a place: committed ones, and before them those in memory.
fn pending(api: &Api, filter: &str, cursor: &str) -> Result<u64, Problem> {
    let archive = api.stock.archive()?;
    let read = cursor.parse::<Places>();
    let place = read.map_err(|error| Problem::fault("the webhook is damaged", &error))?;
    let mut committed = Places::default();
    let mut behind = vec![];
    for lane in archive.lanes() {
        let (after, last) = (place.of(lane), archive.last_match(lane)?);
        committed.reach(lane, last.max(after));
        if last > after {
            behind.push(format!("lane = {lane} AND seq > {after} AND seq <= {last}"));
        }
    }
    let in_memory = api.live.feed.uncommitted().into_iter();
    let in_memory = in_memory
        .filter(|entry| &*entry.filter == filter && entry.seq > committed.of(entry.lane))
        .count() as u64;
    if behind.is_empty() {
        return Ok(in_memory);
    }
    let filter = filter.replace('\'', "''");
    let sql = format!(
        "SELECT count(*) FROM matches WHERE filter = '{filter}' AND ({})",
        behind.join(" OR ")
    );
    let mut stored = 0;
    for batch in api.engine()?.query(&sql, &Limits::default())? {
        let batch = batch?;
        if batch.num_rows() > 0 {
            stored += cell::text(batch.column(0), 0).parse::<u64>().unwrap_or(0);
        }
    }
    Ok(stored + in_memory)
}
