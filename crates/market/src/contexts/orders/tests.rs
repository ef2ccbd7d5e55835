//! The rules of orders.

use foldline::kernel::spec::{Given, given};
use foldline::kernel::{Commands, Rejection, RejectionKind};

use super::*;
use crate::contexts::examples::{
    ORDER, OTHER_ORDER, OTHER_SELLER, PRODUCT, SELLER, monday, now, placed, time,
};

const APPROVE: Approve = Approve { order_id: ORDER };
const SHIP: Ship = Ship { order_id: ORDER };
const DELIVER: Deliver = Deliver { order_id: ORDER };
const MARK_UNAVAILABLE: MarkUnavailable = MarkUnavailable { order_id: ORDER };

fn cancel() -> Cancel {
    Cancel {
        order_id: ORDER,
        reason: "too late".try_into().unwrap(),
    }
}

fn approved() -> OrderEvent {
    Approved {
        order_id: ORDER,
        placed_at: monday(),
    }
    .into()
}

fn shipped() -> OrderEvent {
    Shipped {
        order_id: ORDER,
        placed_at: monday(),
    }
    .into()
}

fn delivered() -> OrderEvent {
    Delivered {
        order_id: ORDER,
        placed_at: monday(),
    }
    .into()
}

fn cancelled() -> OrderEvent {
    Cancelled {
        order_id: ORDER,
        placed_at: monday(),
        reason: "too late".into(),
    }
    .into()
}

fn unavailable() -> OrderEvent {
    MarkedUnavailable {
        order_id: ORDER,
        placed_at: monday(),
    }
    .into()
}

/// The example's order, and what has happened to it since.
fn given_placed_and(events: impl IntoIterator<Item = OrderEvent>) -> Given<Orders> {
    given(std::iter::once(placed().into()).chain(events))
}

fn line(seller_id: UserId, quantity: u32, unit_price_cents: i64, freight_cents: i64) -> Line {
    Line {
        product_id: PRODUCT,
        seller_id,
        quantity: quantity.try_into().unwrap(),
        unit_price_cents: unit_price_cents.try_into().unwrap(),
        freight_cents: freight_cents.try_into().unwrap(),
    }
}

fn place(lines: Vec<Line>) -> Place {
    Place {
        order_id: ORDER,
        currency: Currency::BRL,
        lines,
    }
}

#[test]
fn an_order_carries_its_sums() {
    let lines = vec![
        line(OTHER_SELLER, 2, 1000, 100),
        line(SELLER, 1, 550, 200),
        line(OTHER_SELLER, 1, 0, 0),
    ];
    given::<Orders>([])
        .at(monday())
        .when(place(lines))
        .then([placed().into()]);
}

#[test]
fn an_order_may_be_in_another_currency() {
    let place = Place {
        currency: "EUR".parse().unwrap(),
        ..place(vec![line(SELLER, 1, 100, 0)])
    };
    given::<Orders>([]).when(place).then([Placed {
        currency: "EUR".parse().unwrap(),
        placed_at: now(),
        lines: vec![PlacedLine::from(line(SELLER, 1, 100, 0))],
        items_cents: 100,
        freight_cents: 0,
        total_cents: 100,
        ..placed()
    }
    .into()]);
}

#[test]
fn an_order_has_lines_within_bounds() {
    given::<Orders>([])
        .when(place(vec![]))
        .then_rejected("order-without-lines");
    given::<Orders>([])
        .when(place(vec![line(SELLER, 1, 1, 0); LINES_MAX + 1]))
        .then_rejected("too-many-lines");
}

#[test]
fn the_largest_order_is_accepted() {
    given::<Orders>([])
        .when(place(vec![line(SELLER, 1, 1, 0); LINES_MAX]))
        .then([Placed {
            placed_at: now(),
            lines: vec![PlacedLine::from(line(SELLER, 1, 1, 0)); LINES_MAX],
            items_cents: 500,
            freight_cents: 0,
            total_cents: 500,
            ..placed()
        }
        .into()]);
}

#[test]
fn sums_that_do_not_fit_are_refused_and_never_wrap() {
    let half = i64::MAX / 2 + 1;
    for lines in [
        vec![line(SELLER, 2, half, 0)],
        vec![line(SELLER, 1, half, 0), line(SELLER, 1, half, 0)],
        vec![line(SELLER, 1, 1, half), line(SELLER, 1, 1, half)],
        vec![line(SELLER, 1, half, half)],
    ] {
        given::<Orders>([])
            .when(place(lines))
            .then_rejected("order-total-too-large");
    }
}

#[test]
fn an_order_is_placed_once() {
    given_placed_and([])
        .when(place(vec![line(SELLER, 1, 100, 0)]))
        .then_rejected("order-already-placed");
    given_placed_and([cancelled()])
        .when(place(vec![line(SELLER, 1, 100, 0)]))
        .then_rejected("order-already-placed");
}

#[test]
fn an_order_goes_its_way() {
    given_placed_and([]).when(APPROVE).then([approved()]);
    given_placed_and([approved()]).when(SHIP).then([shipped()]);
    given_placed_and([approved(), shipped()])
        .when(DELIVER)
        .then([delivered()]);
    given_placed_and([approved()])
        .when(cancel())
        .then([cancelled()]);
    given_placed_and([shipped()])
        .when(MARK_UNAVAILABLE)
        .then([unavailable()]);
}

