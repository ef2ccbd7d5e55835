//! The rules of payments.

use foldline::kernel::Commands;
use foldline::kernel::spec::{Given, given};
use uuid::Uuid;

use super::*;
use crate::contexts::examples::{ORDER, OTHER_ORDER, monday, now, placed, time};
use crate::contexts::orders::{Cancelled, OrderEvent, Placed};

const PAYMENT: PaymentId = PaymentId(Uuid::from_u128(0x1A));

/// A buyer who placed the example's order, and what has happened to its payments.
fn given_placed_and(payments: impl IntoIterator<Item = PaymentEvent>) -> Given<Payments> {
    given(payments).and_in::<Orders>([placed().into()])
}

fn capture(amount_cents: i64) -> Capture {
    Capture {
        payment_id: PAYMENT,
        order_id: ORDER,
        method: "credit_card".try_into().unwrap(),
        installments: 3,
        amount_cents: amount_cents.try_into().unwrap(),
        currency: None,
    }
}

fn captured(amount_cents: i64) -> Captured {
    Captured {
        payment_id: PAYMENT,
        order_id: ORDER,
        method: "credit_card".into(),
        installments: 3,
        amount_cents,
        currency: Currency::BRL,
        captured_at: now(),
        placed_at: monday(),
    }
}

fn refund(amount_cents: i64) -> Refund {
    Refund {
        payment_id: PAYMENT,
        amount_cents: amount_cents.try_into().unwrap(),
        currency: None,
    }
}

fn refunded(amount_cents: i64) -> PaymentEvent {
    Refunded {
        payment_id: PAYMENT,
        order_id: ORDER,
        method: "credit_card".into(),
        captured_at: now(),
        amount_cents,
        currency: Currency::BRL,
        placed_at: monday(),
    }
    .into()
}

#[test]
fn a_payment_is_captured_for_an_order() {
    given_placed_and([])
        .when(capture(2850))
        .then([captured(2850).into()]);
    given_placed_and([])
        .when(capture(0))
        .then([captured(0).into()]);
}

#[test]
fn a_payment_is_for_an_order_of_this_user() {
    let elsewhere = Placed {
        order_id: OTHER_ORDER,
        ..placed()
    };
    given::<Payments>([])
        .and_in::<Orders>([elsewhere.into()])
        .when(capture(1))
        .then_rejected("unknown-order");
}

#[test]
fn an_order_that_was_cancelled_can_still_be_paid() {
    let cancelled: OrderEvent = Cancelled {
        order_id: ORDER,
        placed_at: monday(),
        reason: "too late".into(),
    }
    .into();
    given::<Payments>([])
        .and_in::<Orders>([placed().into(), cancelled])
        .when(capture(1))
        .then([captured(1).into()]);
}

#[test]
fn a_payment_is_captured_once() {
    given_placed_and([captured(2850).into()])
        .when(capture(1))
        .then_rejected("payment-already-captured");
}

#[test]
fn an_order_may_have_several_payments() {
    let voucher = Captured {
        payment_id: PaymentId(Uuid::from_u128(0x1B)),
        ..captured(500)
    };
    given_placed_and([voucher.into()])
        .when(capture(2350))
        .then([captured(2350).into()]);
}

#[test]
fn a_refund_repeats_the_method_and_time_of_the_capture() {
    given_placed_and([captured(2850).into()])
        .at(time("2018-01-01T00:00:00Z"))
        .when(refund(850))
        .then([refunded(850)]);
}

#[test]
fn no_more_is_refunded_in_all_than_was_captured() {
    given_placed_and([captured(2850).into(), refunded(850)])
        .when(refund(2000))
        .then([refunded(2000)]);
    given_placed_and([captured(2850).into(), refunded(850)])
        .when(refund(2001))
        .then_rejected("refund-exceeds-payment");
    given_placed_and([captured(0).into()])
        .when(refund(i64::MAX))
        .then_rejected("refund-exceeds-payment");
}

#[test]
fn a_refund_of_nothing_is_nothing() {
    given_placed_and([captured(2850).into()])
        .when(refund(0))
        .then_nothing();
}

#[test]
fn a_refund_is_of_a_payment_of_this_user() {
    given_placed_and([])
        .when(refund(0))
        .then_rejected("unknown-payment");
}

#[test]
fn money_stays_in_the_currency_of_the_order() {
    let in_euros = Some("EUR".parse().unwrap());
    let in_reais = Some(Currency::BRL);
    given_placed_and([])
        .when(Capture {
            currency: in_euros,
            ..capture(1)
        })
        .then_rejected("currency-differs");
    given_placed_and([])
        .when(Capture {
            currency: in_reais,
            ..capture(1)
        })
        .then([captured(1).into()]);
    given_placed_and([captured(1).into()])
        .when(Refund {
            currency: in_euros,
            ..refund(1)
        })
        .then_rejected("currency-differs");
}

#[test]
fn a_refund_of_an_unknown_payment_is_passed_over() {
    let state = given::<Payments>([refunded(1)]).state();
    assert_eq!(state, PaymentsState::default());
}

#[test]
fn the_state_survives_a_snapshot() {
    let state = given::<Payments>([captured(2850).into(), refunded(850)]).state();
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<PaymentsState>(&json).unwrap(), state);
}

#[test]
fn a_body_that_is_no_payment_is_pointed_at() {
    let body = |method: &str, installments: &str, amount: &str| {
        format!(
            r#"{{"payment_id":"{PAYMENT}","order_id":"{ORDER}","method":"{method}",
            "installments":{installments},"amount_cents":{amount}}}"#
        )
    };
    for (body, pointer) in [
        (body("boleto", "1", "-1"), "/amount_cents"),
        (body("boleto", "-1", "1"), "/installments"),
        (body("", "1", "1"), "/method"),
    ] {
        let wrong = PaymentCommand::decode("capture", body.as_bytes());
        assert_eq!(wrong.unwrap().unwrap_err().pointer, pointer, "{body}");
    }
}
