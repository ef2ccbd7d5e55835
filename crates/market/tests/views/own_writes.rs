//! Whoever names the position of a write sees that write, or is told within a bound that not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{
    node::{AT_LEAST, Node},
    place::Place,
    shop::{order, payment, person, review, thing},
};

const USERS: u128 = 8;
const ROUNDS: u128 = 8;
const WRITES_A_ROUND: u128 = 5;
/// How long a query waits for a position unless the node is told otherwise, and some patience
/// with a busy machine on top.
const BOUND: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn every_write_is_seen_by_whoever_names_its_position() {
    let node = Arc::new(Node::start(Place::empty()).await);
    let mut users = JoinSet::new();
    for number in 1..=USERS {
        let node = Arc::clone(&node);
        users.spawn(async move { writes_and_reads(&node, person(number)).await });
    }
    while let Some(done) = users.join_next().await {
        done.expect("every user saw what they wrote");
    }
    let writes = 1 + ROUNDS * WRITES_A_ROUND;
    assert_eq!(
        counted(&node, "foldline_commands_total").await,
        (USERS * writes) as f64
    );
}

/// Somebody who sells to themselves, so that also the shared rows are theirs alone.
async fn writes_and_reads(node: &Node, user: Uuid) {
    let at = node
        .command(
            user,
            "accounts/register",
            json!({ "name": "Ana", "state": "SP" }),
        )
        .await;
    assert_eq!(one(node, &me(user), &at).await["name"], "Ana");
    for round in 1..=ROUNDS {
        sells_and_buys(node, user, round).await;
    }
}

async fn sells_and_buys(node: &Node, user: Uuid, round: u128) {
    let (order_id, product_id) = (thing(user, 0x100 + round), thing(user, 0x200 + round));
    let by_id = format!("order/by_id?order_id={order_id}&user_id={user}");

    let body = json!({ "product_id": product_id, "name": "Vase", "price_cents": 990 });
    let at = node.command(user, "catalog/list-product", body).await;
    let offered = node
        .rows(&format!("products/of?seller_id={user}"), &at)
        .await;
    assert_eq!(offered.len() as u128, round);

    let body = order(order_id, user, 2, 500, 30);
    let placed = node.command(user, "orders/place", body).await;
    let mine = node
        .rows(&format!("orders_by_user/mine?user_id={user}"), &placed)
        .await;
    assert_eq!(mine.len() as u128, round);
    assert_eq!(
        mine[0]["order_id"],
        json!(order_id),
        "the newest comes first"
    );
    let sold = one(
        node,
        &format!("product_sales/of?product_id={}", thing(user, 0)),
        &placed,
    )
    .await;
    assert_eq!(sold["units"], json!(2 * round));
    let sold = one(node, &format!("seller_sales/of?seller_id={user}"), &placed).await;
    assert_eq!(sold["revenue_cents"], json!(1000 * round));

    let body = payment(thing(user, 0x300 + round), order_id, 1030);
    let paid = node.command(user, "payments/capture", body).await;
    assert_eq!(
        one(node, &me(user), &paid).await["spent_cents"],
        json!(1030 * round)
    );
    assert_eq!(one(node, &by_id, &paid).await["paid_cents"], 1030);

    let delivered = node
        .command(user, "orders/deliver", json!({ "order_id": order_id }))
        .await;
    assert_eq!(one(node, &by_id, &delivered).await["status"], "delivered");

    let body = review(thing(user, 0x400 + round), order_id, 4);
    let written = node.command(user, "reviews/write", body).await;
    // Several at once, one of them from a context that does not feed the model.
    let all = format!("{delivered}, {paid},{written}, catalog/0@9999999");
    assert_eq!(one(node, &by_id, &all).await["review_score"], 4);
    let rated = one(
        node,
        &format!("seller_ratings/of?seller_id={user}"),
        &written,
    )
    .await;
    assert_eq!(rated["reviews"], json!(round));
}

#[tokio::test]
async fn a_position_far_ahead_is_refused_within_the_bound_with_how_far_it_is() {
    let node = Node::start(Place::empty()).await;
    let user = person(1);
    let at = node
        .command(user, "orders/place", order(thing(user, 1), user, 1, 1, 0))
        .await;
    node.rows(&format!("orders_by_user/mine?user_id={user}"), &at)
        .await;
    let (partition, _) = at.split_once('@').expect("a position has a sequence");
    let far = format!("{partition}@1000001");

    let begun = Instant::now();
    let query = format!("orders_by_user/mine?user_id={user}");
    let answer = node.ask(&query, &[(AT_LEAST, &far)]).await;
    let took = begun.elapsed();
    let problem = answer.assert_problem(409, "behind");
    assert_eq!(
        problem["behind"],
        json!([{ "asked": far, "absorbed": at, "events": 1_000_000 }]),
    );
    assert!(took > BOUND / 2 && took < BOUND + PATIENCE, "{took:?}");
}

#[tokio::test]
async fn what_comes_while_a_query_waits_is_seen_by_it() {
    let node = Node::start(Place::empty()).await;
    let user = person(1);
    let first = node
        .command(user, "orders/place", order(thing(user, 1), user, 1, 1, 0))
        .await;
    let (partition, sequence) = first.split_once('@').expect("a position has a sequence");
    let sequence: u64 = sequence.parse().expect("a sequence is a number");
    let second = format!("{partition}@{}", sequence + 1);

    let query = format!("orders_by_user/mine?user_id={user}");
    let waits = node.rows(&query, &second);
    let comes = node.command(user, "orders/place", order(thing(user, 2), user, 1, 1, 0));
    let (rows, at) = tokio::join!(waits, comes);
    assert_eq!((rows.len(), at), (2, second));
}

#[tokio::test]
async fn a_position_that_is_none_is_pointed_at() {
    let node = Node::start(Place::empty()).await;
    let query = format!("orders_by_user/mine?user_id={}", person(1));
    let too_many = vec!["payments/0@1"; 65].join(",");
    for malformed in [
        "orders",
        "orders/0",
        "orders/x@1",
        "orders/0@-1",
        "0@1",
        "a b/0@1",
        &too_many,
    ] {
        let answer = node.ask(&query, &[(AT_LEAST, malformed)]).await;
        let problem = answer.assert_problem(400, "malformed-header");
        assert_eq!(problem["header"], AT_LEAST, "{malformed}");
    }
}

#[tokio::test]
async fn contexts_that_do_not_feed_the_model_are_ignored() {
    let node = Node::start(Place::empty()).await;
    let query = format!("orders_by_user/mine?user_id={}", person(1));
    let begun = Instant::now();
    assert!(
        node.rows(&query, "payments/0@99999, no-such-context/7@1")
            .await
            .is_empty()
    );
    assert!(begun.elapsed() < BOUND, "it waited");
}

fn me(user: Uuid) -> String {
    format!("users/me?user_id={user}")
}

/// The one row of an answer.
async fn one(node: &Node, query: &str, at_least: &str) -> Value {
    let mut rows = node.rows(query, at_least).await;
    assert_eq!(rows.len(), 1, "{query}: {rows:#?}");
    rows.remove(0)
}

/// The sum of a counter over all its labels.
async fn counted(node: &Node, name: &str) -> f64 {
    let metrics = node.get("/metrics").await.body;
    let lines = metrics.as_str().unwrap_or_default().lines();
    let lines = lines.filter(|line| line.starts_with(name));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
