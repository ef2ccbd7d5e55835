//! `order_timeline`: everything that happened around an order, in the order in which it happened.

use serde_json::json;

use crate::{View, facts::*};

#[test]
fn every_event_of_an_order_has_a_row_of_its_own_in_lane_order() {
    View::named("order_timeline")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            captured(ORDER, 1000, "2017-07-14T03:00:00Z"),
            approved(ORDER).at("2017-07-15T00:00:00Z"),
            shipped(ORDER),
            delivered(ORDER),
            reviewed(1, ORDER, 5, &[SELLER]),
            refunded(ORDER, 10, PLACED_AT),
        ])
        .then_rows(7)
        .row(json!({ "at": 1 }))
        .then(json!({ "order_id": ORDER, "type": "order.placed.v1", "time": PLACED_AT }))
        .row(json!({ "at": 2 }))
        .then(json!({ "type": "payment.captured.v1", "time": "2017-07-14T03:00:00.000000Z" }))
        .row(json!({ "at": 3 }))
        .then(json!({ "type": "order.approved.v1", "time": "2017-07-15T00:00:00.000000Z" }))
        .row(json!({ "at": 6 }))
        .then(json!({ "type": "review.written.v1" }))
        .row(json!({ "at": 7 }))
        .then(json!({ "type": "payment.refunded.v1" }));
}

#[test]
fn an_order_that_comes_to_nothing_ends_with_how() {
    View::named("order_timeline")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            cancelled(ORDER),
            placed(OTHER_ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            marked_unavailable(OTHER_ORDER),
        ])
        .row(json!({ "order_id": ORDER, "at": 2 }))
        .then(json!({ "type": "order.cancelled.v1" }))
        .row(json!({ "order_id": OTHER_ORDER, "at": 4 }))
        .then(json!({ "type": "order.marked-unavailable.v1" }));
}

#[test]
fn a_time_that_was_given_moves_nothing() {
    View::named("order_timeline")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            shipped(ORDER).at("2017-09-01T00:00:00Z"),
            approved(ORDER).at("2017-08-01T00:00:00Z"),
        ])
        .row(json!({ "at": 2 }))
        .then(json!({ "type": "order.shipped.v1" }))
        .row(json!({ "at": 3 }))
        .then(json!({ "type": "order.approved.v1" }));
}

#[test]
fn what_happens_elsewhere_is_no_part_of_it() {
    View::named("order_timeline")
        .given([listed(VASE, Some("Vase"), 1000), closed()])
        .then_rows(0);
}
