//! What happens around every request of a node.

use std::{convert::Infallible, future::Future, panic::AssertUnwindSafe, pin::Pin};

use axum::{
    Router,
    extract::Request,
    http::{Method, Uri},
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use tower::Service;

use crate::{
    guard, plain,
    problem::{self, Problem},
};

/// Routes as a node serves them: every error a problem, and no panic anybody's business but the
/// node's.
///
/// Around the routes as a whole and not a layer of them: a layer would cost each request of each
/// route several allocations.
#[derive(Clone)]
pub struct Node {
    routes: Router,
    is_open: bool,
}

impl Node {
    /// A node that other machines may reach.
    pub fn new(routes: Router) -> Self {
        let routes = routes.fallback(unknown_route);
        Self {
            routes: routes.method_not_allowed_fallback(method_not_allowed),
            is_open: false,
        }
    }

    /// A node without authentication: it answers to this machine alone.
    pub fn open(routes: Router) -> Self {
        Self {
            is_open: true,
            ..Self::new(routes)
        }
    }

    async fn answer(mut self, request: Request) -> Response {
        if self.is_open
            && let Some(foreign) = guard::foreign_sender(request.headers())
        {
            return foreign.into_response();
        }
        // A router takes requests at any time: there is no readiness to wait for.
        let answered = AssertUnwindSafe(self.routes.call(request)).catch_unwind();
        match answered.await {
            Ok(Ok(response)) => plain::as_problem(response).await,
            Ok(Err(never)) => match never {},
            Err(_) => internal(),
        }
    }
}

impl<B> hyper::service::Service<axum::http::Request<B>> for Node
where
    B: axum::body::HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: axum::http::Request<B>) -> Self::Future {
        let node = self.clone();
        Box::pin(async move { Ok(node.answer(request.map(axum::body::Body::new)).await) })
    }
}

async fn unknown_route(uri: Uri) -> Problem {
    Problem::new(
        problem::UNKNOWN_ROUTE,
        format!("there is nothing at `{}`", uri.path()),
    )
}

async fn method_not_allowed(method: Method) -> Problem {
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
