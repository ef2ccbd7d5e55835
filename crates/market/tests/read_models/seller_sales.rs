//! `seller_sales`: what each seller sold, month by month.

use serde_json::json;

use crate::{View, facts::*};

#[test]
fn every_line_counts_for_its_seller() {
    View::named("seller_sales")
        .given([
            placed(
                ORDER,
                &[
                    line(VASE, SELLER, 2, 1000, 100),
                    line(LAMP, OTHER_SELLER, 1, 550, 200),
                    line(LAMP, SELLER, 1, 500, 30),
                ],
            ),
            placed(ORDER, &[line(VASE, SELLER, 1, 0, 0)]).by(BRUNO),
        ])
        .then_rows(2)
        .row(json!({ "seller_id": SELLER, "month": "2017-07" }))
        .then(json!({ "lines": 3, "units": 4, "revenue_cents": 2500, "freight_cents": 130 }))
        .row(json!({ "seller_id": OTHER_SELLER, "month": "2017-07" }))
        .then(json!({ "lines": 1, "units": 1, "revenue_cents": 550, "freight_cents": 200 }));
}

#[test]
fn months_are_those_of_the_event_s_time_in_utc() {
    let order = [line(VASE, SELLER, 1, 10, 1)];
    View::named("seller_sales")
        .given([
            placed_at(ORDER, "2017-12-31T23:59:59.999999Z", &order),
            placed_at(OTHER_ORDER, "2017-12-31T23:00:00-03:00", &order),
        ])
        .then_rows(2)
        .row(json!({ "month": "2017-12" }))
        .then(json!({ "lines": 1 }))
        .row(json!({ "month": "2018-01" }))
        .then(json!({ "lines": 1 }));
}

#[test]
fn a_line_counts_when_it_is_placed_whatever_becomes_of_it() {
    View::named("seller_sales")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 100)]),
            cancelled(ORDER),
            placed(OTHER_ORDER, &[line(VASE, SELLER, 1, 1000, 100)]),
            marked_unavailable(OTHER_ORDER),
        ])
        .row(json!({ "seller_id": SELLER }))
        .then(json!({ "lines": 2, "units": 2, "revenue_cents": 2000, "freight_cents": 200 }));
}
