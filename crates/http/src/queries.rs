//! `GET /v1/views/{read model}/{query}`.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use foldline_kernel::Position;
use foldline_query::{Answer, Behind, Queries, QueryError, Request};
use serde_json::{Value, json};

use crate::{
    Gate,
    commands::{FOLDLINE_POSITION, shortened},
    gate::{self, Given},
    problem::{self, Problem},
};

/// The positions that an answer must have absorbed, separated by commas.
pub const FOLDLINE_AT_LEAST: HeaderName = HeaderName::from_static("foldline-at-least");
/// How many users are held back whom the answer may be about.
pub const FOLDLINE_PARKED: HeaderName = HeaderName::from_static("foldline-parked");

/// The most positions that one request may wait for.
const POSITIONS_MAX: usize = 64;
/// When to try again what is being built or cannot be reached.
const RETRY_AFTER_SECONDS: u32 = 1;

/// What the route reaches.
pub(crate) struct Entry {
    pub(crate) queries: Arc<Queries>,
    pub(crate) gate: Arc<Gate>,
}

pub(crate) async fn query(
    State(entry): State<Arc<Entry>>,
    Path((model, query)): Path<(String, String)>,
    RawQuery(parameters): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = parameters.unwrap_or_default();
    let parameters = form_urlencoded::parse(parameters.as_bytes())
        .into_owned()
        .collect();
    let at_least = at_least(&headers)?;
    let request = Request {
        model,
        query,
        parameters,
        caller: entry.gate.caller(&headers)?,
        at_least,
    };
    match entry.queries.answer(request).await {
        Ok(answer) => Ok(answered(answer, &headers)),
        Err(error) => Err(refused(&error)),
    }
}

fn at_least(headers: &HeaderMap) -> Result<Vec<Position>, Problem> {
    let malformed = |trouble: String| {
        Problem::new(problem::MALFORMED_HEADER, trouble).with("header", FOLDLINE_AT_LEAST.as_str())
    };
    let mut positions = Vec::new();
    for value in headers.get_all(&FOLDLINE_AT_LEAST) {
        let text = value
            .to_str()
            .map_err(|_| malformed("it is not ASCII text".to_owned()))?;
        for position in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            positions.push(position.parse().map_err(|_| {
                malformed(format!(
                    "`{}` is no position: one is `orders/3@1042`",
                    shortened(position)
                ))
            })?);
        }
    }
    if positions.len() > POSITIONS_MAX {
        return Err(malformed(format!(
            "it takes at most {POSITIONS_MAX} positions"
        )));
    }
    Ok(positions)
}

fn answered(answer: Answer, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", answer.etag);
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag));
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json)], answer.body).into_response()
    };
    let positions: Vec<_> = answer.positions.iter().map(ToString::to_string).collect();
    let parked = answer
        .held_back
        .map(|held_back| held_back.users.to_string());
    for (name, value) in [
        (header::ETAG, Some(tag)),
        (FOLDLINE_POSITION, Some(positions.join(", "))),
        (FOLDLINE_PARKED, parked),
    ] {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            response.headers_mut().insert(name, value);
        }
    }
    // Answers change with every event: they may be kept, and must be asked about each time.
    let revalidate = HeaderValue::from_static("private, no-cache");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, revalidate);
    response
}

/// The one place where what the query side refuses becomes what HTTP says.
fn refused(error: &QueryError) -> Problem {
    match error {
        QueryError::UnknownModel { known, .. } => known_names(problem::UNKNOWN_VIEW, error, known),
        QueryError::UnknownQuery { known, .. } => known_names(problem::UNKNOWN_QUERY, error, known),
        QueryError::UnknownParameter { known, name } => {
            known_names(problem::UNKNOWN_PARAMETER, error, known).with("parameter", name.as_str())
        }
        QueryError::MissingParameter { name } => {
            Problem::new(problem::MISSING_PARAMETER, error).with("parameter", name.as_str())
        }
        QueryError::DuplicateParameter { name } | QueryError::MalformedParameter { name, .. } => {
            Problem::new(problem::MALFORMED_PARAMETER, error).with("parameter", name.as_str())
        }
        QueryError::LimitOutOfRange { .. } => {
            Problem::new(problem::MALFORMED_PARAMETER, error).with("parameter", "limit")
        }
        QueryError::UnknownField { known, .. } => {
            known_names(problem::MALFORMED_PARAMETER, error, known).with("parameter", "fields")
        }
        QueryError::UnknownOrder { known, .. } => {
            known_names(problem::MALFORMED_PARAMETER, error, known).with("parameter", "order")
        }
        QueryError::MalformedCursor | QueryError::CursorOfAnotherQuery => {
            Problem::new(problem::MALFORMED_CURSOR, error).with("parameter", "cursor")
        }
        QueryError::CursorRetired => Problem::new(problem::CURSOR_RETIRED, error),
        QueryError::Unauthenticated { .. } => gate::unauthenticated(error, Given::Nothing),
        QueryError::NotAllowed { .. } => Problem::new(problem::NOT_ALLOWED, error),
        QueryError::UnknownPartition { position, .. } => {
            Problem::new(problem::MALFORMED_HEADER, error)
                .with("header", FOLDLINE_AT_LEAST.as_str())
                .with("position", position.to_string())
        }
        QueryError::Behind { behind, .. } => {
            let behind: Vec<_> = behind.iter().map(behind_by).collect();
            Problem::new(problem::BEHIND, error).with("behind", behind)
        }
        QueryError::Parked { held_back, .. } => {
            Problem::new(problem::PARKED, error).with("parked", json!(held_back))
        }
        QueryError::NotReady { .. } => {
            Problem::new(problem::NOT_READY, error).retry_after(RETRY_AFTER_SECONDS)
        }
        QueryError::Unavailable { source, .. } => {
            tracing::warn!(%error, %source, "a query failed");
            Problem::new(problem::UNAVAILABLE, error).retry_after(RETRY_AFTER_SECONDS)
        }
        QueryError::Corrupt { source, .. } => {
            tracing::error!(%error, %source, "a query failed");
            Problem::new(problem::CORRUPT, error)
        }
    }
}

fn known_names(code: problem::Code, error: &QueryError, known: &[String]) -> Problem {
    Problem::new(code, error).with("known", known.to_vec())
}

fn behind_by(behind: &Behind) -> Value {
    json!({
        "asked": behind.asked.to_string(),
        "absorbed": behind.absorbed.to_string(),
        "events": behind.events(),
    })
}
