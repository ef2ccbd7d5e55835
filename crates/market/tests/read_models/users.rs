//! `users`: everybody who registered, ordered or paid.

use foldline::kernel::Personal;
use market::contexts::accounts::{Change, ProfileChanged};
use serde_json::json;

use crate::{View, facts::*};

#[test]
fn somebody_who_registered_has_ordered_nothing_yet() {
    View::named("users")
        .given([registered(Personal::plain("Ana".into()), "São Paulo", "SP")])
        .then_rows(1)
        .row(json!({ "user_id": ANA }))
        .then(json!({
            "name": "Ana", "city": "São Paulo", "state": "SP", "closed_at": null,
            "orders": 0, "spent_cents": 0, "first_order_at": null, "last_order_at": null,
        }));
}

#[test]
fn orders_and_payments_add_up() {
    View::named("users")
        .given([
            registered(Personal::plain("Ana".into()), "São Paulo", "SP"),
            placed_at(
                ORDER,
                "2017-09-01T00:00:00Z",
                &[line(VASE, SELLER, 1, 1000, 0)],
            ),
            captured(ORDER, 1000, "2017-09-01T00:00:00Z"),
            placed_at(
                OTHER_ORDER,
                "2017-08-01T00:00:00Z",
                &[line(VASE, SELLER, 1, 70, 0)],
            ),
            captured(OTHER_ORDER, 70, "2017-08-01T00:00:00Z"),
        ])
        .row(json!({ "user_id": ANA }))
        .then(json!({
            "orders": 2, "spent_cents": 1070,
            "first_order_at": "2017-08-01T00:00:00.000000Z",
            "last_order_at": "2017-09-01T00:00:00.000000Z",
        }));
}

#[test]
fn refunds_reduce_what_was_spent_and_a_cancelled_order_is_still_an_order() {
    View::named("users")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            captured(ORDER, 1000, PLACED_AT),
            cancelled(ORDER),
            refunded(ORDER, 1000, PLACED_AT),
        ])
        .row(json!({ "user_id": ANA }))
        .then(json!({ "orders": 1, "spent_cents": 0, "last_order_at": PLACED_AT }));
}

#[test]
fn a_buyer_who_never_registered_is_a_user_too() {
    View::named("users")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            captured(ORDER, 1000, PLACED_AT),
        ])
        .then_rows(1)
        .row(json!({ "user_id": ANA }))
        .then(json!({
            "name": null, "city": null, "state": null, "orders": 1, "spent_cents": 1000,
        }));
}

#[test]
fn who_registers_after_ordering_keeps_the_orders() {
    View::named("users")
        .given([
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            registered(Personal::plain("Ana".into()), "Recife", "PE"),
        ])
        .then_rows(1)
        .row(json!({ "user_id": ANA }))
        .then(json!({ "name": "Ana", "state": "PE", "orders": 1 }));
}

#[test]
fn a_profile_change_leaves_what_it_does_not_say_and_clears_what_it_says_is_null() {
    View::named("users")
        .given([
            registered(Personal::plain("Ana".into()), "Recife", "PE"),
            profile_changed(ProfileChanged {
                city: Change::Clear,
                state: Change::Set("SP".into()),
                ..ProfileChanged::default()
            }),
        ])
        .row(json!({ "user_id": ANA }))
        .then(json!({ "name": "Ana", "city": null, "state": "SP" }));
}

#[test]
fn a_closed_account_stays_with_the_time_at_which_it_was_closed() {
    View::named("users")
        .given([
            registered(Personal::plain("Ana".into()), "Recife", "PE"),
            placed(ORDER, &[line(VASE, SELLER, 1, 1000, 0)]),
            closed().at("2018-03-01T00:00:00Z"),
        ])
        .then_rows(1)
        .row(json!({ "user_id": ANA }))
        .then(json!({
            "closed_at": "2018-03-01T00:00:00.000000Z", "name": "Ana", "orders": 1,
        }));
}

#[test]
fn a_sealed_name_is_null_and_a_plain_one_is_shown() {
    let sealed = || Personal::Sealed {
        sealed: "AAEC".into(),
        key: "k1".into(),
    };
    View::named("users")
        .given([
            registered(Personal::plain("Ana".into()), "Recife", "PE"),
            registered(sealed(), "Olinda", "PE").by(BRUNO),
        ])
        .then_nobody_is_parked()
        .row(json!({ "user_id": ANA }))
        .then(json!({ "name": "Ana" }))
        .row(json!({ "user_id": BRUNO }))
        .then(json!({ "name": null, "city": "Olinda" }));
}

#[test]
fn a_name_that_is_sealed_later_is_null_from_then_on() {
    let sealed = Personal::Sealed {
        sealed: "AAEC".into(),
        key: "k1".into(),
    };
    View::named("users")
        .given([
            registered(Personal::plain("Ana".into()), "Recife", "PE"),
            profile_changed(ProfileChanged {
                name: Change::Set(sealed),
                ..ProfileChanged::default()
            }),
        ])
        .row(json!({ "user_id": ANA }))
        .then(json!({ "name": null, "city": "Recife" }));
}
