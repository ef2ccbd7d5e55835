//! Buyers: what they have done so far, and what they do next.

use rand::{RngExt as _, rngs::StdRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::record::What;

/// After how many commands a buyer makes room for another.
pub(super) const COMMANDS_MAX: usize = 120;

/// A user, as far as the next command needs it.
#[derive(Debug)]
pub(super) struct Buyer {
    pub(super) user: Uuid,
    orders: Vec<Uuid>,
    payments: Vec<Uuid>,
    pub(super) commands: usize,
}

impl Buyer {
    pub(super) fn new(user: Uuid) -> Self {
        Self {
            user,
            orders: Vec::new(),
            payments: Vec::new(),
            commands: 0,
        }
    }

    /// Chooses what comes next; some of it the rules will refuse.
    pub(super) fn next(&mut self, chance: &mut StdRng) -> What {
        self.commands += 1;
        // The last few orders, so that steps meet each other.
        let recent = self.orders.len().saturating_sub(6)..self.orders.len();
        if recent.is_empty() {
            return self.place(chance);
        }
        let order = self.orders[chance.random_range(recent)];
        match chance.random_range(0..100) {
            0..28 => self.place(chance),
            28..31 => What::Place(order),
            31..47 => What::Approve(order),
            47..61 => What::Ship(order),
            61..72 => What::Deliver(order),
            72..77 => What::Cancel(order),
            77..80 => What::Approve(id(chance)),
            80..94 => {
                let payment = id(chance);
                self.payments.push(payment);
                What::Capture { payment, order }
            }
            _ => match self.payments.last() {
                Some(payment) => What::Refund(*payment),
                None => What::Ship(order),
            },
        }
    }

    fn place(&mut self, chance: &mut StdRng) -> What {
        let order = id(chance);
        self.orders.push(order);
        What::Place(order)
    }
}

pub(super) fn id(chance: &mut StdRng) -> Uuid {
    uuid::Builder::from_random_bytes(chance.random()).into_uuid()
}

/// The body of a command: the same bytes for the same command, whenever it is sent.
pub(super) fn body(what: What) -> Value {
    let of = |order: Uuid| json!({ "order_id": order });
    match what {
        What::Place(order) => {
            // Sums that follow from the id, so that a row of another order is told.
            let [price, freight] = [order.as_bytes()[0], order.as_bytes()[1]];
            let line = json!({
                "product_id": Uuid::from_u128(7),
                "seller_id": Uuid::from_u128(8),
                "quantity": 1 + u32::from(price % 3),
                "unit_price_cents": 100 + i64::from(price),
                "freight_cents": i64::from(freight),
            });
            json!({ "order_id": order, "lines": [line] })
        }
        What::Approve(order) | What::Ship(order) | What::Deliver(order) => of(order),
        What::Cancel(order) => json!({ "order_id": order, "reason": "changed my mind" }),
        What::Capture { payment, order } => json!({
            "payment_id": payment,
            "order_id": order,
            "method": "credit_card",
            "installments": 1,
            "amount_cents": 100 + i64::from(payment.as_bytes()[0]),
        }),
        What::Refund(payment) => json!({ "payment_id": payment, "amount_cents": 1 }),
    }
}
