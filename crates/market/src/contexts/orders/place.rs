//! Placing an order: its lines and their sums.

use std::num::NonZeroU32;

use foldline::kernel::{Timestamp, UserId};
use serde::Deserialize;

use super::{OrderRejection, OrdersState, Placed, PlacedLine};
use crate::{Cents, Currency, OrderId, ProductId};

/// The most lines of one order.
pub const LINES_MAX: usize = 500;

/// Orders something.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// An id that this buyer has not used before.
    pub order_id: OrderId,
    /// The currency of all amounts; `BRL` where absent.
    #[serde(default)]
    pub currency: Currency,
    /// From 1 to [`LINES_MAX`] lines.
    pub lines: Vec<Line>,
}

/// One line of an order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What is ordered.
    pub product_id: ProductId,
    /// Who sells it.
    pub seller_id: UserId,
    /// How many, from 1.
    pub quantity: NonZeroU32,
    /// The price of one; it may be 0.
    pub unit_price_cents: Cents,
    /// The freight of the whole line; it may be 0.
    pub freight_cents: Cents,
}

pub(super) fn decide(
    state: &OrdersState,
    place: Place,
    placed_at: Timestamp,
) -> Result<Placed, OrderRejection> {
    let Place {
        order_id,
        currency,
        lines,
    } = place;
    if lines.is_empty() {
        return Err(OrderRejection::WithoutLines);
    }
    if lines.len() > LINES_MAX {
        return Err(OrderRejection::TooManyLines { lines: lines.len() });
    }
    let [items_cents, freight_cents, total_cents] =
        totals(&lines).ok_or(OrderRejection::TotalTooLarge { order_id })?;
    if state.order(order_id).is_some() {
        return Err(OrderRejection::AlreadyPlaced { order_id });
    }
    Ok(Placed {
        order_id,
        placed_at,
        currency,
        lines: lines.into_iter().map(PlacedLine::from).collect(),
        items_cents,
        freight_cents,
        total_cents,
    })
}

/// Items, freight and both together; `None` where one of them does not fit.
fn totals(lines: &[Line]) -> Option<[i64; 3]> {
    let (mut items, mut freight) = (0_i64, 0_i64);
    for line in lines {
        let price = line.unit_price_cents.get();
        items = items.checked_add(price.checked_mul(line.quantity.get().into())?)?;
        freight = freight.checked_add(line.freight_cents.get())?;
    }
    Some([items, freight, items.checked_add(freight)?])
}

impl From<Line> for PlacedLine {
    fn from(line: Line) -> Self {
        Self {
            product_id: line.product_id,
            seller_id: line.seller_id,
            quantity: line.quantity.get(),
            unit_price_cents: line.unit_price_cents.get(),
            freight_cents: line.freight_cents.get(),
        }
    }
}
