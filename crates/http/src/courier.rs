//! Commands on their way to the node that owns their lane.

use std::{
    error::Error as _,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, Request as HttpRequest, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use foldline_command::{Courier, Hop, Owner, Passed, Request, Undelivered};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use crate::{
    commands::{
        CAUSATION_ID, CORRELATION_ID, FOLDLINE_TIME, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED,
    },
    problem,
};

/// Says that another node passed the command on, and how: this one decides it or refuses it.
pub(crate) const PASSED_ON: HeaderName = HeaderName::from_static("foldline-passed-on");
/// How many milliseconds the caller of a command still waits.
pub(crate) const WITHIN: HeaderName = HeaderName::from_static("foldline-within");

/// How long it may take to reach another node.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a connection to another node is kept that nobody uses.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How many such connections are kept per node.
const IDLE_MAX: usize = 256;
/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 2 << 20;

/// Brings commands to other nodes over HTTP, by their own routes.
#[derive(Clone, Debug)]
pub struct HttpCourier {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Default for HttpCourier {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Self { client }
    }
}

#[async_trait]
impl Courier for HttpCourier {
    async fn pass_on(
        &self,
        to: &Owner,
        request: &Request,
        hop: Hop,
        deadline: Instant,
    ) -> Result<Passed, Undelivered> {
        let within = deadline.saturating_duration_since(Instant::now());
        let http = written(to, request, hop, within)
            .map_err(|error| Undelivered::NotTaken(format!("cannot be written: {error}")))?;
        let answered = async {
            let response = self.client.request(http).await.map_err(|e| unreached(&e))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            // The head has come, so the command may have been decided.
            let body = body.map_err(|error| Undelivered::Unknown(error.to_string()))?;
            judged(Passed {
                decided: is_decision(head.status),
                status: head.status.as_u16(),
                headers: head.headers.iter().filter_map(kept).collect(),
                body: body.to_bytes(),
            })
        };
        tokio::time::timeout(within, answered)
            .await
            .unwrap_or_else(|_| Err(Undelivered::Unknown("no answer in time".to_owned())))
    }
}

/// Writes the command as this node's own caller might have sent it.
fn written(
    to: &Owner,
    request: &Request,
    hop: Hop,
    within: Duration,
) -> Result<HttpRequest<Full<Bytes>>, axum::http::Error> {
    let uri = format!(
        "{}/v1/users/{}/{}/{}",
        to.address, request.user, request.context, request.command
    );
    let mut http = HttpRequest::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(IDEMPOTENCY_KEY, request.key.as_str())
        .header(PASSED_ON, hop.to_string())
        .header(WITHIN, within.as_millis().to_string());
    let optional = [
        (
            header::IF_MATCH,
            request.if_match.map(|at| format!("\"{at}\"")),
        ),
        (FOLDLINE_TIME, request.time.map(|time| time.to_string())),
        (CAUSATION_ID, request.causation_id.clone()),
        (CORRELATION_ID, request.correlation_id.clone()),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            http = http.header(name, value);
        }
    }
    if let Some(credentials) = &request.credentials {
        let mut value = HeaderValue::try_from(&credentials.0)?;
        value.set_sensitive(true);
        http = http.header(header::AUTHORIZATION, value);
    }
    http.body(Full::new(request.body.clone()))
}

/// A connection that was never made carried nothing; one that broke may have.
fn unreached(error: &legacy::Error) -> Undelivered {
    let reason = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    match error.is_connect() {
        true => Undelivered::NotTaken(reason),
        false => Undelivered::Unknown(reason),
    }
}

/// The statuses with which a node answers once it has looked at the stream.
fn is_decision(status: StatusCode) -> bool {
    let refused = [
        StatusCode::CONFLICT,
        StatusCode::PRECONDITION_FAILED,
        StatusCode::UNPROCESSABLE_ENTITY,
    ];
    status.is_success() || refused.contains(&status)
}

/// Tells the caller's answer from what only says that the node is not, or not yet, the owner.
fn judged(passed: Passed) -> Result<Passed, Undelivered> {
    if passed.status != StatusCode::SERVICE_UNAVAILABLE.as_u16() {
        return Ok(passed);
    }
    let body: serde_json::Value = serde_json::from_slice(&passed.body).unwrap_or_default();
    let code = body["code"].as_str().unwrap_or_default();
    let detail = body["detail"].as_str().unwrap_or(code).to_owned();
    if code == problem::NOT_THE_OWNER.code || code == problem::UNAVAILABLE.code {
        return Err(Undelivered::NotTaken(detail));
    }
    if code == problem::OUTCOME_UNKNOWN.code {
        return Err(Undelivered::Unknown(detail));
    }
    Ok(passed)
}

/// What belongs to the answer; the rest belongs to the connection it came by.
fn kept((name, value): (&HeaderName, &HeaderValue)) -> Option<(String, Bytes)> {
    let dropped = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::DATE,
        header::TRANSFER_ENCODING,
    ];
    (!dropped.contains(name)).then(|| {
        let value = Bytes::copy_from_slice(value.as_bytes());
        (name.as_str().to_owned(), value)
    })
}

/// The owner's answer, as it gave it. A repeat is one only where the caller chose the key.
pub(crate) fn as_given(passed: Passed, minted: bool) -> Response {
    let mut response = Response::new(Body::from(passed.body));
    *response.status_mut() =
        StatusCode::from_u16(passed.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in passed.headers {
        let header = (
            HeaderName::try_from(name),
            HeaderValue::from_maybe_shared(value),
        );
        if let (Ok(name), Ok(value)) = header {
            response.headers_mut().append(name, value);
        }
    }
    if minted {
        response.headers_mut().remove(IDEMPOTENCY_REPLAYED);
    }
    response
}
