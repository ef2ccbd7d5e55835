//! Right requests to a node that is in trouble.

use std::path::Path;

use foldline::{
    kernel::{EventId, Version},
    problem::{self, Code},
    schema::{CommandPart, NewEvent, command_hash},
};
use foldline_event_log::{Announcement, Embedded, EventLog, embedded};
use futures::future::join_all;
use serde_json::Value;

use super::{
    alone,
    ask::{ANA, ORDER, SELLER, Site, order},
};

/// What these tests provoke.
pub(crate) const PROVOKED: &[Code] = &[
    problem::OUTCOME_UNKNOWN,
    problem::OVERLOADED,
    problem::QUARANTINED,
    problem::INVALID_DEFINITION,
    problem::PARKED,
];

#[tokio::test]
async fn an_outcome_that_is_not_known_in_time_comes_with_the_key_that_settles_it() {
    let _turn = alone().await;
    let site = Site::with(&[("FOLDLINE_COMMAND__TIMEOUT_MS", Path::new("0"))]).await;
    let register = site.command("accounts/register", "{}");
    let told = site
        .refused("no time", register, problem::OUTCOME_UNKNOWN)
        .await;
    let key = told.problem["idempotency_key"].as_str().expect("a key");
    assert_eq!(told.headers["idempotency-key"], key);
    assert_eq!(told.headers["retry-after"], "1");
}

#[tokio::test]
async fn overload_is_told_at_once_and_loses_nothing_that_was_taken() {
    let _turn = alone().await;
    let site = Site::with(&[("FOLDLINE_COMMAND__QUEUE_COMMANDS_MAX", Path::new("1"))]).await;
    let place = |n: u32| {
        let order_id = format!("0115e600-0000-4000-8000-{n:012}");
        let place = site.command("orders/place", order(&order_id, 1, 1).to_string());
        async { place.send().await.expect("an answer") }
    };
    let (mut accepted, mut overloaded, mut sent) = (0, 0, 0);
    // A quick machine may take all of a few: more are sent until one was too many.
    while overloaded == 0 {
        assert!(sent < 100_000, "a queue of one took {accepted} commands");
        let answers = join_all((sent..sent + 200).map(place)).await;
        sent += 200;
        for answer in answers {
            if answer.status() == 201 {
                accepted += 1;
                continue;
            }
            assert_eq!(answer.status(), problem::OVERLOADED.status);
            assert_eq!(answer.headers()["retry-after"], "1");
            let told: Value = answer.json().await.expect("JSON");
            assert_eq!(told["code"], problem::OVERLOADED.code);
            overloaded += 1;
        }
    }
    assert_eq!(site.log().await.lines().count(), accepted);
}

#[tokio::test]
async fn a_user_who_cannot_be_read_is_quarantined_and_nobody_else() {
    let _turn = alone().await;
    let dir = tempfile::tempdir().expect("a directory");
    write_unreadable(&dir.path().join("data")).await;
    let site = Site::in_dir(dir, &[]).await;
    let register = site.command("accounts/register", "{}");
    let told = site
        .refused("unreadable", register, problem::QUARANTINED)
        .await;
    let detail = told.problem["detail"].as_str().expect("a sentence");
    assert!(detail.contains("accounts@1"), "{detail}");
    let other = site
        .post(&format!("/v1/users/{SELLER}/accounts/register"))
        .header("content-type", "application/json");
    site.accepted(other.body("{}")).await;
    let (_, metrics) = site.node.get("/metrics").await;
    assert!(
        metrics.contains("foldline_quarantined_users 1"),
        "{metrics}"
    );
}

/// Writes an event of Ana whose data is not of its type.
async fn write_unreadable(data: &Path) {
    let contexts = ["accounts", "catalog", "orders", "payments", "reviews"];
    let settings = embedded::Settings {
        name: "market".parse().expect("a name"),
        lanes: embedded::Settings::LANES,
        contexts: contexts.map(|name| name.parse().expect("a name")).to_vec(),
    };
    let log = Embedded::open(&data.join("log"), settings).expect("the log opens");
    let (user, context) = (
        ANA.parse().expect("a user"),
        "accounts".parse().expect("a name"),
    );
    let lane = log.topology().lane_of(user);
    let mut writer = log
        .open_writer(lane, Announcement::default())
        .await
        .expect("the lane opens");
    let event = NewEvent {
        id: EventId(uuid::Uuid::now_v7()),
        type_name: "account.registered.v1".into(),
        subject: user,
        time: std::time::SystemTime::now().into(),
        stream_version: Version(1),
        command_id: "foreign".parse().expect("a key"),
        command_hash: command_hash(&context, "register", b""),
        command_part: CommandPart { part: 1, of: 1 },
        actor: None,
        causation_id: None,
        correlation_id: None,
        extensions: serde_json::Map::new(),
        data: r#"{"city":7}"#.into(),
        context,
    };
    writer.append(vec![event]).await.expect("the log takes it");
}

const QUOTIENTS: &str = r#"
name   = "quotients"
table  = "relational"
scope  = "user"
source = ["orders"]
key    = ["user_id", "order_id"]
row    = { user_id = "subject", order_id = "data.order_id" }

[columns]
user_id  = "uuid"
order_id = "uuid"
quotient = "bigint"

[on."order.placed.v1"]
set = { quotient = "100 / data.total_cents" }

[[query]]
name   = "of"
where  = { user_id = "eq" }
access = "public"
"#;

#[tokio::test]
async fn a_read_model_that_cannot_go_on_says_whom_it_concerns() {
    let _turn = alone().await;
    let dir = tempfile::tempdir().expect("a directory");
    let projections = dir.path().join("projections");
    let file = projections.join("quotients.toml");
    std::fs::create_dir(&projections).expect("a directory");
    std::fs::write(&file, QUOTIENTS).expect("a file");
    let site = Site::in_dir(dir, &[("FOLDLINE_PROJECTIONS", &projections)]).await;

    let free = site.command("orders/place", order(ORDER, 1, 0).to_string());
    let placed = site.accepted(free).await;
    let position = placed.headers()["foldline-position"].clone();
    let quotients = format!("/v1/views/quotients/of?user_id={ANA}");
    let ask = site.get(&quotients).header("foldline-at-least", position);
    let told = site.refused("divided by zero", ask, problem::PARKED).await;
    assert!(!told.problem["parked"].is_null(), "{}", told.problem);

    let broken = QUOTIENTS.replace("data.total_cents", "data.nothing");
    std::fs::write(&file, broken).expect("a file");
    let replay = site.post("/v1/admin/views/quotients/replay");
    let told = site
        .refused("a broken file", replay, problem::INVALID_DEFINITION)
        .await;
    let errors = told.problem["errors"].to_string();
    assert!(errors.contains("quotients.toml"), "{errors}");
}
