//! One alert.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::answer::Answer;
use super::params::Params;
use super::pool::Lane;
use super::problem::{Problem, shown};

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
