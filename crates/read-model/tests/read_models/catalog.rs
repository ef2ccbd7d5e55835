//! The marketplace's event types, from their golden schemas, without the marketplace itself.

use foldline_schema::{Catalog, DataError, StoredEvents, TypeDescription, Upcast};
use serde_json::{Value, json};

macro_rules! described {
    ($name:literal) => {
        TypeDescription {
            name: $name,
            schema: serde_json::from_str(include_str!(concat!(
                "../../../../schemas/",
                $name,
                ".json"
            )))
            .expect("a golden schema is JSON"),
        }
    };
}

/// Types that are described and never read as Rust values: read models see JSON.
macro_rules! context {
    ($name:ident: $($type_name:literal),+; $upcasts:expr) => {
        enum $name {}

        impl StoredEvents for $name {
            fn types() -> Vec<TypeDescription> {
                vec![$(described!($type_name)),+]
            }

            fn upcasts() -> Vec<Upcast> {
                $upcasts
            }

            fn type_name(&self) -> &'static str {
                match *self {}
            }

            fn write_data(&self, _: &mut Vec<u8>) -> serde_json::Result<()> {
                match *self {}
            }

            fn read_data(_: &str, _: &[u8]) -> Option<Result<Self, DataError>> {
                None
            }
        }
    };
}

context!(Accounts: "account.registered.v1", "account.profile-changed.v1", "account.closed.v1"; vec![]);
context!(Orders: "order.placed.v1", "order.approved.v1", "order.shipped.v1", "order.delivered.v1",
    "order.cancelled.v1", "order.marked-unavailable.v1"; vec![]);
context!(Payments: "payment.captured.v1", "payment.refunded.v1"; vec![]);
context!(Reviews: "review.written.v1"; vec![]);
context!(Products: "product.listed.v2", "product.price-changed.v1", "product.stock-adjusted.v1",
"product.delisted.v1"; vec![Upcast {
    from: described!("product.listed.v1"),
    to: "product.listed.v2",
    convert: |mut data| {
        let price = data["price"].as_str().ok_or("no price")?.replace('.', "");
        let cents: i64 = price.parse().map_err(|_| "the price is no number")?;
        data["price_cents"] = Value::from(cents);
        Ok(data)
    },
}]);

/// Every type of the marketplace.
pub(crate) fn catalog() -> Catalog {
    let context = |name: &str| name.parse().expect("a context");
    Catalog::default()
        .with::<Accounts>(&context("accounts"))
        .with::<Products>(&context("catalog"))
        .with::<Orders>(&context("orders"))
        .with::<Payments>(&context("payments"))
        .with::<Reviews>(&context("reviews"))
}

/// The data of `order.placed.v1` with lines of (seller, quantity, unit price).
pub(crate) fn placed(order: &str, lines: &[(&str, i64, i64)]) -> Value {
    let items = lines
        .iter()
        .map(|(_, quantity, price)| quantity.saturating_mul(*price));
    let items = items.fold(0, i64::saturating_add);
    let lines: Vec<_> = lines
        .iter()
        .map(|(seller, quantity, price)| {
            json!({ "product_id": PRODUCT, "seller_id": seller, "quantity": quantity,
                "unit_price_cents": price, "freight_cents": 7 })
        })
        .collect();
    json!({ "order_id": order, "placed_at": "2017-07-14T02:40:00.000000Z", "currency": "BRL",
        "items_cents": items, "freight_cents": 7, "total_cents": items.saturating_add(7), "lines": lines })
}

/// The data of the events that follow an order.
pub(crate) fn step(order: &str) -> Value {
    json!({ "order_id": order, "placed_at": "2017-07-14T02:40:00.000000Z" })
}

pub(crate) const ORDER: &str = "00000000-0000-4000-8000-000000000001";
pub(crate) const PRODUCT: &str = "00000000-0000-4000-8000-000000000002";
pub(crate) const SELLER: &str = "00000000-0000-4000-8000-000000000003";
pub(crate) const OTHER_SELLER: &str = "00000000-0000-4000-8000-000000000004";
