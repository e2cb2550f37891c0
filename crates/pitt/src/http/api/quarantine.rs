//! What could not be read, and why.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Int32Array, RecordBatch};
use axum::extract::State;
use pitt_archive::{TableFile, tables};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

use super::alerts::{Order, limit};
use super::answer::{Answer, json};
use super::params::{Nothing, Params, TableParams};
use super::pool::Lane;
use super::problem::Problem;
use super::table::{Shape, Table, TableBody};
use super::{Api, columns, cursor};

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct QuarantineQuery {
    /// Only those with this reason.
    pub reason: Option<String>,
    /// Most records, up to 10,000; 100 when left out.
    #[param(minimum = 1, maximum = 10_000)]
    pub limit: Option<u32>,
    /// Where to go on: `next` of the answer before.
    pub cursor: Option<String>,
    /// Which come first: the newest when left out.
    #[param(inline)]
    pub order: Option<Order>,
}

/// A record in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    received_us: i64,
    partition: String,
    offset: i64,
    record: i32,
    name: String,
    reason: String,
    detail: String,
    place: Place,
    bytes: Option<i64>,
}

/// Where a record is stored: a file of the list, and its row there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    file: usize,
    row: u64,
}

/// Records that could not be read, newest first
#[utoipa::path(method(get, post), path = "/quarantine", tag = "archive", operation_id = "quarantine",
    params(QuarantineQuery, Shape),
    responses((status = 200, description = "The records.", body = TableBody)))]
pub async fn quarantine(
    State(api): State<Api>,
    TableParams(query, shape): TableParams<QuarantineQuery>,
) -> Answer {
    let limit = limit(query.limit, 100, 10_000)?;
    api.table(Lane::Long, ("quarantine", shape), move |api| {
        list(api, &query, limit)
    })
    .await
}

fn list(api: &Api, query: &QuarantineQuery, limit: usize) -> Result<Table, Problem> {
    let oldest_first = query.order == Some(Order::Oldest);
    let list = if oldest_first {
        "quarantine-oldest"
    } else {
        "quarantine"
    };
    let after = query
        .cursor
        .as_deref()
        .map(|cursor| cursor::read::<4>(list, cursor))
        .transpose()?;
    let (files, mut records) = records(api)?;
    records.retain(|record| {
        query
            .reason
            .as_ref()
            .is_none_or(|reason| record.reason == *reason)
    });
    records.sort();
    if !oldest_first {
        records.reverse();
    }
    if let Some(after) = after {
        let place = place(&after)?;
        let key = |record: &Record| {
            (
                record.received_us,
                record.partition.clone(),
                record.offset,
                record.record,
            )
        };
        records.retain(|record| {
            if oldest_first {
                key(record) > place
            } else {
                key(record) < place
            }
        });
    }
    let next = (records.len() > limit).then(|| {
        records.truncate(limit);
        let last = &records[limit - 1];
        let parts = [
            last.received_us.to_string(),
            last.partition.clone(),
            last.offset.to_string(),
            last.record.to_string(),
        ];
        cursor::write(list, &parts)
    });
    measure(&files, &mut records)?;
    Ok(table(&records)?.going_on(next))
}

fn place(
    [received, partition, offset, record]: &[String; 4],
) -> Result<(i64, String, i64, i32), Problem> {
    let bad = |_| {
        Problem::bad_parameter(
            "cursor",
            "the cursor is damaged (take it from `next` as it is)",
        )
    };
    Ok((
        received.parse().map_err(bad)?,
        partition.clone(),
        offset.parse().map_err(bad)?,
        record.parse().map_err(bad)?,
    ))
}

