//! One alert.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_schema::{DataType, Field};
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use pitt_query::filter::COMMON;
use pitt_sky::photometry::mag_ab;
use pitt_sky::time::MjdTai;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::Answer;
use super::cutouts;
use super::matched::TakenBy;
use super::params::Params;
use super::pool::Lane;
use super::problem::{Problem, shown};
use super::table::datatype;
use crate::screen::cell;
use crate::stored::{StoredAlert, value};

/// Of which survey.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfSurvey {
    /// Survey of the alert, `ztf` or `lsst`; needed only where both have the id.
    #[param(example = json!(null))]
    pub survey: Option<String>,
}

/// An alert id of a path.
pub fn alert_id(text: &str) -> Result<i64, Problem> {
    text.trim().parse().map_err(|_| {
        let detail = format!("alert id `{}` is no 64-bit whole number", shown(text));
        Problem::bad_parameter("alert_id", detail)
    })
}

/// The packet of an alert, byte for byte as it was received
#[utoipa::path(method(get, post), path = "/alerts/{alert_id}/packet", tag = "alerts", operation_id = "alert_packet",
    params(("alert_id" = String, Path, description = "The alert's id: candid or diaSourceId.", example = "1"), OfSurvey),
    responses((status = 200, description = "The Avro packet.", body = Vec<u8>, content_type = "application/avro")))]
pub async fn packet(
    State(api): State<Api>,
    Path(id): Path<String>,
    Params(of): Params<OfSurvey>,
) -> Answer {
    let id = alert_id(&id)?;
    let found = api
        .ask(Lane::Quick, move |api| {
            api.stock.one(of.survey.as_deref(), id)
        })
        .await?;
    let file = format!("attachment; filename=\"{id}.avro\"");
    let headers = [
        (header::CONTENT_TYPE, "application/avro".to_owned()),
        (header::CONTENT_DISPOSITION, file),
    ];
    Ok((headers, found.packet.bytes).into_response())
}

/// An alert: where it came from, and every value of it.
#[derive(Serialize, ToSchema)]
pub struct AlertBody {
    /// Survey.
    pub survey: String,
    /// The alert's id.
    pub alert_id: String,
    /// Its object.
    pub object_id: Option<String>,
    /// Whether it is committed; `false` for a moment after it came.
    pub stored: bool,
    /// The packet.
    pub packet: PacketInfo,
    /// The common columns, and `mag`.
    #[schema(value_type = Object)]
    pub common: Map<String, Value>,
    /// The survey's own values with their names, history as lists; stamps left out.
    #[schema(value_type = Object)]
    pub values: Map<String, Value>,
    /// What is known of each field, nested ones by their path.
    pub fields: BTreeMap<String, FieldInfo>,
    /// Stamps that it brings: science, template, difference.
    pub cutouts: Vec<&'static str>,
    /// Filters that took it.
    pub matches: Vec<TakenBy>,
}

/// Where an alert came from.
#[derive(Serialize, ToSchema)]
pub struct PacketInfo {
    /// Name, for people.
    pub name: String,
    /// Partition of the source.
    pub partition: String,
    /// Position in the partition.
    pub offset: i64,
    /// Number of its record in the packet, from 0.
    pub record: u32,
    /// Time of receipt, microseconds since 1970, UTC.
    pub received_us: i64,
    /// The same, ISO 8601.
    pub received_utc: String,
    /// Size of the packet.
    pub bytes: usize,
    /// Fingerprint of the writer's schema.
    pub schema: Option<String>,
}

/// What is known of a field.
#[derive(Serialize, ToSchema)]
pub struct FieldInfo {
    /// Unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Meaning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `int64`, `float64`, `text`, ..
    pub r#type: String,
}

/// One alert, with every value of its packet but the stamps
#[utoipa::path(method(get, post), path = "/alerts/{alert_id}", tag = "alerts", operation_id = "alert",
    params(("alert_id" = String, Path, description = "The alert's id: candid or diaSourceId.", example = "1"), OfSurvey),
    responses((status = 200, description = "The alert.", body = AlertBody)))]
pub async fn alert(
    State(api): State<Api>,
    Path(id): Path<String>,
    Params(of): Params<OfSurvey>,
) -> Answer {
    let id = alert_id(&id)?;
    api.look(move |api| api.alert(of.survey.as_deref(), id))
        .await
}

/// Lists of history among the common columns; they are in the light curve.
const LISTS: [&str; 3] = ["detections", "forced", "nondetections"];

