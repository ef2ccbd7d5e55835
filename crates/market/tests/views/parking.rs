//! A definition that fails on one user's event holds back that user alone, in sight, until it is
//! mended and replayed.

use serde_json::{Value, json};

use crate::{
    node::{AT_LEAST, Node, SOON, until},
    place::Place,
    shop::{order, person, thing},
};

const BUYERS: u128 = 12;
/// The buyer whose second order does not fit.
const UNFIT: u128 = 5;

/// Divides by the freight, which may be 0.
const USER_SCOPED: (&str, &str) = (
    "value_by_freight",
    r#"
name   = "value_by_freight"
table  = "relational"
scope  = "user"
source = ["orders"]
key    = ["user_id", "order_id"]
row    = { user_id = "subject", order_id = "data.order_id" }

[columns]
user_id  = "uuid"
order_id = "uuid"
ratio    = "bigint"

[on."order.placed.v1"]
set = { ratio = "data.items_cents / data.freight_cents" }

[[query]]
name   = "of"
where  = { user_id = "eq" }
access = "owner"

[[query]]
name   = "all"
order  = "ratio"
access = "public"
"#,
);

/// Squares the freight, which may be too much for a bigint.
const SHARED: (&str, &str) = (
    "freight_squares",
    r#"
name   = "freight_squares"
table  = "relational"
scope  = "shared"
source = ["orders"]
key    = ["month"]
row    = { month = "month(time)" }

[columns]
month  = "text"
orders = "bigint"
sum    = "bigint"

[on."order.placed.v1"]
add = { orders = 1, sum = "data.freight_cents * data.freight_cents" }

[[query]]
name   = "all"
order  = "month"
access = "public"
"#,
);

#[tokio::test]
async fn in_a_model_of_users_one_user_is_held_back_alone_until_it_is_mended() {
    let (model, definition) = USER_SCOPED;
    let place = Place::with_own_definitions();
    place.define(model, definition);
    let node = Node::start(place).await;
    let freight_of = |buyer, round| if (buyer, round) == (UNFIT, 2) { 0 } else { 10 };
    let positions = three_orders_each(&node, freight_of).await;
    let unfit = &positions[1];

    assert_others_go_on(&node, &positions).await;
    assert_parked(&node, model, unfit, "divides by zero").await;
    let node = node.restart().await;
    assert_others_go_on(&node, &positions).await;
    assert_parked(&node, model, unfit, "divides by zero").await;

    let mine = format!("{model}/of?user_id={}", person(UNFIT));
    let answer = node.ask(&mine, &[]).await;
    assert_eq!(
        answer.rows().len(),
        1,
        "what came before the event stays: {answer:#?}"
    );
    assert_eq!(answer.header("foldline-parked"), "1");
    assert_eq!(answer.body["parked"]["since"], json!([unfit]));
    assert!(
        reason(&answer.body["parked"]).contains("divides by zero"),
        "{answer:#?}"
    );
    let waits = node.ask(&mine, &[(AT_LEAST, &positions[2])]).await;
    let problem = waits.assert_problem(409, "parked");
    assert_eq!(problem["parked"]["since"], json!([unfit]));

    let mended = "data.freight_cents == 0 ? 0 : data.items_cents / data.freight_cents";
    node.place()
        .redefine(model, "data.items_cents / data.freight_cents", mended);
    node.replay(model);
    assert_nobody_is_parked(&node, model).await;
    let ratios = |rows: Vec<Value>| {
        let mut ratios: Vec<_> = rows.iter().map(|row| row["ratio"].as_i64()).collect();
        ratios.sort_unstable();
        ratios
    };
    assert_eq!(
        ratios(node.rows(&mine, &positions[2]).await),
        [Some(0), Some(10), Some(10)]
    );
    node.tool(&["verify", model]).well();
}

