//! `orders_by_user`: a buyer's orders, newest first.

use foldline::read_model::Role;
use serde_json::json;

use crate::{View, facts::*};

#[test]
fn a_buyer_has_a_row_for_each_order() {
    View::named("orders_by_user")
        .given([
            placed(
                ORDER,
                &[line(VASE, SELLER, 2, 1000, 7), line(LAMP, SELLER, 1, 1, 0)],
            ),
            placed_at(
                OTHER_ORDER,
                "2017-08-01T00:00:00Z",
                &[line(VASE, SELLER, 1, 5, 0)],
            ),
        ])
        .then_rows(2)
        .row(json!({ "order_id": ORDER }))
        .then(json!({
            "user_id": ANA, "status": "placed", "placed_at": PLACED_AT,
            "total_cents": 2008, "lines": 2, "currency": "BRL",
        }))
        .row(json!({ "order_id": OTHER_ORDER }))
        .then(json!({ "placed_at": "2017-08-01T00:00:00.000000Z", "total_cents": 5 }));
}

#[test]
fn the_newest_order_comes_first() {
    let model = View::named("orders_by_user").model;
    let placed_at = model.column("placed_at").expect("a column of the key");
    assert_eq!(
        model.columns[placed_at].role,
        Role::Key { descending: true }
    );
}

#[test]
fn the_status_is_what_the_last_event_said() {
    View::named("orders_by_user")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            approved(ORDER),
            shipped(ORDER),
            delivered(ORDER),
            placed(OTHER_ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            shipped(OTHER_ORDER),
            cancelled(OTHER_ORDER),
        ])
        .row(json!({ "order_id": ORDER }))
        .then(json!({ "status": "delivered" }))
        .row(json!({ "order_id": OTHER_ORDER }))
        .then(json!({ "status": "cancelled", "total_cents": 1000 }));
}

#[test]
fn an_order_that_cannot_be_fulfilled_says_so() {
    View::named("orders_by_user")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            marked_unavailable(ORDER),
        ])
        .row(json!({ "order_id": ORDER }))
        .then(json!({ "status": "unavailable" }));
}

#[test]
fn every_buyer_has_a_list_of_their_own() {
    View::named("orders_by_user")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            placed(ORDER, &[line(VASE, SELLER, 1, 20, 0)]).by(BRUNO),
            shipped(ORDER).by(BRUNO),
        ])
        .then_rows(2)
        .row(json!({ "user_id": ANA }))
        .then(json!({ "status": "placed", "total_cents": 1000 }))
        .row(json!({ "user_id": BRUNO }))
        .then(json!({ "status": "shipped", "total_cents": 20 }));
}
