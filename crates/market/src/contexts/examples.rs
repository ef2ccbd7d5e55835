//! Ids and facts that the specs of several contexts start from.

use foldline::kernel::{Timestamp, UserId};
use uuid::Uuid;

use super::orders::{Placed, PlacedLine};
use crate::{Currency, OrderId, ProductId};

pub(crate) const ORDER: OrderId = OrderId(Uuid::from_u128(0xA));
pub(crate) const OTHER_ORDER: OrderId = OrderId(Uuid::from_u128(0xB));
pub(crate) const PRODUCT: ProductId = ProductId(Uuid::from_u128(0xC));
pub(crate) const SELLER: UserId = UserId(Uuid::from_u128(0xD));
pub(crate) const OTHER_SELLER: UserId = UserId(Uuid::from_u128(0xE));

/// The time of every decision, unless a spec says otherwise.
pub(crate) fn now() -> Timestamp {
    time("2017-07-14T02:40:00Z")
}

/// When the example's order was placed.
pub(crate) fn monday() -> Timestamp {
    time("2017-07-10T08:00:00Z")
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An order of two sellers, placed on Monday: 2 × 10.00 and 1 × 5.50, with a freight of 3.00.
pub(crate) fn placed() -> Placed {
    Placed {
        order_id: ORDER,
        placed_at: monday(),
        currency: Currency::BRL,
        lines: vec![
            line(OTHER_SELLER, 2, 1000, 100),
            line(SELLER, 1, 550, 200),
            line(OTHER_SELLER, 1, 0, 0),
        ],
        items_cents: 2550,
        freight_cents: 300,
        total_cents: 2850,
    }
}

fn line(seller_id: UserId, quantity: u32, unit_price_cents: i64, freight_cents: i64) -> PlacedLine {
    PlacedLine {
        product_id: PRODUCT,
        seller_id,
        quantity,
        unit_price_cents,
        freight_cents,
    }
}
