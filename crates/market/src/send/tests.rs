//! Sends to a node that is played by a few lines of axum, and looks at what reached it.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Action, Command, Ended, SendArgs, SendError, send};

/// What the played node says: status, one header, body.
type Said = (StatusCode, [(HeaderName, &'static str); 1], &'static str);

const TYPE: HeaderName = HeaderName::from_static("content-type");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");

fn accepted() -> Said {
    (StatusCode::CREATED, [(TYPE, "application/json")], "{}")
}

/// One command as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Arrived {
    user: Uuid,
    path: String,
    key: String,
    time: String,
    body: String,
}

/// Plays a node that answers the `n`th attempt of a key as `answer` says; gives its address.
async fn node(answer: impl Fn(&Arrived, usize) -> Said + Clone + Send + Sync + 'static) -> String {
    let attempts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let route = move |Path((user, context, command)): Path<(Uuid, String, String)>,
                      headers: HeaderMap,
                      body: Bytes| {
        let header = |name| headers.get(name).unwrap().to_str().unwrap().to_owned();
        let arrived = Arrived {
            user,
            path: format!("{context}/{command}"),
            key: header("Idempotency-Key"),
            time: header("Foldline-Time"),
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        let mut attempts = attempts.lock().unwrap();
        let attempt = attempts
            .entry(format!("{user} {}", arrived.key))
            .or_default();
        *attempt += 1;
        std::future::ready(answer(&arrived, *attempt))
    };
    let routes = Router::new().route(
        "/v1/users/{user_id}/{context}/{command}",
        axum::routing::post(route),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}/")
}

fn args(url: &str, concurrency: u16, patience: u64) -> SendArgs {
    SendArgs {
        url: url.to_owned(),
        json: true,
        concurrency,
        patience,
        bearer: foldline::cli::BearerArgs::default(),
    }
}

/// `each` commands of each of `users` users, taken in turns.
fn commands(users: u128, each: u128) -> Vec<Command> {
    let one = |user, number| {
        let action = Action::Approve {
            order_id: Uuid::from_u128(number),
        };
        let time = Timestamp::from_second(1_500_000_000).unwrap();
        Command::new(
            Uuid::from_u128(user),
            &action,
            time,
            "test",
            &number.to_string(),
        )
    };
    (0..each)
        .flat_map(|number| (1..=users).map(move |user| one(user, number)))
        .collect()
}

#[tokio::test]
async fn every_command_arrives_once_and_a_user_s_in_order() {
    let log: Arc<Mutex<Vec<Arrived>>> = Arc::default();
    let seen = Arc::clone(&log);
    let url = node(move |arrived, _| {
        seen.lock().unwrap().push(arrived.clone());
        accepted()
    })
    .await;
    let report = send(commands(50, 20), &args(&url, 16, 60), pending())
        .await
        .unwrap();
    assert!(
        matches!(report.ended, Ended::Complete),
        "{:?}",
        report.ended
    );
    assert_eq!((report.summary.sent, report.summary.accepted), (1000, 1000));

    let log = log.lock().unwrap();
    for user in 1..=50 {
        let of_user = log
            .iter()
            .filter(|arrived| arrived.user == Uuid::from_u128(user));
        let keys: Vec<_> = of_user.map(|arrived| arrived.key.clone()).collect();
        let sent: Vec<_> = (0..20)
            .map(|number| format!("test:approve:{number}"))
            .collect();
        assert_eq!(keys, sent, "user {user}");
    }
    let first = log
        .iter()
        .find(|arrived| arrived.key == "test:approve:0")
        .unwrap();
    assert_eq!(first.path, "orders/approve");
    assert_eq!(first.time, "2017-07-14T02:40:00Z");
    assert_eq!(
        first.body,
        r#"{"order_id":"00000000-0000-0000-0000-000000000000"}"#
    );
}

#[tokio::test]
async fn answers_are_counted_by_what_they_say() {
    let url = node(|arrived, _| match arrived.key.as_str() {
        "test:approve:0" => accepted(),
        "test:approve:1" => (StatusCode::CREATED, [(REPLAYED, "true")], "{}"),
        "test:approve:2" => (StatusCode::OK, [(TYPE, "application/json")], "{}"),
        "test:approve:3" => (
            StatusCode::CONFLICT,
            [(TYPE, "")],
            r#"{"code":"unknown-order","status":409}"#,
        ),
        _ => (
            StatusCode::UNPROCESSABLE_ENTITY,
            [(TYPE, "")],
            r#"{"code":"order-without-lines"}"#,
        ),
    })
    .await;
    let report = send(commands(3, 5), &args(&url, 2, 60), pending())
        .await
        .unwrap();
    let summary = report.summary;
    assert_eq!(
        (summary.sent, summary.accepted, summary.already_known),
        (15, 3, 6)
    );
    let refused: Vec<_> = summary.refused.into_iter().collect();
    assert_eq!(
        refused,
        [
            ("order-without-lines".to_owned(), 3),
            ("unknown-order".to_owned(), 3)
        ]
    );
}

#[tokio::test]
async fn a_node_that_cannot_now_is_asked_again() {
    let url = node(|_, attempt| match attempt {
        1 => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(RETRY_AFTER, "0")],
            r#"{"code":"unavailable"}"#,
        ),
        2 => (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "0")], ""),
        _ => accepted(),
    })
    .await;
    let report = send(commands(5, 4), &args(&url, 8, 60), pending())
        .await
        .unwrap();
    assert!(
        matches!(report.ended, Ended::Complete),
        "{:?}",
        report.ended
    );
    assert_eq!(
        (report.summary.sent, report.summary.accepted),
        (20, 20),
        "each counted once"
    );
}

