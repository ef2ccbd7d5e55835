//! An owner that is paused until others have its lanes, and goes on.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    cluster::{Cluster, SESSION_TIMEOUT, TRANSACTION_TIMEOUT},
    load::Load,
    log,
};

/// How long the node is paused: longer than anybody waits to hear of it.
const PAUSED: Duration =
    Duration::from_secs(4 + max(SESSION_TIMEOUT.as_secs(), TRANSACTION_TIMEOUT.as_secs()));
/// How long others may take to open its lanes, on a machine that is busy with other things.
const TAKEOVER_MAX: Duration = Duration::from_secs(9);
/// How many users' commands wait at the paused node: so many that each of its lanes has some.
const USERS: u128 = 64;

const fn max(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_paused_neither_appends_nor_refuses() {
    let _alone = crate::alone().await;
    let cluster = Cluster::start().await;
    let (paused, other) = (&cluster.nodes[1], &cluster.nodes[2].url);
    let load = Load::start(cluster.urls(), 16, 4104);
    let visitors: Vec<Visitor> = (0..USERS).map(Visitor::new).collect();
    for visitor in &visitors {
        visitor
            .command(other, "list-product", json!({ "price_cents": 1 }), 201)
            .await;
    }
    load.until_done(200).await;

    paused.signal("STOP");
    let stopped = tokio::time::Instant::now();
    load.until_every_lane_accepts(SESSION_TIMEOUT + TAKEOVER_MAX)
        .await;
    // The next owners know of stock that the paused node knows nothing of: it would refuse to
    // give any away, and it would add to what is not offered any more.
    let mut waiting = Vec::new();
    for (number, visitor) in visitors.into_iter().enumerate() {
        let url = paused.url.clone();
        if number % 2 == 0 {
            visitor
                .command(other, "adjust-stock", json!({ "by": 5 }), 201)
                .await;
            waiting.push(tokio::spawn(async move {
                visitor
                    .command(&url, "adjust-stock", json!({ "by": -5 }), 201)
                    .await;
                visitor
            }));
        } else {
            visitor
                .command(other, "delist-product", json!({}), 201)
                .await;
            waiting.push(tokio::spawn(async move {
                visitor
                    .command(&url, "adjust-stock", json!({ "by": 1 }), 409)
                    .await;
                visitor
            }));
        }
    }
    // It is the time itself that matters here: nothing tells that a timeout has passed.
    tokio::time::sleep_until(stopped + PAUSED).await;
    paused.signal("CONT");
    let mut told = Vec::new();
    for answered in waiting {
        told.push(answered.await.expect("the rightful answer"));
    }
    let lost = "foldline_lane_changes_total{change=\"lost\"}";
    cluster.until_at_least(1, lost, 1.0).await;
    cluster.until_it_has_lanes(1).await;
    load.until_done(200).await;
    let mut outcome = load.end().await;
    for visitor in told {
        let keys = visitor
            .accepted
            .into_inner()
            .expect("no test panics with it");
        outcome.accepted.insert(visitor.user, keys);
    }
    log::assert_holds(&cluster, &outcome);
}

/// Somebody with one product who knows what each command must come to.
struct Visitor {
    user: String,
    product: String,
    client: Client,
    accepted: std::sync::Mutex<Vec<String>>,
}

impl Visitor {
    fn new(number: u128) -> Self {
        Self {
            user: Uuid::from_u128(0xf01d_0000 + number).to_string(),
            product: Uuid::from_u128(number).to_string(),
            client: Client::builder()
                .no_proxy()
                .build()
                .expect("an HTTP client"),
            accepted: std::sync::Mutex::default(),
        }
    }

    /// Sends a command to this node, again where it says that it cannot tell.
    async fn command(&self, url: &str, command: &str, mut body: Value, due: u16) {
        body["product_id"] = json!(self.product);
        let key = Uuid::new_v4().to_string();
        loop {
            let request = self
                .client
                .post(format!("{url}/v1/users/{}/catalog/{command}", self.user))
                .header("content-type", "application/json")
                .header("idempotency-key", &key)
                .body(body.to_string());
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            let said = answer.text().await.expect("an answer");
            if status == 503 {
                continue;
            }
            assert_eq!(status, due, "{command} of {}: {said}", self.user);
            if status == 201 {
                self.accepted
                    .lock()
                    .expect("no test panics with it")
                    .push(key);
            }
            return;
        }
    }
}
