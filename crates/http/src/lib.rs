//! HTTP: routes, headers, problems, and the server itself.
//!
//! The one place where Foldline's outcomes become statuses: `commands.rs` and `queries.rs` each
//! hold one exhaustive match. Nothing here decides, stores or waits on its own account.
//!
//! Start reading at [`Node`]; every error code is listed in [`problem`].

mod body;
mod commands;
mod courier;
mod gate;
mod guard;
mod node;
mod plain;
pub mod problem;
mod queries;
mod rates;
mod serve;
mod tokens;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use foldline_command::CommandSide;
use foldline_query::Queries;

pub use body::BODY_BYTES_MAX;
pub use commands::{
    CAUSATION_ID, CORRELATION_ID, FOLDLINE_POSITION, FOLDLINE_TIME, IDEMPOTENCY_KEY,
    IDEMPOTENCY_REPLAYED,
};
pub use courier::HttpCourier;
pub use gate::{Gate, for_staff};
pub use node::Node;
pub use problem::Problem;
pub use queries::{FOLDLINE_AT_LEAST, FOLDLINE_PARKED};
pub use rates::{Rates, WINDOW_MAX};
pub use serve::{Bounds, serve, serve_within};
pub use tokens::{IMPORT, KeyError, SECRET_BYTES_MIN, STAFF, Tokens, mint};

/// The routes of the command side, for whom the gate lets in.
pub fn command_routes(side: Arc<CommandSide>, gate: Arc<Gate>) -> Router {
    Router::new()
        .route(
            "/v1/users/{user_id}/{context}/{command}",
            post(commands::command),
        )
        .with_state(Arc::new(commands::Entry { side, gate }))
}

/// The routes of the query side, for whom the gate lets in.
pub fn query_routes(queries: Arc<Queries>, gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/v1/views/{model}/{query}", get(queries::query))
        .with_state(Arc::new(queries::Entry { queries, gate }))
}
