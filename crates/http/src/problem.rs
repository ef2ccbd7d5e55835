//! Errors as clients see them: problem+json (RFC 9457) with a stable code.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use foldline_kernel::RejectionKind;
use serde_json::{Map, Value};

/// One entry of the list of codes: what it means, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The stable code.
    pub code: &'static str,
    /// The HTTP status it comes with.
    pub status: u16,
    /// What it means, the same for every occurrence.
    pub title: &'static str,
    /// What a client does about it.
    pub way_out: &'static str,
}

macro_rules! codes {
    ($($name:ident $code:literal $status:literal $title:literal $way_out:literal;)+) => {
        $(
            #[doc = concat!("`", $code, "`: ", $title, ".")]
            pub const $name: Code =
                Code { code: $code, status: $status, title: $title, way_out: $way_out };
        )+

        /// Every code that Foldline itself answers with; a context's rules add their own.
        pub const CODES: &[Code] = &[$($name),+];
    };
}

codes! {
    UNKNOWN_ROUTE "unknown-route" 404 "there is nothing at this path"
        "GET / lists the routes";
    METHOD_NOT_ALLOWED "method-not-allowed" 405 "the path takes another method"
        "use the method that the `allow` header names";
    UNKNOWN_CONTEXT "unknown-context" 404 "there is no such context"
        "use one of those named in `known`";
    UNKNOWN_COMMAND "unknown-command" 404 "the context has no such command"
        "use one of those named in `known`";
    MALFORMED_REQUEST "malformed-request" 400 "the request cannot be read"
        "mend what the detail names";
    MALFORMED_USER_ID "malformed-user-id" 400 "the user id is not a UUID"
        "write it as `0115e600-0000-4000-8000-000000000001`";
    MALFORMED_BODY "malformed-body" 400 "the body is not what the command takes"
        "mend the member that `pointer` points at (RFC 6901)";
    MALFORMED_HEADER "malformed-header" 400 "a header's value cannot be read"
        "mend the header that `header` names";
    UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" 415 "the body is not declared as JSON"
        "send `content-type: application/json`";
    BODY_TOO_LARGE "body-too-large" 413 "the body, or the events that come of it, are too large"
        "send less in one command";
    BODY_TOO_SLOW "body-too-slow" 408 "the body has not arrived in time"
        "send it again with the same `idempotency-key`; nothing happened";
    KEY_REUSED "idempotency-key-reused" 422 "the key was used for another command or body"
        "choose a new key for a new command; repeat a command byte for byte";
    STALE_VERSION "stale-version" 412 "the stream has moved on"
        "read again and decide whether the command still makes sense at `current`";
    QUARANTINED "user-quarantined" 503 "the user's state cannot be trusted"
        "an operator has to look: the log of the node says why";
    OVERLOADED "overloaded" 503 "more is waiting than may wait"
        "retry after `retry-after` seconds; nothing was queued";
    UNAVAILABLE "unavailable" 503 "this part of the node does not serve now"
        "retry after `retry-after` seconds with the same key; this attempt left nothing";
    TOO_MANY_REQUESTS "too-many-requests" 429 "the user sends more commands than are taken"
        "retry after `retry-after` seconds; nothing was queued";
    NOT_THE_OWNER "not-the-owner" 503 "another node owns the user's lane"
        "send it again with the same key, to any node; this attempt left nothing";
    OUTCOME_UNKNOWN "outcome-unknown" 503 "the command may or may not have taken effect"
        "send it again with the `idempotency-key` of the answer; it takes effect once";
    NOT_ALLOWED "not-allowed" 403 "the caller lacks a right"
        "ask with the right that the detail names";
    UNAUTHENTICATED "unauthenticated" 401 "the caller is not known"
        "send `authorization: Bearer` with a token that the node believes";
    FOREIGN_HOST "foreign-host" 403 "an open node answers to this machine alone"
        "use `127.0.0.1` or `localhost` in the URL, and no page of another site";
    UNKNOWN_VIEW "unknown-view" 404 "there is no such read model"
        "GET /v1/admin/views lists them";
    UNKNOWN_QUERY "unknown-query" 404 "the read model has no such query"
        "use one of those named in `known`";
    UNKNOWN_PARAMETER "unknown-parameter" 400 "the query takes no such parameter"
        "use those named in `known`";
    MISSING_PARAMETER "missing-parameter" 400 "the query needs a parameter"
        "give the parameter that `parameter` names";
    MALFORMED_PARAMETER "malformed-parameter" 400 "a parameter's value cannot be read"
        "mend the parameter that `parameter` names";
    MALFORMED_CURSOR "malformed-cursor" 400 "the cursor is not one of this query"
        "use the `next` of an answer to the same query with the same parameters";
    CURSOR_RETIRED "cursor-retired" 410 "the cursor's generation is gone"
        "ask again without a cursor";
    BEHIND "behind" 409 "the read model has not absorbed the position yet"
        "retry, or ask without `foldline-at-least`; `behind` says how many events are missing";
    PARKED "parked" 409 "the read model holds back the user of that position"
        "an operator mends the definition and replays; ask without `foldline-at-least` meanwhile";
    NOT_READY "not-ready" 503 "the read model is being built for the first time"
        "retry after `retry-after` seconds";
    INTERNAL "internal" 500 "a fault of the node"
        "report it; the log of the node has the details";
    REPLAY_RUNNING "replay-running" 409 "the read model is being rebuilt already"
        "wait until it is done: GET /v1/admin/views shows it";
    VERIFICATION_RUNNING "verification-running" 409 "the read model is being verified already"
        "wait until that request has ended, or end it";
    OVERTAKEN "overtaken" 409 "another generation was switched to at the same moment"
        "GET /v1/admin/views shows which one serves; decide anew";
    NO_GENERATION "no-generation" 409 "there is no such generation to go to"
        "GET /v1/admin/views lists them";
    INVALID_DEFINITION "invalid-definition" 422 "the read model's file has errors"
        "mend what `errors` names and try again";
    CORRUPT "corrupt" 500 "stored data breaks an invariant"
        "the detail says where; restore the log from a copy, nothing was skipped";
}

