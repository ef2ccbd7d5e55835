//! What a node's answer to a command means for the one who sent it.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Its events are in the log since now.
    Accepted,
    /// It had been accepted before under the same key, or changes nothing.
    AlreadyKnown,
    /// The rules say no; the problem's code says which.
    Refused(String),
}

/// What to do with what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// The command is settled.
    Settled(Answer),
    /// The node cannot now; the same command may be sent again, not sooner than `after`.
    Later {
        why: String,
        after: Option<Duration>,
    },
    /// The command should never have been sent like this: stop and show it.
    Wrong { problem: String },
}

/// The parts of a problem+json (RFC 9457) that matter here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: Option<String>,
    title: Option<String>,
    detail: Option<String>,
}

/// Reads an answer to its end, so that its connection can carry the next command.
pub(super) async fn read(response: Response) -> reqwest::Result<Reply> {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await?;
    Ok(judge(status, &headers, &body))
}

fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Reply {
    match status {
        StatusCode::CREATED if is_replay(headers) => Reply::Settled(Answer::AlreadyKnown),
        StatusCode::CREATED => Reply::Settled(Answer::Accepted),
        StatusCode::OK => Reply::Settled(Answer::AlreadyKnown),
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => refused(status, body),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Reply::Later {
            why: describe(status, body),
            after: retry_after(headers),
        },
        _ => Reply::Wrong {
            problem: describe(status, body),
        },
    }
}

/// A refusal without a code is none of the rules' refusals, so it is not counted as one.
fn refused(status: StatusCode, body: &[u8]) -> Reply {
    match problem(body).code {
        Some(code) => Reply::Settled(Answer::Refused(code)),
        None => Reply::Wrong {
            problem: describe(status, body),
        },
    }
}

fn is_replay(headers: &HeaderMap) -> bool {
    headers
        .get("idempotency-replayed")
        .is_some_and(|value| value == "true")
}

/// Seconds only: a node sends no HTTP date, and a date needs clocks that agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

fn problem(body: &[u8]) -> Problem {
    serde_json::from_slice(body).unwrap_or_default()
}

/// The answer in one line: status, code and what the problem says.
fn describe(status: StatusCode, body: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 300;
    let Problem {
        code,
        title,
        detail,
    } = problem(body);
    let said = match detail.or(title) {
        Some(said) => said,
        None => String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]).into_owned(),
    };
    let code = code.map(|code| format!(" {code}")).unwrap_or_default();
    format!("{}{code}: {}", status.as_u16(), said.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    fn judged(status: u16, body: &str) -> Reply {
        judge(
            StatusCode::from_u16(status).unwrap(),
            &HeaderMap::new(),
            body.as_bytes(),
        )
    }

    #[test]
    fn a_201_is_accepted_unless_it_is_a_replay() {
        assert_eq!(judged(201, "{}"), Reply::Settled(Answer::Accepted));
        let replay = headers("Idempotency-Replayed", "true");
        assert_eq!(
            judge(StatusCode::CREATED, &replay, b"{}"),
            Reply::Settled(Answer::AlreadyKnown)
        );
        assert_eq!(judged(200, "{}"), Reply::Settled(Answer::AlreadyKnown));
    }

    #[test]
    fn the_rules_refuse_with_a_code() {
        let refused = Reply::Settled(Answer::Refused("unknown-order".into()));
        assert_eq!(judged(409, r#"{"code":"unknown-order"}"#), refused);
        assert_eq!(judged(422, r#"{"code":"unknown-order"}"#), refused);
        assert_eq!(
            judged(409, "no json"),
            Reply::Wrong {
                problem: "409: no json".into()
            }
        );
    }

    #[test]
    fn not_now_is_tried_again_when_the_node_says() {
        let after = headers("Retry-After", "3");
        let reply = judge(StatusCode::SERVICE_UNAVAILABLE, &after, b"");
        assert!(matches!(reply, Reply::Later { after: Some(wait), .. } if wait.as_secs() == 3));
        assert!(matches!(judged(429, ""), Reply::Later { after: None, .. }));
    }

    #[test]
    fn anything_else_is_shown() {
        for status in [400, 401, 403, 404, 413, 412, 500] {
            let body = r#"{"code":"malformed","title":"t","detail":"unknown field `x`"}"#;
            let problem = format!("{status} malformed: unknown field `x`");
            assert_eq!(judged(status, body), Reply::Wrong { problem });
        }
    }
}
