//! The tools, with a node and without one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    node::{Node, market, tool},
    place::Place,
    shop::{order, person, thing},
};

#[tokio::test]
async fn views_prints_a_line_for_every_generation() {
    let node = Node::start(Place::empty()).await;
    node.replay("seller_ratings");
    let said = node.tool(&["views"]).well().printed;
    let mut lines = said.lines();
    let head: Vec<_> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(
        head[..5],
        ["view", "generation", "state", "doing", "rows"],
        "{said}"
    );
    let mut generations: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let (Some(view), Some(_), Some(state)) = (words.next(), words.next(), words.next()) else {
            panic!("{line:?} in\n{said}");
        };
        generations.entry(view).or_default().push(state);
    }
    assert_eq!(generations.len(), 9, "{said}");
    for (view, states) in generations {
        let expected: &[&str] = if view == "seller_ratings" {
            &["previous", "serving"]
        } else {
            &["serving"]
        };
        assert_eq!(states, expected, "{said}");
    }
}

#[tokio::test]
async fn export_prints_events_as_they_stand_from_a_position_on() {
    let node = Node::start(Place::empty()).await;
    let user = person(1);
    for number in 1..=3 {
        node.command(
            user,
            "orders/place",
            order(thing(user, number), user, 1, 1, 0),
        )
        .await;
    }
    let at = node
        .command(user, "orders/ship", json!({ "order_id": thing(user, 1) }))
        .await;
    let events = |arguments: &[&str]| -> Vec<Value> {
        let said = node.tool(arguments).well().printed;
        let events = said
            .lines()
            .map(|line| serde_json::from_str(line).expect("an event"));
        events.collect()
    };
    let all = events(&["export", "orders"]);
    assert_eq!(all.len(), 4);
    assert!(
        all.iter().all(|event| event["specversion"] == "1.0"),
        "{all:#?}"
    );
    let from = events(&["export", "orders", "--from", &at]);
    assert_eq!(from.len(), 1);
    assert_eq!(
        (&from[0]["type"], &from[0]),
        (&json!("order.shipped.v1"), &all[3])
    );
    assert!(events(&["export", "payments"]).is_empty());
    node.tool(&["export", "orders", "--from", "payments/0@1"])
        .assert_failed(&["payments"]);
    node.tool(&["export", "complaints"])
        .assert_failed(&["complaints", "orders"]);
}

#[test]
fn config_is_printed_without_a_node() {
    let printed = tool(&["config"]).well().printed;
    for line in [
        "listen = \"127.0.0.1:7373\"",
        "[auth]",
        "open = false",
        "[http]",
        "connections_max = 4096",
        "[log]",
        "[query]",
    ] {
        assert!(
            printed.lines().any(|known| known == line),
            "{line} is not in\n{printed}"
        );
    }
    let mut command = market(&["config", "--json"]);
    let output = command
        .env("FOLDLINE_LOG__LANES", "16")
        .output()
        .expect("the tool runs");
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(printed["log"]["lanes"], 16);
    let mut command = market(&["config"]);
    let output = command
        .env("FOLDLINE_LOG__LANS", "16")
        .output()
        .expect("the tool runs");
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complained}");
    assert!(complained.to_lowercase().contains("lans"), "{complained}");
}

#[test]
fn schemas_are_printed_without_a_node() {
    let schema = tool(&["schema", "order.placed.v1"]).well().printed;
    let schema: Value = serde_json::from_str(&schema).expect("a schema is JSON");
    assert!(schema["properties"]["order_id"].is_object(), "{schema:#}");
    let all = tool(&["schema", "--json"]).well().json();
    assert!(all.get("product.listed.v1").is_some() && all.get("product.listed.v2").is_some());
    tool(&["schema", "order.lost.v1"]).assert_failed(&["order.lost.v1", "order.placed.v1"]);
}

#[test]
fn without_a_node_every_tool_says_so() {
    // Nobody listens on the lowest port.
    let nobody = ["--url", "http://127.0.0.1:1"];
    for arguments in [
        &["views"][..],
        &["views", "--json"],
        &["verify", "order"],
        &["verify", "--all"],
        &["replay", "order"],
        &["replay", "--all"],
        &["replay", "order", "--rollback"],
        &["export", "orders"],
        &["demo"],
    ] {
        let said = tool(&[arguments, &nobody].concat());
        said.assert_failed(&["answers at http://127.0.0.1:1", "cargo run", "--url"]);
        assert_eq!(
            said.printed, "",
            "{arguments:?} prints nothing that a script could take"
        );
    }
}

#[tokio::test]
async fn a_node_that_is_interrupted_ends_well_and_keeps_what_it_said() {
    let node = Node::start(Place::empty()).await;
    let user = person(1);
    let at = node
        .command(user, "orders/place", order(thing(user, 1), user, 1, 1, 0))
        .await;
    // `stop` asserts that the node ends with 0.
    let node = Node::start(node.stop().await).await;
    let rows = node
        .rows(&format!("orders_by_user/mine?user_id={user}"), &at)
        .await;
    assert_eq!(rows.len(), 1);
}
