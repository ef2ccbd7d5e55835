//! A table that was changed by hand is found out, and is right again after a replay.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use crate::{
    behind_its_back::change,
    node::Node,
    place::Place,
    shop::{order, person, thing},
};

const BUYERS: u128 = 6;

async fn with_orders() -> Node {
    let node = Node::start(Place::empty()).await;
    for buyer in 1..=BUYERS {
        let user = person(buyer);
        let body = order(thing(user, 1), person(buyer % 2 + 90), 1, 100, 7);
        let at = node.command(user, "orders/place", body).await;
        // Which rows there are does not matter: each answer waits until the order is absorbed.
        for query in [
            format!("order/by_id?order_id={user}"),
            format!("orders_by_user/mine?user_id={user}"),
            "seller_sales/top?month=2000-01".to_owned(),
        ] {
            node.rows(&query, &at).await;
        }
    }
    node
}

#[tokio::test]
async fn rows_changed_deleted_and_invented_by_hand_are_named_and_gone_after_a_replay() {
    let node = with_orders().await;
    node.tool(&["verify", "order"]).well();
    let (changed, deleted, invented) = (
        thing(person(1), 1),
        thing(person(2), 1),
        thing(person(3), 77),
    );
    for statement in [
        format!(
            "UPDATE rows SET total_cents = total_cents + 1 WHERE order_id = X'{}'",
            changed.simple(),
        ),
        format!("DELETE FROM rows WHERE order_id = X'{}'", deleted.simple()),
        format!(
            "INSERT INTO rows (order_id, _user, status, paid_cents)
             VALUES (X'{}', X'{}', 'free', 0)",
            invented.simple(),
            person(3).simple(),
        ),
    ] {
        assert_eq!(
            change(node.place(), "order", 1, &statement).await,
            1,
            "{statement}"
        );
    }

    let found = node.tool(&["verify", "order", "--json"]);
    assert_eq!(found.code, Some(1), "{found:#?}");
    let report = found.json();
    assert_eq!(
        (&report["clean"], &report["differences_found"]),
        (&json!(false), &json!(3))
    );
    let difference = |id| {
        let mut all = report["differences"].as_array().expect("a list").iter();
        let found = all.find(|difference| difference["key"]["order_id"] == json!(id));
        found.unwrap_or_else(|| panic!("{id} is not in {report:#}"))
    };
    let different = difference(changed);
    assert_eq!(different["kind"], "different");
    let column = json!([{ "column": "total_cents", "expected": 107, "found": 108 }]);
    assert_eq!(different["columns"], column);
    assert_eq!(difference(deleted)["kind"], "missing");
    assert_eq!(difference(invented)["kind"], "unexpected");

    let said = node.tool(&["verify", "order"]);
    let (changed, deleted) = (changed.to_string(), deleted.to_string());
    said.assert_failed(&[
        &changed,
        &deleted,
        &invented.to_string(),
        "total_cents",
        "replay order",
    ]);

    node.replay("order");
    let clean = node.tool(&["verify", "order", "--json"]).well().json();
    assert_eq!(
        (&clean["clean"], &clean["generation"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(clean["rows"], json!(BUYERS));
    node.tool(&["verify", "--all"]).well();
}

#[tokio::test]
async fn a_shared_total_changed_by_hand_is_found_among_all_models() {
    let node = with_orders().await;
    let statement = "UPDATE rows SET revenue_cents = revenue_cents - 1, units = units + 2";
    assert_eq!(change(node.place(), "seller_sales", 1, statement).await, 2);
    let found = node.tool(&["verify", "--all", "--json"]);
    assert_eq!(found.code, Some(1), "{found:#?}");
    let reports = found.printed.lines().map(serde_json::from_str::<Value>);
    let reports: Vec<_> = reports.map(|report| report.expect("a report")).collect();
    assert_eq!(
        reports.len(),
        9,
        "one for each read model, whatever the others say"
    );
    for report in &reports {
        let wrong = report["model"] == "seller_sales";
        assert_eq!(report["clean"], !wrong, "{report:#}");
        assert_eq!(report["differences_found"], if wrong { 2 } else { 0 });
    }
    node.replay("seller_sales");
    node.tool(&["verify", "--all"]).well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_verified_while_commands_come_in() {
    let node = Arc::new(with_orders().await);
    let stop = Arc::new(AtomicBool::new(false));
    let (buying, stopped) = (Arc::clone(&node), Arc::clone(&stop));
    let buyer = tokio::spawn(async move {
        let mut orders = 1;
        while !stopped.load(Ordering::Relaxed) {
            orders += 1;
            let user = person(BUYERS + 1);
            let body = order(thing(user, orders), person(91), 1, 5, 1);
            buying.command(user, "orders/place", body).await;
        }
        orders
    });
    let verify = async |arguments: &'static [&'static str]| {
        let node = Arc::clone(&node);
        let ran = tokio::task::spawn_blocking(move || node.tool(arguments));
        ran.await.expect("a tool ends")
    };
    let reports = |ended: &crate::node::Ended| -> Vec<Value> {
        let lines = ended.printed.lines().map(serde_json::from_str);
        lines.map(|report| report.expect("a report")).collect()
    };
    let events = |reports: &[Value]| -> u64 {
        let events = reports.iter().map(|report| report["events"].as_u64());
        events.sum::<Option<u64>>().expect("counts")
    };
    let before = events(&reports(
        &verify(&["verify", "--all", "--json"]).await.well(),
    ));
    let after = events(&reports(
        &verify(&["verify", "--all", "--json"]).await.well(),
    ));
    assert!(after > before, "commands come in all the while");

    let changed = thing(person(1), 1);
    let statement = format!(
        "UPDATE rows SET total_cents = total_cents + 1 WHERE order_id = X'{}'",
        changed.simple()
    );
    assert_eq!(change(node.place(), "order", 1, &statement).await, 1);
    let statement = "UPDATE rows SET freight_cents = freight_cents + 1 WHERE seller_id = X";
    let other = person(90).simple().to_string();
    let statement = format!("{statement}'{other}'");
    assert_eq!(change(node.place(), "seller_sales", 1, &statement).await, 1);
    let found = verify(&["verify", "--all", "--json"]).await;
    assert_eq!(found.code, Some(1), "{found:#?}");
    for report in reports(&found) {
        let wrong = report["model"] == "order" || report["model"] == "seller_sales";
        assert_eq!(report["differences_found"], u64::from(wrong), "{report:#}");
        assert_eq!(report["problems_found"], 0, "{report:#}");
    }
    verify(&["replay", "order"]).await.well();
    verify(&["verify", "order"]).await.well();
    stop.store(true, Ordering::Relaxed);
    assert!(buyer.await.expect("every order was taken") > 1);
}

#[tokio::test]
async fn verifying_what_does_not_exist_says_what_does() {
    let node = Node::start(Place::empty()).await;
    node.tool(&["verify", "no_such_view"])
        .assert_failed(&["no_such_view"]);
    node.tool(&["replay", "no_such_view"])
        .assert_failed(&["no_such_view"]);
    node.tool(&["replay", "order", "--rollback"])
        .assert_failed(&["order"]);
}
