//! Whether the node lives, and whether it is ready.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use foldline_command::LaneHealth;
use serde_json::{Value, json};

use super::Admin;
use crate::log::Log;

/// The process answers; that is all.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Ready: every lane of this node serves, each of the others has an owner, every view follows.
/// Otherwise what is missing.
pub(crate) async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, Json<Value>) {
    let mut missing = Vec::new();
    let parts = &admin.parts;
    if let Some(Err(reason)) = parts.log.as_ref().map(Log::health) {
        missing.push(format!("the log takes no appends: {reason}"));
    }
    let lanes = parts.command.as_ref().map(|command| command.health());
    for (lane, health) in lanes.iter().flatten().enumerate() {
        match health {
            // What another node owns, it has to say itself.
            LaneHealth::Serving | LaneHealth::Elsewhere => {}
            LaneHealth::Opening(reason) if reason.is_empty() => {
                missing.push(format!("lane {lane} is being opened"));
            }
            LaneHealth::Opening(reason) => missing.push(format!("lane {lane}: {reason}")),
            LaneHealth::Closed(reason) => missing.push(format!("lane {lane} is closed: {reason}")),
            LaneHealth::Stopped => missing.push(format!("lane {lane} has stopped")),
        }
    }
    missing.extend(parts.lanes.iter().flat_map(|lanes| lanes.missing()));
    if let Some(projectors) = &parts.projectors
        && let Err(troubles) = projectors.ready().await
    {
        missing.extend(troubles);
    }
    let status = if missing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({ "ready": missing.is_empty(), "missing": missing })),
    )
}