impl Api {
    fn alert(&self, survey: Option<&str>, id: i64) -> Result<AlertBody, Problem> {
        let found = self.stock.one(survey, id)?;
        let alert = self.stock.decode(found.packet)?;
        let night = value(&alert.row, "night").map(|night| cell::text(&night, 0));
        let night = night.and_then(|night| night.parse().ok());
        let of_it = |_: &str, survey: &str, alert_id: i64, _: Option<&str>| {
            alert_id == id && survey == alert.packet.survey
        };
        let may_hold = |bounds: &super::shelf::Bounds| {
            bounds.has_alert(id) && night.is_none_or(|night| bounds.has_night(night))
        };
        let matches = self.matches(&self.stock.archive()?, may_hold, of_it)?;
        Ok(AlertBody {
            survey: alert.packet.survey.clone(),
            alert_id: id.to_string(),
            object_id: text(&alert, "object_id"),
            stored: found.stored,
            packet: packet_info(&alert),
            common: common(&alert),
            values: own_values(&alert),
            fields: fields(&alert),
            cutouts: cutouts::kinds(&alert),
            matches: matches.into_iter().map(TakenBy::from).collect(),
        })
    }
}

/// A text of an alert.
pub fn text(alert: &StoredAlert, path: &str) -> Option<String> {
    value(&alert.row, path).map(|column| cell::text(&column, 0))
}

/// A number of an alert.
pub fn number(alert: &StoredAlert, path: &str) -> Option<f64> {
    let column = value(&alert.row, path)?;
    let long = column
        .as_primitive_opt::<Float64Type>()
        .map(|column| column.value(0));
    long.or_else(|| Some(column.as_primitive_opt::<Float32Type>()?.value(0).into()))
}

fn packet_info(alert: &StoredAlert) -> PacketInfo {
    let packet = &alert.packet;
    PacketInfo {
        name: packet.name.to_string(),
        partition: packet.position.partition.to_string(),
        offset: packet.position.offset,
        record: packet.record,
        received_us: packet.received_us,
        received_utc: MjdTai::from_unix_us(packet.received_us).iso_utc(),
        bytes: packet.bytes.len(),
        schema: packet.schema.clone(),
    }
}

fn common(alert: &StoredAlert) -> Map<String, Value> {
    let schema = alert.row.schema();
    let of = |name: &&str| {
        let at = schema.index_of(name).ok()?;
        let value = cell::json(schema.field(at), alert.row.column(at), 0);
        Some(((*name).to_owned(), value))
    };
    let mut common: Map<String, Value> = COMMON.iter().filter_map(of).collect();
    let flux = number(alert, "psf_flux").filter(|flux| *flux > 0.0);
    common.insert("mag".to_owned(), flux.map(mag_ab).into());
    common
}

/// The survey's columns: those that are neither common ones nor stamps.
fn own(alert: &StoredAlert) -> impl Iterator<Item = (usize, std::sync::Arc<Field>)> {
    let fields: Vec<_> = alert
        .row
        .schema()
        .fields()
        .iter()
        .cloned()
        .enumerate()
        .collect();
    fields.into_iter().filter(|(_, field)| {
        let name = field.name().as_str();
        !COMMON.contains(&name) && !LISTS.contains(&name) && cutouts::kind_of(name).is_none()
    })
}

/// The survey's own values.
pub fn own_values(alert: &StoredAlert) -> Map<String, Value> {
    let value = |(at, field): (usize, std::sync::Arc<Field>)| {
        (
            field.name().clone(),
            cell::json(&field, alert.row.column(at), 0),
        )
    };
    own(alert).map(value).collect()
}

fn fields(alert: &StoredAlert) -> BTreeMap<String, FieldInfo> {
    let mut all = BTreeMap::new();
    for name in COMMON {
        if let Ok(field) = alert.row.schema().field_with_name(name) {
            describe(field, name, &mut all);
        }
    }
    own(alert).for_each(|(_, field)| describe(&field, field.name(), &mut all));
    all
}

fn describe(field: &Field, path: &str, all: &mut BTreeMap<String, FieldInfo>) {
    match field.data_type() {
        DataType::Struct(inner) => {
            inner
                .iter()
                .for_each(|field| describe(field, &format!("{path}.{}", field.name()), all));
        }
        DataType::List(item) if matches!(item.data_type(), DataType::Struct(_)) => {
            describe(item, path, all);
        }
        _ => {
            let word = |key: &str| {
                field
                    .metadata()
                    .get(key)
                    .filter(|text| !text.is_empty())
                    .cloned()
            };
            let info = FieldInfo {
                unit: word("unit"),
                description: word("description").or_else(|| word("doc")),
                r#type: datatype(field),
            };
            all.insert(path.to_owned(), info);
        }
    }
}