/// What to do about a rejection that no state could avoid.
pub const IMPOSSIBLE_WAY_OUT: &str =
    "change the command: no state of the user could accept it as it is";
/// What to do about a rejection that another state could avoid.
pub const CONFLICT_WAY_OUT: &str =
    "read the user's state again: another one could accept the command";

/// One answer that is an error.
#[derive(Clone, Debug)]
pub struct Problem {
    code: &'static str,
    status: StatusCode,
    title: String,
    members: Map<String, Value>,
    retry_after_seconds: Option<u32>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// Makes a problem of a listed code, with what happened this time.
    pub fn new(code: Code, detail: impl ToString) -> Self {
        let status = StatusCode::from_u16(code.status).expect("the list holds valid statuses");
        let problem = Self::raw(code.code, status, code.title, detail);
        problem.with("way_out", code.way_out)
    }

    /// Makes a problem of a rejection: its code is the context's own, its status says whether
    /// another state of the user could accept the command.
    pub fn rejection(code: &'static str, kind: RejectionKind, detail: impl ToString) -> Self {
        let (status, way_out) = match kind {
            RejectionKind::Impossible => (StatusCode::UNPROCESSABLE_ENTITY, IMPOSSIBLE_WAY_OUT),
            RejectionKind::Conflict => (StatusCode::CONFLICT, CONFLICT_WAY_OUT),
        };
        Self::raw(code, status, "the rules say no", detail).with("way_out", way_out)
    }

    fn raw(
        code: &'static str,
        status: StatusCode,
        title: impl ToString,
        detail: impl ToString,
    ) -> Self {
        let (title, members) = (title.to_string(), Map::new());
        Self {
            code,
            status,
            title,
            members,
            retry_after_seconds: None,
            headers: Vec::new(),
        }
        .with("detail", detail.to_string())
    }

    /// Adds a member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert(
            "type".into(),
            format!("urn:foldline:problem:{}", self.code).into(),
        );
        body.insert("code".into(), self.code.into());
        body.insert("title".into(), self.title.into());
        body.insert("status".into(), self.status.as_u16().into());
        body.extend(self.members);
        let body = Value::Object(body).to_string();
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut response =
            (self.status, [(header::CONTENT_TYPE, content_type)], body).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        response.headers_mut().extend(self.headers);
        response
    }
}
