//! `payment_mix`: how was paid in each month.

use serde_json::json;

use crate::{View, facts::*};

const JULY: &str = "2017-07-31T23:59:59.999999Z";
const AUGUST: &str = "2017-08-01T00:00:00Z";

#[test]
fn payments_are_counted_by_month_and_method() {
    View::named("payment_mix")
        .given([
            captured(ORDER, 100, JULY),
            captured(OTHER_ORDER, 50, JULY).by(BRUNO),
            captured_by("voucher", ORDER, 7, JULY),
            captured(ORDER, 1, AUGUST),
        ])
        .then_rows(3)
        .row(json!({ "month": "2017-07", "method": "credit_card" }))
        .then(json!({ "payments": 2, "amount_cents": 150, "refunded_cents": 0 }))
        .row(json!({ "month": "2017-07", "method": "voucher" }))
        .then(json!({ "payments": 1, "amount_cents": 7 }))
        .row(json!({ "month": "2017-08", "method": "credit_card" }))
        .then(json!({ "payments": 1, "amount_cents": 1 }));
}

#[test]
fn a_refund_counts_in_the_month_in_which_its_payment_was_captured() {
    View::named("payment_mix")
        .given([
            captured(ORDER, 100, JULY),
            refunded(ORDER, 30, JULY).at("2017-12-24T00:00:00Z"),
            refunded(ORDER, 5, JULY).at("2018-01-01T00:00:00Z"),
        ])
        .then_rows(1)
        .row(json!({ "month": "2017-07" }))
        .then(json!({ "payments": 1, "amount_cents": 100, "refunded_cents": 35 }));
}

#[test]
fn a_payment_of_nothing_is_a_payment() {
    View::named("payment_mix")
        .given([captured_by("voucher", ORDER, 0, JULY)])
        .row(json!({ "method": "voucher" }))
        .then(json!({ "payments": 1, "amount_cents": 0, "refunded_cents": 0 }));
}
