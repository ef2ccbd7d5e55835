//! The rules of the marketplace that can refuse something of an import, each after one sentence
//! of MARKET.md.

use std::collections::{HashMap, HashSet};

use crate::history::Line;

/// The marketplace's rules, as far as this history can touch them.
#[derive(Default)]
pub(crate) struct Rules {
    /// The people who have registered.
    pub(crate) registered: HashSet<String>,
    /// Seller and product of each listing.
    pub(crate) listed: HashSet<(String, String)>,
    /// The steps that each placed order has taken.
    placed: HashMap<String, Vec<&'static str>>,
    captured: HashSet<String>,
    written: HashSet<(String, String)>,
}

impl Rules {
    /// Places an order with these lines.
    pub(crate) fn place(&mut self, order: &str, lines: &[Line]) -> Result<(), &'static str> {
        if lines.is_empty() {
            return Err("order-without-lines");
        }
        match self.placed.insert(order.into(), Vec::new()) {
            None => Ok(()),
            Some(_) => Err("order-already-placed"),
        }
    }

    /// Takes one of the steps that follow after placing.
    pub(crate) fn step(&mut self, order: &str, step: &'static str) -> Result<(), &'static str> {
        let taken = self.placed.get_mut(order).ok_or("unknown-order")?;
        let ends = matches!(step, "cancel" | "mark-unavailable");
        if taken.contains(&"cancel") {
            return Err("order-cancelled");
        }
        if taken.contains(&"mark-unavailable") {
            return Err("order-unavailable");
        }
        if taken.contains(&step) {
            panic!("the data set takes the step {step} twice for {order}");
        }
        if ends && taken.contains(&"deliver") {
            return Err("order-already-delivered");
        }
        taken.push(step);
        Ok(())
    }

    /// Captures a payment of an order.
    pub(crate) fn capture(&mut self, order: &str, payment: String) -> Result<(), &'static str> {
        self.placed.get(order).ok_or("unknown-order")?;
        self.captured
            .insert(payment)
            .then_some(())
            .ok_or("payment-already-captured")
    }

    /// Writes a review of an order.
    pub(crate) fn write(&mut self, order: &str, review: String) -> Result<(), &'static str> {
        self.placed.get(order).ok_or("unknown-order")?;
        let pair = (review, order.to_owned());
        self.written
            .insert(pair)
            .then_some(())
            .ok_or("review-already-written")
    }
}
