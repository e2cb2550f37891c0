//! `/me`: who asks.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

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
}

/// Who asks, and what for they may
#[utoipa::path(method(get, post), path = "/me", tag = "broker", responses((status = 200, body = Me)))]
pub async fn me(caller: Caller) -> Json<Me> {
    Json(Me {
        name: caller.name().map(str::to_owned),
        scopes: caller.scopes(),
        read: caller.read().as_str(),
    })
}
