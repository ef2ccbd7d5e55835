//! `product_sales`: what was sold of each product, by every seller together.

use serde_json::json;

use crate::{View, facts::*};

#[test]
fn every_line_counts_for_its_product_whoever_sells_it() {
    View::named("product_sales")
        .given([
            placed(
                ORDER,
                &[
                    line(VASE, SELLER, 2, 1000, 100),
                    line(LAMP, SELLER, 1, 550, 200),
                    line(VASE, OTHER_SELLER, 3, 900, 0),
                ],
            ),
            placed(ORDER, &[line(VASE, SELLER, 1, 1, 0)]).by(BRUNO),
        ])
        .then_rows(2)
        .row(json!({ "product_id": VASE }))
        .then(json!({ "units": 6, "revenue_cents": 4701 }))
        .row(json!({ "product_id": LAMP }))
        .then(json!({ "units": 1, "revenue_cents": 550 }));
}

#[test]
fn what_becomes_of_the_order_changes_nothing() {
    View::named("product_sales")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 2, 1000, 100)]),
            cancelled(ORDER),
            placed(OTHER_ORDER, &[line(VASE, SELLER, 1, 1000, 100)]),
            delivered(OTHER_ORDER),
        ])
        .row(json!({ "product_id": VASE }))
        .then(json!({ "units": 3, "revenue_cents": 3000 }));
}

#[test]
fn a_line_too_large_for_a_shared_sum_holds_back_its_buyer_alone() {
    // One more than every double holds exactly: no buyer alone can make the sum overflow.
    let too_much = (1 << 53) + 1;
    View::named("product_sales")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 10, 0)]),
            placed(
                OTHER_ORDER,
                &[
                    line(LAMP, SELLER, 1, 5, 0),
                    line(VASE, SELLER, 1, too_much, 0),
                ],
            ),
            placed(OTHER_ORDER, &[line(VASE, SELLER, 1, 7, 0)]).by(BRUNO),
        ])
        .then_parked(ANA, "2^53")
        .then_rows(1)
        .row(json!({ "product_id": VASE }))
        .then(json!({ "units": 2, "revenue_cents": 17 }));
}
