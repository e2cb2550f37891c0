//! What the archive holds besides alerts: schemas, catalogs, filters that took something, totals.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use pitt_alert::WriterSchema;
use pitt_archive::StoredSchema;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::answer::{Answer, json};
use super::params::{Nothing, Params};
use super::pool::Lane;
use super::problem::{Problem, shown};
use super::table::ColumnInfo;

/// The schemas.
#[derive(Serialize, ToSchema)]
pub struct SchemasBody {
    schemas: Vec<SchemaInfo>,
}

/// A writer's schema.
#[derive(Serialize, ToSchema)]
pub struct SchemaInfo {
    /// Its fingerprint, 32 hexadecimal digits.
    fingerprint: String,
    /// Survey that it is of.
    survey: Option<String>,
    /// Version, as the survey counts.
    version: Option<String>,
    /// Id in the registry: what packets named it by, or what `/subjects` derives from it.
    id: Option<u32>,
    /// Records received with it.
    records: u64,
    /// The Avro schema; only for one that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<serde_json::Value>,
}

impl SchemaInfo {
    fn of(stored: &StoredSchema, counts: &BTreeMap<String, u64>) -> Self {
        let parsed = WriterSchema::parse(&stored.json).ok();
        Self {
            fingerprint: stored.fingerprint.clone(),
            survey: parsed.as_ref().map(|schema| schema.survey().to_string()),
            version: parsed
                .as_ref()
                .and_then(|schema| schema.version().map(str::to_owned)),
            id: stored
                .wire_id
                .or_else(|| parsed.as_ref().map(WriterSchema::derived_id)),
            records: counts.get(&stored.fingerprint).copied().unwrap_or(0),
            json: None,
        }
    }
}

/// Schemas that packets came with, and how many records each
#[utoipa::path(method(get, post), path = "/schemas", tag = "archive", operation_id = "schemas",
    responses((status = 200, description = "The schemas.", body = SchemasBody)))]
pub async fn schemas(State(api): State<Api>, Params(Nothing {}): Params<Nothing>) -> Answer {
    all_schemas(api).await
}

/// The same, as Fink's users know it
#[utoipa::path(method(get, post), path = "/schema", tag = "aliases", operation_id = "schema_alias",
    responses((status = 200, description = "The schemas.", body = SchemasBody)))]
pub async fn schema_alias(State(api): State<Api>, Params(Nothing {}): Params<Nothing>) -> Answer {
    all_schemas(api).await
}

async fn all_schemas(api: Api) -> Answer {
    let body = api.ask(Lane::Long, |api| {
        let stored = api.stock.archive()?.schemas();
        api.tally(|tally| SchemasBody {
            schemas: stored
                .iter()
                .map(|stored| SchemaInfo::of(stored, &tally.schemas))
                .collect(),
        })
    });
    json(&body.await?)
}

/// One schema, as the writer gave it
#[utoipa::path(method(get, post), path = "/schemas/{fingerprint}", tag = "archive", operation_id = "schema",
    params(("fingerprint" = String, Path, description = "32 hexadecimal digits.", example = "0")),
    responses((status = 200, description = "The schema, with `json`.", body = SchemaInfo)))]
pub async fn schema(
    State(api): State<Api>,
    Path(fingerprint): Path<String>,
    Params(Nothing {}): Params<Nothing>,
) -> Answer {
    let body = api.ask(Lane::Long, move |api| {
        let stored = api.stock.archive()?.schemas();
        let stored = stored
            .into_iter()
            .find(|stored| stored.fingerprint == fingerprint);
        let stored = stored.ok_or_else(|| {
            let detail = format!("there is no schema `{}`", shown(&fingerprint));
            Problem::not_found("unknown_schema", detail).hint("/api/v1/schemas lists them")
        })?;
        let mut info = api.tally(|tally| SchemaInfo::of(&stored, &tally.schemas))?;
        info.json = serde_json::from_str(&stored.json).ok();
        Ok(info)
    });
    json(&body.await?)
}

/// The catalogs.
#[derive(Serialize, ToSchema)]
pub struct CatalogsBody {
    catalogs: Vec<CatalogInfo>,
}

/// A catalog.
#[derive(Serialize, ToSchema)]
pub struct CatalogInfo {
    /// Its name in `match(..)`.
    name: String,
    /// Its rows.
    rows: usize,
    /// Its columns.
    columns: Vec<ColumnInfo>,
}

/// Catalogs that filters and SQL can match against
#[utoipa::path(method(get, post), path = "/catalogs", tag = "archive", operation_id = "catalogs",
    responses((status = 200, description = "The catalogs.", body = CatalogsBody)))]
