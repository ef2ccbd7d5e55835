//! `order`: one order, what was paid for it, how it was liked.

use serde_json::json;

use crate::{View, facts::*};

#[test]
fn an_order_that_was_placed_shows_its_sums() {
    View::named("order")
        .given([placed(
            ORDER,
            &[
                line(VASE, SELLER, 2, 1000, 100),
                line(LAMP, OTHER_SELLER, 1, 550, 200),
            ],
        )])
        .then_rows(1)
        .row(json!({ "order_id": ORDER }))
        .then(json!({
            "user_id": ANA, "status": "placed", "placed_at": PLACED_AT, "currency": "BRL",
            "items_cents": 2550, "freight_cents": 300, "total_cents": 2850, "lines": 2,
            "approved_at": null, "shipped_at": null, "delivered_at": null,
            "paid_cents": 0, "review_score": null,
        }))
        .then_nobody_is_parked();
}

#[test]
fn each_step_leaves_its_time() {
    View::named("order")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            approved(ORDER).at("2017-07-15T00:00:00Z"),
            shipped(ORDER).at("2017-07-16T00:00:00Z"),
            delivered(ORDER).at("2017-07-17T12:34:56.123456Z"),
        ])
        .row(json!({ "order_id": ORDER }))
        .then(json!({
            "status": "delivered", "placed_at": PLACED_AT,
            "approved_at": "2017-07-15T00:00:00.000000Z",
            "shipped_at": "2017-07-16T00:00:00.000000Z",
            "delivered_at": "2017-07-17T12:34:56.123456Z",
        }));
}

#[test]
fn the_status_is_what_the_last_event_said_even_out_of_the_usual_sequence() {
    let order = View::named("order");
    let placed = || placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]);
    for (last, status) in [
        (approved(ORDER), "approved"),
        (shipped(ORDER), "shipped"),
        (delivered(ORDER), "delivered"),
        (cancelled(ORDER), "cancelled"),
        (marked_unavailable(ORDER), "unavailable"),
    ] {
        let found = order.given([placed(), last]);
        found
            .row(json!({ "order_id": ORDER }))
            .then(json!({ "status": status }));
    }
    order
        .given([placed(), delivered(ORDER), approved(ORDER)])
        .row(json!({ "order_id": ORDER }))
        .then(json!({ "status": "approved", "shipped_at": null }));
}

#[test]
fn a_cancelled_order_keeps_its_sums_and_what_was_paid() {
    View::named("order")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 50)]),
            captured(ORDER, 1050, PLACED_AT),
            cancelled(ORDER),
        ])
        .row(json!({ "order_id": ORDER }))
        .then(json!({ "status": "cancelled", "total_cents": 1050, "paid_cents": 1050 }));
}

#[test]
fn what_was_paid_is_what_was_captured_less_what_was_refunded() {
    View::named("order")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            captured(ORDER, 700, PLACED_AT),
            captured_by("voucher", ORDER, 300, PLACED_AT),
            refunded(ORDER, 250, PLACED_AT),
            refunded(ORDER, 50, PLACED_AT),
        ])
        .row(json!({ "order_id": ORDER }))
        .then(json!({ "paid_cents": 700, "total_cents": 1000 }));
}

#[test]
fn of_several_reviews_the_last_written_one_counts() {
    View::named("order")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            reviewed(1, ORDER, 5, &[SELLER]),
            reviewed(2, ORDER, 2, &[SELLER]),
        ])
        .row(json!({ "order_id": ORDER }))
        .then(json!({ "review_score": 2 }));
}

#[test]
fn a_review_of_two_orders_counts_for_both() {
    View::named("order")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            placed(OTHER_ORDER, &[line(LAMP, SELLER, 1, 1, 0)]),
            reviewed(1, ORDER, 5, &[SELLER]),
            reviewed(1, OTHER_ORDER, 4, &[SELLER]),
        ])
        .row(json!({ "order_id": ORDER }))
        .then(json!({ "review_score": 5 }))
        .row(json!({ "order_id": OTHER_ORDER }))
        .then(json!({ "review_score": 4 }));
}

#[test]
fn two_buyers_who_chose_the_same_order_id_have_a_row_each() {
    View::named("order")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            placed(ORDER, &[line(LAMP, SELLER, 3, 10, 0)]).by(BRUNO),
            captured(ORDER, 30, PLACED_AT).by(BRUNO),
            cancelled(ORDER),
        ])
        .then_rows(2)
        .row(json!({ "user_id": ANA }))
        .then(json!({ "status": "cancelled", "total_cents": 1000, "paid_cents": 0 }))
        .row(json!({ "user_id": BRUNO }))
        .then(json!({ "status": "placed", "total_cents": 30, "paid_cents": 30 }));
}

#[test]
fn what_is_said_of_an_order_that_was_never_placed_does_not_show() {
    View::named("order")
        .given([
            captured(ORDER, 1000, PLACED_AT),
            reviewed(1, ORDER, 5, &[SELLER]),
        ])
        .then_rows(0)
        .then_nobody_is_parked();
}
