//! Nights, their sky, and the ledger of everything received.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use pitt_archive::{NightCounts, Tally};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::{Answer, json};
use super::counted::MOST_ORDER;
use super::params::{Nothing, Params};
use super::pool::Lane;
use super::problem::{Problem, shown};

/// The nights.
#[derive(Serialize, ToSchema)]
pub struct NightsBody {
    nights: Vec<NightBody>,
}

/// A night.
#[derive(Serialize, ToSchema)]
pub struct NightBody {
    /// YYYYMMDD; `null` for what could not be read and says no night.
    #[schema(example = 20261122)]
    night: Option<i32>,
    /// Records received.
    received: u64,
    /// Alerts stored.
    stored: u64,
    /// Alerts that had been stored before.
    duplicates: u64,
    /// Records that could not be read.
    quarantined: u64,
    /// Matches of all filters.
    matches: u64,
    /// Alerts stored, by survey.
    surveys: BTreeMap<String, u64>,
}

impl NightBody {
    fn of(night: Option<i32>, counts: &NightCounts) -> Self {
        Self {
            night,
            received: counts.received,
            stored: counts.stored,
            duplicates: counts.duplicates,
            quarantined: counts.quarantined,
            matches: counts.matches,
            surveys: counts.surveys.clone(),
        }
    }
}

/// Nights in the archive, newest first, with their counts
#[utoipa::path(method(get, post), path = "/nights", tag = "archive", operation_id = "nights",
    responses((status = 200, description = "The nights.", body = NightsBody)))]
pub async fn nights(State(api): State<Api>, Params(Nothing {}): Params<Nothing>) -> Answer {
    let nights = api.ask(Lane::Long, |api| {
        api.tally(|tally| {
            let nights = tally.nights.iter().rev();
            let nights = nights.map(|(night, counts)| NightBody::of(*night, counts));
            NightsBody {
                nights: nights.collect(),
            }
        })
    });
    json(&nights.await?)
}

/// A night, and what each filter took of it.
#[derive(Serialize, ToSchema)]
pub struct NightDetail {
    #[serde(flatten)]
    counts: NightBody,
    /// Matches by filter, through all its versions.
    filters: BTreeMap<String, u64>,
}

/// One night with its counts, and what each filter took of it
#[utoipa::path(method(get, post), path = "/nights/{night}", tag = "archive", operation_id = "night",
    params(("night" = String, Path, description = "YYYYMMDD.", example = "20261122")),
    responses((status = 200, description = "The night, committed.", body = NightDetail)))]
pub async fn night(
    State(api): State<Api>,
    Path(night): Path<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Answer {
    let number = night_number(&night)?;
    api.look(move |api| {
        let found = api.tally(|tally| detail(tally, number))?;
        found.ok_or_else(|| {
            let detail = format!("the archive has nothing of night {number}");
            Problem::not_found("unknown_night", detail).hint("/api/v1/nights lists them")
        })
    })
    .await
}

fn detail(tally: &Tally, night: i32) -> Option<NightDetail> {
    let counts = tally.nights.get(&Some(night))?;
    let taken = tally.filters.iter().filter_map(|(name, counts)| {
        let matches = counts.nights.get(&Some(night))?;
        Some((name.clone(), *matches))
    });
    Some(NightDetail {
        counts: NightBody::of(Some(night), counts),
        filters: taken.collect(),
    })
}

fn night_number(night: &str) -> Result<i32, Problem> {
    night.parse().map_err(|_| {
        let detail = format!("night `{}` is no date YYYYMMDD", shown(night));
        Problem::bad_parameter("night", detail)
    })
}

/// How finely, and of what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SkyQuery {
    /// Order of the HEALPix cells, 0 to 7; 5 (1.8 deg) when left out.
    #[param(minimum = 0, maximum = 7)]
    pub order: Option<u32>,
    /// Only what this filter took.
    pub filter: Option<String>,
}

/// How finely, and of which night.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SkymapQuery {
    /// Night, YYYYMMDD; the newest when left out.
    pub night: Option<i32>,
    /// Order of the HEALPix cells, 0 to 7; 5 (1.8 deg) when left out.
    #[param(minimum = 0, maximum = 7)]
    pub order: Option<u32>,
    /// Only what this filter took.
    pub filter: Option<String>,
}

/// Alerts of a night on the sky.
#[derive(Serialize, ToSchema)]
pub struct SkyBody {
    /// Order of the cells.
    order: u32,
    /// Number of each cell (nested), and its alerts.
    #[schema(value_type = Vec<Vec<u64>>)]
    cells: Vec<(i64, u64)>,
    /// Alerts in all.
    total: u64,
}

