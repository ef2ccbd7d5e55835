//! Whether the node lives, and whether it is ready.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use foldline_command::LaneHealth;
use serde_json::{Value, json};

use super::Admin;

/// The process answers; that is all.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Ready: every lane serves and every view follows. Otherwise what is missing.
pub(crate) async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, Json<Value>) {
    let mut missing = Vec::new();
    if let Err(reason) = admin.log.health() {
        missing.push(format!("the log takes no appends: {reason}"));
    }
    for (lane, health) in admin.command.health().iter().enumerate() {
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
    if let Some(views) = &admin.views
        && let Err(troubles) = views.projectors.ready().await
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