#[tokio::test]
async fn in_a_shared_model_one_user_is_held_back_alone_until_it_is_mended() {
    let (model, definition) = SHARED;
    let place = Place::with_own_definitions();
    place.define(model, definition);
    let node = Node::start(place).await;
    let freight_of = |buyer, round| {
        if (buyer, round) == (UNFIT, 2) {
            i64::from(u32::MAX)
        } else {
            10
        }
    };
    let positions = three_orders_each(&node, freight_of).await;
    let unfit = &positions[1];

    // The unfit user's first order counts, the second and third do not.
    let everybody = 3 * i64::try_from(BUYERS).expect("a few");
    let without = json!({ "orders": everybody - 2, "sum": (everybody - 2) * 100 });
    let node = assert_total(node, &positions, &without).await;
    assert_parked(&node, model, unfit, "leaves the range of a bigint").await;
    let node = assert_total(node.restart().await, &positions, &without).await;
    assert_parked(&node, model, unfit, "leaves the range of a bigint").await;

    let answer = node.ask(&format!("{model}/all"), &[]).await;
    assert_eq!(
        answer.header("foldline-parked"),
        "1",
        "a total that misses a user says so"
    );
    assert_eq!(
        answer.body["parked"],
        json!({ "users": 1, "since": [unfit] }),
        "and names nobody"
    );
    // The event itself cannot come to show; whose a later position is nobody here can know.
    let waits = async |at: &String| node.ask(&format!("{model}/all"), &[(AT_LEAST, at)]).await;
    waits(unfit).await.assert_problem(409, "parked");
    let later = waits(&positions[2]).await;
    assert_eq!(later.status, 200, "{later:#?}");
    assert_eq!(later.header("foldline-parked"), "1");
    assert_eq!(later.body["parked"]["since"], json!([unfit]));

    let mended = "data.freight_cents > 1000000 ? 0 : data.freight_cents * data.freight_cents";
    node.place()
        .redefine(model, "data.freight_cents * data.freight_cents", mended);
    node.replay(model);
    assert_nobody_is_parked(&node, model).await;
    let whole = json!({ "orders": everybody, "sum": (everybody - 1) * 100 });
    let node = assert_total(node, &positions, &whole).await;
    node.tool(&["verify", model]).well();
}

#[tokio::test]
async fn more_users_than_may_be_held_back_stop_the_model_alone() {
    let (model, definition) = USER_SCOPED;
    let mut place = Place::with_own_definitions();
    place.define(model, definition);
    place.set("FOLDLINE_PROJECTOR__PARKED_MAX", "2");
    let node = Node::start(place).await;
    let mut at = String::new();
    for buyer in 1..=3 {
        let user = person(buyer);
        let without_freight = order(thing(user, 1), person(99), 1, 100, 0);
        at = node.command(user, "orders/place", without_freight).await;
        let rows = node
            .rows(&format!("orders_by_user/mine?user_id={user}"), &at)
            .await;
        assert_eq!(rows.len(), 1, "other models go on");
    }
    let stopped = until("the model has stopped", SOON, async || {
        let view = node.view(model);
        let stopped = view["generations"][0]["status"] == "stopped";
        if stopped {
            Ok(view)
        } else {
            Err(view.to_string())
        }
    });
    let stopped = stopped.await;
    let parked = stopped["parked"].as_array().map(Vec::len);
    assert!(parked.is_some_and(|users| users <= 2), "{stopped:#}");
    let trouble = stopped["generations"][0]["trouble"]
        .as_str()
        .unwrap_or_default();
    assert!(trouble.contains("more than 2 users"), "{trouble}");
    let said = node.tool(&["views"]).well().printed;
    assert!(said.contains(trouble), "{trouble:?} is not in\n{said}");
    let ready = node.get("/readyz").await;
    assert_eq!(ready.status, 503, "{ready:#?}");
    assert!(ready.body.to_string().contains(model), "{ready:#?}");

    let mended = "data.freight_cents == 0 ? 0 : data.items_cents / data.freight_cents";
    node.place()
        .redefine(model, "data.items_cents / data.freight_cents", mended);
    node.replay(model);
    assert_nobody_is_parked(&node, model).await;
    assert_eq!(node.rows(&format!("{model}/all"), &at).await.len(), 3);
    assert_eq!(node.get("/readyz").await.status, 200);
}

