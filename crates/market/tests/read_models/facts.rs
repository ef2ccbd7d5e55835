//! What can happen in the marketplace, as short as a spec needs to say it.

use foldline::{
    kernel::{Personal, Timestamp, UserId},
    read_model::spec::{Happened, happened},
    schema::StoredEvents,
};
use market::{
    Currency, OrderId, PaymentId, ProductId, ReviewId,
    contexts::{
        accounts::{AccountEvent, Closed, ProfileChanged, Registered},
        catalog::{CatalogEvent, Delisted, Listed, PriceChanged, StockAdjusted},
        orders::{
            Approved, Cancelled, Delivered, MarkedUnavailable, OrderEvent, Placed, PlacedLine,
            Shipped,
        },
        payments::{Captured, PaymentEvent, Refunded},
        reviews::{ReviewEvent, Written},
    },
};
use uuid::Uuid;

pub(crate) use foldline::kernel::spec::USER as ANA;

pub(crate) const BRUNO: UserId = UserId(Uuid::from_u128(0xB0));
pub(crate) const SELLER: UserId = UserId(Uuid::from_u128(0x51));
pub(crate) const OTHER_SELLER: UserId = UserId(Uuid::from_u128(0x52));
pub(crate) const ORDER: OrderId = OrderId(Uuid::from_u128(0x01));
pub(crate) const OTHER_ORDER: OrderId = OrderId(Uuid::from_u128(0x02));
pub(crate) const VASE: ProductId = ProductId(Uuid::from_u128(0xA1));
pub(crate) const LAMP: ProductId = ProductId(Uuid::from_u128(0xA2));
pub(crate) const PAYMENT: PaymentId = PaymentId(Uuid::from_u128(0xC1));

/// When an order was placed, unless a spec says otherwise; what happens has the same time.
pub(crate) const PLACED_AT: &str = "2017-07-14T02:40:00.000000Z";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().expect("a spec gives times as RFC 3339")
}

/// A line of an order: so many at this price, with the freight of the whole line.
pub(crate) fn line(
    product_id: ProductId,
    seller_id: UserId,
    quantity: u32,
    unit_price_cents: i64,
    freight_cents: i64,
) -> PlacedLine {
    PlacedLine {
        product_id,
        seller_id,
        quantity,
        unit_price_cents,
        freight_cents,
    }
}

pub(crate) fn placed(order_id: OrderId, lines: &[PlacedLine]) -> Happened {
    placed_at(order_id, PLACED_AT, lines)
}

pub(crate) fn placed_at(order_id: OrderId, at: &str, lines: &[PlacedLine]) -> Happened {
    let items = lines
        .iter()
        .map(|line| line.unit_price_cents * i64::from(line.quantity));
    let (items_cents, freight) = (items.sum(), lines.iter().map(|line| line.freight_cents));
    let freight_cents = freight.sum();
    let placed = Placed {
        order_id,
        placed_at: time(at),
        currency: Currency::BRL,
        lines: lines.to_vec(),
        items_cents,
        freight_cents,
        total_cents: items_cents + freight_cents,
    };
    fact::<OrderEvent>(placed.into()).at(at)
}

pub(crate) fn approved(order_id: OrderId) -> Happened {
    let placed_at = time(PLACED_AT);
    fact::<OrderEvent>(
        Approved {
            order_id,
            placed_at,
        }
        .into(),
    )
}

pub(crate) fn shipped(order_id: OrderId) -> Happened {
    let placed_at = time(PLACED_AT);
    fact::<OrderEvent>(
        Shipped {
            order_id,
            placed_at,
        }
        .into(),
    )
}

pub(crate) fn delivered(order_id: OrderId) -> Happened {
    let placed_at = time(PLACED_AT);
    fact::<OrderEvent>(
        Delivered {
            order_id,
            placed_at,
        }
        .into(),
    )
}

pub(crate) fn cancelled(order_id: OrderId) -> Happened {
    let cancelled = Cancelled {
        order_id,
        placed_at: time(PLACED_AT),
        reason: "changed my mind".into(),
    };
    fact::<OrderEvent>(cancelled.into())
}

