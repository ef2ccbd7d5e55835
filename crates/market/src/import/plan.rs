//! Which commands the data set stands for, in which sequence and at which times.

use std::collections::HashSet;

use jiff::Timestamp;
use uuid::Uuid;

use super::rows::{Item, Order};
use super::tables::Tables;
use crate::send::{Action, Command, Line, ListProduct, Register, Write};

/// Begins every idempotency key of the import.
const SOURCE: &str = "olist";

/// The commands of the whole data set: orders by time of purchase, and within an order what
/// happened in the sequence in which a marketplace would be told of it.
pub(super) fn commands(tables: &Tables) -> Vec<Command> {
    let mut plan = Plan {
        tables,
        registered: HashSet::new(),
        listed: HashSet::new(),
        commands: Vec::with_capacity(tables.orders.len() * 8),
    };
    for order in &tables.orders {
        plan.order(order);
    }
    plan.commands
}

struct Plan<'a> {
    tables: &'a Tables,
    registered: HashSet<Uuid>,
    /// Pairs of seller and product: several sellers may offer one product.
    listed: HashSet<(Uuid, Uuid)>,
    commands: Vec<Command>,
}

impl Plan<'_> {
    fn order(&mut self, order: &Order) {
        let buyer = self.tables.customers[&order.customer_id].customer_unique_id;
        self.register_buyer(buyer, order);
        for item in &self.tables.items[&order.order_id] {
            self.register_seller(item.seller_id, order);
        }
        for item in &self.tables.items[&order.order_id] {
            self.list(item, order);
        }
        self.place(buyer, order);
        self.capture(buyer, order);
        self.follow_up(buyer, order);
        self.review(buyer, order);
    }

    fn register_buyer(&mut self, buyer: Uuid, order: &Order) {
        let customer = &self.tables.customers[&order.customer_id];
        let register = Register {
            city: customer.customer_city.clone(),
            state: customer.customer_state.clone(),
            zip_prefix: customer.customer_zip_code_prefix.clone(),
            ..Register::default()
        };
        self.register(buyer, register, order);
    }

    fn register_seller(&mut self, seller: Uuid, order: &Order) {
        let row = &self.tables.sellers[&seller];
        let register = Register {
            city: row.seller_city.clone(),
            state: row.seller_state.clone(),
            zip_prefix: row.seller_zip_code_prefix.clone(),
            ..Register::default()
        };
        self.register(seller, register, order);
    }

    fn register(&mut self, user: Uuid, register: Register, order: &Order) {
        if self.registered.insert(user) {
            let purchase = order.order_purchase_timestamp.0;
            self.add(user, Action::Register(register), purchase, &text(user));
        }
    }

    fn list(&mut self, item: &Item, order: &Order) {
        let &Item {
            seller_id,
            product_id,
            ..
        } = item;
        if !self.listed.insert((seller_id, product_id)) {
            return;
        }
        let product = &self.tables.products[&product_id];
        let category = product.product_category_name.clone();
        let list = ListProduct {
            product_id,
            name: None,
            category: category.map(|own| self.tables.categories.get(&own).cloned().unwrap_or(own)),
            price_cents: item.price.0,
            weight_g: product.product_weight_g.map(|weight| weight.0),
            length_cm: product.product_length_cm.map(|length| length.0),
            height_cm: product.product_height_cm.map(|height| height.0),
            width_cm: product.product_width_cm.map(|width| width.0),
            photos: product.product_photos_qty.map(|photos| photos.0),
        };
        let what = format!("{}:{}", seller_id.simple(), product_id.simple());
        let purchase = order.order_purchase_timestamp.0;
        self.add(seller_id, Action::ListProduct(list), purchase, &what);
    }

    fn place(&mut self, buyer: Uuid, order: &Order) {
        let line = |item: &Item| Line {
            product_id: item.product_id,
            seller_id: item.seller_id,
            quantity: 1,
            unit_price_cents: item.price.0,
            freight_cents: item.freight_value.0,
        };
        // Orders without items are sent too: the rules refuse them, not the importer.
        let lines = self.tables.items[&order.order_id]
            .iter()
            .map(line)
            .collect();
        let place = Action::Place {
            order_id: order.order_id,
            lines,
        };
        self.add(
            buyer,
            place,
            order.order_purchase_timestamp.0,
            &text(order.order_id),
        );
    }

    fn capture(&mut self, buyer: Uuid, order: &Order) {
        let time = order
            .order_approved_at
            .unwrap_or(order.order_purchase_timestamp)
            .0;
        for payment in &self.tables.payments[&order.order_id] {
            let sequential = payment.payment_sequential.0;
            let capture = Action::Capture {
                payment_id: payment_id(order.order_id, sequential),
                order_id: order.order_id,
                method: payment.payment_type.clone(),
                installments: payment.payment_installments.0,
                amount_cents: payment.payment_value.0,
            };
            let what = format!("{}:{sequential}", order.order_id.simple());
            self.add(buyer, capture, time, &what);
        }
    }

    fn follow_up(&mut self, buyer: Uuid, order: &Order) {
        let order_id = order.order_id;
        let steps = [
            (order.order_approved_at, Action::Approve { order_id }),
            (
                order.order_delivered_carrier_date,
                Action::Ship { order_id },
            ),
            (
                order.order_delivered_customer_date,
                Action::Deliver { order_id },
            ),
        ];
        let mut latest = order.order_purchase_timestamp;
        for (time, action) in steps {
            if let Some(time) = time {
                self.add(buyer, action, time.0, &text(order_id));
                latest = latest.max(time);
            }
        }
        let end = match order.order_status.as_str() {
            "canceled" => Action::Cancel {
                order_id,
                reason: "canceled".to_owned(),
            },
            "unavailable" => Action::MarkUnavailable { order_id },
            _ => return,
        };
        self.add(buyer, end, latest.0, &text(order_id));
    }

    fn review(&mut self, buyer: Uuid, order: &Order) {
        for review in &self.tables.reviews[&order.order_id] {
            let write = Write {
                review_id: review.review_id,
                order_id: order.order_id,
                score: review.review_score.0,
                title: review.review_comment_title.clone(),
                message: review.review_comment_message.clone(),
            };
            let what = format!("{}:{}", review.review_id.simple(), order.order_id.simple());
            self.add(
                buyer,
                Action::Write(write),
                review.review_answer_timestamp.0,
                &what,
            );
        }
    }

    fn add(&mut self, user: Uuid, action: Action, time: Timestamp, what: &str) {
        self.commands
            .push(Command::new(user, &action, time, SOURCE, what));
    }
}

/// The files number an order's payments; the order is the namespace of these numbers (UUID v5 of
/// the number in decimal digits).
fn payment_id(order: Uuid, sequential: u32) -> Uuid {
    Uuid::new_v5(&order, sequential.to_string().as_bytes())
}

/// An id as the files write it.
fn text(id: Uuid) -> String {
    id.simple().to_string()
}
