//! Who buys and sells here, and the bodies of their commands.

use serde_json::{Value, json};
use uuid::Uuid;

/// A person by number; different numbers lie on different lanes, mostly.
pub(crate) fn person(number: u128) -> Uuid {
    Uuid::from_u128(0x0115_e600_0000_4000_8000_0000_0000_0000 + number)
}

/// An order, a product, a payment or a review of a person, by number.
pub(crate) fn thing(of: Uuid, number: u128) -> Uuid {
    Uuid::from_u128(of.as_u128().rotate_left(64) + number)
}

/// An order of one line: so many at this price, with this freight.
pub(crate) fn order(id: Uuid, seller: Uuid, quantity: u32, price: i64, freight: i64) -> Value {
    json!({
        "order_id": id,
        "lines": [{
            "product_id": thing(seller, 0), "seller_id": seller, "quantity": quantity,
            "unit_price_cents": price, "freight_cents": freight,
        }],
    })
}

pub(crate) fn payment(id: Uuid, order: Uuid, amount: i64) -> Value {
    json!({
        "payment_id": id, "order_id": order, "method": "credit_card", "installments": 1,
        "amount_cents": amount,
    })
}

pub(crate) fn review(id: Uuid, order: Uuid, score: u8) -> Value {
    json!({ "review_id": id, "order_id": order, "score": score })
}