pub(crate) fn marked_unavailable(order_id: OrderId) -> Happened {
    let placed_at = time(PLACED_AT);
    fact::<OrderEvent>(
        MarkedUnavailable {
            order_id,
            placed_at,
        }
        .into(),
    )
}

/// A payment by card, captured at this time.
pub(crate) fn captured(order_id: OrderId, amount_cents: i64, at: &str) -> Happened {
    captured_by("credit_card", order_id, amount_cents, at)
}

pub(crate) fn captured_by(
    method: &str,
    order_id: OrderId,
    amount_cents: i64,
    at: &str,
) -> Happened {
    let captured = Captured {
        payment_id: PAYMENT,
        order_id,
        method: method.into(),
        installments: 1,
        amount_cents,
        currency: Currency::BRL,
        captured_at: time(at),
        placed_at: time(PLACED_AT),
    };
    fact::<PaymentEvent>(captured.into()).at(at)
}

/// A refund of what had been paid by card at that time.
pub(crate) fn refunded(order_id: OrderId, amount_cents: i64, captured_at: &str) -> Happened {
    let refunded = Refunded {
        payment_id: PAYMENT,
        order_id,
        method: "credit_card".into(),
        captured_at: time(captured_at),
        amount_cents,
        currency: Currency::BRL,
        placed_at: time(PLACED_AT),
    };
    fact::<PaymentEvent>(refunded.into())
}

/// The number tells several reviews of an order apart.
pub(crate) fn reviewed(number: u128, order_id: OrderId, score: u8, sellers: &[UserId]) -> Happened {
    let written = Written {
        review_id: ReviewId(Uuid::from_u128(number)),
        order_id,
        score,
        title: None,
        message: None,
        seller_ids: sellers.to_vec(),
        placed_at: time(PLACED_AT),
    };
    fact::<ReviewEvent>(written.into())
}

pub(crate) fn listed(product_id: ProductId, name: Option<&str>, price_cents: i64) -> Happened {
    let listed = Listed {
        product_id,
        name: name.map(Into::into),
        category: Some("housewares".into()),
        price_cents,
        currency: Currency::BRL,
        weight_g: Some(300),
        length_cm: None,
        height_cm: None,
        width_cm: None,
        photos: None,
    };
    fact::<CatalogEvent>(listed.into()).by(SELLER)
}

pub(crate) fn price_changed(product_id: ProductId, price_cents: i64) -> Happened {
    let changed = PriceChanged {
        product_id,
        price_cents,
        currency: Currency::BRL,
    };
    fact::<CatalogEvent>(changed.into()).by(SELLER)
}

/// So many came (or went), so many there are now.
pub(crate) fn stock_adjusted(product_id: ProductId, by: i64, stock: i64) -> Happened {
    let adjusted = StockAdjusted {
        product_id,
        by,
        stock,
    };
    fact::<CatalogEvent>(adjusted.into()).by(SELLER)
}

pub(crate) fn delisted(product_id: ProductId) -> Happened {
    fact::<CatalogEvent>(Delisted { product_id }.into()).by(SELLER)
}

pub(crate) fn registered(name: Personal<String>, city: &str, state: &str) -> Happened {
    let registered = Registered {
        name: Some(name),
        city: Some(city.into()),
        state: Some(state.into()),
        ..Registered::default()
    };
    fact::<AccountEvent>(registered.into())
}

pub(crate) fn profile_changed(changed: ProfileChanged) -> Happened {
    fact::<AccountEvent>(changed.into())
}

pub(crate) fn closed() -> Happened {
    fact::<AccountEvent>(Closed {}.into())
}

fn fact<E: StoredEvents>(event: E) -> Happened {
    let mut data = Vec::new();
    let written = event.write_data(&mut data);
    written.expect("an event has a JSON form");
    let data = serde_json::from_slice(&data).expect("an event is written as JSON");
    happened(event.type_name(), data)
}
