//! The rules of orders and payments, written anew from their documentation.

use std::collections::HashMap;

use uuid::Uuid;

use super::event::Event;
use crate::load::record::What;

/// What has happened to one user, as far as the rules ask.
#[derive(Debug, Default)]
pub struct State {
    orders: HashMap<Uuid, Order>,
    /// What is left of each payment.
    payments: HashMap<Uuid, i64>,
}

#[derive(Debug, Default)]
struct Order {
    approved: bool,
    shipped: bool,
    delivered: bool,
    cancelled: bool,
    unavailable: bool,
}

impl State {
    /// Lets an event happen.
    ///
    /// # Errors
    /// Why the rules could not have decided it in this state.
    pub fn apply(&mut self, event: &Event) -> Result<(), String> {
        let order = event.facts.order_id;
        let what = match &*event.kind {
            "order.placed.v1" => What::Place(order),
            "order.approved.v1" => What::Approve(order),
            "order.shipped.v1" => What::Ship(order),
            "order.delivered.v1" => What::Deliver(order),
            "order.cancelled.v1" => What::Cancel(order),
            "payment.captured.v1" => What::Capture {
                payment: event.facts.payment_id,
                order,
            },
            "payment.refunded.v1" => What::Refund(event.facts.payment_id),
            other => return Err(format!("nobody asked for a `{other}`")),
        };
        let refused = self.refusal(what);
        self.happen(what, event.facts.amount_cents);
        refused.map_or(Ok(()), |code| Err(format!("the rules say {code}")))
    }

    /// The code with which this state refuses a command; `None` where it accepts it.
    pub fn refusal(&self, what: What) -> Option<&'static str> {
        match what {
            What::Place(order) => self
                .orders
                .contains_key(&order)
                .then_some("order-already-placed"),
            What::Approve(order) => self.step(order, "order-already-approved", |o| o.approved),
            What::Ship(order) => self.step(order, "order-already-shipped", |o| o.shipped),
            What::Deliver(order) | What::Cancel(order) => {
                self.step(order, "order-already-delivered", |o| o.delivered)
            }
            What::Capture { payment, order } => {
                if !self.orders.contains_key(&order) {
                    return Some("unknown-order");
                }
                let known = self.payments.contains_key(&payment);
                known.then_some("payment-already-captured")
            }
            What::Refund(payment) => match self.payments.get(&payment) {
                None => Some("unknown-payment"),
                Some(left) => (*left < 1).then_some("refund-exceeds-payment"),
            },
        }
    }

    fn step(
        &self,
        order: Uuid,
        already: &'static str,
        done: impl Fn(&Order) -> bool,
    ) -> Option<&'static str> {
        let Some(order) = self.orders.get(&order) else {
            return Some("unknown-order");
        };
        if order.cancelled {
            return Some("order-cancelled");
        }
        if order.unavailable {
            return Some("order-unavailable");
        }
        done(order).then_some(already)
    }

    fn happen(&mut self, what: What, amount_cents: i64) {
        match what {
            What::Place(order) => drop(self.orders.insert(order, Order::default())),
            What::Approve(order) => self.orders.entry(order).or_default().approved = true,
            What::Ship(order) => self.orders.entry(order).or_default().shipped = true,
            What::Deliver(order) => self.orders.entry(order).or_default().delivered = true,
            What::Cancel(order) => self.orders.entry(order).or_default().cancelled = true,
            What::Capture { payment, .. } => drop(self.payments.insert(payment, amount_cents)),
            What::Refund(payment) => {
                *self.payments.entry(payment).or_default() -= amount_cents;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_takes_its_steps_once_and_none_after_its_end() {
        let mut state = State::default();
        let order = Uuid::from_u128(1);
        assert_eq!(state.refusal(What::Ship(order)), Some("unknown-order"));
        state.happen(What::Place(order), 0);
        assert_eq!(
            state.refusal(What::Place(order)),
            Some("order-already-placed")
        );
        state.happen(What::Ship(order), 0);
        assert_eq!(
            state.refusal(What::Ship(order)),
            Some("order-already-shipped")
        );
        assert_eq!(state.refusal(What::Approve(order)), None);
        state.happen(What::Cancel(order), 0);
        assert_eq!(state.refusal(What::Deliver(order)), Some("order-cancelled"));
    }

    #[test]
    fn a_payment_gives_back_no_more_than_it_took() {
        let mut state = State::default();
        let (order, payment) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let capture = What::Capture { payment, order };
        assert_eq!(state.refusal(capture), Some("unknown-order"));
        state.happen(What::Place(order), 0);
        assert_eq!(state.refusal(capture), None);
        state.happen(capture, 1);
        assert_eq!(state.refusal(capture), Some("payment-already-captured"));
        state.happen(What::Refund(payment), 1);
        let refused = state.refusal(What::Refund(payment));
        assert_eq!(refused, Some("refund-exceeds-payment"));
    }
}
