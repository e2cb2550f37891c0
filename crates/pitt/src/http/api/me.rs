//! `/me`: who asks.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use crate::http::auth::{Caller, Scope};

/// Who asks, and what for they may.
#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    /// The name of the token; null without one.
    name: Option<String>,
    /// What it allows.
    #[schema(value_type = Vec<String>, example = json!(["read", "write"]))]
    scopes: Vec<Scope>,
    /// Whether reading takes a token here.
    #[schema(example = "open")]
    read: &'static str,
    /// Whether pages offer survey images of the sky, which the reader's browser would fetch from CDS.
    sky_images: bool,
}

/// Who asks, and what for they may
#[utoipa::path(method(get, post), path = "/me", tag = "broker", responses((status = 200, body = Me)))]
pub async fn me(State(api): State<Api>, caller: Caller) -> Json<Me> {
    Json(Me {
        name: caller.name().map(str::to_owned),
        scopes: caller.scopes(),
        read: caller.read().as_str(),
        sky_images: api.settings.http.sky_images,
    })
}
