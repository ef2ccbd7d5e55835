//! `POST /v1/users/{user_id}/{context}/{command}`.

use std::{fmt::Write, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use foldline_command::{Accepted, Answer, CommandError, CommandSide, Credentials, Hop, Request};
use foldline_kernel::{Caller, CommandId, Context, Timestamp, UserId, Version};
use uuid::Uuid;

use crate::{
    Gate, body,
    courier::{self, PASSED_ON, WITHIN},
    problem::{self, Problem},
};

/// Where the last of a command's events stands.
pub const FOLDLINE_POSITION: HeaderName = HeaderName::from_static("foldline-position");
/// The time its events shall carry; it takes the right to import.
pub const FOLDLINE_TIME: HeaderName = HeaderName::from_static("foldline-time");
/// The key under which a command takes effect once.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Whether an answer is a repeat of the first one.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// What caused a command.
pub const CAUSATION_ID: HeaderName = HeaderName::from_static("foldline-causation-id");
/// What a command belongs to.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("foldline-correlation-id");

/// The most bytes of a causation or correlation id.
const CAUSE_BYTES_MAX: usize = 256;
/// When to try again what was refused for lack of room.
const RETRY_AFTER_SECONDS: u32 = 1;

/// What the route reaches.
pub(crate) struct Entry {
    pub(crate) side: Arc<CommandSide>,
    pub(crate) gate: Arc<Gate>,
}

pub(crate) async fn command(
    State(entry): State<Arc<Entry>>,
    Path((user, context, command)): Path<(String, String, String)>,
    http: axum::extract::Request,
) -> Result<Response, Problem> {
    let side = &*entry.side;
    // Taken apart here: as an argument of its own, each header would be a copy.
    let (axum::http::request::Parts { headers, .. }, body) = http.into_parts();
    let user = user_id(&user)?;
    // First: what is said by somebody who may not say it is not even read.
    let caller = entry.gate.commander(&headers, user)?;
    let body = body::read(body).await?;
    let request = request(side, caller, user, &context, command, &headers, body)?;
    let minted = (!headers.contains_key(&IDEMPOTENCY_KEY)).then(|| request.key.clone());
    match side.submit(request).await {
        Ok(Answer::Accepted(accepted)) => Ok(created(&accepted, minted)),
        Ok(Answer::Unchanged { version }) => Ok(unchanged(version)),
        Ok(Answer::Passed(passed)) => Ok(courier::as_given(passed, minted.is_some())),
        Err(error) => Err(refused(&error)),
    }
}

fn user_id(text: &str) -> Result<UserId, Problem> {
    text.parse().map_err(|_| {
        let detail = format!("`{}` is not a UUID", shortened(text));
        Problem::new(problem::MALFORMED_USER_ID, detail)
    })
}

fn request(
    side: &CommandSide,
    caller: Caller,
    user: UserId,
    context: &str,
    command: String,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Request, Problem> {
    let context: Context = context
        .parse()
        .map_err(|_| unknown_context(side, context))?;
    check_media_type(headers)?;
    let key = header_value(headers, &IDEMPOTENCY_KEY, str::parse::<CommandId>)?;
    Ok(Request {
        user,
        context,
        command,
        body,
        key: key.unwrap_or_else(CommandSide::minted_key),
        if_match: header_value(headers, &header::IF_MATCH, version)?,
        time: header_value(headers, &FOLDLINE_TIME, str::parse::<Timestamp>)?,
        caller,
        causation_id: header_value(headers, &CAUSATION_ID, cause)?,
        correlation_id: header_value(headers, &CORRELATION_ID, cause)?,
        credentials: header_value(headers, &header::AUTHORIZATION, credentials)?,
        passed_on: header_value(headers, &PASSED_ON, str::parse::<Hop>)?,
        within: header_value(headers, &WITHIN, millis)?,
    })
}

/// A browser sends this type to another origin only after asking, which an open node never
/// grants: so no page that somebody happens to visit can command a node on their machine.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = media_type
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let found = media_type.map_or_else(|| "none".to_owned(), |value| format!("`{value}`"));
    let detail =
        format!("a command's body is `application/json`; the content type sent is {found}");
    Err(Problem::new(problem::UNSUPPORTED_MEDIA_TYPE, detail))
}

/// Reads a header that may be absent but not unreadable.
pub(crate) fn header_value<T, E: ToString>(
    headers: &HeaderMap,
    name: &HeaderName,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, Problem> {
    // A request has few of them: looking at each takes less than the hash of a name.
    let mut named = headers.iter().filter(|(known, _)| *known == name);
    let Some((_, value)) = named.next() else {
        return Ok(None);
    };
    let malformed = |trouble: String| {
        Problem::new(problem::MALFORMED_HEADER, trouble).with("header", name.as_str())
    };
    if named.next().is_some() {
        return Err(malformed(format!("`{name}` is there more than once")));
    }
    let text = value
        .to_str()
        .map_err(|_| malformed(format!("`{name}` is not ASCII text")))?;
    parse(text)
        .map(Some)
        .map_err(|error| malformed(error.to_string()))
}

/// `"12"`, as an entity tag is written.
fn version(text: &str) -> Result<Version, String> {
    let quoted = text
        .trim()
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    quoted
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .map(Version)
        .ok_or_else(|| {
            format!(
                "`{}` is no version: one is written `\"12\"`",
                shortened(text)
            )
        })
}

fn credentials(text: &str) -> Result<Credentials, std::convert::Infallible> {
    Ok(Credentials(text.to_owned()))
}

fn millis(text: &str) -> Result<Duration, String> {
    let millis = text.parse().map(Duration::from_millis);
    millis.map_err(|_| format!("`{}` is no number of milliseconds", shortened(text)))
}

fn cause(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > CAUSE_BYTES_MAX {
        return Err(format!("it takes 1 to {CAUSE_BYTES_MAX} characters"));
    }
    Ok(text.to_owned())
}

pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

fn created(accepted: &Accepted, minted: Option<CommandId>) -> Response {
    let position = accepted.position.to_string();
    let mut body = String::with_capacity(160);
    body.push_str(r#"{"events":["#);
    for (i, (id, type_name)) in accepted.events.iter().enumerate() {
        body.push_str(if i == 0 { r#"{"id":""# } else { r#",{"id":""# });
        body.push_str(id.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        for part in [r#"","type":""#, type_name, r#""}"#] {
            body.push_str(part);
        }
    }
    let version = accepted.version;
    let _infallible = write!(body, r#"],"version":{version},"position":"{position}"}}"#);
    let mut response = json(StatusCode::CREATED, body, accepted.version);
    let headers = response.headers_mut();
    if let Ok(position) = HeaderValue::try_from(position) {
        headers.insert(FOLDLINE_POSITION, position);
    }
    // A key that was minted here is no caller's: what it repeats is an attempt of this node.
    if accepted.replayed && minted.is_none() {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(Ok(key)) = minted.map(|key| HeaderValue::try_from(key.as_str())) {
        headers.insert(IDEMPOTENCY_KEY, key);
    }
    response
}

fn unchanged(version: Version) -> Response {
    let body = format!(r#"{{"unchanged":true,"events":[],"version":{version}}}"#);
    json(StatusCode::OK, body, version)
}

fn json(status: StatusCode, body: String, version: Version) -> Response {
    let json = HeaderValue::from_static("application/json");
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    if let Ok(tag) = HeaderValue::try_from(format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn unknown_context(side: &CommandSide, context: &str) -> Problem {
    let known = side
        .contexts()
        .names()
        .iter()
        .map(ToString::to_string)
        .collect();
    refused(&CommandError::UnknownContext {
        context: shortened(context),
        known,
    })
}

/// The one place where what the command side refuses becomes what HTTP says.
fn refused(error: &CommandError) -> Problem {
    match error {
        CommandError::UnknownContext { known, .. } => {
            Problem::new(problem::UNKNOWN_CONTEXT, error).with("known", known.clone())
        }
        CommandError::UnknownCommand { known, .. } => {
            Problem::new(problem::UNKNOWN_COMMAND, error).with("known", known.clone())
        }
        CommandError::Malformed { malformed, .. } => {
            Problem::new(problem::MALFORMED_BODY, error).with("pointer", malformed.pointer.clone())
        }
        CommandError::KeyReused { .. } => Problem::new(problem::KEY_REUSED, error),
        CommandError::StaleVersion { current, .. } => {
            Problem::new(problem::STALE_VERSION, error).with("current", current.0)
        }
        CommandError::Rejected {
            code,
            kind,
            message,
        } => Problem::rejection(code, *kind, message),
        CommandError::NotAllowed { .. } => Problem::new(problem::NOT_ALLOWED, error),
        CommandError::TooLarge { .. } => Problem::new(problem::BODY_TOO_LARGE, error),
        CommandError::Quarantined { .. } => {
            Problem::new(problem::QUARANTINED, error).retry_after(QUARANTINE_RETRY_SECONDS)
        }
        CommandError::Overloaded { .. } => {
            Problem::new(problem::OVERLOADED, error).retry_after(RETRY_AFTER_SECONDS)
        }
        CommandError::Unavailable { .. } => {
            Problem::new(problem::UNAVAILABLE, error).retry_after(RETRY_AFTER_SECONDS)
        }
        CommandError::Elsewhere { .. } => {
            Problem::new(problem::NOT_THE_OWNER, error).retry_after(RETRY_AFTER_SECONDS)
        }
        CommandError::OutcomeUnknown { key } => {
            let problem = Problem::new(problem::OUTCOME_UNKNOWN, error)
                .with("idempotency_key", key.as_str())
                .retry_after(RETRY_AFTER_SECONDS);
            match HeaderValue::try_from(key.as_str()) {
                Ok(key) => problem.with_header(IDEMPOTENCY_KEY, key),
                Err(_) => problem,
            }
        }
    }
}

/// A quarantine ends when somebody has mended something, not within a second.
const QUARANTINE_RETRY_SECONDS: u32 = 60;
