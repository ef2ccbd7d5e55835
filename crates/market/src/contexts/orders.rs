//! Orders, from placing to delivery: the context `orders`, whose streams belong to buyers.
//!
//! ```text
//!            ┌ approve ┐
//!   place ───┼ ship    ┼─── each at most once, in any sequence
//!            └ deliver ┘
//!       └─ cancel, mark-unavailable: nothing comes after them, and neither comes after deliver
//! ```
//!
//! Steps come in any sequence because the payment's provider, the carrier and the buyer report
//! them on their own: what has happened is recorded when it is told.

use foldline::kernel::{Decider, Situation, Timestamp, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Currency, OrderId, ProductId, Text, few::Few};

mod place;

pub use place::{LINES_MAX, Line, Place};

// Stored events: names and shapes are on disk for ever.

foldline::schema::stored_events! {
    /// What happens to orders.
    #[derive(Clone, Debug, PartialEq)]
    pub enum OrderEvent {
        "order.placed.v1" => Placed(Placed),
        "order.approved.v1" => Approved(Approved),
        "order.shipped.v1" => Shipped(Shipped),
        "order.delivered.v1" => Delivered(Delivered),
        "order.cancelled.v1" => Cancelled(Cancelled),
        "order.marked-unavailable.v1" => MarkedUnavailable(MarkedUnavailable),
    }
}

/// A buyer has ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    /// The order; two buyers may have chosen the same id.
    pub order_id: OrderId,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// The currency of all its amounts.
    pub currency: Currency,
    /// What was ordered, at least one line.
    pub lines: Vec<PlacedLine>,
    /// The sum of quantity × unit price.
    pub items_cents: i64,
    /// The sum of the lines' freight.
    pub freight_cents: i64,
    /// Items and freight.
    pub total_cents: i64,
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlacedLine {
    /// What was ordered.
    pub product_id: ProductId,
    /// Who sells it.
    pub seller_id: UserId,
    /// How many, from 1.
    pub quantity: u32,
    /// The price of one.
    pub unit_price_cents: i64,
    /// The freight of the whole line.
    pub freight_cents: i64,
}

/// The order's payment was approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approved {
    /// The order.
    pub order_id: OrderId,
    /// When it had been placed.
    pub placed_at: Timestamp,
}

/// The order was handed to the carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shipped {
    /// The order.
    pub order_id: OrderId,
    /// When it had been placed.
    pub placed_at: Timestamp,
}

/// The order reached its buyer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Delivered {
    /// The order.
    pub order_id: OrderId,
    /// When it had been placed.
    pub placed_at: Timestamp,
}

/// The order was called off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cancelled {
    /// The order.
    pub order_id: OrderId,
    /// When it had been placed.
    pub placed_at: Timestamp,
    /// Why, in the words of whoever called it off.
    pub reason: String,
}

/// The order turned out to be impossible to fulfil.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MarkedUnavailable {
    /// The order.
    pub order_id: OrderId,
    /// When it had been placed.
    pub placed_at: Timestamp,
}

// State.

/// The buyer's orders, as far as decisions need them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OrdersState {
    orders: Few<OrderId, Order>,
}

/// An order that was placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    placed_at: Timestamp,
    currency: Currency,
    seller_ids: Vec<UserId>,
    progress: Progress,
}

/// What has happened to an order since it was placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    approved: bool,
    shipped: bool,
    delivered: bool,
    end: Option<End>,
}

/// What nothing comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    Cancelled,
    Unavailable,
}

impl OrdersState {
    /// Returns an order that the buyer has placed.
    pub fn order(&self, order_id: OrderId) -> Option<&Order> {
        self.orders.get(&order_id)
    }

    /// Facts about an order that was never placed are passed over: `evolve` cannot fail.
    fn progress(&mut self, order_id: OrderId, step: impl FnOnce(&mut Progress)) {
        if let Some(order) = self.orders.get_mut(&order_id) {
            step(&mut order.progress);
        }
    }
}

impl Order {
    /// Returns when it was placed.
    pub fn placed_at(&self) -> Timestamp {
        self.placed_at
    }

    /// Returns the currency of its amounts.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Returns its distinct sellers, in the sequence in which its lines first name them.
    pub fn seller_ids(&self) -> &[UserId] {
        &self.seller_ids
    }
}

impl From<&Placed> for Order {
    fn from(placed: &Placed) -> Self {
        let mut seller_ids = Vec::with_capacity(1);
        for line in &placed.lines {
            if !seller_ids.contains(&line.seller_id) {
                seller_ids.push(line.seller_id);
            }
        }
        Self {
            placed_at: placed.placed_at,
            currency: placed.currency,
            seller_ids,
            progress: Progress::default(),
        }
    }
}

// Commands.

foldline::kernel::commands! {
    /// What a buyer's orders can be asked to do.
    #[derive(Clone, Debug)]
    pub enum OrderCommand {
        "place" => Place(Place),
        "approve" => Approve(Approve),
        "ship" => Ship(Ship),
        "deliver" => Deliver(Deliver),
        "cancel" => Cancel(Cancel),
        "mark-unavailable" => MarkUnavailable(MarkUnavailable),
    }
}

/// Tells that the order's payment was approved.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The order.
    pub order_id: OrderId,
}

/// Tells that the order was handed to the carrier.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ship {
    /// The order.
    pub order_id: OrderId,
}

