//! HTTP: routes, headers, problems, and the server itself.
//!
//! The one place where Foldline's outcomes become statuses: `commands.rs` and `queries.rs` each
//! hold one exhaustive match. Nothing here decides, stores or waits on its own account.
//!
//! Start reading at [`open_node`]; every error code is listed in [`problem`].

mod body;
mod commands;
mod courier;
mod gate;
mod guard;
mod plain;
pub mod problem;
mod queries;
mod rates;
mod serve;
mod tokens;

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    extract::Request,
    http::Uri,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use foldline_command::CommandSide;
use foldline_query::Queries;
use futures::FutureExt;

pub use body::BODY_BYTES_MAX;
pub use commands::{
    CAUSATION_ID, CORRELATION_ID, FOLDLINE_POSITION, FOLDLINE_TIME, IDEMPOTENCY_KEY,
    IDEMPOTENCY_REPLAYED,
};
pub use courier::HttpCourier;
pub use gate::{Gate, for_staff};
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

/// Wraps routes as an open node serves them: to this machine only, every error a problem.
pub fn open_node(routes: Router) -> Router {
    with_fallbacks(routes).layer(middleware::from_fn(around_an_open_node))
}

/// Wraps routes as a node serves them to other machines too, every error a problem.
pub fn node(routes: Router) -> Router {
    with_fallbacks(routes).layer(middleware::from_fn(around))
}

fn with_fallbacks(routes: Router) -> Router {
    let routes = routes.fallback(unknown_route);
    routes.method_not_allowed_fallback(method_not_allowed)
}

/// What happens around every request: one layer, because each costs a request its own box.
async fn around_an_open_node(request: Request, next: Next) -> Response {
    if let Some(foreign) = guard::foreign_sender(request.headers()) {
        return foreign.into_response();
    }
    around(request, next).await
}

async fn around(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => plain::as_problem(response).await,
        Err(_) => internal(),
    }
}

async fn unknown_route(uri: Uri) -> Problem {
    Problem::new(
        problem::UNKNOWN_ROUTE,
        format!("there is nothing at `{}`", uri.path()),
    )
}

async fn method_not_allowed(method: axum::http::Method) -> Problem {
    Problem::new(
        problem::METHOD_NOT_ALLOWED,
        format!("the path does not take {method}"),
    )
}

/// The panic's message is in the log of the node; it is nobody else's business.
fn internal() -> Response {
    tracing::error!("a request's handler has panicked");
    Problem::new(problem::INTERNAL, "the request could not be answered").into_response()
}
