//! The routes by which people and tools see into a node and tell it what to do.

mod export;
mod health;
mod views;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    routing::{delete, get, post},
};
use foldline_command::Contexts;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};

use crate::{configuration::Configuration, definitions::Definitions, node::Parts};

/// What the admin routes reach.
pub(crate) struct Admin {
    pub(crate) parts: Parts,
    pub(crate) contexts: Arc<Contexts>,
    pub(crate) definitions: Definitions,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) configuration: Configuration,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// What anybody may see, who knows nothing but the port.
pub(crate) fn public_routes(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(admin)
}

/// What is for those who look after the node.
pub(crate) fn staff_routes(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/v1/admin/export/{context}", get(export::export))
        .route("/v1/admin/config", get(config))
        .route("/v1/admin/views", get(views::views))
        .route("/v1/admin/views/{model}/replay", post(views::replay))
        .route("/v1/admin/views/{model}/verify", post(views::verify))
        .route("/v1/admin/views/{model}/rollback", post(views::rollback))
        .route(
            "/v1/admin/views/{model}/generations/{number}",
            delete(views::retire),
        )
        .with_state(admin)
}

async fn metrics(State(admin): State<Arc<Admin>>) -> String {
    if let Some(command) = &admin.parts.command {
        command.measure();
    }
    admin.metrics.render()
}

async fn config(State(admin): State<Arc<Admin>>) -> Json<Configuration> {
    Json(admin.configuration.clone())
}

/// What there is to ask, for somebody who found the port.
async fn index(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let contexts = &admin.contexts;
    let commands = contexts.names().into_iter().map(|context| {
        let names = contexts.commands_of(&context).unwrap_or_default();
        (context.to_string(), json!(names))
    });
    let commands: serde_json::Map<_, _> = commands.collect();
    Json(json!({
        "commands": {
            "route": "POST /v1/users/{user_id}/{context}/{command}",
            "contexts": commands,
        },
        "queries": { "route": "GET /v1/views/{read model}/{query}" },
        "admin": [
            "GET /healthz", "GET /readyz", "GET /metrics", "GET /v1/admin/views",
            "GET /v1/admin/export/{context}", "GET /v1/admin/config",
            "POST /v1/admin/views/{read model}/replay",
            "POST /v1/admin/views/{read model}/verify",
            "POST /v1/admin/views/{read model}/rollback",
            "DELETE /v1/admin/views/{read model}/generations/{number}",
        ],
    }))
}