/// Tells that the order reached its buyer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deliver {
    /// The order.
    pub order_id: OrderId,
}

/// Calls an order off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub reason: Text<1, 500>,
}

/// Tells that an order cannot be fulfilled.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkUnavailable {
    /// The order.
    pub order_id: OrderId,
}

// Rejections: the codes are what clients match on.

foldline::kernel::rejections! {
    /// Why the rules say no.
    #[derive(Clone, PartialEq)]
    pub enum OrderRejection {
        Impossible "order-without-lines" => WithoutLines "an order has at least one line",
        Impossible "too-many-lines" => TooManyLines { lines: usize }
            "an order has at most {LINES_MAX} lines, not {lines}",
        Impossible "order-total-too-large" => TotalTooLarge { order_id: OrderId }
            "the amounts of order {order_id} add up to more than 63 bits hold",
        Conflict "order-already-placed" => AlreadyPlaced { order_id: OrderId }
            "this user has already placed order {order_id}",
        Conflict "unknown-order" => Unknown { order_id: OrderId }
            "this user has no order {order_id}",
        Conflict "order-already-approved" => AlreadyApproved { order_id: OrderId }
            "order {order_id} is already approved",
        Conflict "order-already-shipped" => AlreadyShipped { order_id: OrderId }
            "order {order_id} is already shipped",
        Conflict "order-already-delivered" => AlreadyDelivered { order_id: OrderId }
            "order {order_id} is already delivered",
        Conflict "order-cancelled" => Cancelled { order_id: OrderId }
            "order {order_id} is cancelled",
        Conflict "order-unavailable" => Unavailable { order_id: OrderId }
            "order {order_id} is unavailable",
    }
}

// Rules.

/// The context `orders`.
#[derive(Debug)]
pub struct Orders;

impl Decider for Orders {
    const CONTEXT: &'static str = "orders";
    const STATE_REVISION: u32 = 1;

    type State = OrdersState;
    type Command = OrderCommand;
    type Event = OrderEvent;
    type Rejection = OrderRejection;

    fn decide(
        state: &OrdersState,
        command: OrderCommand,
        situation: &Situation<'_>,
    ) -> Result<Vec<OrderEvent>, OrderRejection> {
        let event = match command {
            OrderCommand::Place(place) => place::decide(state, place, situation.time)?.into(),
            OrderCommand::Approve(Approve { order_id }) => {
                let order = open(state, order_id)?;
                if order.progress.approved {
                    return Err(OrderRejection::AlreadyApproved { order_id });
                }
                let placed_at = order.placed_at;
                Approved {
                    order_id,
                    placed_at,
                }
                .into()
            }
            OrderCommand::Ship(Ship { order_id }) => {
                let order = open(state, order_id)?;
                if order.progress.shipped {
                    return Err(OrderRejection::AlreadyShipped { order_id });
                }
                let placed_at = order.placed_at;
                Shipped {
                    order_id,
                    placed_at,
                }
                .into()
            }
            OrderCommand::Deliver(Deliver { order_id }) => {
                let placed_at = undelivered(state, order_id)?.placed_at;
                Delivered {
                    order_id,
                    placed_at,
                }
                .into()
            }
            OrderCommand::Cancel(Cancel { order_id, reason }) => Cancelled {
                order_id,
                placed_at: undelivered(state, order_id)?.placed_at,
                reason: reason.into_inner(),
            }
            .into(),
            OrderCommand::MarkUnavailable(MarkUnavailable { order_id }) => {
                let placed_at = undelivered(state, order_id)?.placed_at;
                MarkedUnavailable {
                    order_id,
                    placed_at,
                }
                .into()
            }
        };
        Ok(vec![event])
    }

    fn evolve(state: &mut OrdersState, event: &OrderEvent) {
        match event {
            OrderEvent::Placed(e) => {
                state.orders.insert(e.order_id, Order::from(e));
            }
            OrderEvent::Approved(e) => state.progress(e.order_id, |order| order.approved = true),
            OrderEvent::Shipped(e) => state.progress(e.order_id, |order| order.shipped = true),
            OrderEvent::Delivered(e) => state.progress(e.order_id, |order| order.delivered = true),
            OrderEvent::Cancelled(e) => {
                state.progress(e.order_id, |order| order.end = Some(End::Cancelled));
            }
            OrderEvent::MarkedUnavailable(e) => {
                state.progress(e.order_id, |order| order.end = Some(End::Unavailable));
            }
        }
    }
}

/// An order to which something can still happen.
fn open(state: &OrdersState, order_id: OrderId) -> Result<&Order, OrderRejection> {
    let order = state.order(order_id);
    let order = order.ok_or(OrderRejection::Unknown { order_id })?;
    match order.progress.end {
        None => Ok(order),
        Some(End::Cancelled) => Err(OrderRejection::Cancelled { order_id }),
        Some(End::Unavailable) => Err(OrderRejection::Unavailable { order_id }),
    }
}

/// An order that can still be delivered, cancelled or turn out to be unavailable.
fn undelivered(state: &OrdersState, order_id: OrderId) -> Result<&Order, OrderRejection> {
    let order = open(state, order_id)?;
    if order.progress.delivered {
        return Err(OrderRejection::AlreadyDelivered { order_id });
    }
    Ok(order)
}

#[cfg(test)]
mod tests;