#[test]
fn steps_come_in_any_sequence() {
    given_placed_and([]).when(SHIP).then([shipped()]);
    given_placed_and([]).when(DELIVER).then([delivered()]);
    given_placed_and([delivered()]).when(SHIP).then([shipped()]);
    given_placed_and([delivered(), shipped()])
        .when(APPROVE)
        .then([approved()]);
}

#[test]
fn each_step_is_taken_once() {
    given_placed_and([approved()])
        .when(APPROVE)
        .then_rejected("order-already-approved");
    given_placed_and([shipped()])
        .when(SHIP)
        .then_rejected("order-already-shipped");
    given_placed_and([delivered()])
        .when(DELIVER)
        .then_rejected("order-already-delivered");
}

/// Every command that is about an order.
fn steps() -> [OrderCommand; 5] {
    [
        APPROVE.into(),
        SHIP.into(),
        DELIVER.into(),
        cancel().into(),
        MARK_UNAVAILABLE.into(),
    ]
}

#[test]
fn nothing_comes_after_the_end() {
    for step in steps() {
        given_placed_and([cancelled()])
            .when(step)
            .then_rejected("order-cancelled");
    }
    for step in steps() {
        given_placed_and([unavailable()])
            .when(step)
            .then_rejected("order-unavailable");
    }
}

#[test]
fn what_was_delivered_is_neither_cancelled_nor_unavailable() {
    given_placed_and([delivered()])
        .when(cancel())
        .then_rejected("order-already-delivered");
    given_placed_and([delivered()])
        .when(MARK_UNAVAILABLE)
        .then_rejected("order-already-delivered");
}

#[test]
fn steps_are_about_an_order_of_this_user() {
    let elsewhere = Placed {
        order_id: OTHER_ORDER,
        ..placed()
    };
    for step in steps() {
        given::<Orders>([elsewhere.clone().into()])
            .when(step)
            .then_rejected("unknown-order");
    }
}

#[test]
fn sellers_are_listed_once_as_the_lines_name_them() {
    let state = given_placed_and([]).state();
    let order = state.order(ORDER).unwrap();
    assert_eq!(order.seller_ids(), [OTHER_SELLER, SELLER]);
    assert_eq!(order.placed_at(), time("2017-07-10T08:00:00Z"));
}

#[test]
fn a_step_of_an_order_that_never_was_is_passed_over() {
    let state = given::<Orders>([shipped(), cancelled()]).state();
    assert_eq!(state, OrdersState::default());
}

#[test]
fn the_state_survives_a_snapshot() {
    let state = given_placed_and([approved(), cancelled()]).state();
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<OrdersState>(&json).unwrap(), state);
}

#[test]
fn only_what_no_state_could_accept_is_impossible() {
    let impossible = [
        OrderRejection::WithoutLines,
        OrderRejection::TooManyLines { lines: 501 },
        OrderRejection::TotalTooLarge { order_id: ORDER },
    ];
    assert!(
        impossible
            .iter()
            .all(|no| no.kind() == RejectionKind::Impossible)
    );
    let unknown = OrderRejection::Unknown { order_id: ORDER };
    assert_eq!(unknown.kind(), RejectionKind::Conflict);
}

#[test]
fn a_body_that_is_no_order_is_pointed_at() {
    let line = |quantity: &str, price: &str, more: &str| {
        let id = ORDER;
        format!(
            r#"{{"order_id":"{id}","lines":[{{"product_id":"{id}","seller_id":"{id}",
            "quantity":{quantity},"unit_price_cents":{price},"freight_cents":0{more}}}]}}"#
        )
    };
    assert!(
        OrderCommand::decode("place", line("1", "0", "").as_bytes())
            .unwrap()
            .is_ok()
    );
    for (body, pointer) in [
        (line("0", "100", ""), "/lines/0/quantity"),
        (line("4294967296", "100", ""), "/lines/0/quantity"),
        (line("1", "-1", ""), "/lines/0/unit_price_cents"),
        (line("1", "1.5", ""), "/lines/0/unit_price_cents"),
        (
            line("1", "9223372036854775808", ""),
            "/lines/0/unit_price_cents",
        ),
        (line("1", "1", r#","size":3"#), "/lines/0/size"),
        (r#"{"order_id":"x","lines":[]}"#.into(), "/order_id"),
        (
            format!(r#"{{"order_id":"{ORDER}","currency":"brl","lines":[]}}"#),
            "/currency",
        ),
        (format!(r#"{{"order_id":"{ORDER}"}}"#), ""),
    ] {
        let wrong = OrderCommand::decode("place", body.as_bytes())
            .unwrap()
            .unwrap_err();
        assert_eq!(wrong.pointer, pointer, "{body}: {wrong}");
    }
    let body = format!(r#"{{"order_id":"{ORDER}","reason":""}}"#);
    let wrong = OrderCommand::decode("cancel", body.as_bytes())
        .unwrap()
        .unwrap_err();
    assert_eq!(wrong.pointer, "/reason");
}