/// All records without their packets, and the files that hold them.
fn records(api: &Api) -> Result<(Vec<TableFile>, Vec<Record>), Problem> {
    let names = [
        "received_us",
        "partition",
        "offset",
        "record",
        "name",
        "reason",
        "detail",
    ];
    let archive = api.stock.archive()?;
    let files = api.shelf.files(&archive, tables::QUARANTINE, |_| true)?;
    let files: Vec<TableFile> = files.into_iter().map(|(file, _)| file).collect();
    let mut records = vec![];
    for (file, stored) in files.iter().enumerate() {
        let mut at = 0;
        for rows in stored.read(&names)? {
            let rows = rows?;
            let place = |row: usize| Place {
                file,
                row: at + row as u64,
            };
            records.extend((0..rows.num_rows()).map(|row| record(&rows, row, place(row))));
            at += rows.num_rows() as u64;
        }
    }
    Ok((files, records))
}

fn record(rows: &RecordBatch, row: usize, place: Place) -> Record {
    let text = |at: usize| rows.column(at).as_string::<i32>().value(row).to_owned();
    let whole = |at: usize| rows.column(at).as_primitive::<Int64Type>().value(row);
    Record {
        received_us: whole(0),
        partition: text(1),
        offset: whole(2),
        record: rows.column(3).as_primitive::<Int32Type>().value(row),
        name: text(4),
        reason: text(5),
        detail: text(6),
        place,
        bytes: None,
    }
}

/// Adds the sizes of the packets. They are read for that, so only of records that are shown.
fn measure(files: &[TableFile], records: &mut [Record]) -> Result<(), Problem> {
    let mut order: Vec<&mut Record> = records.iter_mut().collect();
    order.sort_by_key(|record| record.place);
    for group in order.chunk_by_mut(|a, b| a.place.file == b.place.file) {
        let rows: Vec<u64> = group.iter().map(|record| record.place.row).collect();
        let Some(file) = group.first().and_then(|first| files.get(first.place.file)) else {
            continue;
        };
        let batches = file.read_rows(&["packet"], &rows)?;
        let sizes = batches
            .iter()
            .flat_map(|rows| rows.column(0).as_binary::<i32>());
        for (record, packet) in group.iter_mut().zip(sizes) {
            record.bytes = packet.map(|packet| packet.len() as i64);
        }
    }
    Ok(())
}

fn table(records: &[Record]) -> Result<Table, Problem> {
    let schema = columns::schema(&[
        "reason",
        "name",
        "partition",
        "offset",
        "record",
        "received_us",
        "bytes",
        "detail",
    ])?;
    let rows = columns::Rows(records);
    let batch = columns::batch(
        &schema,
        vec![
            rows.text(|r| Some(&r.reason)),
            rows.text(|r| Some(&r.name)),
            rows.text(|r| Some(&r.partition)),
            rows.whole(|r| Some(r.offset)),
            rows.column::<Int32Array, i32>(|r| Some(r.record)),
            rows.whole(|r| Some(r.received_us)),
            rows.whole(|r| r.bytes),
            rows.text(|r| Some(&r.detail)),
        ],
    )?;
    Ok(Table::new(schema, vec![batch]))
}

/// Reasons, with counts.
#[derive(Serialize, ToSchema)]
pub struct ReasonsBody {
    reasons: Vec<ReasonCount>,
}

/// Records with a reason.
#[derive(Serialize, ToSchema)]
pub struct ReasonCount {
    /// Stable code.
    reason: String,
    /// Records.
    n: u64,
}

/// Reasons why records could not be read, with counts
#[utoipa::path(method(get, post), path = "/quarantine/reasons", tag = "archive", operation_id = "quarantine_reasons",
    responses((status = 200, description = "The reasons, the most frequent first.", body = ReasonsBody)))]
pub async fn reasons(State(api): State<Api>, Params(Nothing {}): Params<Nothing>) -> Answer {
    let body = api.ask(Lane::Long, |api| {
        api.tally(|tally| {
            let reasons: BTreeMap<String, u64> = tally.ledger.total().quarantined;
            let count = |(reason, n)| ReasonCount { reason, n };
            let mut reasons: Vec<ReasonCount> = reasons.into_iter().map(count).collect();
            reasons.sort_by_key(|reason| std::cmp::Reverse(reason.n));
            ReasonsBody { reasons }
        })
    });
    json(&body.await?)
}