/// Everybody orders three times; returns the positions of the unfit buyer's orders, then those of
/// the others' last ones.
async fn three_orders_each(node: &Node, freight_of: impl Fn(u128, u128) -> i64) -> Vec<String> {
    let (mut unfit, mut others) = (Vec::new(), Vec::new());
    for round in 1..=3 {
        for buyer in 1..=BUYERS {
            let user = person(buyer);
            let freight = freight_of(buyer, round);
            let body = order(thing(user, round), person(99), 1, 100, freight);
            let at = node.command(user, "orders/place", body).await;
            if buyer == UNFIT {
                unfit.push(at);
            } else if round == 3 {
                others.push(at);
            }
        }
    }
    unfit.extend(others);
    unfit
}

async fn assert_others_go_on(node: &Node, positions: &[String]) {
    let others = (1..=BUYERS).filter(|buyer| *buyer != UNFIT);
    for (buyer, at) in others.zip(&positions[3..]) {
        let mine = format!("{}/of?user_id={}", USER_SCOPED.0, person(buyer));
        let answer = node.ask(&mine, &[(AT_LEAST, at)]).await;
        assert_eq!(
            (answer.status, answer.rows().len()),
            (200, 3),
            "{answer:#?}"
        );
        assert_eq!(answer.header_if_any("foldline-parked"), None);
        assert_eq!(answer.body.get("parked"), None);
    }
}

async fn assert_total(node: Node, positions: &[String], expected: &Value) -> Node {
    // The unfit buyer's positions are absorbed too, as far as anybody else is concerned.
    let all = positions[3..].join(",");
    let rows = node
        .rows("freight_squares/all?fields=orders,sum", &all)
        .await;
    // The days before the tests' own month may be in two months, hardly ever.
    let add = |name: &str| {
        rows.iter()
            .filter_map(|row| row[name].as_i64())
            .sum::<i64>()
    };
    assert_eq!(
        json!({ "orders": add("orders"), "sum": add("sum") }),
        *expected
    );
    node
}

async fn assert_parked(node: &Node, model: &str, position: &str, why: &str) {
    let view = node.view(model);
    let parked = view["parked"].as_array().expect("a list of users");
    assert_eq!(parked.len(), 1, "{view:#}");
    assert_eq!(parked[0]["user"], json!(person(UNFIT)));
    assert_eq!(parked[0]["position"], position);
    assert!(reason(&parked[0]).contains(why), "{view:#}");
    until_measured(node, model, 1.0).await;
    for other in ["orders_by_user", "seller_sales"] {
        assert_eq!(node.view(other)["parked"], json!([]), "{other}");
    }
    let said = node.tool(&["views"]).well().printed;
    let user = person(UNFIT).to_string();
    assert!(
        said.contains(&user) && said.contains(position) && said.contains(why),
        "{said}"
    );
    // Somebody who is held back is no reason to take the node out of service.
    assert_eq!(node.get("/readyz").await.status, 200);
}

async fn assert_nobody_is_parked(node: &Node, model: &str) {
    let view = node.view(model);
    assert_eq!(view["parked"], json!([]), "{view:#}");
    until_measured(node, model, 0.0).await;
    let query = format!("{model}/all");
    until("answers have nobody to name", SOON, async || {
        let answer = node.ask(&query, &[]).await;
        let parked = answer.header_if_any("foldline-parked");
        parked.map_or(Ok(()), |_| Err(format!("{answer:#?}")))
    })
    .await;
}

/// The gauge is set now and then.
async fn until_measured(node: &Node, model: &str, parked: f64) {
    let gauge = format!("foldline_view_parked{{view=\"{model}\"}}");
    until("the gauge says so", SOON, async || {
        let measured = node.metric(&gauge).await;
        let same = measured == Some(parked);
        if same {
            Ok(())
        } else {
            Err(format!("{gauge} {measured:?}"))
        }
    })
    .await;
}

fn reason(parked: &Value) -> &str {
    parked["reason"].as_str().unwrap_or_default()
}
