//! Matches as a list: committed ones from the archive, before them those in memory.

use std::sync::Arc;

use axum::extract::State;
use pitt_query::Limits;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::row::MatchEntry;
use crate::http::api::answer::Answer;
use crate::http::api::params::TableParams;
use crate::http::api::pool::Lane;
use crate::http::api::problem::Problem;
use crate::http::api::table::{Table, TableBody};
use crate::http::api::{Api, columns, cursor};
use crate::screen::cell;

/// Matches given, and the most that may be asked for.
const USUAL: usize = 100;
const MOST: usize = 1000;
/// Name of the list in its cursors.
const LIST: &str = "matches";

/// Which matches.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MatchQuery {
    /// Of this filter.
    #[param(example = json!(null))]
    pub filter: Option<String>,
    /// Of this survey.
    #[param(example = json!(null))]
    pub survey: Option<String>,
    /// Of this night, YYYYMMDD.
    #[param(example = json!(null))]
    pub night: Option<i32>,
    /// Most rows, up to 1,000; 100 when left out.
    #[param(example = 10)]
    pub limit: Option<usize>,
    /// `next` of the page before.
    #[param(example = json!(null))]
    pub cursor: Option<String>,
    /// The newest first, or the oldest.
    #[param(inline)]
    pub order: Option<MatchOrder>,
}

/// Which match comes first.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MatchOrder {
    /// The last one.
    #[default]
    Newest,
    /// The first one.
    Oldest,
}

/// What the list is ordered by: time, lane, number.
type Place = (i64, u32, u64);

/// What filters took, the newest first
#[utoipa::path(method(get, post), path = "/matches", tag = "matches", operation_id = "matches",
    params(MatchQuery, crate::http::api::table::Shape),
    responses((status = 200, description = "The matches, also those that are not committed yet.", body = TableBody)))]
pub async fn matches(
    State(api): State<Api>,
    TableParams(query, shape): TableParams<MatchQuery>,
) -> Answer {
    api.table(Lane::Long, ("matches", shape), move |api| list(api, &query))
        .await
}

fn list(api: &Api, query: &MatchQuery) -> Result<Table, Problem> {
    let limit = query.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        let detail = format!("`limit` is {limit}, expected 1 to {MOST}");
        return Err(Problem::bad_parameter("limit", detail));
    }
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let order = query.order.unwrap_or_default();
    // Memory first: what is committed meanwhile comes from both, and counts once.
    let mut found = api.live.feed.uncommitted();
    found.retain(|entry| wanted(query, entry, after, order));
    found.extend(stored(api, query, after, order, limit + 1)?);
    found.sort_by_key(|entry| place(entry));
    found.dedup_by_key(|entry| place(entry));
    if order == MatchOrder::Newest {
        found.reverse();
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| more)
        .map(|last| write_cursor(place(last)));
    Ok(table(&found)?.going_on(next))
}

fn place(entry: &MatchEntry) -> Place {
    (entry.matched_us, entry.lane, entry.seq)
}

fn write_cursor((matched_us, lane, seq): Place) -> String {
    cursor::write(
        LIST,
        &[matched_us.to_string(), lane.to_string(), seq.to_string()],
    )
}

fn read_cursor(text: &str) -> Result<Place, Problem> {
    let [matched_us, lane, seq] = cursor::read::<3>(LIST, text)?;
    match (matched_us.parse(), lane.parse(), seq.parse()) {
        (Ok(matched_us), Ok(lane), Ok(seq)) => Ok((matched_us, lane, seq)),
        _ => Err(Problem::bad_parameter(
            "cursor",
            "the cursor is not one of this list",
        )),
    }
}

fn wanted(query: &MatchQuery, entry: &MatchEntry, after: Option<Place>, order: MatchOrder) -> bool {
    let follows = after.is_none_or(|after| match order {
        MatchOrder::Newest => place(entry) < after,
        MatchOrder::Oldest => place(entry) > after,
    });
    follows
        && query
            .filter
            .as_deref()
            .is_none_or(|filter| filter == &*entry.filter)
        && query
            .survey
            .as_deref()
            .is_none_or(|survey| survey == &*entry.alert.survey)
        && query
            .night
            .is_none_or(|night| entry.alert.night == Some(night))
}

/// Committed matches, with their alerts.
fn stored(
    api: &Api,
    query: &MatchQuery,
    after: Option<Place>,
    order: MatchOrder,
    limit: usize,
) -> Result<Vec<Arc<MatchEntry>>, Problem> {
    let sql = sql(query, after, order, limit);
    let engine = api.engine()?;
    let archive = api.stock.archive()?;
    let mut found = vec![];
    for batch in engine.query(&sql, &Limits::default())? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let text = |column: usize| cell::text(batch.column(column), row);
            let number = |column: usize| text(column).parse::<i64>().unwrap_or(0);
            let alert = api.live.feed.alert(&archive, &text(2), number(3))?;
            let place = (number(5) as u32, number(6).unsigned_abs());
            let filter = (text(0).into(), text(1).into());
            found.push(Arc::new(MatchEntry::new(place, filter, number(4), alert)));
        }
    }
    Ok(found)
}

fn sql(query: &MatchQuery, after: Option<Place>, order: MatchOrder, limit: usize) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let (than, way) = match order {
        MatchOrder::Newest => ("<", "DESC"),
        MatchOrder::Oldest => (">", "ASC"),
    };
    let mut conditions = vec!["seq IS NOT NULL".to_owned()];
    conditions.extend(
        query
            .filter
            .as_ref()
            .map(|filter| format!("filter = {}", quoted(filter))),
    );
    conditions.extend(
        query
            .survey
            .as_ref()
            .map(|survey| format!("survey = {}", quoted(survey))),
    );
    conditions.extend(query.night.map(|night| format!("night = {night}")));
    conditions.extend(after.map(|(us, lane, seq)| {
        format!(
            "(matched_us {than} {us} OR matched_us = {us} AND (lane {than} {lane} OR lane = {lane} AND seq {than} {seq}))"
        )
    }));
    format!(
        "SELECT filter, version, survey, alert_id, matched_us, lane, seq FROM matches WHERE {} \
         ORDER BY matched_us {way}, lane {way}, seq {way} LIMIT {limit}",
        conditions.join(" AND ")
    )
}

fn table(found: &[Arc<MatchEntry>]) -> Result<Table, Problem> {
    let schema = columns::schema(&[
        "filter",
        "version",
        "survey",
        "alert_id",
        "object_id",
        "ra",
        "dec",
        "band",
        "mag",
        "mjd_tai",
        "matched_us",
        "cursor",
    ])?;
    let rows = columns::Rows(found);
    let arrays = vec![
        rows.text(|entry| Some(&entry.filter)),
        rows.text(|entry| Some(&entry.version)),
        rows.text(|entry| Some(&entry.alert.survey)),
        rows.whole(|entry| Some(entry.alert.alert_id)),
        rows.text(|entry| entry.alert.object_id.as_deref()),
        rows.real(|entry| entry.alert.ra),
        rows.real(|entry| entry.alert.dec),
        rows.text(|entry| entry.alert.band.as_deref()),
        rows.real(|entry| entry.mag()),
        rows.real(|entry| entry.alert.mjd_tai),
        rows.whole(|entry| Some(entry.matched_us)),
        rows.text(|entry| Some(entry.cursor())),
    ];
    Ok(Table::new(
        schema.clone(),
        vec![columns::batch(&schema, arrays)?],
    ))
}