#[tokio::test]
async fn a_command_that_no_correct_client_sends_stops_the_run() {
    let url = node(|arrived, _| match arrived.key.as_str() {
        "test:approve:1" => {
            let problem = r#"{"code":"malformed","title":"bad","detail":"unknown field `x`"}"#;
            (
                StatusCode::BAD_REQUEST,
                [(TYPE, "application/problem+json")],
                problem,
            )
        }
        _ => accepted(),
    })
    .await;
    let report = send(commands(1, 5), &args(&url, 4, 60), pending())
        .await
        .unwrap();
    assert_eq!(report.summary.sent, 1, "nothing after it");
    let Ended::Failed(error) = report.ended else {
        panic!("{:?}", report.ended)
    };
    let text = error.to_string();
    assert!(text.contains("400 malformed: unknown field `x`"), "{text}");
    assert!(text.contains("orders/approve of user 00000000"), "{text}");
}

#[tokio::test]
async fn patience_ends() {
    let url = node(|_, _| {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            [(RETRY_AFTER, "9")],
            "full disk",
        )
    })
    .await;
    let report = send(commands(3, 3), &args(&url, 2, 0), pending())
        .await
        .unwrap();
    let Ended::Failed(error @ SendError::OutOfPatience { .. }) = report.ended else {
        panic!("{:?}", report.ended)
    };
    assert!(error.to_string().contains("503: full disk"), "{error}");
    assert!(error.to_string().contains("cargo run --release"), "{error}");
}

#[tokio::test]
async fn nothing_that_listens_is_told_at_once() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{free}");
    let error = send(commands(1, 1), &args(&url, 1, 60), pending())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("nothing answers at {url} (")),
        "{error}"
    );
    for url in ["https://127.0.0.1:7373", "7373", "localhost:7373"] {
        let error = send(commands(1, 1), &args(url, 1, 60), pending())
            .await
            .unwrap_err();
        assert!(matches!(error, SendError::BadUrl { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_interruption_ends_the_run_with_its_figures() {
    let reached = Arc::new(Notify::new());
    let reach = Arc::clone(&reached);
    let url = node(move |arrived, _| match arrived.key.as_str() {
        "test:approve:7" => {
            reach.notify_one();
            // Without the interruption the run would wait here for a minute.
            (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "60")], "")
        }
        _ => accepted(),
    })
    .await;
    let interrupt = async move { reached.notified().await };
    let report = send(commands(2, 10), &args(&url, 1, 60), interrupt)
        .await
        .unwrap();
    assert!(
        matches!(report.ended, Ended::Interrupted),
        "{:?}",
        report.ended
    );
    assert_eq!((report.summary.sent, report.summary.accepted), (7, 7));
}
