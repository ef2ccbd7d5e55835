//! A definition that changes is built beside the one that serves; a new one needs no Rust.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    behind_its_back::{indexes, keep_from_switching, let_switch},
    node::{Node, SOON, until},
    place::Place,
    shop::{order, person, thing},
};

const ORDERS: u128 = 5;
const BUYERS: u128 = 4;

/// Places some orders and waits until the read models have them; returns the last position.
async fn with_orders(node: &Node, first: u128) -> String {
    let user = person(1);
    let mut at = String::new();
    for number in first..first + ORDERS {
        let body = order(thing(user, number), person(9), 2, 100, 30);
        at = node.command(user, "orders/place", body).await;
    }
    node.rows(&mine(), &at).await;
    at
}

fn mine() -> String {
    format!("orders_by_user/mine?user_id={}", person(1))
}

/// Adds a column to `orders_by_user`.
fn add_a_column(place: &Place) {
    place.redefine(
        "orders_by_user",
        "currency    = \"text\"\n",
        "currency    = \"text\"\nitems_cents = \"bigint\"\n",
    );
    let set = "set = { status = \"'placed'\", ";
    let also = format!("{set}items_cents = \"data.items_cents\", ");
    place.redefine("orders_by_user", set, &also);
}

/// Number and state of each generation.
fn generations(node: &Node, model: &str) -> Vec<(u64, String)> {
    let view = node.view(model);
    let generations = view["generations"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    generations
        .map(|known| {
            (
                known["number"].as_u64().unwrap_or_default(),
                text(&known["state"]),
            )
        })
        .collect()
}

async fn until_generations(node: &Node, model: &str, expected: &[(u64, &str)]) {
    until("the generations are as expected", SOON, async || {
        let found = generations(node, model);
        let same = found
            .iter()
            .map(|(number, state)| (*number, state.as_str()))
            .eq(expected.iter().copied());
        if same {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

async fn until_column(node: &Node, column: &str, shows: bool) {
    until("the column comes or goes", SOON, async || {
        let rows = node.rows(&mine(), "").await;
        let found = rows.iter().all(|row| row.get(column).is_some() == shows);
        if found {
            Ok(())
        } else {
            Err(format!("{rows:#?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn a_changed_definition_is_built_beside_the_old_one_and_can_be_left_again() {
    let node = Node::start(Place::with_own_definitions()).await;
    with_orders(&node, 1).await;
    let place = node.stop().await;
    add_a_column(&place);
    keep_from_switching(&place).await;
    let node = Node::start(place).await;

    // The old one serves meanwhile, and goes on.
    until_generations(&node, "orders_by_user", &[(1, "serving"), (2, "building")]).await;
    let at = with_orders(&node, 100).await;
    let rows = node.rows(&mine(), &at).await;
    assert_eq!(rows.len() as u128, 2 * ORDERS);
    assert!(
        rows.iter().all(|row| row.get("items_cents").is_none()),
        "{rows:#?}"
    );
    let said = node.tool(&["views"]).well().printed;
    let lines = said
        .lines()
        .filter(|line| line.starts_with("orders_by_user "));
    assert_eq!(lines.count(), 2, "{said}");
    assert_eq!(generations(&node, "order"), [(1, "serving".to_owned())]);

    let_switch(node.place()).await;
    until_generations(&node, "orders_by_user", &[(1, "previous"), (2, "serving")]).await;
    until_column(&node, "items_cents", true).await;
    let rows = node.rows(&mine(), &at).await;
    assert!(
        rows.iter().all(|row| row["items_cents"] == 200),
        "{rows:#?}"
    );
    node.tool(&["verify", "orders_by_user"]).well();

    // Back to the present: what came after the switch is in the old one too.
    let at = with_orders(&node, 200).await;
    let back = node
        .tool(&["replay", "orders_by_user", "--rollback", "--json"])
        .well()
        .json();
    assert_eq!(back["generation"], 1);
    until_column(&node, "items_cents", false).await;
    assert_eq!(node.rows(&mine(), &at).await.len() as u128, 3 * ORDERS);
    assert_eq!(
        generations(&node, "orders_by_user"),
        [(1, "serving".to_owned()), (2, "previous".to_owned())],
    );

    // A restart does not undo it.
    let node = node.restart().await;
    assert_eq!(node.rows(&mine(), &at).await.len() as u128, 3 * ORDERS);
    until_column(&node, "items_cents", false).await;
    assert_eq!(
        generations(&node, "orders_by_user"),
        [(1, "serving".to_owned()), (2, "previous".to_owned())],
    );
}

#[tokio::test]
async fn queries_that_change_are_served_without_a_restart() {
    let node = Node::start(Place::with_own_definitions()).await;
    let seller = person(1);
    let product = json!({ "product_id": thing(seller, 1), "name": "chair", "price_cents": 100 });
    let at = node.command(seller, "catalog/list-product", product).await;
    let (before, after) = (
        format!("products/of?seller_id={seller}"),
        format!("products/offered_by?seller_id={seller}"),
    );
    assert_eq!(node.rows(&before, &at).await.len(), 1);
    let refused = node.ask(&after, &[]).await;
    refused.assert_problem(404, "unknown-query");

    let place = node.place();
    place.redefine("products", "name   = \"of\"", "name   = \"offered_by\"");
    node.replay("products");
    assert_eq!(node.rows(&after, &at).await.len(), 1);
    let refused = node.ask(&before, &[]).await;
    let problem = refused.assert_problem(404, "unknown-query");
    assert_eq!(problem["known"], json!(["search", "offered_by"]));

    let counted = async |model, query, outcome| {
        let labels = format!("{{view=\"{model}\",query=\"{query}\",outcome=\"{outcome}\"}}");
        let counter = format!("foldline_queries_total{labels}");
        node.metric(&counter).await.unwrap_or(0.0)
    };
    assert!(counted("products", "of", "answered").await >= 1.0);
    assert!(counted("products", "offered_by", "answered").await >= 1.0);
    assert_eq!(counted("unknown", "unknown", "malformed").await, 2.0);

    // The file says it after a restart too.
    let node = node.restart().await;
    assert_eq!(node.rows(&after, &at).await.len(), 1);
}

#[tokio::test]
async fn a_read_model_is_added_by_a_file_alone() {
    let node = Node::start(Place::with_own_definitions()).await;
    let at = with_orders(&node, 1).await;
    node.ask("cancellations/all", &[])
        .await
        .assert_problem(404, "unknown-view");
    let place = node.stop().await;
    place.define(
        "cancellations",
        r#"
name   = "cancellations"
table  = "relational"
scope  = "shared"
source = ["orders"]
key    = ["month"]
row    = { month = "month(data.placed_at)" }

[columns]
month     = "text"
placed    = "bigint"
cancelled = "bigint"

[on."order.placed.v1"]
add = { placed = 1 }

[on."order.cancelled.v1"]
add = { cancelled = 1 }

[derived]
share = "cancelled / placed"

[[query]]
name   = "all"
order  = "share desc"
access = "public"
"#,
    );
    let node = Node::start(place).await;
    let rows = node.rows("cancellations/all", &at).await;
    assert_eq!(
        (&rows[0]["placed"], &rows[0]["share"]),
        (&json!(5), &json!(0.0))
    );
    let body = json!({ "order_id": thing(person(1), 1), "reason": "no longer wanted" });
    let at = node.command(person(1), "orders/cancel", body).await;
    let rows = node.rows("cancellations/all", &at).await;
    assert_eq!(
        (&rows[0]["cancelled"], &rows[0]["share"]),
        (&json!(1), &json!(0.2))
    );
    node.tool(&["verify", "cancellations"]).well();
}

#[tokio::test]
async fn a_replay_says_what_it_did_and_leaves_one_generation_to_go_back_to() {
    let node = Node::start(Place::empty()).await;
    let at = with_orders(&node, 1).await;
    for generation in 2..=3 {
        let said = node.tool(&["replay", "orders_by_user", "--json"]).well();
        let first: Value = serde_json::from_str(said.printed.lines().next().unwrap_or_default())
            .expect("the first line says what is ahead");
        assert_eq!(first["phase"], "estimating");
        let estimate = &first["estimate"];
        assert_eq!(
            (&estimate["events"], &estimate["rows"], &estimate["serving"]),
            (&json!(ORDERS), &json!(ORDERS), &json!(generation - 1))
        );
        assert!(estimate["bytes"].as_u64() > Some(0), "{estimate}");
        let done = said.json();
        assert_eq!(
            (&done["phase"], &done["generation"]),
            (&json!("switched"), &json!(generation))
        );
        assert_eq!(done["events"], json!(ORDERS));
    }
    until_generations(&node, "orders_by_user", &[(2, "previous"), (3, "serving")]).await;
    assert_eq!(node.rows(&mine(), &at).await.len() as u128, ORDERS);
    let said = node.tool(&["replay", "orders_by_user"]).well().printed;
    let ahead = format!(
        "orders_by_user: {ORDERS} events to read; generation 3 serves, with {ORDERS} rows in "
    );
    assert!(said.starts_with(&ahead), "{said}");
}

#[tokio::test]
async fn a_query_that_is_added_gets_its_index_and_no_new_generation() {
    let node = Node::start(Place::with_own_definitions()).await;
    let at = with_orders(&node, 1).await;
    let top = format!("seller_sales/of?seller_id={}", person(9));
    node.rows(&top, &at).await;
    let place = node.stop().await;
    let before = indexes(&place, "seller_sales", 1).await;
    let busiest = r#"name = "busiest"
order = "units desc"
access = "public"

[[query]]
name   = "of""#;
    place.redefine("seller_sales", "name   = \"of\"", busiest);
    let node = Node::start(place).await;
    until("the index is made", SOON, async || {
        let made = indexes(node.place(), "seller_sales", 1).await;
        let new: Vec<_> = made.iter().filter(|name| !before.contains(name)).collect();
        match new.as_slice() {
            [name] if name.starts_with("by units DESC") => Ok(()),
            _ => Err(format!("{made:?}")),
        }
    })
    .await;
    let rows = node.rows("seller_sales/busiest", &at).await;
    assert_eq!(rows[0]["units"], json!(2 * ORDERS));
    assert_eq!(
        generations(&node, "seller_sales"),
        [(1, "serving".to_owned())]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn serving_never_stops_while_generations_come_and_go() {
    let node = Arc::new(Node::start(Place::empty()).await);
    let stop = Arc::new(AtomicBool::new(false));
    let mut buyers = JoinSet::new();
    for buyer in 1..=BUYERS {
        let (node, stop) = (Arc::clone(&node), Arc::clone(&stop));
        buyers.spawn(async move {
            let mut orders = 0;
            while !stop.load(Ordering::Relaxed) {
                orders += 1;
                buys_and_sees(&node, buyer, orders).await;
            }
            orders
        });
    }
    let watching = tokio::spawn({
        let (node, stop) = (Arc::clone(&node), Arc::clone(&stop));
        async move { never_sees_less(&node, &stop).await }
    });
    // Tools block, so they have a thread of their own.
    let operator = Arc::clone(&node);
    let operated = tokio::task::spawn_blocking(move || {
        for arguments in [
            &["replay", "orders_by_user"][..],
            &["replay", "seller_sales"],
            &["replay", "orders_by_user", "--rollback"],
            &["replay", "seller_sales", "--rollback"],
            &["replay", "orders_by_user"],
        ] {
            operator.tool(arguments).well();
        }
    });
    let operated = operated.await;
    stop.store(true, Ordering::Relaxed);
    let mut orders = 0;
    while let Some(done) = buyers.join_next().await {
        orders += done.expect("every buyer saw every order");
    }
    operated.expect("the operator had their way");
    watching.await.expect("no answer was older than one before");
    assert!(orders >= BUYERS, "{orders}");
    node.tool(&["verify", "orders_by_user"]).well();
    node.tool(&["verify", "seller_sales"]).well();
}

/// Reads all the time: no answer is of an older state than the one before.
async fn never_sees_less(node: &Node, stop: &AtomicBool) {
    let mut seen = std::collections::BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let answer = node.ask("seller_sales/top?month=2000-01", &[]).await;
        assert_eq!(answer.status, 200, "{answer:#?}");
        for position in answer.header("foldline-position").split(", ") {
            let Some((partition, sequence)) = position.split_once('@') else {
                continue;
            };
            let sequence: u64 = sequence.parse().expect("a sequence");
            let last = seen.insert(partition.to_owned(), sequence).unwrap_or(0);
            assert!(sequence >= last, "{position} after {last}");
        }
    }
    assert!(!seen.is_empty());
}

/// Places an order and sees it at once, in a row of the buyer's own and in a shared one.
async fn buys_and_sees(node: &Node, buyer: u128, orders: u128) {
    let user = person(buyer);
    let at = node
        .command(
            user,
            "orders/place",
            order(thing(user, orders), user, 1, 5, 0),
        )
        .await;
    let mine = format!("orders_by_user/mine?user_id={user}&fields=order_id&limit=1000");
    let mine = node.rows(&mine, &at).await;
    assert_eq!(mine.len() as u128, orders);
    let sold = node
        .rows(&format!("seller_sales/of?seller_id={user}"), &at)
        .await;
    assert_eq!(
        sold.iter()
            .filter_map(|row| row["lines"].as_u64())
            .sum::<u64>(),
        orders as u64
    );
}
