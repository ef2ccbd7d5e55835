//! Definitions with errors are told with place, trouble and way out, and serve nobody.

use serde_json::json;

use crate::{
    node::Node,
    place::Place,
    shop::{order, person, thing},
};

/// What `orders_by_user` says of an order, and the same with a slip of the pen.
const SUM: &str = "total_cents = \"data.total_cents\"";
const SLIP: &str = "total_cents = \"data.totl_cents\"";
/// What the slip's error points at, and says.
const SLIPPED: &str = "totl_cents";
const TROUBLE: &str = "`data` has no `totl_cents` (for `order.placed.v1`)";
const WAY_OUT: &str = "help: did you mean `total_cents`?";

#[tokio::test]
async fn a_node_does_not_start_with_a_broken_definition() {
    let place = Place::with_own_definitions();
    place.redefine("orders_by_user", SUM, SLIP);
    let at = place.place_of("orders_by_user", SLIPPED);
    let data = place.data();
    let Err(ended) = Node::try_start(place).await else {
        panic!("the node serves");
    };
    let trouble = format!("{at}: {TROUBLE}");
    ended.assert_failed(&["the read models' files have errors", &trouble, WAY_OUT]);
    assert!(
        !data.exists(),
        "nothing was begun before the definitions were read"
    );
}

#[tokio::test]
async fn every_error_of_every_definition_is_told_at_once() {
    let place = Place::with_own_definitions();
    place.redefine("orders_by_user", SUM, SLIP);
    place.redefine("payment_mix", "month = \"eq\"", "month = \"is\"");
    place.define("half", "name = \"half\"\n");
    let slip = place.place_of("orders_by_user", SLIPPED);
    let filter = place.place_of("payment_mix", "\"is\"");
    let Err(ended) = Node::try_start(place).await else {
        panic!("the node serves");
    };
    ended.assert_failed(&[&slip, &filter, "half.toml:1:1: `table` is missing"]);
}

#[tokio::test]
async fn a_replay_with_a_broken_definition_is_refused_and_the_old_generation_serves_on() {
    let node = Node::start(Place::with_own_definitions()).await;
    let user = person(1);
    node.place().redefine("orders_by_user", SUM, SLIP);
    let at = node.place().place_of("orders_by_user", SLIPPED);

    let replay = "/v1/admin/views/orders_by_user/replay";
    let answer = node.post(replay, &json!({})).await;
    let problem = answer.assert_problem(422, "invalid-definition");
    let errors = problem["errors"].as_array().expect("a list of errors");
    let error = errors[0].as_str().unwrap_or_default();
    for words in [&at, TROUBLE, WAY_OUT] {
        assert!(error.contains(words), "{words} is not in {error}");
    }
    let tool = node.tool(&["replay", "orders_by_user"]);
    tool.assert_failed(&[&at, TROUBLE, WAY_OUT]);

    let body = order(thing(user, 1), user, 1, 5, 0);
    let at = node.command(user, "orders/place", body).await;
    let mine = format!("orders_by_user/mine?user_id={user}");
    let rows = node.rows(&mine, &at).await;
    assert_eq!((rows.len(), &rows[0]["total_cents"]), (1, &json!(5)));
    let view = node.view("orders_by_user");
    assert_eq!(
        view["generations"].as_array().map(Vec::len),
        Some(1),
        "{view:#}"
    );

    node.place().redefine("orders_by_user", SLIP, SUM);
    node.replay("orders_by_user");
}