pub async fn catalogs(State(api): State<Api>, Params(Nothing {}): Params<Nothing>) -> Answer {
    let body = api.ask(Lane::Long, |api| {
        let folder = api.stock.archive()?.folder().to_owned();
        let catalogs = api.catalogs(&folder)?;
        let info = |catalog: &std::sync::Arc<pitt_query::Catalog>| CatalogInfo {
            name: catalog.name().to_owned(),
            rows: catalog.len(),
            columns: catalog
                .columns()
                .schema()
                .fields()
                .iter()
                .map(|field| ColumnInfo::of(field))
                .collect(),
        };
        Ok(CatalogsBody {
            catalogs: catalogs.iter().map(info).collect(),
        })
    });
    json(&body.await?)
}

/// The filters that took something.
#[derive(Serialize, ToSchema)]
pub struct TagsBody {
    tags: Vec<Tag>,
}

/// A filter and what it took.
#[derive(Serialize, ToSchema)]
pub struct Tag {
    /// Name of the filter.
    filter: String,
    /// Alerts that it took, in all its versions.
    matches: u64,
}

/// Filters and how many alerts each took, as Fink's users know them
#[utoipa::path(method(get, post), path = "/tags", tag = "aliases", operation_id = "tags",
    responses((status = 200, description = "The filters.", body = TagsBody)))]
pub async fn tags(State(api): State<Api>, Params(Nothing {}): Params<Nothing>) -> Answer {
    let body = api.ask(Lane::Long, |api| {
        api.tally(|tally| {
            let mut filters: BTreeMap<&str, u64> = BTreeMap::new();
            for ((filter, _), matches) in &tally.ledger.matched {
                *filters.entry(filter).or_default() += matches;
            }
            let tag = |(filter, matches): (&str, u64)| Tag {
                filter: filter.to_owned(),
                matches,
            };
            TagsBody {
                tags: filters.into_iter().map(tag).collect(),
            }
        })
    });
    json(&body.await?)
}

/// Totals of an archive.
#[derive(Serialize, ToSchema)]
pub struct StatisticsBody {
    /// Records received.
    received: u64,
    /// Alerts stored.
    alerts: u64,
    /// Alerts that had been stored before.
    duplicates: u64,
    /// Records that could not be read.
    quarantined: u64,
    /// Matches.
    matches: u64,
    /// Alerts by survey.
    surveys: BTreeMap<String, u64>,
    /// Nights with an alert.
    nights: usize,
    /// The first of them.
    first_night: Option<i32>,
    /// The last.
    last_night: Option<i32>,
    /// Tables with rows, files and bytes.
    tables: Vec<TableSize>,
}

/// How large a table is.
#[derive(Serialize, ToSchema)]
pub struct TableSize {
    /// Its name.
    name: String,
    /// Its version, which each commit raises.
    version: u64,
    /// Rows.
    rows: u64,
    /// Files.
    files: usize,
    /// Bytes on disk.
    bytes: u64,
}

/// How much there is in all
#[utoipa::path(method(get, post), path = "/statistics", tag = "archive", operation_id = "statistics",
    responses((status = 200, description = "Totals.", body = StatisticsBody)))]
pub async fn statistics(State(api): State<Api>, Params(Nothing {}): Params<Nothing>) -> Answer {
    let body = api.ask(Lane::Long, |api| {
        let archive = api.stock.archive()?;
        let mut tables = vec![];
        for name in archive.tables() {
            if let Some(snapshot) = archive.snapshot(&name)? {
                let (rows, bytes) = (snapshot.rows(), snapshot.bytes());
                tables.push(TableSize {
                    name,
                    version: snapshot.version,
                    rows,
                    files: snapshot.files.len(),
                    bytes,
                });
            }
        }
        drop(archive);
        api.tally(|tally| {
            let total = tally.ledger.total();
            let nights: Vec<i32> = tally.nights.keys().flatten().copied().collect();
            let mut surveys: BTreeMap<String, u64> = BTreeMap::new();
            for (survey, alerts) in tally.nights.values().flat_map(|night| &night.surveys) {
                *surveys.entry(survey.clone()).or_default() += alerts;
            }
            StatisticsBody {
                received: total.received,
                alerts: total.stored,
                duplicates: total.duplicates,
                quarantined: total.quarantined.values().sum(),
                matches: tally.ledger.matched.values().sum(),
                surveys,
                nights: nights.len(),
                first_night: nights.first().copied(),
                last_night: nights.last().copied(),
                tables,
            }
        })
    });
    json(&body.await?)
}