/// Where on the sky the alerts of a night are, by HEALPix cell
#[utoipa::path(method(get, post), path = "/nights/{night}/sky", tag = "archive", operation_id = "night_sky",
    params(("night" = String, Path, description = "YYYYMMDD.", example = "20261122"), SkyQuery),
    responses((status = 200, description = "The cells.", body = SkyBody)))]
pub async fn sky(
    State(api): State<Api>,
    Path(night): Path<String>,
    Params(query): Params<SkyQuery>,
) -> Answer {
    let number = night_number(&night)?;
    sky_of(api, Some(number), query.order, query.filter).await
}

/// Where on the sky the alerts of a night are, by parameters alone
#[utoipa::path(method(get, post), path = "/skymap", tag = "aliases", operation_id = "skymap",
    params(SkymapQuery),
    responses((status = 200, description = "The cells.", body = SkyBody)))]
pub async fn skymap(State(api): State<Api>, Params(query): Params<SkymapQuery>) -> Answer {
    sky_of(api, query.night, query.order, query.filter).await
}

async fn sky_of(
    api: Api,
    night: Option<i32>,
    order: Option<u32>,
    filter: Option<String>,
) -> Answer {
    let order = order.unwrap_or(5);
    if order > MOST_ORDER {
        let detail = format!("`order` is {order}, expected 0 to {MOST_ORDER}");
        return Err(Problem::bad_parameter("order", detail));
    }
    let body = api.ask(Lane::Long, move |api| {
        let newest = || api.tally(|tally| tally.nights.keys().rev().flatten().next().copied());
        let night = match night {
            Some(night) => night,
            None => newest()?.unwrap_or(0),
        };
        let mut cells: BTreeMap<i64, u64> = BTreeMap::new();
        for (cell, count) in api.sky(night, filter.as_deref())? {
            *cells.entry(cell >> (2 * (MOST_ORDER - order))).or_default() += count;
        }
        let total = cells.values().sum();
        Ok(SkyBody {
            order,
            cells: cells.into_iter().collect(),
            total,
        })
    });
    json(&body.await?)
}

/// Everything received.
#[derive(Serialize, ToSchema)]
pub struct LedgerBody {
    lines: Vec<LedgerRow>,
    total: LedgerTotal,
    matched: Vec<MatchedCount>,
    /// Offsets that no message has (Kafka's compaction, expiry, markers), by partition.
    skipped: BTreeMap<String, u64>,
    /// Whether every record received is stored, duplicate or in quarantine.
    balances: bool,
}

/// Counts of a partition and night.
#[derive(Serialize, ToSchema)]
pub struct LedgerRow {
    /// Partition of the source.
    partition: String,
    /// YYYYMMDD; `null` for what says no night.
    night: Option<i32>,
    #[serde(flatten)]
    counts: LedgerTotal,
}

/// Counts.
#[derive(Serialize, ToSchema)]
pub struct LedgerTotal {
    /// Records received.
    received: u64,
    /// Alerts stored.
    stored: u64,
    /// Alerts that had been stored before.
    duplicates: u64,
    /// Records that could not be read, by reason.
    quarantined: BTreeMap<String, u64>,
}

/// What a filter took.
#[derive(Serialize, ToSchema)]
pub struct MatchedCount {
    filter: String,
    version: String,
    n: u64,
}

impl From<&pitt_archive::LedgerLine> for LedgerTotal {
    fn from(line: &pitt_archive::LedgerLine) -> Self {
        Self {
            received: line.received,
            stored: line.stored,
            duplicates: line.duplicates,
            quarantined: line.quarantined.clone(),
        }
    }
}

/// The ledger: every record received, counted by partition, night and outcome
#[utoipa::path(method(get, post), path = "/ledger", tag = "archive", operation_id = "ledger",
    responses((status = 200, description = "The ledger.", body = LedgerBody)))]
pub async fn ledger(State(api): State<Api>, Params(Nothing {}): Params<Nothing>) -> Answer {
    let body = api.ask(Lane::Long, |api| {
        api.tally(|tally| {
            let ledger = &tally.ledger;
            let line = |((partition, night), line): (
                &(String, Option<i32>),
                &pitt_archive::LedgerLine,
            )| LedgerRow {
                partition: partition.clone(),
                night: *night,
                counts: line.into(),
            };
            let matched = |((filter, version), n): (&(String, String), &u64)| MatchedCount {
                filter: filter.clone(),
                version: version.clone(),
                n: *n,
            };
            let total = ledger.total();
            LedgerBody {
                lines: ledger.lines.iter().map(line).collect(),
                matched: ledger.matched.iter().map(matched).collect(),
                skipped: ledger.skipped.clone(),
                balances: total.balances(),
                total: (&total).into(),
            }
        })
    });
    json(&body.await?)
}
